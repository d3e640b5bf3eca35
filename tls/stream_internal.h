/* One end of a connection, whichever it is: what context and connector make streams of. Internal to
 * tls/. */
#ifndef TLS_STREAM_INTERNAL_H
#define TLS_STREAM_INTERNAL_H

#include <openssl/ssl.h>

#include "tls/stream.h"

struct tls_stream_parts {
    SSL_CTX *ssl_ctx;
    BIO_METHOD *bio; /* of tls_stream_bio_new; outlives the stream */
    tls_stream_send_fn *send;
    void *ctx;
    void *owner; /* a reference of the stream's to what `ssl_ctx` and `bio` belong to */
    void (*release)(void *owner);
};

/* In stream.c: reads and writes, but is neither server nor client yet. NULL: out of memory, and the
 * reference has been released. */
struct tls_stream *tls_stream_make(const struct tls_stream_parts *parts);
SSL *tls_stream_ssl(struct tls_stream *s);
/* How an SSL of a stream reads and writes. NULL: out of memory. */
BIO_METHOD *tls_stream_bio_new(void);

#endif
