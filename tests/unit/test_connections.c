/* net/connections: who may come, what is refused at once, and that everything goes back. */
#include "tests/unit/streams.h"

#include "net/socket_budget.h"

static int from(struct streams *s, uint8_t prefix, uint8_t host)
{
    int pair[2];
    struct addr remote = addr_ipv4(192, 0, prefix, host, 1234);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    connections_accept(s->connections, pair[1], STREAMS_LISTENER, &remote);
    return pair[0];
}

static void refused(struct streams *s, int fd, enum reason why)
{
    assert_int_equal(streams_ended(s, why), 1);
    streams_assert_closed(fd);
    close(fd);
}

static void test_connections_over_the_cap_are_closed_at_once(void **state)
{
    struct streams *s = *state;
    int fds[17];
    for (uint8_t i = 0; i < 17; i++) {
        fds[i] = from(s, i, 1);
    }
    refused(s, fds[16], REASON_CONNECTION_CAP);
    assert_int_equal(connection_counts_total(s->counts), 16);
    close(fds[0]);
    streams_turn(s);
    fds[16] = from(s, 1, 1);
    streams_assert_open(fds[16]);
    for (unsigned i = 1; i < 17; i++) {
        close(fds[i]);
    }
}

static void test_connections_over_the_prefix_cap_are_closed_at_once(void **state)
{
    struct streams *s = *state;
    s->snapshot.streams.connections_per_prefix = 2;
    int fds[] = {from(s, 1, 1), from(s, 1, 2), from(s, 2, 1)};
    refused(s, from(s, 1, 3), REASON_CONNECTION_PREFIX_CAP);
    for (unsigned i = 0; i < 3; i++) {
        streams_assert_open(fds[i]);
        close(fds[i]);
    }
}

/* A limit that a reload lowers holds for those that come. */
static void test_connections_limits_follow_the_snapshot(void **state)
{
    struct streams *s = *state;
    int fds[] = {from(s, 1, 1), from(s, 2, 2), from(s, 3, 1)};
    struct net_snapshot next = s->snapshot;
    next.streams.max_connections = 2;
    connections_set_snapshot(s->connections, &next);
    refused(s, from(s, 4, 3), REASON_CONNECTION_CAP);
    streams_assert_open(fds[2]);
    connections_set_snapshot(s->connections, &s->snapshot);
    for (unsigned i = 0; i < 3; i++) {
        close(fds[i]);
    }
}

/* A Binding request costs a stranger nothing: with it alone one prefix could hold all there are. */
static void test_connections_are_half_open_until_they_have_an_allocation(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    int others[9], strangers[2];
    s->snapshot.streams.half_open_per_prefix = 2;
    for (uint8_t i = 0; i < 9; i++) {
        others[i] = from(s, 10 + i, 1);
    }
    for (uint8_t i = 0; i < 2; i++) {
        strangers[i] = from(s, 1, i);
        streams_say(s, strangers[i], m, streams_binding(m, i));
    }
    refused(s, from(s, 1, 3), REASON_HALF_OPEN_CAP);
    s->in_use = true;
    streams_say(s, strangers[0], m, streams_binding(m, 2));
    int third = from(s, 1, 3);
    streams_assert_open(third);
    close(from(s, 1, 4));
    assert_int_equal(streams_ended(s, REASON_HALF_OPEN_CAP), 2);
    close(third);
    for (unsigned i = 0; i < 9; i++) {
        close(others[i]);
    }
    close(strangers[0]);
    close(strangers[1]);
}

static void test_connections_beyond_the_file_budget_are_closed_at_once(void **state)
{
    struct streams *s = *state;
    static const uint8_t key[16] = {2};
    struct socket_budget budget = {.left = 3, .connections = 2};
    struct connection_counts *counts = connection_counts_new(8, key);
    const struct connections_options options = {
        .io = &s->io, .counts = counts, .budget = &budget, .max = 8};
    struct connections *own = s->connections;
    s->connections = connections_new(&options);
    connections_set_snapshot(s->connections, &s->snapshot);
    int fds[] = {from(s, 1, 1), from(s, 2, 2)};
    refused(s, from(s, 3, 1), REASON_CONNECTION_FILES);
    assert_int_equal(atomic_load(&budget.left), 1); /* a relay socket may still be had */
    close(fds[0]);
    streams_turn(s);
    assert_int_equal(atomic_load(&budget.left), 2);
    /* One that a limit refuses costs nothing of it. */
    s->snapshot.streams.max_connections = 1;
    refused(s, from(s, 3, 1), REASON_CONNECTION_CAP);
    assert_int_equal(atomic_load(&budget.left), 2);
    connections_end_all(s->connections);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(atomic_load(&budget.left), 3);
    assert_int_equal(atomic_load(&budget.connections), 2);
    connections_free(s->connections);
    connection_counts_free(counts);
    s->connections = own;
    close(fds[1]);
}

/* What is no socket has no address, as a socket has none where the kernel has no memory for it. */
static void test_connections_without_a_local_address_are_closed_at_once(void **state)
{
    struct streams *s = *state;
    const struct addr remote = addr_ipv4(192, 0, 2, 1, 1234);
    int pair[2];
    char byte;
    assert_int_equal(pipe(pair), 0);
    connections_accept(s->connections, pair[1], STREAMS_LISTENER, &remote);
    assert_int_equal(streams_ended(s, REASON_CONNECTION_MEMORY), 1);
    assert_int_equal(read(pair[0], &byte, 1), 0);
    assert_int_equal(connection_counts_total(s->counts), 0);
    close(pair[0]);
}

static void test_connections_begin_no_handshake_beyond_the_budget(void **state)
{
    struct streams *s = *state;
    s->listeners[STREAMS_LISTENER].transport = TRANSPORT_TLS;
    s->no_handshake = true;
    int fd = from(s, 1, 1);
    streams_say(s, fd, "\x16\x03\x01\x00\x01x", 6);
    refused(s, fd, REASON_HANDSHAKE_BUDGET);
}

static void test_connections_end_all_tells_relay_of_those_that_spoke(void **state)
{
    struct streams *s = *state;
    uint8_t m[STUN_HEADER_LEN];
    int spoke = from(s, 1, 1), quiet = from(s, 1, 2);
    streams_say(s, spoke, m, streams_binding(m, 1));
    connections_end_all(s->connections);
    assert_int_equal(streams_ended(s, REASON_CONNECTION_STOPPING), 2);
    assert_int_equal(s->closed_count, 1);
    streams_assert_closed(spoke);
    streams_assert_closed(quiet);
    assert_int_equal(connection_counts_total(s->counts), 0);
    close(spoke);
    close(quiet);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, streams_setup, streams_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_connections_over_the_cap_are_closed_at_once),
        CASE(test_connections_over_the_prefix_cap_are_closed_at_once),
        CASE(test_connections_limits_follow_the_snapshot),
        CASE(test_connections_are_half_open_until_they_have_an_allocation),
        CASE(test_connections_beyond_the_file_budget_are_closed_at_once),
        CASE(test_connections_without_a_local_address_are_closed_at_once),
        CASE(test_connections_begin_no_handshake_beyond_the_budget),
        CASE(test_connections_end_all_tells_relay_of_those_that_spoke),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
