/*
 * How TLS connections that we open are made: whom they believe, and what we show. Read-only once
 * made; connections hold a reference, so that new files take effect with the next connection. The
 * connection itself is a struct tls_stream like a server's.
 *
 * A server passes only if its chain ends at a configured authority (or one of the system's), its
 * certificate carries the name or the IP address that was connected to and says serverAuth in its
 * extended key usage, and, where lists are configured, each authority of the chain has a fresh one
 * that does not name the certificate below it. There is no resumption: all of it is judged at every
 * connection.
 */
#ifndef TLS_CONNECTOR_H
#define TLS_CONNECTOR_H

#include "tls/stream.h"
#include "tls/tls_settings.h"

struct tls_connector;

/*
 * Reads every file; `section` is what error lines put before a key: "redis.tls" makes
 * "redis.tls.ca /etc/ca.pem: ...". 0; or -EINVAL, -ENOMEM, -errno with one line in `error`.
 */
struct tls_connector_report {
    const char *section;
    char *error;
    size_t error_cap;
};
int tls_connector_new(struct tls_connector **out, const struct tls_connector_settings *settings,
    const struct tls_connector_report *report);
struct tls_connector *tls_connector_hold(struct tls_connector *c); /* one reference more */
void tls_connector_release(struct tls_connector *c);               /* NULL: nothing happens */

struct tls_connection {
    const char *host; /* DNS name, or IP address without brackets: sent as SNI (a name only), and
                         what the certificate must carry unless the settings say another */
    tls_stream_send_fn *send;
    void *ctx;
};
/*
 * A connection whose first tls_stream_read sends the ClientHello. A refused server is
 * REASON_TLS_HANDSHAKE_FAILED, and tls_stream_failure_text says which check. NULL: out of memory,
 * or a host that is none.
 */
struct tls_stream *tls_connector_open(
    struct tls_connector *c, const struct tls_connection *connection);

/* Which check refused a server, by a code of X509_V_ERR_; static text. */
const char *tls_connector_refusal(long verify_result);

#endif
