/* What OpenSSL reads from and writes to in place of a socket. Private to tls/. */
#ifndef TLS_BIO_H
#define TLS_BIO_H

#include <openssl/bio.h>

typedef int tls_bio_read_fn(BIO *bio, char *out, size_t cap, size_t *len);
typedef int tls_bio_write_fn(BIO *bio, const char *data, size_t len, size_t *written);

/* NULL: out of memory. Owned by the caller, who keeps it for as long as any BIO of it. */
BIO_METHOD *tls_bio_method_new(const char *name, tls_bio_read_fn *read, tls_bio_write_fn *write);

#endif
