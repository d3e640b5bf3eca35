/*
 * A TLS connection between two of the caller's functions: OpenSSL reads from what was fed and
 * writes to `send`, through a BIO that holds nothing, so that an idle connection keeps neither
 * ciphertext nor plain text. Once something has failed, everything fails. Server's
 * and client's half alike; context and connector tell them apart. Called by net/ and fleet/.
 */
#include "tls/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "tls/bio.h"
#include "tls/context_internal.h"
#include "tls/failure.h"
#include "tls/memory.h"
#include "tls/stream_internal.h"

/* Another one than the context's: a session from here serves no connection that needs none, and the
 * other way round. */
#define CLIENT_SESSIONS "turnpike tls clients"

/*
 * Bytes of a handshake that are read from the peer: two ClientHellos with every extension there is,
 * and a chain of certificates as long as it may be. OpenSSL alone would keep a ClientHello of 128
 * kB.
 */
#define HANDSHAKE_MAX (40u * 1024)

struct tls_stream {
    SSL *ssl;
    void *owner; /* a reference */
    void (*release)(void *owner);
    tls_stream_send_fn *send;
    void *ctx;
    struct slice fed;      /* what is left of it */
    size_t handshake_read; /* bytes, until it is complete */
    bool established;
    struct tls_failure failure;
};

static int bio_read(BIO *bio, char *out, size_t cap, size_t *len)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->fed.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (!s->established && s->handshake_read >= HANDSHAKE_MAX)
        return 0; /* without a retry flag: a failure */
    *len = s->fed.len < cap ? s->fed.len : cap;
    if (!s->established)
        s->handshake_read += *len;
    memcpy(out, s->fed.data, *len);
    s->fed = slice_of(s->fed.data + *len, s->fed.len - *len);
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    s->send(s->ctx, slice_of(data, len));
    *written = len;
    return 1;
}

BIO_METHOD *tls_stream_bio_new(void)
{
    return tls_bio_method_new("turnpike stream", bio_read, bio_write);
}

/*
 * A session ticket would let a client in on the certificate of an earlier connection, without
 * another look at lists and dates: no tickets are given or taken where certificates are asked for.
 */
static bool ask_certificate(SSL *ssl, bool required)
{
    SSL_set_verify(ssl, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    return SSL_set_num_tickets(ssl, 0) == 1 &&
           SSL_set_session_id_context(
               ssl, (const unsigned char *)CLIENT_SESSIONS, sizeof(CLIENT_SESSIONS) - 1) == 1;
}

struct tls_stream *tls_stream_make(const struct tls_stream_parts *parts)
{
    struct tls_stream *s = calloc(1, sizeof(*s));
    if (!s) {
        parts->release(parts->owner);
        return NULL;
    }
    s->owner = parts->owner;
    s->release = parts->release;
    s->send = parts->send;
    s->ctx = parts->ctx;
    ERR_clear_error();
    s->ssl = SSL_new(parts->ssl_ctx);
    BIO *bio = s->ssl ? BIO_new(parts->bio) : NULL;
    if (!bio) {
        ERR_clear_error();
        tls_stream_free(s);
        return NULL;
    }
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio);
    return s;
}

SSL *tls_stream_ssl(struct tls_stream *s)
{
    return s->ssl;
}

static void release_context(void *context)
{
    tls_context_release(context);
}

struct tls_stream *tls_stream_new(const struct tls_stream_options *options)
{
    struct tls_stream *s =
        tls_stream_make(&(struct tls_stream_parts){.ssl_ctx = options->context->tls,
            .bio = options->context->stream_bio,
            .send = options->send,
            .ctx = options->ctx,
            .owner = tls_context_hold(options->context),
            .release = release_context});
    if (!s)
        return NULL;
    SSL_set_accept_state(s->ssl);
    if (options->secrets)
        SSL_set_options(s->ssl, SSL_OP_CLEANSE_PLAINTEXT);
    if (!options->client_certificate && !options->client_asked)
        return s;
    if (ask_certificate(s->ssl, options->client_certificate))
        return s;
    ERR_clear_error();
    tls_stream_free(s);
    return NULL;
}

void tls_stream_free(struct tls_stream *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    s->release(s->owner);
    free(s);
}

void tls_stream_feed(struct tls_stream *s, struct slice ciphertext)
{
    s->fed = ciphertext;
}

/* What a call of OpenSSL that returned 0 or less means. */
static enum tls_outcome outcome_of(struct tls_stream *s, int result)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        s->failure = tls_failure_of(s->ssl, s->established);
        if (!s->established && s->handshake_read >= HANDSHAKE_MAX)
            s->failure.text = "handshake too long";
        return TLS_FAILED;
    }
}

enum tls_outcome tls_stream_read(struct tls_stream *s, uint8_t *out, size_t cap, size_t *len)
{
    if (s->failure.reason != REASON_NONE)
        return TLS_FAILED;
    ERR_clear_error();
    if (!s->established) {
        const int result = SSL_do_handshake(s->ssl);
        if (result <= 0)
            return outcome_of(s, result);
        s->established = true;
    }
    size_t n = 0;
    tls_memory_begin();
    const int result = SSL_read_ex(s->ssl, out, cap, &n);
    tls_memory_end();
    if (result <= 0)
        return outcome_of(s, result);
    *len = n;
    return TLS_DATA;
}

bool tls_stream_established(const struct tls_stream *s)
{
    return s->established;
}

bool tls_stream_certified(const struct tls_stream *s)
{
    return s->established && SSL_get0_peer_certificate(s->ssl) != NULL &&
           SSL_get_verify_result(s->ssl) == X509_V_OK;
}

bool tls_stream_in_record(const struct tls_stream *s)
{
    /* "RB": the header has come and is off the buffer, the body has not. */
    return SSL_has_pending(s->ssl) == 1 || strcmp(SSL_rstate_string(s->ssl), "RB") == 0;
}

int tls_stream_write(struct tls_stream *s, struct slice plain)
{
    if (!s->established || s->failure.reason != REASON_NONE)
        return -EPIPE;
    if (plain.len == 0)
        return 0;
    ERR_clear_error();
    size_t written;
    tls_memory_begin();
    const int result = SSL_write_ex(s->ssl, plain.data, plain.len, &written);
    tls_memory_end();
    if (result == 1)
        return 0;
    s->failure = tls_failure_of(s->ssl, true);
    return -EPIPE;
}

void tls_stream_close(struct tls_stream *s)
{
    if (!s->established || s->failure.reason != REASON_NONE)
        return;
    ERR_clear_error();
    SSL_shutdown(s->ssl);
    ERR_clear_error();
}

enum reason tls_stream_failure(const struct tls_stream *s)
{
    return s->failure.reason;
}

const char *tls_stream_failure_text(const struct tls_stream *s)
{
    return s->failure.text ? s->failure.text : "";
}

const char *tls_stream_version(const struct tls_stream *s)
{
    return SSL_get_version(s->ssl);
}

bool tls_stream_resumed(const struct tls_stream *s)
{
    return SSL_session_reused(s->ssl) == 1;
}
