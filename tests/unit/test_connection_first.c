/*
 * net/connection_first and _tls: what a connection says before its first message, in any pieces:
 * PROXY headers, TLS, plain TURN on a TLS port, HTTP; and the same things inside TLS.
 */
#include "tests/unit/streams.h"

#include <openssl/ssl.h>

#include "base/prefix.h"
#include "tests/tls/client.h"
#include "tests/tls/server.h"

static const uint8_t v2_signature[12] = {13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10};

struct bytes {
    uint8_t data[512];
    size_t len;
};

static void put(struct bytes *b, const void *data, size_t len)
{
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

/* Version 2, PROXY over TCP/IPv4: 203.0.113.9:4000 → 198.51.100.1:3478. `command` 0: LOCAL. */
static struct bytes v2(uint8_t command, uint8_t family)
{
    static const uint8_t addresses[12] = {
        203, 0, 113, 9, 198, 51, 100, 1, 4000 >> 8, 4000 & 0xff, 3478 >> 8, 3478 & 0xff};
    struct bytes b = {.len = 0};
    put(&b, v2_signature, sizeof(v2_signature));
    put(&b, (const uint8_t[4]){(uint8_t)(0x20 | command), family, 0, 12}, 4);
    put(&b, addresses, sizeof(addresses));
    return b;
}

static struct bytes text(const char *t)
{
    struct bytes b = {.len = 0};
    put(&b, t, strlen(t));
    return b;
}

static struct bytes with_binding(struct bytes b)
{
    uint8_t m[STUN_HEADER_LEN];
    put(&b, m, streams_binding(m, 1));
    return b;
}

/* The listener wants a header from 192.0.2.0/24: the tests' clients. */
static struct prefix_set *behind_proxy(struct streams *s, const char *prefix)
{
    struct prefix p;
    struct prefix_set *set = prefix_set_new();
    assert_int_equal(prefix_parse(&p, prefix), 0);
    assert_int_equal(prefix_set_add(set, &p), 0);
    s->listeners[STREAMS_LISTENER].proxy_from = set;
    return set;
}

static void assert_client(const struct packet *p, const char *remote, const char *local)
{
    char seen[ADDR_TEXT_MAX];
    assert_string_equal(addr_format(&p->flow.remote, seen, sizeof(seen)), remote);
    if (local) {
        assert_string_equal(addr_format(&p->flow.local, seen, sizeof(seen)), local);
    }
}

static const struct {
    const char *what;
    bool v1, local;
    const char *text;
    uint8_t command, family;
} headers[] = {
    {"v1", true, false, "PROXY TCP4 203.0.113.9 198.51.100.1 4000 3478\r\n", 0, 0},
    {"v1 unknown", true, true, "PROXY UNKNOWN\r\n", 0, 0},
    {"v2", false, false, NULL, 1, 0x11},
    {"v2 local", false, true, NULL, 0, 0x11},
    {"v2 unspec", false, true, NULL, 1, 0x00},
    {"v2 unix", false, true, NULL, 1, 0x31},
};

static struct bytes header(size_t i)
{
    return headers[i].v1 ? text(headers[i].text) : v2(headers[i].command, headers[i].family);
}

/* Cut in two at every byte; what a header without a client says is the proxy's own connection. */
static void test_connection_first_proxy_header_names_the_client(void **state)
{
    struct streams *s = *state;
    struct prefix_set *set = behind_proxy(s, "192.0.2.0/24");
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct bytes all = header(i);
        if (headers[i].family == 0x31) { /* two paths of 108 bytes */
            all.data[15] = 216;
            memset(all.data + 16, 0, 216);
            all.len = 16 + 216;
        }
        all = with_binding(all);
        for (size_t cut = 1; cut < all.len; cut++) {
            int fd = streams_connect(s);
            s->count = 0;
            s->len = 0;
            streams_say(s, fd, all.data, cut);
            streams_say(s, fd, all.data + cut, all.len - cut);
            if (s->count != 1) {
                fail_msg("%s cut at %zu", headers[i].what, cut);
            }
            assert_client(&s->seen[0], headers[i].local ? "192.0.2.1:1234" : "203.0.113.9:4000",
                headers[i].local ? NULL : "198.51.100.1:3478");
            close(fd);
            streams_turn(s);
        }
    }
    prefix_set_free(set);
}

static void ends_with(struct streams *s, const struct bytes *b, enum reason why)
{
    uint64_t before = streams_ended(s, why);
    int fd = streams_connect(s);
    (void)!send(fd, b->data, b->len, MSG_NOSIGNAL);
    streams_turn(s);
    if (streams_ended(s, why) != before + 1) {
        fail_msg("not closed for %s", reason_name(why));
    }
    streams_assert_closed(fd);
    assert_int_equal(s->count, 0);
    close(fd);
}

static void test_connection_first_proxy_faults_end_it(void **state)
{
    struct streams *s = *state;
    struct prefix_set *set = behind_proxy(s, "192.0.2.0/24");
    struct bytes nothing = {.len = 0}, plain = with_binding(nothing);
    struct bytes bad1 = text("PROXY TCP4 203.0.113.999 198.51.100.1 4000 3478\r\n");
    struct bytes bad2 = v2(5, 0x11), http = text("GET / HTTP/1.1\r\n\r\n");
    ends_with(s, &plain, REASON_PROXY_MISSING);
    ends_with(s, &http, REASON_PROXY_MISSING);
    ends_with(s, &bad1, REASON_PROXY_MALFORMED);
    ends_with(s, &bad2, REASON_PROXY_MALFORMED);
    prefix_set_free(set);
    /* A header of a stranger is not read at all. */
    set = behind_proxy(s, "192.0.3.0/24");
    struct bytes good = v2(1, 0x11);
    ends_with(s, &good, REASON_PROXY_UNTRUSTED);
    prefix_set_free(set);
    s->listeners[STREAMS_LISTENER].proxy_from = NULL;
    struct bytes v1 = text("PROXY TCP4 203.0.113.9 198.51.100.1 4000 3478\r\n");
    ends_with(s, &good, REASON_PROXY_UNEXPECTED);
    ends_with(s, &v1, REASON_PROXY_UNEXPECTED);
    s->listeners[STREAMS_LISTENER].transport = TRANSPORT_TLS;
    s->listeners[STREAMS_LISTENER].accept_plain = true;
    ends_with(s, &good, REASON_PROXY_UNEXPECTED);
    ends_with(s, &v1, REASON_PROXY_UNEXPECTED);
}

static void test_connection_first_proxy_header_must_come_in_time(void **state)
{
    struct streams *s = *state;
    struct prefix_set *set = behind_proxy(s, "192.0.2.0/24");
    int fd = streams_connect(s);
    for (unsigned i = 0; i < 5; i++) {
        streams_say(s, fd, v2_signature + i, 1);
        streams_later(s, 990);
        streams_assert_open(fd);
    }
    streams_later(s, 200);
    assert_int_equal(streams_ended(s, REASON_PROXY_TIMEOUT), 1);
    streams_assert_closed(fd);
    close(fd);
    prefix_set_free(set);
}

/* The prefix that counts is the client's, not the proxy's. */
static void test_connection_first_prefix_counts_behind_the_header(void **state)
{
    struct streams *s = *state;
    struct prefix_set *set = behind_proxy(s, "192.0.2.0/24");
    struct bytes one = text("PROXY TCP4 203.0.113.9 198.51.100.1 4000 3478\r\n");
    struct bytes other = text("PROXY TCP4 203.0.114.9 198.51.100.1 4000 3478\r\n");
    s->snapshot.streams.connections_per_prefix = 1;
    int waiting[3], fd = streams_connect(s), next = streams_connect(s);
    for (unsigned i = 0; i < 3; i++) {
        waiting[i] = streams_connect(s);
    }
    streams_say(s, fd, one.data, one.len);
    streams_say(s, next, other.data, other.len);
    streams_assert_open(next);
    ends_with(s, &one, REASON_CONNECTION_PREFIX_CAP);
    for (unsigned i = 0; i < 3; i++) {
        close(waiting[i]);
    }
    close(fd);
    close(next);
    prefix_set_free(set);
}

static void assert_http_answer(int fd, bool body)
{
    char got[1024] = "";
    ssize_t len = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(len > 20);
    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    assert_int_equal(strcmp(strstr(got, "\r\n\r\n"), "\r\n\r\n") != 0, body);
    streams_assert_closed(fd);
}

static void test_connection_first_http_probe_is_answered(void **state)
{
    struct streams *s = *state;
    struct bytes get = text("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    struct bytes head = text("HEAD / HTTP/1.0\r\n\r\n");
    for (unsigned tls = 0; tls < 2; tls++) {
        s->listeners[STREAMS_LISTENER].transport = tls ? TRANSPORT_TLS : TRANSPORT_TCP;
        for (size_t cut = 1; cut < get.len; cut++) {
            int fd = streams_connect(s);
            streams_say(s, fd, get.data, cut);
            streams_assert_open(fd);
            streams_say(s, fd, get.data + cut, get.len - cut);
            assert_http_answer(fd, true);
            close(fd);
        }
        int fd = streams_connect(s);
        streams_say(s, fd, head.data, head.len);
        assert_http_answer(fd, false);
        close(fd);
    }
    assert_int_equal(streams_ended(s, REASON_HTTP_PROBE), 2 * get.len);
    struct bytes bad = text("GET / HTTP/1.1\r\n\x01\r\n\r\n");
    ends_with(s, &bad, REASON_HTTP_MALFORMED);
    assert_int_equal(s->count, 0);
}

/* After the first message it is bytes like any others: the head of ChannelData that never ends. */
static void test_connection_first_http_later_is_no_probe(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    struct bytes get = text("GET / HTTP/1.1\r\n\r\nxxxx");
    int fd = streams_connect(s);
    s->in_use = true;
    streams_say(s, fd, m, streams_binding(m, 1));
    streams_say(s, fd, get.data, get.len);
    assert_int_equal(s->count, 1);
    streams_assert_open(fd);
    streams_later(s, 5200);
    assert_int_equal(streams_ended(s, REASON_FRAME_TIMEOUT), 1);
    close(fd);
}

static void test_connection_first_plain_on_a_tls_port_only_where_accepted(void **state)
{
    struct streams *s = *state;
    struct bytes plain = with_binding((struct bytes){.len = 0}), junk = text("\x80junk");
    s->listeners[STREAMS_LISTENER].transport = TRANSPORT_TLS;
    ends_with(s, &plain, REASON_PLAIN_ON_TLS_PORT);
    ends_with(s, &junk, REASON_NOT_TLS);
    s->listeners[STREAMS_LISTENER].accept_plain = true;
    ends_with(s, &junk, REASON_NOT_TLS);
    for (size_t cut = 1; cut < plain.len; cut++) {
        int fd = streams_connect(s);
        s->count = 0;
        streams_say(s, fd, plain.data, cut);
        streams_say(s, fd, plain.data + cut, plain.len - cut);
        assert_int_equal(s->count, 1);
        assert_int_equal(s->seen[0].flow.transport, TRANSPORT_TCP);
        assert_int_equal(streams_gauge(s, GAUGE_CONNECTIONS_TCP), 1);
        assert_int_equal(streams_gauge(s, GAUGE_CONNECTIONS_TLS), 0);
        /* From here on it is read like any plain one. */
        uint8_t m[STUN_HEADER_LEN];
        streams_say(s, fd, m, streams_binding(m, 2));
        assert_int_equal(s->count, 2);
        close(fd);
        streams_turn(s);
    }
}

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

static void test_connection_first_tls_carries_messages_both_ways(void **state)
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
static void test_connection_first_tls_request_before_close_notify_is_answered(void **state)
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
static void test_connection_first_tls_record_must_end_in_time(void **state)
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
static void test_connection_first_tls_seals_once_a_flush(void **state)
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
static void test_connection_first_tls_stalled_reader_drops_media_and_tears_nothing(void **state)
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

static void test_connection_first_tls_http_inside_is_answered(void **state)
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
static void test_connection_first_tls_behind_a_proxy_header(void **state)
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

static void test_connection_first_tls_header_handshake_and_message_have_their_own_times(
    void **state)
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

static void test_connection_first_tls_handshake_must_end_in_time(void **state)
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
static void test_connection_first_tls_state_waits_for_a_whole_record(void **state)
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
static void test_connection_first_tls_client_certificate_is_required_by_its_listener(void **state)
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

static void test_connection_first_tls_failures_end_it(void **state)
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
#define PLAIN(f) cmocka_unit_test_setup_teardown(f, streams_setup, streams_teardown)
#define TLS(f)   cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        PLAIN(test_connection_first_proxy_header_names_the_client),
        PLAIN(test_connection_first_proxy_faults_end_it),
        PLAIN(test_connection_first_proxy_header_must_come_in_time),
        PLAIN(test_connection_first_prefix_counts_behind_the_header),
        PLAIN(test_connection_first_http_probe_is_answered),
        PLAIN(test_connection_first_http_later_is_no_probe),
        PLAIN(test_connection_first_plain_on_a_tls_port_only_where_accepted),
        TLS(test_connection_first_tls_carries_messages_both_ways),
        TLS(test_connection_first_tls_request_before_close_notify_is_answered),
        TLS(test_connection_first_tls_record_must_end_in_time),
        TLS(test_connection_first_tls_seals_once_a_flush),
        TLS(test_connection_first_tls_stalled_reader_drops_media_and_tears_nothing),
        TLS(test_connection_first_tls_http_inside_is_answered),
        TLS(test_connection_first_tls_behind_a_proxy_header),
        TLS(test_connection_first_tls_header_handshake_and_message_have_their_own_times),
        TLS(test_connection_first_tls_handshake_must_end_in_time),
        TLS(test_connection_first_tls_state_waits_for_a_whole_record),
        TLS(test_connection_first_tls_client_certificate_is_required_by_its_listener),
        TLS(test_connection_first_tls_failures_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
