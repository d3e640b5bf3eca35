/* Who may come with a client certificate: authorities, revocation lists, names. Internal to tls/.
 */
#ifndef TLS_CLIENTS_H
#define TLS_CLIENTS_H

#include <openssl/ssl.h>

#include "tls/report.h"
#include "tls/tls_settings.h"

struct tls_clients;

/*
 * Reads authorities and lists. 0; -errno, -EINVAL, -ENOMEM with a line in `report`, *out untouched.
 * A list that is stale already is no error here: it refuses every client until it is replaced.
 */
int tls_clients_new(
    struct tls_clients **out, const struct tls_settings *settings, const struct tls_report *report);
void tls_clients_free(struct tls_clients *c); /* NULL: nothing happens */

/* Makes the SSL_CTX verify by these; `c` outlives it. 0 or -ENOMEM. Certificates are still asked
 * for by those connections only that SSL_set_verify is called for. */
int tls_clients_apply(struct tls_clients *c, SSL_CTX *ssl_ctx);

/* Which check refused, by a code of X509_V_ERR_; static text. */
const char *tls_clients_refusal(long verify_result);

#endif
