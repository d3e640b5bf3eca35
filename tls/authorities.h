/* Authorities and revocation lists from PEM files into a store. Internal to tls/. */
#ifndef TLS_AUTHORITIES_H
#define TLS_AUTHORITIES_H

#include <openssl/x509.h>

#include "tls/report.h"

/* Where what was read goes. */
struct tls_authorities {
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* the authorities' subjects; NULL: not wanted */
};

/* Both: 0; -errno, -EINVAL, -ENOMEM with a line under `key` in `report`, something may have been
 * added. A list that is stale already is no error here: it refuses until it is replaced. */
int tls_authorities_read(struct tls_authorities *out, const char *key, const char *path,
    const struct tls_report *report);
int tls_authorities_read_lists(struct tls_authorities *out, const char *key, const char *path,
    const struct tls_report *report);
/* From now on every certificate of a chain is looked for in its authority's list. */
void tls_authorities_require_lists(struct tls_authorities *a);

#endif
