/*
 * Certificates and policy of TLS and DTLS, built whole from the configuration by control and shared
 * by the workers: read-only but for OpenSSL's own session tickets and reference counts. Sessions
 * hold a reference to what they were made with, so that a reload drops none.
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include <stdint.h>

#include "base/slice.h"
#include "tls/tls_settings.h"

struct tls_context;

/*
 * Reads every file and checks that keys match their certificates. `ticket_secret`: what session
 * ticket keys are derived from (HKDF), the same on all instances and across reloads, so that any of
 * them resumes another's session; ≥ 16 bytes. `seal_cookie` keys of DTLS come from the same.
 * Each certificate has been shown to a client of our own in a handshake then.
 * 0; or -EINVAL, -ENOMEM, -errno with one line in `error` that names the file: "tls.key
 * /etc/turnpike/tls/privkey.pem: does not match the certificate fullchain.pem".
 */
int tls_context_new(struct tls_context **out, const struct tls_settings *settings,
    struct slice ticket_secret, char *error, size_t error_cap);
struct tls_context *tls_context_hold(struct tls_context *c); /* one reference more; any thread */
void tls_context_release(struct tls_context *c);             /* NULL: nothing happens */

/* Seconds since the epoch at which the certificate that ends first ends. */
int64_t tls_context_expires_at(const struct tls_context *c);
/* One certificate as logs name it; borrowed from the context. */
struct tls_certificate_info {
    const char *file;   /* the path of the settings */
    const char *names;  /* DNS names and addresses it covers, "a.example, b.example"; or its subject
                         */
    const char *serial; /* hexadecimal, as `openssl x509 -serial` prints it */
    int64_t expires_at; /* seconds since the epoch */
};
/* The n-th in the order of the settings; false behind the last one. */
bool tls_context_certificate(
    const struct tls_context *c, size_t n, struct tls_certificate_info *out);
/* True where client certificates can be required: authorities are configured. */
bool tls_context_knows_clients(const struct tls_context *c);

#endif
