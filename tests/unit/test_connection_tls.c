/*
 * net/connection_tls, and net/connection_first on a TLS listener: handshakes, records and messages
 * in any pieces; what may stand before and inside.
 */
#include <openssl/ssl.h>

#include "tests/tls/client.h"
#include "tests/tls/server.h"
#include "tests/unit/first_bytes.h"

/* A client of TLS on a connection. */
struct tls_client {
    int fd;
    SSL *ssl;
};

static struct test_server server;

static int setup(void **state)
{
    assert_int_equal(streams_setup(state), 0);
    struct streams *s = *state;
    test_server_init(&server);
    s->snapshot.tls = test_server_context(&server, TEST_SECRET);
    s->listeners[STREAMS_LISTENER].transport = TRANSPORT_TLS;
    return 0;
}

static int teardown(void **state)
{
    struct streams *s = *state;
    struct tls_context *context = s->snapshot.tls;
    int r = streams_teardown(state);
    tls_context_release(context);
    test_server_deinit(&server);
    return r;
}

static struct tls_client tls_on(int fd)
{
    struct tls_client c = {.fd = fd};
    SSL_CTX *ctx = test_client_ctx(TLS1_2_VERSION, TLS1_3_VERSION);
    c.ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    assert_int_equal(SSL_set_fd(c.ssl, fd), 1);
    SSL_set_connect_state(c.ssl);
    return c;
}

static void tls_handshake(struct streams *s, struct tls_client *c)
{
    int r = 0;
    for (unsigned i = 0; i < 10 && r != 1; i++) {
        r = SSL_do_handshake(c->ssl);
        streams_turn(s);
    }
    assert_int_equal(r, 1);
}

static void tls_say(struct streams *s, struct tls_client *c, const void *bytes, size_t len)
{
    assert_int_equal(SSL_write(c->ssl, bytes, (int)len), len);
    streams_turn(s);
}

static void tls_end(struct tls_client *c)
{
    SSL_free(c->ssl);
    close(c->fd);
}

/* What relay/ answers: as many bytes as the message had. */
static void echo(struct streams *s, const struct packet *packet)
{
    uint8_t *room = outbox_reserve(s->outbox, packet->bytes.len);
    memcpy(room, packet->bytes.data, packet->bytes.len);
    struct outbox_entry *e = outbox_append(s->outbox);
    e->target = OUTBOX_TO_CLIENT;
    e->flow = packet->flow;
    e->head = slice_of(room, packet->bytes.len);
}

static void test_connection_tls_carries_messages_both_ways(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN], got[64];
    s->answer = echo;
    struct tls_client c = tls_on(streams_connect(s));
    assert_int_equal(streams_gauge(s, GAUGE_CONNECTIONS_TLS), 1);
    tls_handshake(s, &c);
    assert_int_equal(s->count, 0);
    streams_binding(m, 1);
    tls_say(s, &c, m, 7);
    tls_say(s, &c, m + 7, sizeof(m) - 7);
    assert_int_equal(s->count, 1);
    assert_int_equal(s->seen[0].flow.transport, TRANSPORT_TLS);
    assert_int_equal(s->seen[0].realm, 5);
    assert_int_equal(s->seen[0].realms, 0x22);
    assert_int_equal(SSL_read(c.ssl, got, sizeof(got)), sizeof(m));
    assert_memory_equal(got, m, sizeof(m));
    SSL_shutdown(c.ssl);
    streams_turn(s);
    assert_int_equal(streams_ended(s, REASON_CLOSED_BY_CLIENT), 1);
    assert_int_equal(s->closed_count, 1);
    tls_end(&c);
}

/* RFC 8489 section 6.2.2: "The server SHOULD NOT close a connection if a request was received over
 * that connection for which a response was not sent." */
static void test_connection_tls_request_before_close_notify_is_answered(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN], got[64];
    s->answer = echo;
    struct tls_client c = tls_on(streams_connect(s));
    tls_handshake(s, &c);
    assert_int_equal(SSL_write(c.ssl, m, (int)streams_binding(m, 1)), sizeof(m));
    SSL_shutdown(c.ssl);
    streams_turn(s);
    assert_int_equal(SSL_read(c.ssl, got, sizeof(got)), sizeof(m));
    assert_memory_equal(got, m, sizeof(m));
    assert_int_equal(streams_ended(s, REASON_CLOSED_BY_CLIENT), 1);
    tls_end(&c);
}

/* One record of the client as it lies on the wire. */
static size_t tls_record(struct tls_client *c, uint8_t *out, size_t cap)
{
    uint8_t m[STUN_HEADER_LEN];
    BIO *memory = BIO_new(BIO_s_mem()), *socket = SSL_get_wbio(c->ssl);
    BIO_up_ref(socket);
    SSL_set0_wbio(c->ssl, memory);
    assert_int_equal(SSL_write(c->ssl, m, (int)streams_binding(m, 1)), sizeof(m));
    int len = BIO_read(memory, out, (int)cap);
    assert_true(len > 5);
    SSL_set0_wbio(c->ssl, socket);
    return (size_t)len;
}

/* Cut within the record's header, behind it, and within its body. A byte a second does not keep it
 * open, and the record before does not count. */
static void test_connection_tls_record_must_end_in_time(void **state)
{
    struct streams *s = *state;
    static const size_t cuts[] = {1, 5, 20};
    uint8_t records[256];
    s->in_use = true;
    for (unsigned i = 0; i < 3; i++) {
        struct tls_client c = tls_on(streams_connect(s));
        tls_handshake(s, &c);
        size_t len = tls_record(&c, records, 128);
        (void)tls_record(&c, records + len, 128);
        streams_say(s, c.fd, records, cuts[i]);
        streams_later(s, 4800);
        streams_say(s, c.fd, records + cuts[i], len);
        assert_int_equal(s->count, i + 1);
        for (unsigned k = 0; k < 4; k++) {
            streams_later(s, 1000);
            streams_say(s, c.fd, records + len + cuts[i] + k, 1);
            assert_int_equal(streams_ended(s, REASON_FRAME_TIMEOUT), i);
        }
        streams_later(s, 1200);
        assert_int_equal(streams_ended(s, REASON_FRAME_TIMEOUT), i + 1);
        tls_end(&c);
        /* Whole records leave nothing behind. */
        c = tls_on(streams_connect(s));
        tls_handshake(s, &c);
        streams_later(s, 6000);
        assert_int_equal(streams_ended(s, REASON_FRAME_TIMEOUT), i + 1);
        tls_end(&c);
        streams_turn(s);
    }
}

/* Many answers of a flush are sealed as one record. */
static void test_connection_tls_seals_once_a_flush(void **state)
{
    struct streams *s = *state;
    uint8_t m[10 * STUN_HEADER_LEN], got[1024];
    s->answer = echo;
    struct tls_client c = tls_on(streams_connect(s));
    tls_handshake(s, &c);
    for (uint8_t i = 0; i < 10; i++) {
        streams_binding(m + i * STUN_HEADER_LEN, i);
    }
    uint64_t calls = atomic_load(&s->counters.metric[METRIC_SEND_CALLS]);
    tls_say(s, &c, m, sizeof(m));
    assert_int_equal(s->count, 10);
    assert_int_equal(atomic_load(&s->counters.metric[METRIC_SEND_CALLS]), calls + 1);
    assert_int_equal(SSL_read(c.ssl, got, sizeof(got)), sizeof(m));
    assert_memory_equal(got, m, sizeof(m));
    tls_end(&c);
}

/* A reader that stands still inside TLS: what comes in the end is whole messages in whole records.
 */
static void test_connection_tls_stalled_reader_drops_media_and_tears_nothing(void **state)
{
    struct streams *s = *state;
    static uint8_t body[1000], got[1 << 20];
    uint8_t m[STUN_HEADER_LEN];
    struct tls_client c = tls_on(streams_connect(s));
    tls_handshake(s, &c);
    s->in_use = true;
    tls_say(s, &c, m, streams_binding(m, 1));
    while (atomic_load(&s->counters.dropped[REASON_WRITE_QUEUE_FULL]) < 100) {
        for (unsigned i = 0; i < 40; i++) {
            struct outbox_entry *e = outbox_append(s->outbox);
            e->target = OUTBOX_TO_CLIENT;
            e->media = true;
            e->flow = s->seen[0].flow;
            memcpy(e->header, "\x40\x00\x03\xe8", 4);
            e->header_len = 4;
            e->body = slice_of(body, sizeof(body));
        }
        io_flush(&s->io);
    }
    size_t len = 0;
    for (unsigned i = 0; i < 2000; i++) {
        int n = SSL_read(c.ssl, got + len, (int)(sizeof(got) - len));
        len += n > 0 ? (size_t)n : 0;
        streams_turn(s);
    }
    uint64_t relayed = atomic_load(&s->counters.metric[METRIC_RELAYED_TO_CLIENT]);
    assert_int_equal(len, relayed * 1004);
    for (size_t at = 0; at < len; at += 1004) {
        assert_memory_equal(got + at, "\x40\x00\x03\xe8", 4);
    }
    tls_end(&c);
}

static void test_connection_tls_http_inside_is_answered(void **state)
{
    struct streams *s = *state;
    char got[1024] = "";
    struct tls_client c = tls_on(streams_connect(s));
    tls_handshake(s, &c);
    tls_say(s, &c, "GET / HTTP/1.1\r\n", 16);
    tls_say(s, &c, "\r\n", 2);
    assert_true(SSL_read(c.ssl, got, sizeof(got) - 1) > 0);
    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(SSL_read(c.ssl, got, sizeof(got)) <= 0);
    /* Ended in order: the answer cannot be taken for cut. */
    assert_int_equal(SSL_get_shutdown(c.ssl), SSL_RECEIVED_SHUTDOWN);
    assert_int_equal(streams_ended(s, REASON_HTTP_PROBE), 1);
    tls_end(&c);
}

/* The header stands in front of TLS, and the ClientHello may come with it. */
static void test_connection_tls_behind_a_proxy_header(void **state)
{
    struct streams *s = *state;
    struct prefix_set *set = behind_proxy(s, "192.0.2.0/24");
    uint8_t m[STUN_HEADER_LEN];
    struct bytes h = v2(1, 0x11);
    int fd = streams_connect(s);
    assert_int_equal(send(fd, h.data, h.len, 0), h.len);
    struct tls_client c = tls_on(fd);
    tls_handshake(s, &c);
    tls_say(s, &c, m, streams_binding(m, 1));
    assert_int_equal(s->count, 1);
    assert_client(&s->seen[0], "203.0.113.9:4000", "198.51.100.1:3478");
    assert_int_equal(s->seen[0].flow.transport, TRANSPORT_TLS);
    tls_end(&c);
    prefix_set_free(set);
}

static void test_connection_tls_header_handshake_and_message_have_their_own_times(void **state)
{
    struct streams *s = *state;
    struct prefix_set *set = behind_proxy(s, "192.0.2.0/24");
    struct bytes h = v2(1, 0x11);
    struct tls_client c = tls_on(streams_connect(s));
    streams_later(s, 4000);
    streams_say(s, c.fd, h.data, h.len);
    streams_later(s, 4000);
    assert_int_equal(connections_count(s->connections), 1);
    tls_handshake(s, &c);
    streams_later(s, 28000);
    assert_int_equal(connections_count(s->connections), 1);
    streams_later(s, 2200);
    assert_int_equal(streams_ended(s, REASON_FIRST_MESSAGE_TIMEOUT), 1);
    tls_end(&c);
    prefix_set_free(set);
}

static void test_connection_tls_handshake_must_end_in_time(void **state)
{
    struct streams *s = *state;
    int quiet = streams_connect(s);
    struct tls_client c = tls_on(streams_connect(s));
    SSL_do_handshake(c.ssl); /* the ClientHello alone */
    streams_turn(s);
    streams_later(s, 4900);
    assert_int_equal(streams_ended(s, REASON_HANDSHAKE_TIMEOUT), 0);
    streams_later(s, 300);
    assert_int_equal(streams_ended(s, REASON_HANDSHAKE_TIMEOUT), 2);
    close(quiet);
    tls_end(&c);
    /* Its first message has time of its own. */
    c = tls_on(streams_connect(s));
    tls_handshake(s, &c);
    streams_later(s, 29000);
    assert_int_equal(streams_ended(s, REASON_FIRST_MESSAGE_TIMEOUT), 0);
    streams_later(s, 1200);
    assert_int_equal(streams_ended(s, REASON_FIRST_MESSAGE_TIMEOUT), 1);
    tls_end(&c);
}

/* Neither the budget nor the memory of a handshake is spent before its first record is whole. */
static void test_connection_tls_state_waits_for_a_whole_record(void **state)
{
    struct streams *s = *state;
    static const uint8_t too_long[] = {22, 3, 1, 0x40, 1};
    uint8_t hello[1024];
    struct tls_client c = tls_on(streams_connect(s));
    BIO *memory = BIO_new(BIO_s_mem()), *socket = SSL_get_wbio(c.ssl);
    BIO_up_ref(socket);
    SSL_set0_wbio(c.ssl, memory);
    SSL_do_handshake(c.ssl);
    int len = BIO_read(memory, hello, sizeof(hello));
    SSL_set0_wbio(c.ssl, socket);
    assert_true(len > 100);
    for (int i = 0; i < len; i++) {
        assert_int_equal(s->handshakes, 0);
        streams_say(s, c.fd, hello + i, 1);
    }
    assert_int_equal(s->handshakes, 1);
    tls_handshake(s, &c);
    tls_end(&c);
    int fd = streams_connect(s);
    streams_say(s, fd, too_long, sizeof(too_long));
    assert_int_equal(s->handshakes, 1);
    assert_int_equal(streams_ended(s, REASON_TLS_HANDSHAKE_FAILED), 1);
    close(fd);
}

/* What the listener asks for reaches the engine. */
static void test_connection_tls_client_certificate_is_required_by_its_listener(void **state)
{
    struct streams *s = *state;
    s->listeners[STREAMS_LISTENER].client_certificate = true;
    struct tls_client c = tls_on(streams_connect(s));
    for (unsigned i = 0; i < 4; i++) {
        (void)SSL_do_handshake(c.ssl);
        streams_turn(s);
    }
    assert_int_equal(streams_ended(s, REASON_TLS_NO_CLIENT_CERTIFICATE), 1);
    tls_end(&c);
}

static void test_connection_tls_failures_end_it(void **state)
{
    struct streams *s = *state;
    struct bytes bad = {.len = 0};
    put(&bad, "\x16\x03\x01\x00\x05hello", 10);
    ends_with(s, &bad, REASON_TLS_HANDSHAKE_FAILED);
    /* A reload in the middle changes nothing for who is there. */
    struct tls_client c = tls_on(streams_connect(s));
    tls_handshake(s, &c);
    struct tls_context *context = s->snapshot.tls;
    s->snapshot.tls = NULL;
    uint8_t m[STUN_HEADER_LEN];
    tls_say(s, &c, m, streams_binding(m, 1));
    assert_int_equal(s->count, 1);
    s->snapshot.tls = context;
    assert_int_equal(send(c.fd, "\x17\x03\x03\x00\x02xx", 7, 0), 7);
    streams_turn(s);
    assert_int_equal(streams_ended(s, REASON_TLS_FAILED), 1);
    tls_end(&c);
}

int main(void)
{
#define TLS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TLS(test_connection_tls_carries_messages_both_ways),
        TLS(test_connection_tls_request_before_close_notify_is_answered),
        TLS(test_connection_tls_record_must_end_in_time),
        TLS(test_connection_tls_seals_once_a_flush),
        TLS(test_connection_tls_stalled_reader_drops_media_and_tears_nothing),
        TLS(test_connection_tls_http_inside_is_answered),
        TLS(test_connection_tls_behind_a_proxy_header),
        TLS(test_connection_tls_header_handshake_and_message_have_their_own_times),
        TLS(test_connection_tls_handshake_must_end_in_time),
        TLS(test_connection_tls_state_waits_for_a_whole_record),
        TLS(test_connection_tls_client_certificate_is_required_by_its_listener),
        TLS(test_connection_tls_failures_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
