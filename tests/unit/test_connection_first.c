/*
 * net/connection_first: what a connection says before its first message, in any pieces: PROXY
 * headers, plain TURN on a TLS port, HTTP.
 */
#include "tests/unit/first_bytes.h"

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

int main(void)
{
#define PLAIN(f) cmocka_unit_test_setup_teardown(f, streams_setup, streams_teardown)
    const struct CMUnitTest tests[] = {
        PLAIN(test_connection_first_proxy_header_names_the_client),
        PLAIN(test_connection_first_proxy_faults_end_it),
        PLAIN(test_connection_first_proxy_header_must_come_in_time),
        PLAIN(test_connection_first_prefix_counts_behind_the_header),
        PLAIN(test_connection_first_http_probe_is_answered),
        PLAIN(test_connection_first_http_later_is_no_probe),
        PLAIN(test_connection_first_plain_on_a_tls_port_only_where_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
