/*
 * OpenSSL reads from and writes to the link through a BIO of ours: TLS so that the arrival time of
 * the bytes is known and several records leave in one send, DTLS so that a datagram stays one.
 *
 * Called by connections.c.
 */
#include "bench/tls_client.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define TLS_CIPHER  "TLS_AES_128_GCM_SHA256"
#define DTLS_CIPHER "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
#define CURVE       "P-256"
#define DTLS_MTU    1472
#define IP_UDP      28 /* bytes in front of a datagram */

struct tls_client {
    SSL_CTX *context;
    BIO_METHOD *method;
};

struct tls_session {
    SSL *ssl;
    SSL_SESSION *ticket;
};

static int bio_read(BIO *bio, char *out, int cap)
{
    ssize_t len = link_receive(BIO_get_data(bio), (uint8_t *)out, (size_t)cap);

    BIO_clear_retry_flags(bio);
    if (len == -EAGAIN) {
        BIO_set_retry_read(bio);
    }
    return len < 0 ? -1 : (int)len;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    BIO_clear_retry_flags(bio);
    link_send(BIO_get_data(bio), slice_of(bytes, (size_t)len));
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
        return IP_UDP;
    default:
        return 0;
    }
}

static BIO_METHOD *new_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link");

    if (method != NULL && BIO_meth_set_read(method, bio_read) &&
        BIO_meth_set_write(method, bio_write) && BIO_meth_set_ctrl(method, bio_ctrl)) {
        return method;
    }
    BIO_meth_free(method);
    return NULL;
}

/* The newest ticket is kept; returning 1 says so. */
static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct tls_session *s = SSL_get_app_data(ssl);

    SSL_SESSION_free(s->ticket);
    s->ticket = ticket;
    return 1;
}

static bool configure(SSL_CTX *context, bool stream)
{
    int version = stream ? TLS1_3_VERSION : DTLS1_2_VERSION;

    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(
        context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, on_ticket);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU);
    return SSL_CTX_set_min_proto_version(context, version) &&
           SSL_CTX_set_max_proto_version(context, version) &&
           SSL_CTX_set_ciphersuites(context, TLS_CIPHER) &&
           SSL_CTX_set_cipher_list(context, DTLS_CIPHER) &&
           SSL_CTX_set1_groups_list(context, CURVE);
}

struct tls_client *tls_client_new(bool stream)
{
    struct tls_client *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        return NULL;
    }
    t->context = SSL_CTX_new(stream ? TLS_client_method() : DTLS_client_method());
    t->method = new_method();
    if (t->context == NULL || t->method == NULL || !configure(t->context, stream)) {
        fprintf(stderr, "turnpike-bench: OpenSSL: %s\n", tls_session_failure());
        tls_client_free(t);
        return NULL;
    }
    return t;
}

void tls_client_free(struct tls_client *t)
{
    if (t == NULL) {
        return;
    }
    SSL_CTX_free(t->context);
    BIO_meth_free(t->method);
    free(t);
}

struct tls_session *tls_session_new(
    struct tls_client *t, struct link *link, const struct tls_ticket *ticket)
{
    struct tls_session *s = calloc(1, sizeof(*s));
    BIO *bio = BIO_new(t->method);

    if (s == NULL || bio == NULL || (s->ssl = SSL_new(t->context)) == NULL) {
        BIO_free(bio);
        free(s);
        return NULL;
    }
    BIO_set_data(bio, link);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_app_data(s->ssl, s);
    SSL_set_connect_state(s->ssl);
    if (!link->stream) {
        SSL_set_mtu(s->ssl, DTLS_MTU);
    }
    if (ticket != NULL) {
        SSL_set_session(s->ssl, (SSL_SESSION *)ticket);
    }
    return s;
}

void tls_session_free(struct tls_session *s)
{
    if (s == NULL) {
        return;
    }
    SSL_SESSION_free(s->ticket);
    SSL_free(s->ssl);
    free(s);
}

static enum tls_step step_of(struct tls_session *s, int rc)
{
    if (rc > 0) {
        return TLS_STEP_DONE;
    }
    return SSL_get_error(s->ssl, rc) == SSL_ERROR_WANT_READ ? TLS_STEP_MORE : TLS_STEP_ENDED;
}

enum tls_step tls_session_handshake(struct tls_session *s)
{
    ERR_clear_error();
    return step_of(s, SSL_do_handshake(s->ssl));
}

enum tls_step tls_session_read(struct tls_session *s, uint8_t *out, size_t cap, size_t *len)
{
    ERR_clear_error();
    return step_of(s, SSL_read_ex(s->ssl, out, cap, len));
}

void tls_session_write(struct tls_session *s, struct slice plain)
{
    size_t written;

    ERR_clear_error();
    SSL_write_ex(s->ssl, plain.data, plain.len, &written);
}

void tls_session_close(struct tls_session *s)
{
    ERR_clear_error();
    SSL_shutdown(s->ssl);
}

void tls_session_tick(struct tls_session *s)
{
    ERR_clear_error();
    DTLSv1_handle_timeout(s->ssl);
}

bool tls_session_resumed(const struct tls_session *s)
{
    return SSL_session_reused(s->ssl) == 1;
}

struct tls_ticket *tls_session_take_ticket(struct tls_session *s)
{
    SSL_SESSION *ticket = s->ticket;

    s->ticket = NULL;
    return (struct tls_ticket *)ticket;
}

void tls_ticket_free(struct tls_ticket *ticket)
{
    SSL_SESSION_free((SSL_SESSION *)ticket);
}

const char *tls_session_failure(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "the server ended the connection";
}
