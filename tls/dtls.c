/*
 * DTLS 1.2 between the caller's datagrams. Before a cookie has come back nothing is kept and
 * OpenSSL is not asked (cookie.c). Then a session is an SSL with a BIO that hands over one datagram
 * at a time, whole, and sends each as it was written. What cannot be authenticated changes nothing
 * in an established session. Called by net/.
 */
#include "tls/dtls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "tls/bio.h"
#include "tls/context_internal.h"
#include "tls/cookie.h"
#include "tls/failure.h"
#include "tls/memory.h"

/* A handshake datagram passes any path of IPv6 (1280 bytes), tunnels included. */
#define HANDSHAKE_MTU 1200
#define MESSAGE_MAX   16384 /* RFC 6347 section 4.1.1: one record */
#define HANDSHAKE     22
/*
 * What a client says in clear behind its ClientHello is one ClientKeyExchange of some 130 bytes: no
 * certificate is asked of it. OpenSSL takes memory for what a fragment claims its message to be, 17
 * kB at most, for each of ten messages before their turn.
 */
#define CLEAR_MESSAGE_MAX 1024

struct dtls_listener {
    struct crypto *crypto;
};

struct dtls_session {
    SSL *ssl;
    struct tls_context *context;
    dtls_send_fn *send;
    void *ctx;
    struct slice fed;    /* the datagram that was fed and not yet read */
    struct slice cookie; /* the one that was verified; only while the session is made */
    bool established;
    struct tls_failure failure;
};

static int bio_read(BIO *bio, char *out, size_t cap, size_t *len)
{
    struct dtls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->fed.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *len = s->fed.len < cap ? s->fed.len : cap;
    memcpy(out, s->fed.data, *len);
    s->fed = (struct slice){0};
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct dtls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    s->send(s->ctx, slice_of(data, len));
    *written = len;
    return 1;
}

BIO_METHOD *tls_datagram_bio_new(void)
{
    return tls_bio_method_new("turnpike datagram", bio_read, bio_write);
}

/* OpenSSL asks twice while a session is made, and never afterwards. */
int tls_datagram_cookie_verify(SSL *ssl, const unsigned char *cookie, unsigned len)
{
    const struct dtls_session *s = SSL_get_app_data(ssl);
    return s->cookie.len > 0 && secret_equal(s->cookie, slice_of(cookie, len));
}

struct dtls_listener *dtls_listener_new(void)
{
    struct dtls_listener *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->crypto = crypto_new();
    if (l->crypto)
        return l;
    dtls_listener_free(l);
    return NULL;
}

void dtls_listener_free(struct dtls_listener *l)
{
    if (!l)
        return;
    crypto_free(l->crypto);
    free(l);
}

static bool prepare_ssl(struct dtls_session *s)
{
    s->ssl = SSL_new(s->context->dtls);
    BIO *bio = s->ssl ? BIO_new(s->context->datagram_bio) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_accept_state(s->ssl);
    SSL_set_options(s->ssl, SSL_OP_NO_QUERY_MTU);
    return SSL_set_app_data(s->ssl, s) == 1 && SSL_set_mtu(s->ssl, HANDSHAKE_MTU) == HANDSHAKE_MTU;
}

static struct dtls_session *session_new(
    struct tls_context *context, const struct dtls_hello_from *from, struct slice cookie)
{
    struct dtls_session *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->context = tls_context_hold(context);
    s->cookie = cookie;
    s->fed = from->datagram;
    dtls_session_bind(s, from->send, from->ctx);
    if (prepare_ssl(s))
        return s;
    dtls_session_free(s);
    return NULL;
}

/* What a call of OpenSSL that returned 0 or less means. */
static enum tls_outcome outcome_of(struct dtls_session *s, int result)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        s->failure = tls_failure_of(s->ssl, s->established);
        return TLS_FAILED;
    }
}

/* DTLSv1_listen sets the SSL up behind the cookie exchange; then the server's first flight goes
 * out. */
static enum dtls_hello accept_hello(struct dtls_session *s)
{
    BIO_ADDR *peer = BIO_ADDR_new();
    const int listened = peer ? DTLSv1_listen(s->ssl, peer) : 0;
    BIO_ADDR_free(peer);
    if (listened != 1)
        return DTLS_HELLO_DROPPED;
    ERR_clear_error();
    const int result = SSL_do_handshake(s->ssl);
    s->cookie = s->fed = (struct slice){0};
    return result <= 0 && outcome_of(s, result) == TLS_MORE ? DTLS_HELLO_ACCEPTED
                                                            : DTLS_HELLO_REFUSED;
}

static bool admits(const struct dtls_hello_from *from, bool proven)
{
    return !from->admit || from->admit(from->ctx, proven);
}

static enum dtls_hello answer_hello(struct dtls_listener *l, const struct dtls_hello_from *from,
    const struct dtls_client_hello *hello, const struct dtls_cookie_input *input)
{
    uint8_t cookie[DTLS_COOKIE_LEN], answer[DTLS_HELLO_VERIFY_LEN];
    if (dtls_cookie_make(cookie, l->crypto, input) < 0)
        return DTLS_HELLO_DROPPED;
    if (!admits(from, false))
        return DTLS_HELLO_DECLINED;
    dtls_hello_verify_write(answer, hello, cookie);
    from->send(from->ctx, slice_of(answer, sizeof(answer)));
    return DTLS_HELLO_ANSWERED;
}

enum dtls_hello dtls_listener_hello(struct dtls_listener *l, struct tls_context *context,
    const struct dtls_hello_from *from, struct dtls_session **out)
{
    struct dtls_client_hello hello;
    if (!dtls_client_hello_parse(&hello, from->datagram))
        return DTLS_HELLO_DROPPED;
    const struct dtls_cookie_input input = {
        slice_of(context->cookie_key, sizeof(context->cookie_key)), &from->client, &from->local,
        from->now_s};
    /* RFC 6347 section 4.2.1: a ClientHello with an invalid cookie is treated like one without. */
    if (!dtls_cookie_verify(hello.cookie, l->crypto, &input))
        return answer_hello(l, from, &hello, &input);
    if (!admits(from, true))
        return DTLS_HELLO_DECLINED;
    ERR_clear_error();
    struct dtls_session *s = session_new(context, from, hello.cookie);
    const enum dtls_hello result = s ? accept_hello(s) : DTLS_HELLO_DROPPED;
    ERR_clear_error();
    if (result == DTLS_HELLO_ACCEPTED)
        *out = s;
    else
        dtls_session_free(s);
    return result;
}

void dtls_session_bind(struct dtls_session *s, dtls_send_fn *send, void *ctx)
{
    s->send = send;
    s->ctx = ctx;
}

void dtls_session_free(struct dtls_session *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    tls_context_release(s->context);
    free(s);
}

/* True where no handshake message in a record's body claims to be long. */
static bool claims_little(struct slice body)
{
    struct cursor c;
    cursor_init(&c, body);
    while (cursor_left(&c) > 0) {
        cursor_skip(&c, 2); /* type, and the high byte of the length */
        const uint16_t len = cursor_u16(&c);
        cursor_skip(&c, 2 + 3 + 1); /* message_seq, fragment_offset, fragment_length's high byte */
        const uint16_t fragment_len = cursor_u16(&c);
        if (!c.failed && (len > CLEAR_MESSAGE_MAX || body.data[1] != 0))
            return false;
        cursor_skip(&c, fragment_len);
        body = slice_of(c.p, cursor_left(&c));
    }
    return true;
}

/* The same of every record of a datagram that is not encrypted. What is cut off OpenSSL drops. */
static bool is_modest(struct slice datagram)
{
    struct cursor c;
    cursor_init(&c, datagram);
    while (cursor_left(&c) > 0) {
        const uint8_t type = cursor_u8(&c);
        cursor_skip(&c, 2); /* version */
        const uint64_t sequence = cursor_u64(&c);
        const struct slice body = cursor_bytes(&c, cursor_u16(&c));
        if (!c.failed && type == HANDSHAKE && sequence >> 48 == 0 && !claims_little(body))
            return false;
    }
    return true;
}

void dtls_session_feed(struct dtls_session *s, struct slice datagram)
{
    s->fed = s->established || is_modest(datagram) ? datagram : (struct slice){0};
}

/*
 * SSL_MODE_RELEASE_BUFFERS does nothing for DTLS, and 33 kB would stay with every idle session: the
 * record buffers are given back by hand between calls, and OpenSSL must not be called without them.
 * False: out of memory; what was to be done is lost, as datagrams are.
 */
static bool take_buffers(struct dtls_session *s)
{
    ERR_clear_error();
    if (s->established)
        tls_memory_begin(); /* without buffers it would be lost, not just what was to be done */
    if (SSL_alloc_buffers(s->ssl) == 1)
        return true;
    tls_memory_end();
    return false;
}

static void give_buffers_back(struct dtls_session *s)
{
    tls_memory_end();
    if (s->established)
        SSL_free_buffers(s->ssl); /* not while a record is read in parts */
}

static enum tls_outcome read_record(struct dtls_session *s, uint8_t *out, size_t cap, size_t *len)
{
    if (!s->established) {
        const int result = SSL_do_handshake(s->ssl);
        if (result <= 0)
            return outcome_of(s, result);
        s->established = true;
    }
    size_t n = 0;
    const int result = SSL_read_ex(s->ssl, out, cap, &n);
    if (result <= 0)
        return outcome_of(s, result);
    *len = n;
    return TLS_DATA;
}

enum tls_outcome dtls_session_read(struct dtls_session *s, uint8_t *out, size_t cap, size_t *len)
{
    if (s->failure.reason != REASON_NONE)
        return TLS_FAILED;
    if (!take_buffers(s)) {
        s->fed = (struct slice){0};
        return TLS_MORE;
    }
    const enum tls_outcome outcome = read_record(s, out, cap, len);
    tls_memory_end();
    if (outcome != TLS_DATA)
        give_buffers_back(s);
    return outcome;
}

bool dtls_session_established(const struct dtls_session *s)
{
    return s->established;
}

int dtls_session_write(struct dtls_session *s, struct slice plain)
{
    if (!s->established || s->failure.reason != REASON_NONE)
        return -EPIPE;
    if (plain.len > MESSAGE_MAX)
        return -EMSGSIZE;
    if (plain.len == 0)
        return 0;
    if (!take_buffers(s))
        return -ENOMEM;
    size_t written;
    const int result = SSL_write_ex(s->ssl, plain.data, plain.len, &written);
    if (result != 1)
        s->failure = tls_failure_of(s->ssl, true);
    give_buffers_back(s);
    return result == 1 ? 0 : -EPIPE;
}

void dtls_session_close(struct dtls_session *s)
{
    if (!s->established || s->failure.reason != REASON_NONE || !take_buffers(s))
        return;
    SSL_shutdown(s->ssl);
    give_buffers_back(s);
    ERR_clear_error();
}

/* True if a flight that was due has been sent again, or none was due. */
static bool retransmit(struct dtls_session *s)
{
    if (!take_buffers(s))
        return true;
    const bool ok = DTLSv1_handle_timeout(s->ssl) >= 0;
    if (!ok)
        s->failure = tls_failure_of(s->ssl, s->established);
    give_buffers_back(s);
    return ok;
}

uint64_t dtls_session_tick(struct dtls_session *s)
{
    struct timeval left;
    if (s->failure.reason != REASON_NONE || DTLSv1_get_timeout(s->ssl, &left) != 1)
        return UINT64_MAX;
    if (!retransmit(s) || DTLSv1_get_timeout(s->ssl, &left) != 1)
        return UINT64_MAX;
    return (uint64_t)left.tv_sec * US_PER_S + (uint64_t)left.tv_usec;
}

enum reason dtls_session_failure(const struct dtls_session *s)
{
    return s->failure.reason;
}
