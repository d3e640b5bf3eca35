/*
 * What anybody may send before a TLS or DTLS handshake is done. The first byte chooses: a stream at
 * once or byte by byte, with or without a client certificate required; or DTLS datagrams, each
 * behind two bytes of length, the first with the cookie as it is or with a right one put in. Nobody
 * is let in, nothing more is sent than a handshake needs, and only a right cookie makes a session.
 */
#include <openssl/err.h>

#include "tests/fuzz/fuzz.h"
#include "tests/tls/server.h"
#include "tls/context_internal.h"
#include "tls/cookie.h"
#include "tls/dtls.h"
#include "tls/stream.h"

#define NOW_S 1700000000

enum outcome {
    MORE,
    FAILED,
    NO_CERTIFICATE,
    ANSWERED,
    DROPPED,
    REFUSED,
    ACCEPTED_MORE,
    ACCEPTED_FAILED,
    CLOSED,
    OUTCOMES
};

static const char *const names[OUTCOMES] = {"more", "handshake_failed", "no_client_certificate",
    "cookie_answered", "dropped", "refused", "accepted_more", "accepted_failed", "closed"};

struct fuzz_reasons fuzz_reasons = {.names = names, .count = OUTCOMES};

enum { BYTE_BY_BYTE = 1, CLIENT_CERTIFICATE = 2, DATAGRAMS = 4, RIGHT_COOKIE = 8 };

static struct tls_context *context;
static struct dtls_listener *listener;
static size_t sent, sent_len; /* calls, bytes */

static void prepare(void)
{
    if (context)
        return;
    struct test_server server;
    test_server_init(&server);
    context = test_server_context(&server, TEST_SECRET);
    listener = dtls_listener_new();
    test_server_deinit(&server);
    FUZZ_REQUIRE(listener);
}

static void count(void *ctx, struct slice bytes)
{
    sent++;
    sent_len += bytes.len;
    FUZZ_REQUIRE(bytes.len > 0);
}

static enum tls_outcome feed_stream(struct tls_stream *s, struct slice bytes)
{
    uint8_t out[256];
    size_t len = 0;
    tls_stream_feed(s, bytes);
    const enum tls_outcome outcome = tls_stream_read(s, out, sizeof(out), &len);
    FUZZ_REQUIRE(outcome != TLS_DATA);
    FUZZ_REQUIRE(!tls_stream_established(s) && ERR_peek_error() == 0);
    return outcome;
}

static void note_stream(enum reason failure)
{
    FUZZ_REQUIRE(failure == REASON_NONE || failure == REASON_TLS_HANDSHAKE_FAILED ||
                 failure == REASON_TLS_NO_CLIENT_CERTIFICATE);
    fuzz_note_outcome(failure == REASON_NONE                   ? MORE
                      : failure == REASON_TLS_HANDSHAKE_FAILED ? FAILED
                                                               : NO_CERTIFICATE);
}

static void run_stream(uint8_t choice, struct slice input)
{
    const struct tls_stream_options options = {
        .context = context, .client_certificate = choice & CLIENT_CERTIFICATE, .send = count};
    struct tls_stream *s = tls_stream_new(&options);
    FUZZ_REQUIRE(s);
    const size_t step = choice & BYTE_BY_BYTE ? 1 : input.len;
    enum tls_outcome outcome = TLS_MORE;
    for (size_t at = 0; at < input.len && outcome == TLS_MORE; at += step)
        outcome = feed_stream(s, slice_of(input.data + at, step));
    FUZZ_REQUIRE((outcome == TLS_FAILED) == (tls_stream_failure(s) != REASON_NONE));
    FUZZ_REQUIRE(sent_len < 8192);
    if (outcome == TLS_CLOSED)
        fuzz_note_outcome(CLOSED);
    else
        note_stream(tls_stream_failure(s));
    tls_stream_free(s);
}

/* The first datagram in memory of its own, with the cookie that its sender would have been sent. */
static uint8_t *own_copy(struct slice datagram, const struct dtls_hello_from *from, bool right)
{
    uint8_t *copy = malloc(datagram.len ? datagram.len : 1);
    FUZZ_REQUIRE(copy);
    if (datagram.len > 0)
        memcpy(copy, datagram.data, datagram.len);
    struct dtls_client_hello hello;
    if (!right || !dtls_client_hello_parse(&hello, datagram) || hello.cookie.len != DTLS_COOKIE_LEN)
        return copy;
    struct crypto *crypto = crypto_new();
    const struct dtls_cookie_input input = {
        slice_of(context->cookie_key, sizeof(context->cookie_key)), &from->client, &from->local,
        from->now_s};
    FUZZ_REQUIRE(crypto &&
                 dtls_cookie_make(copy + (hello.cookie.data - datagram.data), crypto, &input) == 0);
    crypto_free(crypto);
    return copy;
}

static struct dtls_session *run_hello(struct slice datagram, bool right_cookie)
{
    struct dtls_hello_from from = {.client = addr_ipv4(192, 0, 2, 7, 40000),
        .local = addr_ipv4(198, 51, 100, 1, 5349),
        .now_s = NOW_S,
        .send = count};
    uint8_t *copy = own_copy(datagram, &from, right_cookie);
    struct dtls_session *session = NULL;
    from.datagram = slice_of(copy, datagram.len);
    const enum dtls_hello result = dtls_listener_hello(listener, context, &from, &session);
    free(copy);
    FUZZ_REQUIRE((session != NULL) == (result == DTLS_HELLO_ACCEPTED) && ERR_peek_error() == 0);
    FUZZ_REQUIRE(result != DTLS_HELLO_DECLINED);
    FUZZ_REQUIRE(right_cookie || result == DTLS_HELLO_ANSWERED || result == DTLS_HELLO_DROPPED);
    if (result == DTLS_HELLO_ANSWERED)
        FUZZ_REQUIRE(sent == 1 && sent_len <= datagram.len);
    if (result == DTLS_HELLO_DROPPED)
        FUZZ_REQUIRE(sent == 0);
    static const enum outcome outcomes[] = {[DTLS_HELLO_ANSWERED] = ANSWERED,
        [DTLS_HELLO_DROPPED] = DROPPED,
        [DTLS_HELLO_REFUSED] = REFUSED};
    if (result != DTLS_HELLO_ACCEPTED)
        fuzz_note_outcome(outcomes[result]);
    return session;
}

static enum tls_outcome feed_session(struct dtls_session *s, struct slice datagram)
{
    static uint8_t out[16384];
    size_t len = 0;
    dtls_session_feed(s, datagram);
    const enum tls_outcome outcome = dtls_session_read(s, out, sizeof(out), &len);
    FUZZ_REQUIRE(outcome != TLS_DATA);
    FUZZ_REQUIRE(!dtls_session_established(s) && ERR_peek_error() == 0);
    return outcome;
}

/* The next datagram, and what is left behind it; the last one is as long as there are bytes. */
static struct slice take_datagram(struct slice *input)
{
    if (input->len < 2) {
        input->len = 0;
        return (struct slice){0};
    }
    const size_t left = input->len - 2, named = (size_t)input->data[0] << 8 | input->data[1];
    const struct slice datagram = slice_of(input->data + 2, named < left ? named : left);
    *input = slice_of(datagram.data + datagram.len, left - datagram.len);
    return datagram;
}

static void run_datagrams(uint8_t choice, struct slice input)
{
    struct dtls_session *session = run_hello(take_datagram(&input), choice & RIGHT_COOKIE);
    if (!session)
        return;
    enum tls_outcome outcome = TLS_MORE;
    while (input.len > 0 && outcome == TLS_MORE)
        outcome = feed_session(session, take_datagram(&input));
    FUZZ_REQUIRE((outcome == TLS_FAILED) == (dtls_session_failure(session) != REASON_NONE));
    dtls_session_tick(session);
    static const enum outcome outcomes[] = {
        [TLS_MORE] = ACCEPTED_MORE, [TLS_CLOSED] = CLOSED, [TLS_FAILED] = ACCEPTED_FAILED};
    fuzz_note_outcome(outcomes[outcome]);
    dtls_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    sent = sent_len = 0;
    if (size == 0)
        return 0;
    const struct slice input = slice_of(data + 1, size - 1);
    if (data[0] & DATAGRAMS)
        run_datagrams(data[0], input);
    else
        run_stream(data[0], input);
    return 0;
}
