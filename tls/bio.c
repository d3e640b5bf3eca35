/*
 * The parts of a BIO that TLS and DTLS have in common: all but how bytes come and go. Called by
 * stream.c and dtls.c when a context is made.
 */
#include "tls/bio.h"

/* Of BIO_CTRL_DGRAM_* OpenSSL asks for peers, timeouts and overheads: none are known here. */
static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method_new(const char *name, tls_bio_read_fn *read, tls_bio_write_fn *write)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, name);
    if (!method)
        return NULL;
    if (BIO_meth_set_read_ex(method, read) == 1 && BIO_meth_set_write_ex(method, write) == 1 &&
        BIO_meth_set_ctrl(method, bio_ctrl) == 1 && BIO_meth_set_create(method, bio_create) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}
