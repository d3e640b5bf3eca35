/* net/stream_listener over loopback: who connected to what, bounded wake-ups, and no spin when
 * descriptors run out. */
#include "tests/unit/streams.h"

#include <netinet/tcp.h>
#include <sys/syscall.h>

#include "net/stream_listener.h"

/* Stands before the C library's: so many more calls fail with this error. */
static int accept_fails, accept_error;

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    if (accept_fails > 0) {
        accept_fails--;
        errno = accept_error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, addr, len, flags);
}

static struct stream_endpoint *endpoint;
static struct stream_listener listener;

static void listen_on(struct streams *s, const char *ip)
{
    struct addr a;
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    assert_int_equal(addr_parse_ip(&a, ip), 0);
    assert_int_equal(stream_endpoint_open(&endpoint, &a, 1), 0);
    assert_int_equal(getsockname(endpoint->fds[0], (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(&endpoint->addr, (struct sockaddr *)&sa), 0);
    listener = (struct stream_listener){.index = STREAMS_LISTENER};
    assert_int_equal(stream_listener_start(&listener, &s->io, s->connections, endpoint, 0), 0);
    accept_fails = 0;
}

static int teardown(void **state)
{
    stream_listener_stop(&listener);
    int r = streams_teardown(state);
    stream_endpoint_close(endpoint);
    return r;
}

/* Connects to an address of this host from another; *local is the client's. */
static int client(const char *to, struct addr *local)
{
    struct addr a;
    struct sockaddr_storage sa;
    assert_int_equal(addr_parse_ip(&a, to), 0);
    a.port = endpoint->addr.port;
    socklen_t len = addr_to_sockaddr(&a, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    len = sizeof(sa);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(local, (struct sockaddr *)&sa), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void check_flow(struct streams *s, const char *listen, const char *to)
{
    uint8_t m[STUN_HEADER_LEN];
    struct addr local, server;
    listen_on(s, listen);
    int fd = client(to, &local);
    streams_turn(s);
    streams_say(s, fd, m, streams_binding(m, 1));
    assert_int_equal(s->count, 1);
    assert_int_equal(addr_parse_ip(&server, to), 0);
    server.port = endpoint->addr.port;
    assert_true(addr_equal(&s->seen[0].flow.remote, &local));
    assert_true(addr_equal(&s->seen[0].flow.local, &server));
    close(fd);
}

static void test_stream_listener_wildcard_tells_the_address_that_was_hit(void **state)
{
    check_flow(*state, "0.0.0.0", "127.0.0.7");
}

static void test_stream_listener_ipv6_tells_its_addresses(void **state)
{
    check_flow(*state, "::", "::1");
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* What each connection inherits: found by looking at all of this process. */
static void test_stream_listener_connections_send_at_once_and_keep_alive(void **state)
{
    struct streams *s = *state;
    struct addr local;
    listen_on(s, "127.0.0.1");
    int fd = client("127.0.0.1", &local), found = 0;
    streams_turn(s);
    for (int i = 3; i < 64; i++) {
        struct sockaddr_storage sa;
        struct addr peer;
        socklen_t len = sizeof(sa);
        if (getpeername(i, (struct sockaddr *)&sa, &len) != 0 ||
            addr_from_sockaddr(&peer, (struct sockaddr *)&sa) != 0 || !addr_equal(&peer, &local)) {
            continue;
        }
        assert_true(option(i, IPPROTO_TCP, TCP_NODELAY) != 0);
        assert_true(option(i, SOL_SOCKET, SO_KEEPALIVE) != 0);
        assert_int_equal(option(i, IPPROTO_TCP, TCP_KEEPIDLE), 60);
        assert_int_equal(option(i, IPPROTO_TCP, TCP_USER_TIMEOUT), 120000);
        assert_int_equal(option(i, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 * 1024);
        assert_int_not_equal(fcntl(i, F_GETFD) & FD_CLOEXEC, 0);
        found++;
    }
    assert_int_equal(found, 1);
    close(fd);
}

static void test_stream_listener_wakeup_accepts_a_bounded_number(void **state)
{
    struct streams *s = *state;
    int fds[40];
    struct addr local;
    s->snapshot.streams.max_connections = 64;
    listen_on(s, "127.0.0.1");
    for (unsigned i = 0; i < 40; i++) {
        fds[i] = client("127.0.0.1", &local);
    }
    uv_run(&s->loop, UV_RUN_NOWAIT);
    assert_int_equal(connections_count(s->connections), 32);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    assert_int_equal(connections_count(s->connections), 40);
    for (unsigned i = 0; i < 40; i++) {
        close(fds[i]);
    }
}

/* The connection stays in the backlog and the socket readable: nothing is asked again until the
 * next tick. */
static void test_stream_listener_without_descriptors_pauses_until_the_tick(void **state)
{
    struct streams *s = *state;
    static const int errors[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS};
    struct addr local;
    listen_on(s, "127.0.0.1");
    for (unsigned i = 0; i < 4; i++) {
        accept_fails = 2;
        accept_error = errors[i];
        int fd = client("127.0.0.1", &local);
        for (unsigned turn = 0; turn < 10; turn++) {
            streams_turn(s);
        }
        assert_int_equal(accept_fails, 1);
        assert_int_equal(atomic_load(&s->counters.metric[METRIC_ACCEPT_PAUSED]), 2 * i + 1);
        stream_listener_resume(&listener);
        streams_turn(s);
        assert_int_equal(accept_fails, 0);
        stream_listener_resume(&listener);
        streams_turn(s);
        assert_int_equal(connections_count(s->connections), 1);
        streams_assert_open(fd);
        close(fd);
        streams_turn(s);
        streams_turn(s);
        assert_int_equal(connections_count(s->connections), 0);
        stream_listener_resume(&listener);
    }
}

/* A connection that failed before it was accepted is passed over. */
static void test_stream_listener_pending_network_error_is_passed_over(void **state)
{
    struct streams *s = *state;
    struct addr local;
    listen_on(s, "127.0.0.1");
    accept_fails = 1;
    accept_error = ECONNABORTED;
    int fd = client("127.0.0.1", &local);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    assert_int_equal(connections_count(s->connections), 1);
    close(fd);
}

/* One more process of the same user would take a part of the connections. */
static void test_stream_listener_port_in_use_is_refused_even_where_it_would_be_shared(void **state)
{
    struct stream_endpoint *second = NULL;
    listen_on(*state, "127.0.0.1");
    assert_int_equal(stream_endpoint_open(&second, &endpoint->addr, 2), -EADDRINUSE);
    assert_null(second);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, streams_setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_stream_listener_wildcard_tells_the_address_that_was_hit),
        CASE(test_stream_listener_ipv6_tells_its_addresses),
        CASE(test_stream_listener_connections_send_at_once_and_keep_alive),
        CASE(test_stream_listener_wakeup_accepts_a_bounded_number),
        CASE(test_stream_listener_without_descriptors_pauses_until_the_tick),
        CASE(test_stream_listener_pending_network_error_is_passed_over),
        CASE(test_stream_listener_port_in_use_is_refused_even_where_it_would_be_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
