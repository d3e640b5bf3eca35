/* Listeners over loopback: what relay/ is told about a datagram, and who may share the port. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/udp_listener.h"

#define SEEN_MAX 512

struct fixture {
    uv_loop_t loop;
    struct outbox *outbox;
    struct counters counters;
    struct io io;
    struct udp_batch *batch;
    struct udp_endpoint *endpoint;
    struct udp_listener listener;
    struct packet seen[SEEN_MAX];
    uint8_t first[SEEN_MAX]; /* byte of each */
    unsigned count, largest_turn;
};

static void on_client(void *ctx, const struct packet *packet, const struct instant *now)
{
    struct fixture *f = ctx;
    assert_true(now->mono_us > 0);
    assert_true(f->count < SEEN_MAX);
    f->first[f->count] = packet->bytes.len ? packet->bytes.data[0] : 0;
    f->seen[f->count++] = *packet;
}

static void send_nothing(void *ctx, struct outbox *outbox)
{
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->outbox = calloc(1, sizeof(*f->outbox));
    assert_non_null(f->outbox);
    outbox_init(f->outbox, send_nothing, NULL);
    assert_int_equal(io_init(&f->io, &f->loop, f->outbox, &f->counters), 0);
    f->io.handlers = (struct io_handlers){.ctx = f, .from_client = on_client};
    f->batch = udp_batch_new();
    assert_non_null(f->batch);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->listener.io) {
        udp_listener_stop(&f->listener);
    }
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    udp_endpoint_close(f->endpoint);
    udp_batch_free(f->batch);
    io_deinit(&f->io);
    free(f->outbox);
    free(f);
    return 0;
}

/* The address of a socket, or of one that was bound for a moment where fd is -1. */
static struct addr name_of(int fd, const struct addr *want)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(want, &sa);
    struct addr got;
    int own = fd < 0 ? socket(sa.ss_family, SOCK_DGRAM, 0) : fd;
    assert_true(own >= 0);
    if (fd < 0) {
        assert_int_equal(bind(own, (struct sockaddr *)&sa, len), 0);
    }
    len = sizeof(sa);
    assert_int_equal(getsockname(own, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(&got, (struct sockaddr *)&sa), 0);
    if (fd < 0) {
        close(own);
    }
    return got;
}

static struct addr address(const char *text, uint16_t port)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(&a, text), 0);
    a.port = port;
    return a;
}

static struct addr free_port(const char *ip)
{
    struct addr any = address(ip, 0);
    return name_of(-1, &any);
}

static void listen_on(struct fixture *f, const char *ip)
{
    struct addr a = free_port(ip);
    assert_int_equal(udp_endpoint_open(&f->endpoint, &a, 1, 0), 0);
    f->listener.index = 3;
    f->listener.realm = 5;
    f->listener.realms = 0x22;
    assert_int_equal(udp_listener_start(&f->listener, &f->io, f->batch, f->endpoint, 0), 0);
}

static int client(const char *ip, int tos)
{
    struct addr a = address(ip, 0);
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&a, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM, 0);
    bool v4 = a.family == ADDR_IPV4;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos,
                         sizeof(tos)),
        0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static void send_to(int fd, const char *ip, uint16_t port, const void *data, size_t len)
{
    struct addr to = address(ip, port);
    struct sockaddr_storage sa;
    socklen_t sa_len = addr_to_sockaddr(&to, &sa);
    assert_int_equal(sendto(fd, data, len, 0, (struct sockaddr *)&sa, sa_len), len);
}

static void check_one(struct fixture *f, int fd, const char *to, int tos)
{
    struct addr any = {0}, from = name_of(fd, &any), local = address(to, f->endpoint->addr.port);
    assert_int_equal(f->count, 1);
    assert_true(addr_equal(&f->seen[0].flow.remote, &from));
    assert_true(addr_equal(&f->seen[0].flow.local, &local));
    assert_int_equal(f->seen[0].flow.transport, TRANSPORT_UDP);
    assert_int_equal(f->seen[0].flow.listener, 3);
    assert_int_equal(f->seen[0].flow.connection, 0);
    assert_int_equal(f->seen[0].realm, 5);
    assert_int_equal(f->seen[0].realms, 0x22);
    assert_int_equal(f->seen[0].tos, tos);
    close(fd);
}

static void test_udp_listener_wildcard_tells_the_address_that_was_hit(void **state)
{
    struct fixture *f = *state;
    listen_on(f, "0.0.0.0");
    int fd = client("127.0.0.3", 0xb9);
    send_to(fd, "127.0.0.7", f->endpoint->addr.port, "x", 1);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    check_one(f, fd, "127.0.0.7", 0xb9);
    assert_int_equal(atomic_load(&f->counters.metric[METRIC_RECEIVED_CLIENT]), 1);
    assert_int_equal(atomic_load(&f->counters.metric[METRIC_BYTES_RECEIVED_CLIENT]), 1);
}

static void test_udp_listener_exact_address_is_the_local_one(void **state)
{
    struct fixture *f = *state;
    listen_on(f, "127.0.0.1");
    int fd = client("127.0.0.3", 0);
    send_to(fd, "127.0.0.1", f->endpoint->addr.port, "x", 1);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    check_one(f, fd, "127.0.0.1", 0);
}

static void test_udp_listener_ipv6_wildcard_takes_ipv6_only(void **state)
{
    struct fixture *f = *state;
    listen_on(f, "::");
    int fd = client("::1", 0x2e << 2), v4 = client("127.0.0.1", 0);
    send_to(v4, "127.0.0.1", f->endpoint->addr.port, "4", 1);
    send_to(fd, "::1", f->endpoint->addr.port, "6", 1);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    check_one(f, fd, "::1", 0x2e << 2);
    close(v4);
}

static void test_udp_listener_empty_and_largest_datagrams_pass(void **state)
{
    struct fixture *f = *state;
    static const uint8_t big[65507] = {9};
    listen_on(f, "127.0.0.1");
    int fd = client("127.0.0.1", 0);
    send_to(fd, "127.0.0.1", f->endpoint->addr.port, "", 0);
    send_to(fd, "127.0.0.1", f->endpoint->addr.port, big, sizeof(big));
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->seen[0].bytes.len, 0);
    assert_int_equal(f->seen[1].bytes.len, sizeof(big));
    assert_int_equal(f->first[1], 9);
    assert_int_equal(atomic_load(&f->counters.dropped[REASON_RECEIVE_TRUNCATED]), 0);
    close(fd);
}

static void test_udp_listener_flood_is_taken_in_bounded_wakeups(void **state)
{
    struct fixture *f = *state;
    listen_on(f, "127.0.0.1");
    int fd = client("127.0.0.1", 0);
    for (unsigned i = 0; i < 200; i++) {
        uint8_t byte = (uint8_t)i;
        send_to(fd, "127.0.0.1", f->endpoint->addr.port, &byte, 1);
    }
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->count, 128);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->count, 200);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(f->first[i], i);
    }
    close(fd);
}

static void test_udp_listener_closed_clients_do_not_stop_it(void **state)
{
    struct fixture *f = *state;
    listen_on(f, "127.0.0.1");
    struct addr gone = free_port("127.0.0.1");
    /* A reply to a client that has gone draws an ICMP error. */
    send_to(f->listener.fd, "127.0.0.1", gone.port, "x", 1);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    int fd = client("127.0.0.1", 0);
    send_to(fd, "127.0.0.1", f->endpoint->addr.port, "x", 1);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->count, 1);
    close(fd);
}

static void test_udp_endpoint_in_use_is_refused_even_where_it_would_be_shared(void **state)
{
    struct fixture *f = *state;
    struct addr a = free_port("127.0.0.1");
    struct udp_endpoint *second = NULL;
    assert_int_equal(udp_endpoint_open(&f->endpoint, &a, 2, 0), 0);
    assert_int_equal(udp_endpoint_open(&second, &a, 2, 0), -EADDRINUSE);
    assert_null(second);
    struct addr any = address("0.0.0.0", a.port);
    assert_int_equal(udp_endpoint_open(&second, &any, 2, 0), -EADDRINUSE);
}

static void test_udp_endpoint_sends_a_client_to_one_worker_always(void **state)
{
    struct fixture *f = *state;
    struct addr a = free_port("127.0.0.1");
    unsigned reached[3] = {0};
    assert_int_equal(udp_endpoint_open(&f->endpoint, &a, 3, 1 << 20), 0);
    for (unsigned i = 0; i < 60; i++) {
        int fd = client("127.0.0.1", 0);
        for (unsigned k = 0; k < 3; k++) {
            send_to(fd, "127.0.0.1", a.port, "x", 1);
        }
        for (unsigned w = 0; w < 3; w++) {
            unsigned got = 0;
            char byte;
            while (recv(f->endpoint->fds[w], &byte, 1, MSG_DONTWAIT) == 1) {
                got++;
            }
            assert_true(got == 0 || got == 3);
            reached[w] += got;
        }
        close(fd);
    }
    assert_int_equal(reached[0] + reached[1] + reached[2], 180);
    assert_true(reached[0] > 0 && reached[1] > 0 && reached[2] > 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_udp_listener_wildcard_tells_the_address_that_was_hit),
        CASE(test_udp_listener_exact_address_is_the_local_one),
        CASE(test_udp_listener_ipv6_wildcard_takes_ipv6_only),
        CASE(test_udp_listener_empty_and_largest_datagrams_pass),
        CASE(test_udp_listener_flood_is_taken_in_bounded_wakeups),
        CASE(test_udp_listener_closed_clients_do_not_stop_it),
        CASE(test_udp_endpoint_in_use_is_refused_even_where_it_would_be_shared),
        CASE(test_udp_endpoint_sends_a_client_to_one_worker_always),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
