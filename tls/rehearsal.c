/*
 * What loads may still fail every client: a key on a curve that no client offers, or a library that
 * found no memory for a piece of itself when the process began. Better not to start. Called by
 * context.c.
 */
#include "tls/rehearsal.h"

#include <openssl/err.h>

/* The longest handshake takes four. */
#define TURNS 16

static SSL *new_end(SSL_CTX *ctx, BIO *bio)
{
    SSL *ssl = SSL_new(ctx);
    if (!ssl) {
        BIO_free(bio);
        return NULL;
    }
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

/* True: it is complete. *failed: it will not be. */
static bool go_on(SSL *ssl, bool *failed)
{
    const int r = SSL_do_handshake(ssl);
    *failed = r != 1 && SSL_get_error(ssl, r) != SSL_ERROR_WANT_READ;
    return r == 1;
}

static bool shake_hands(SSL *client, SSL *server)
{
    bool client_failed = false, server_failed = false;
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (unsigned i = 0; i < TURNS && !client_failed && !server_failed; i++) {
        const bool client_done = go_on(client, &client_failed);
        if (!client_failed && go_on(server, &server_failed) && client_done)
            return true;
    }
    return false;
}

bool tls_rehearse(SSL_CTX *server_ctx, const struct tls_certificate *c)
{
    BIO *near = NULL, *far = NULL;
    ERR_clear_error();
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
    bool good = client_ctx && BIO_new_bio_pair(&near, 0, &far, 0) == 1;
    SSL *client = good ? new_end(client_ctx, near) : NULL, *server = NULL;
    if (good)
        server = new_end(server_ctx, far);
    good = client && server;
    if (good) {
        SSL_set_verify(server, SSL_VERIFY_NONE, NULL);
        SSL_certs_clear(server);
        good = SSL_use_cert_and_key(server, c->leaf, c->key, c->chain, 1) == 1 &&
               shake_hands(client, server);
    }
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    return good;
}
