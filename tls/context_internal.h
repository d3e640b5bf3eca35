/* What stream.c and dtls.c need of a context. Internal to tls/. */
#ifndef TLS_CONTEXT_INTERNAL_H
#define TLS_CONTEXT_INTERNAL_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "tls/certificate.h"
#include "tls/clients.h"
#include "tls/context.h"
#include "tls/ticket.h"

#define TLS_COOKIE_KEY_LEN 32

struct tls_context {
    atomic_uint references;
    SSL_CTX *tls, *dtls;
    BIO_METHOD *stream_bio, *datagram_bio;
    struct tls_certificate *certificates;
    size_t certificate_count;
    struct tls_clients *clients; /* NULL: none can be required, and none would pass */
    struct tls_ticket_keys tls_tickets, dtls_tickets;
    uint8_t cookie_key[TLS_COOKIE_KEY_LEN];
};

/* In dtls.c: how an SSL of that kind reads and writes (NULL: out of memory), and the check of
 * SSL_CTX_set_cookie_verify_cb. */
BIO_METHOD *tls_datagram_bio_new(void);
int tls_datagram_cookie_verify(SSL *ssl, const unsigned char *cookie, unsigned len);

#endif
