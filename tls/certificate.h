/* One certificate with its chain and key, read from PEM files. Internal to tls/. */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "tls/report.h"
#include "tls/tls_settings.h"

struct tls_certificate {
    X509 *leaf;
    STACK_OF(X509) * chain; /* what is sent behind the leaf; may be empty */
    EVP_PKEY *key;
    char *file, *names, *serial; /* for logs: printable; see tls_certificate_info */
    int64_t expires_at;          /* of the leaf, seconds since the epoch */
};

/*
 * Reads both files; checks that the key belongs to the certificate and that both are strong enough
 * for security level 2 of OpenSSL (112 bits; no SHA-1). An expired certificate is no error. 0;
 * -errno, -EINVAL, -ENOMEM with a line in `report`, *out untouched.
 */
int tls_certificate_read(struct tls_certificate *out,
    const struct tls_certificate_settings *settings, const struct tls_report *report);
void tls_certificate_deinit(struct tls_certificate *c);

/* The certificate carries the DNS name; with `wildcards` one of its wildcards may cover it (RFC
 * 6125 section 6.4.3, whole labels only). The subject's common name does not count. */
bool tls_certificate_covers(const struct tls_certificate *c, const char *name, bool wildcards);

/* Seconds since the epoch; INT64_MIN where it cannot be read. */
int64_t tls_time_of(const ASN1_TIME *time);

#endif
