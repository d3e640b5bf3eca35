/* net/connection: a byte stream becomes the packets that UDP would give, in any pieces, in time. */
#include "base/slab.h"
#include "tests/unit/streams.h"

#define SAY(fd, s, id)                                                                             \
    do {                                                                                           \
        uint8_t m_[STUN_HEADER_LEN];                                                               \
        streams_say(s, fd, m_, streams_binding(m_, id));                                           \
    } while (0)

static void test_connection_packet_is_as_over_udp_with_its_handle(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    int fd = streams_connect(s);
    streams_say(s, fd, m, streams_binding(m, 9));
    assert_int_equal(s->count, 1);
    const struct packet *p = &s->seen[0];
    struct addr remote = addr_ipv4(192, 0, 2, 1, 1234);
    assert_int_equal(p->bytes.len, sizeof(m));
    assert_memory_equal(p->bytes.data, m, sizeof(m));
    assert_int_equal(p->flow.transport, TRANSPORT_TCP);
    assert_int_equal(p->flow.listener, STREAMS_LISTENER);
    assert_true(addr_equal(&p->flow.remote, &remote));
    assert_int_equal(handle_worker(p->flow.connection), 3);
    assert_int_equal(p->realm, 5);
    assert_int_equal(p->tos, 0);
    assert_int_equal(atomic_load(&s->counters.metric[METRIC_RECEIVED_CLIENT]), 1);
    assert_int_equal(atomic_load(&s->counters.metric[METRIC_BYTES_RECEIVED_CLIENT]), sizeof(m));
    close(fd);
}

/* The realm is the listener's as it is now: a reload changes it for connections that stand. */
static void test_connection_realm_follows_the_snapshot(void **state)
{
    struct streams *s = *state;
    int fd = streams_connect(s);
    SAY(fd, s, 1);
    struct net_listener listeners[2] = {
        {0}, {.transport = TRANSPORT_TCP, .realm = 8, .realms = 0x180}};
    struct net_snapshot next = s->snapshot;
    next.listeners = listeners;
    connections_set_snapshot(s->connections, &next);
    SAY(fd, s, 2);
    assert_int_equal(s->seen[0].realm, 5);
    assert_int_equal(s->seen[0].realms, 0x22);
    assert_int_equal(s->seen[1].realm, 8);
    assert_int_equal(s->seen[1].realms, 0x180);
    connections_set_snapshot(s->connections, &s->snapshot);
    close(fd);
}

/* STUN, ChannelData with padding and without, STUN: cut in two at every byte. */
static void test_connection_messages_cut_at_every_byte_arrive_whole(void **state)
{
    struct streams *s = *state;
    uint8_t all[128], *p = all;
    p += streams_binding(p, 1);
    p += streams_channel(p, 5);
    p += streams_channel(p, 8);
    p += streams_binding(p, 2);
    size_t len = (size_t)(p - all);
    for (size_t cut = 1; cut < len; cut++) {
        int fd = streams_connect(s);
        s->count = 0;
        s->len = 0;
        streams_say(s, fd, all, cut);
        streams_say(s, fd, all + cut, len - cut);
        assert_int_equal(s->count, 4);
        assert_int_equal(s->seen[0].bytes.len, 20);
        assert_int_equal(s->seen[1].bytes.len, 9);
        assert_memory_equal(s->seen[1].bytes.data, all + 20, 9);
        assert_int_equal(s->seen[2].bytes.len, 12);
        assert_memory_equal(s->seen[2].bytes.data, all + 32, 12);
        assert_memory_equal(s->seen[3].bytes.data, all + 44, 20);
        close(fd);
        streams_turn(s);
    }
    assert_int_equal(streams_ended(s, REASON_CLOSED_BY_CLIENT), len - 1);
}

static void test_connection_messages_byte_by_byte_arrive_whole(void **state)
{
    struct streams *s = *state;
    uint8_t all[64];
    size_t len = streams_binding(all, 1);
    len += streams_channel(all + len, 5);
    int fd = streams_connect(s);
    for (size_t i = 0; i < len; i++) {
        streams_say(s, fd, all + i, 1);
    }
    assert_int_equal(s->count, 2);
    assert_memory_equal(s->seen[1].bytes.data, all + 20, 9);
    close(fd);
}

/* Many in one read, more than a read holds: each once, in order, and none twice. */
static void test_connection_many_messages_in_one_read_arrive_in_order(void **state)
{
    struct streams *s = *state;
    static uint8_t all[40 * 1004 + 8];
    uint8_t first[STUN_HEADER_LEN];
    size_t len = 0;
    int fd = streams_connect(s);
    streams_say(s, fd, first, streams_binding(first, 0));
    for (uint8_t i = 0; i < 40; i++) {
        size_t one = streams_channel(all + len, 997);
        all[len + 4] = i;
        len += one;
    }
    assert_int_equal(send(fd, all, len, 0), len);
    for (unsigned turn = 0; turn < 3; turn++) {
        streams_turn(s);
    }
    assert_int_equal(s->count, 41);
    for (uint8_t i = 0; i < 40; i++) {
        assert_int_equal(s->seen[1 + i].bytes.len, 1001);
        assert_int_equal(s->seen[1 + i].bytes.data[4], i);
    }
    close(fd);
}

/* The largest message of a stream needs several reads. */
static void test_connection_largest_message_arrives_whole(void **state)
{
    struct streams *s = *state;
    static uint8_t all[65544 + 8];
    uint8_t first[STUN_HEADER_LEN];
    int fd = streams_connect(s), size = 1 << 20;
    s->in_use = true;
    streams_say(s, fd, first, streams_binding(first, 0));
    size_t len = streams_channel(all, 65535);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, all + sent, len - sent, 0);
        assert_true(n > 0);
        sent += (size_t)n;
        streams_turn(s);
    }
    streams_turn(s);
    streams_turn(s);
    streams_turn(s);
    assert_int_equal(s->count, 2);
    assert_int_equal(s->seen[1].bytes.len, 65539);
    assert_memory_equal(s->seen[1].bytes.data, all, 65539);
    close(fd);
}

/* Four bytes of header must not make the server wait for 64 kB of somebody who has proven nothing.
 */
static void test_connection_long_message_needs_an_allocation(void **state)
{
    struct streams *s = *state;
    const uint8_t longest[] = {0, 3, 0x10, 0}, longer[] = {0x40, 0, 0x10, 1};
    for (unsigned i = 0; i < 3; i++) {
        int fd = streams_connect(s);
        s->in_use = i == 2;
        SAY(fd, s, 1);
        streams_say(s, fd, longest, 4);
        streams_assert_open(fd);
        close(fd);
        streams_turn(s);
        fd = streams_connect(s);
        SAY(fd, s, 1);
        /* All at once, and byte by byte. */
        for (unsigned k = 0; k < 4; k += i == 1 ? 1 : 4) {
            streams_say(s, fd, longer + k, i == 1 ? 1 : 4);
        }
        assert_int_equal(streams_ended(s, REASON_FRAME_TOO_LONG), i == 0 ? 1 : 2);
        close(fd);
        streams_turn(s);
    }
}

/* Bytes handed to relay/ stay as they are until the flush, whatever comes behind them. */
static const uint8_t *kept;

static void keep_pointer(struct streams *s, const struct packet *packet)
{
    if (!kept) {
        kept = packet->bytes.data;
    }
}

static void test_connection_slices_stay_until_the_flush(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    int fds[4];
    kept = NULL;
    s->answer = keep_pointer;
    for (uint8_t i = 0; i < 4; i++) {
        fds[i] = streams_connect(s);
        assert_int_equal(send(fds[i], m, streams_binding(m, (uint8_t)(i + 1)), 0), sizeof(m));
    }
    uv_run(&s->loop, UV_RUN_NOWAIT);
    assert_int_equal(s->count, 4);
    assert_memory_equal(kept, s->seen[0].bytes.data, sizeof(m));
    for (unsigned i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

static void ends_with(struct streams *s, const void *bytes, size_t len, enum reason why)
{
    uint64_t before = streams_ended(s, why);
    int fd = streams_connect(s);
    streams_say(s, fd, bytes, len);
    assert_int_equal(streams_ended(s, why), before + 1);
    streams_assert_closed(fd);
    close(fd);
}

static void test_connection_other_bytes_end_it(void **state)
{
    struct streams *s = *state;
    static const uint8_t no_cookie[20] = {0, 1, 0, 0, 1, 2, 3, 4};
    static const uint8_t odd_length[20] = {0, 1, 0, 3, 0x21, 0x12, 0xa4, 0x42};
    static const uint8_t hello[11] = {22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    static const uint8_t channel_first[8] = {0x40, 0, 0, 4, 1, 2, 3, 4};
    ends_with(s, no_cookie, sizeof(no_cookie), REASON_FRAME_MALFORMED);
    ends_with(s, odd_length, sizeof(odd_length), REASON_FRAME_MALFORMED);
    ends_with(s, hello, sizeof(hello), REASON_FRAME_MALFORMED);
    ends_with(s, channel_first, sizeof(channel_first), REASON_FRAME_MALFORMED);
    ends_with(s, "\xff", 1, REASON_FRAME_MALFORMED);
    assert_int_equal(s->count, 0);
    assert_int_equal(s->closed_count, 0);
}

/* What stood in front of the bad bytes is served, and relay/ hears of the end once. */
static void test_connection_bad_bytes_behind_a_message_end_it_after_the_message(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN + 4] = {0};
    memset(m + streams_binding(m, 1), 0x80, 4);
    ends_with(s, m, sizeof(m), REASON_FRAME_MALFORMED);
    assert_int_equal(s->count, 1);
    assert_int_equal(s->closed_count, 1);
    assert_true(s->closed.connection == s->seen[0].flow.connection);
}

static void test_connection_client_that_goes_ends_it(void **state)
{
    struct streams *s = *state;
    int quiet = streams_connect(s), spoke = streams_connect(s);
    SAY(spoke, s, 1);
    assert_int_equal(streams_gauge(s, GAUGE_CONNECTIONS_TCP), 2);
    assert_int_equal(streams_gauge(s, GAUGE_CONNECTIONS_HALF_OPEN), 1);
    close(quiet);
    close(spoke);
    streams_turn(s);
    assert_int_equal(streams_ended(s, REASON_CLOSED_BY_CLIENT), 2);
    assert_int_equal(connections_count(s->connections), 0);
    assert_int_equal(s->closed_count, 1);
}

static void test_connection_first_message_must_come_in_time(void **state)
{
    struct streams *s = *state;
    int fd = streams_connect(s);
    streams_later(s, 29900);
    streams_assert_open(fd);
    streams_later(s, 300);
    streams_assert_closed(fd);
    assert_int_equal(streams_ended(s, REASON_FIRST_MESSAGE_TIMEOUT), 1);
    close(fd);
}

/* A byte a second does not keep a message open: its first byte counts. */
static void test_connection_message_must_end_in_time(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    int fd = streams_connect(s);
    SAY(fd, s, 1);
    streams_binding(m, 2);
    for (unsigned i = 0; i < 5; i++) {
        streams_say(s, fd, m + i, 1);
        streams_later(s, i < 4 ? 1000 : 900);
        streams_assert_open(fd);
    }
    streams_later(s, 300);
    streams_assert_closed(fd);
    assert_int_equal(streams_ended(s, REASON_FRAME_TIMEOUT), 1);
    assert_int_equal(s->closed_count, 1);
    close(fd);
}

/* What the proxy said before the client's first byte is not the client's delay. */
static void test_connection_message_behind_a_proxy_header_has_its_own_time(void **state)
{
    struct streams *s = *state;
    struct prefix clients;
    struct prefix_set *set = prefix_set_new();
    static const char header[] = "PROXY UNKNOWN\r\n";
    uint8_t bytes[sizeof(header) - 1 + STUN_HEADER_LEN];
    memcpy(bytes, header, sizeof(header) - 1);
    streams_binding(bytes + sizeof(header) - 1, 1);
    assert_int_equal(prefix_parse(&clients, "192.0.2.0/24"), 0);
    assert_int_equal(prefix_set_add(set, &clients), 0);
    s->listeners[STREAMS_LISTENER].proxy_from = set;
    int fd = streams_connect(s);
    streams_say(s, fd, bytes, 10);
    streams_later(s, 4000);
    streams_say(s, fd, bytes + 10, sizeof(bytes) - 11);
    streams_later(s, 4000);
    streams_assert_open(fd);
    streams_say(s, fd, bytes + sizeof(bytes) - 1, 1);
    assert_int_equal(s->count, 1);
    close(fd);
    streams_turn(s);
    prefix_set_free(set);
}

/* Each message has its own five seconds. */
static void test_connection_slow_messages_in_time_keep_it(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    int fd = streams_connect(s);
    streams_binding(m, 2);
    for (unsigned i = 0; i < 5; i++) {
        streams_say(s, fd, m, 10);
        streams_later(s, 4000);
        streams_say(s, fd, m + 10, 10);
    }
    assert_int_equal(s->count, 5);
    streams_assert_open(fd);
    close(fd);
}

static void test_connection_idle_ends_it_unless_it_has_an_allocation(void **state)
{
    struct streams *s = *state;
    int fd = streams_connect(s);
    SAY(fd, s, 1);
    s->in_use = true;
    for (unsigned i = 0; i < 5; i++) {
        streams_later(s, 301000);
        streams_assert_open(fd);
    }
    s->in_use = false;
    streams_later(s, 1000);
    SAY(fd, s, 2);
    streams_later(s, 299000);
    streams_assert_open(fd);
    streams_later(s, 1200);
    streams_assert_closed(fd);
    assert_int_equal(streams_ended(s, REASON_CONNECTION_IDLE), 1);
    close(fd);
}

/* A handle names its connection for good: the slot's next tenant has another. */
static void test_connection_handle_is_never_used_again(void **state)
{
    struct streams *s = *state;
    uint64_t last = 0;
    for (unsigned i = 0; i < 3; i++) {
        int fd = streams_connect(s);
        SAY(fd, s, 1);
        uint64_t handle = s->seen[s->count - 1].flow.connection;
        assert_true(handle != HANDLE_NONE && handle != last);
        assert_int_equal(handle_slot(handle), handle_slot(s->seen[0].flow.connection));
        last = handle;
        close(fd);
        streams_turn(s);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, streams_setup, streams_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_connection_packet_is_as_over_udp_with_its_handle),
        CASE(test_connection_realm_follows_the_snapshot),
        CASE(test_connection_messages_cut_at_every_byte_arrive_whole),
        CASE(test_connection_messages_byte_by_byte_arrive_whole),
        CASE(test_connection_many_messages_in_one_read_arrive_in_order),
        CASE(test_connection_largest_message_arrives_whole),
        CASE(test_connection_long_message_needs_an_allocation),
        CASE(test_connection_slices_stay_until_the_flush),
        CASE(test_connection_other_bytes_end_it),
        CASE(test_connection_bad_bytes_behind_a_message_end_it_after_the_message),
        CASE(test_connection_client_that_goes_ends_it),
        CASE(test_connection_first_message_must_come_in_time),
        CASE(test_connection_message_must_end_in_time),
        CASE(test_connection_message_behind_a_proxy_header_has_its_own_time),
        CASE(test_connection_slow_messages_in_time_keep_it),
        CASE(test_connection_idle_ends_it_unless_it_has_an_allocation),
        CASE(test_connection_handle_is_never_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
