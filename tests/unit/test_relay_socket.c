/*
 * Relay sockets over real loopback sockets and a real loop: what arrives, what an ICMP error does,
 * what opening and moving them leaves behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/slab.h"
#include "net/relay_socket.h"

#define OWNER 77u

struct events {
    unsigned packets, errors;
    struct peer_packet packet;
    uint8_t bytes[64];
    struct icmp_error error;
    struct relay_sockets *release; /* the next event releases its socket */
};

struct side {
    uv_loop_t loop;
    struct outbox *outbox;
    struct counters counters;
    struct io io;
    struct events events;
    struct relay_socket_set *set;
    struct relay_sockets sockets;
};

struct fixture {
    struct side a, b;
    int peer; /* a socket of the peer's */
    struct addr peer_addr;
    bool ipv6;
};

static void on_peer(void *ctx, const struct peer_packet *packet, const struct instant *now)
{
    struct events *e = ctx;
    assert_true(now->mono_us > 0);
    e->packets++;
    e->packet = *packet;
    memcpy(e->bytes, packet->bytes.data, packet->bytes.len < 64 ? packet->bytes.len : 64);
    if (e->release) {
        e->release->release(e->release->ctx, packet->socket);
    }
}

static void on_icmp(void *ctx, const struct icmp_error *error, const struct instant *now)
{
    struct events *e = ctx;
    assert_true(now->mono_us > 0);
    e->errors++;
    e->error = *error;
    if (e->release) {
        e->release->release(e->release->ctx, error->socket);
    }
}

static void send_nothing(void *ctx, struct outbox *outbox)
{
}

static void side_init(struct side *s, unsigned worker)
{
    assert_int_equal(uv_loop_init(&s->loop), 0);
    s->outbox = calloc(1, sizeof(*s->outbox));
    assert_non_null(s->outbox);
    outbox_init(s->outbox, send_nothing, NULL);
    assert_int_equal(io_init(&s->io, &s->loop, s->outbox, &s->counters), 0);
    s->io.handlers = (struct io_handlers){.ctx = &s->events, .from_peer = on_peer, .icmp = on_icmp};
    s->set = relay_socket_set_new(&s->io, NULL, worker, 64);
    assert_non_null(s->set);
    s->sockets = relay_socket_set_interface(s->set);
}

static void side_deinit(struct side *s)
{
    assert_int_equal(relay_socket_set_count(s->set), 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    relay_socket_set_free(s->set);
    io_deinit(&s->io);
    free(s->outbox);
}

static struct addr loopback(bool ipv6, uint16_t port)
{
    struct addr a = addr_ipv4(127, 0, 0, 1, port);
    if (ipv6) {
        assert_int_equal(addr_parse_ip(&a, "::1"), 0);
        a.port = port;
    }
    return a;
}

static int bound(const struct addr *want, struct addr *got)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(want, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(got, (struct sockaddr *)&sa), 0);
    return fd;
}

/* An address with a port that nobody has at this moment. */
static struct addr unused(bool ipv6, bool even)
{
    struct addr a;
    do {
        struct addr any = loopback(ipv6, 0);
        close(bound(&any, &a));
    } while (even && (a.port & 1));
    return a;
}

static int setup_family(void **state, bool ipv6)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct addr any = loopback(ipv6, 0);
    assert_non_null(f);
    side_init(&f->a, 0);
    side_init(&f->b, 1);
    f->ipv6 = ipv6;
    f->peer = bound(&any, &f->peer_addr);
    *state = f;
    return 0;
}

static int setup_ipv4(void **state)
{
    return setup_family(state, false);
}

static int setup_ipv6(void **state)
{
    return setup_family(state, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    side_deinit(&f->a);
    side_deinit(&f->b);
    close(f->peer);
    free(f);
    return 0;
}

static void turn(struct side *s, unsigned turns)
{
    while (turns-- > 0) {
        uv_run(&s->loop, UV_RUN_NOWAIT);
        io_flush(&s->io);
    }
}

static struct addr open_one(struct fixture *f, uint64_t *handle)
{
    struct addr local = unused(f->ipv6, false);
    assert_int_equal(f->a.sockets.open(f->a.set, &local, OWNER, handle), 0);
    return local;
}

static ssize_t send_from(int fd, const struct addr *to, const char *text)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(to, &sa);
    return sendto(fd, text, strlen(text), MSG_DONTWAIT, (struct sockaddr *)&sa, len);
}

static uint64_t metric(const struct side *s, enum metric m)
{
    return atomic_load(&s->counters.metric[m]);
}

static void test_relay_socket_datagram_arrives_with_owner_source_and_tos(void **state)
{
    struct fixture *f = *state;
    uint64_t handle;
    const int tos = 0xb8;
    struct addr local = open_one(f, &handle);
    int level = f->ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    assert_int_equal(
        setsockopt(f->peer, level, f->ipv6 ? IPV6_TCLASS : IP_TOS, &tos, sizeof(tos)), 0);
    assert_int_equal(send_from(f->peer, &local, "hello"), 5);
    turn(&f->a, 2);
    assert_int_equal(f->a.events.packets, 1);
    assert_int_equal(f->a.events.packet.socket, handle);
    assert_int_equal(f->a.events.packet.owner, OWNER);
    assert_true(addr_equal(&f->a.events.packet.source, &f->peer_addr));
    assert_int_equal(f->a.events.packet.tos, tos);
    assert_int_equal(f->a.events.packet.bytes.len, 5);
    assert_memory_equal(f->a.events.bytes, "hello", 5);
    assert_int_equal(metric(&f->a, METRIC_RECEIVED_PEER), 1);
    assert_int_equal(metric(&f->a, METRIC_BYTES_RECEIVED_PEER), 5);
    f->a.sockets.release(f->a.set, handle);
}

static void test_relay_socket_icmp_error_is_delivered_and_the_socket_goes_on(void **state)
{
    struct fixture *f = *state;
    uint64_t handle;
    struct addr local = open_one(f, &handle), closed = unused(f->ipv6, false);
    for (unsigned round = 1; round <= 3; round++) {
        assert_int_equal(send_from(relay_socket_fd(f->a.set, handle), &closed, "x"), 1);
        turn(&f->a, 3);
        assert_int_equal(f->a.events.errors, round);
        assert_int_equal(f->a.events.error.type, f->ipv6 ? 1 : 3);
        assert_int_equal(f->a.events.error.code, f->ipv6 ? 4 : 3);
        assert_int_equal(f->a.events.error.mtu, 0);
        assert_int_equal(f->a.events.error.socket, handle);
        assert_int_equal(f->a.events.error.owner, OWNER);
        assert_true(addr_equal(&f->a.events.error.destination, &closed));
        assert_int_equal(send_from(f->peer, &local, "still here"), 10);
        turn(&f->a, 3);
        assert_int_equal(f->a.events.packets, round);
    }
    assert_int_equal(metric(&f->a, METRIC_ICMP_RECEIVED), 3);
    f->a.sockets.release(f->a.set, handle);
}

static int discover_of(int fd)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &len), 0);
    return value;
}

/* Loopback carries 65536 bytes: a datagram of IPv6 may be longer. */
static void test_relay_socket_df_over_ipv6_keeps_the_kernel_from_fragmenting(void **state)
{
    struct fixture *f = *state;
    static const uint8_t big[65520];
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&f->peer_addr, &sa);
    uint64_t handle;
    (void)open_one(f, &handle);
    int fd = relay_socket_fd(f->a.set, handle);
    relay_socket_dont_fragment(f->a.set, handle, true);
    assert_int_equal(sendto(fd, big, sizeof(big), 0, (struct sockaddr *)&sa, len), -1);
    assert_int_equal(errno, EMSGSIZE);
    turn(&f->a, 2);
    assert_int_equal(f->a.events.errors, 1);
    assert_int_equal(f->a.events.error.type, 2);
    assert_int_equal(f->a.events.error.mtu, 65536);
    relay_socket_dont_fragment(f->a.set, handle, false);
    assert_int_equal(
        sendto(fd, big, sizeof(big), 0, (struct sockaddr *)&sa, len), (ssize_t)sizeof(big));
    f->a.sockets.release(f->a.set, handle);
}

static void test_relay_socket_after_df_sends_without_but_still_hears_of_it(void **state)
{
    struct fixture *f = *state;
    uint64_t handle;
    (void)open_one(f, &handle);
    int fd = relay_socket_fd(f->a.set, handle);
    relay_socket_dont_fragment(f->a.set, handle, false);
    assert_int_equal(discover_of(fd), IP_PMTUDISC_OMIT);
    relay_socket_dont_fragment(f->a.set, handle, true);
    assert_int_equal(discover_of(fd), IP_PMTUDISC_DO);
    relay_socket_dont_fragment(f->a.set, handle, false);
    assert_int_equal(discover_of(fd), IP_PMTUDISC_OMIT);
    f->a.sockets.release(f->a.set, handle);
}

static void test_relay_socket_df_takes_a_pending_error_off_the_next_send(void **state)
{
    struct fixture *f = *state;
    uint64_t handle;
    (void)open_one(f, &handle);
    struct addr closed = unused(f->ipv6, false);
    int fd = relay_socket_fd(f->a.set, handle);
    assert_int_equal(send_from(fd, &closed, "x"), 1);
    relay_socket_dont_fragment(f->a.set, handle, true);
    assert_int_equal(send_from(fd, &f->peer_addr, "x"), 1);
    turn(&f->a, 2);
    assert_int_equal(f->a.events.errors, 1);
    f->a.sockets.release(f->a.set, handle);
}

static void test_relay_socket_without_owner_counts_and_drops(void **state)
{
    struct fixture *f = *state;
    uint64_t handle;
    struct addr local = open_one(f, &handle);
    f->a.sockets.set_owner(f->a.set, handle, HANDLE_NONE);
    assert_int_equal(send_from(f->peer, &local, "x"), 1);
    turn(&f->a, 2);
    assert_int_equal(f->a.events.packets, 0);
    assert_int_equal(metric(&f->a, METRIC_RECEIVED_PEER), 1);
    assert_int_equal(atomic_load(&f->a.counters.dropped[REASON_RELAY_CLOSED]), 1);
    f->a.sockets.set_owner(f->a.set, handle, OWNER + 1);
    assert_int_equal(send_from(f->peer, &local, "x"), 1);
    turn(&f->a, 2);
    assert_int_equal(f->a.events.packet.owner, OWNER + 1);
    f->a.sockets.release(f->a.set, handle);
}

static void test_relay_socket_open_twice_is_in_use(void **state)
{
    struct fixture *f = *state;
    uint64_t handle, other = 5;
    struct addr local = open_one(f, &handle);
    assert_int_equal(f->a.sockets.open(f->a.set, &local, OWNER, &other), -EADDRINUSE);
    assert_int_equal(f->b.sockets.open(f->b.set, &local, OWNER, &other), -EADDRINUSE);
    assert_int_equal(other, 5);
    f->a.sockets.release(f->a.set, handle);
    assert_int_equal(f->b.sockets.open(f->b.set, &local, OWNER, &other), 0);
    f->b.sockets.release(f->b.set, other);
}

static void test_relay_socket_open_shares_with_no_other_socket(void **state)
{
    struct fixture *f = *state;
    const int one = 1;
    uint64_t handle;
    struct addr local = open_one(f, &handle);
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&local, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), -1);
    assert_int_equal(errno, EADDRINUSE);
    close(fd);
    f->a.sockets.release(f->a.set, handle);
}

static void test_relay_socket_open_pair_is_both_or_neither(void **state)
{
    struct fixture *f = *state;
    uint64_t pair[2] = {1, 2}, handle;
    struct addr even = unused(f->ipv6, true), odd = even, got;
    odd.port++;
    int taken = bound(&odd, &got);
    assert_int_equal(f->a.sockets.open_pair(f->a.set, &even, OWNER, pair), -EADDRINUSE);
    assert_int_equal(pair[0], 1);
    assert_int_equal(pair[1], 2);
    assert_int_equal(relay_socket_set_count(f->a.set), 0);
    close(taken);
    assert_int_equal(f->a.sockets.open(f->a.set, &even, OWNER, &handle), 0);
    f->a.sockets.release(f->a.set, handle);
    assert_int_equal(f->a.sockets.open_pair(f->a.set, &even, OWNER, pair), 0);
    assert_int_equal(send_from(f->peer, &odd, "x"), 1);
    turn(&f->a, 2);
    assert_int_equal(f->a.events.packets, 0);
    assert_int_equal(atomic_load(&f->a.counters.dropped[REASON_RELAY_CLOSED]), 1);
    f->a.sockets.release(f->a.set, pair[0]);
    f->a.sockets.release(f->a.set, pair[1]);
}

static void test_relay_socket_release_makes_the_handle_stale(void **state)
{
    struct fixture *f = *state;
    uint64_t handle;
    struct parcel parcel = {.fd = -7};
    struct addr local = open_one(f, &handle);
    assert_int_equal(send_from(f->peer, &local, "x"), 1);
    f->a.sockets.release(f->a.set, handle);
    assert_int_equal(relay_socket_fd(f->a.set, handle), -EBADF);
    assert_int_equal(f->a.sockets.detach(f->a.set, handle, &parcel), -EBADF);
    assert_int_equal(parcel.fd, -7);
    f->a.sockets.release(f->a.set, handle);
    f->a.sockets.set_owner(f->a.set, handle, OWNER);
    relay_socket_dont_fragment(f->a.set, handle, true);
    turn(&f->a, 2);
    assert_int_equal(f->a.events.packets, 0);
    assert_int_equal(relay_socket_fd(f->a.set, HANDLE_NONE), -EBADF);
}

static void test_relay_socket_released_by_its_own_event_is_safe(void **state)
{
    struct fixture *f = *state;
    uint64_t handle;
    struct addr local = open_one(f, &handle), closed = unused(f->ipv6, false);
    f->a.events.release = &f->a.sockets;
    assert_int_equal(send_from(relay_socket_fd(f->a.set, handle), &closed, "x"), 1);
    assert_int_equal(send_from(f->peer, &local, "x"), 1);
    turn(&f->a, 3);
    assert_int_equal(f->a.events.errors, 1);
    assert_int_equal(f->a.events.packets, 0);
    assert_int_equal(relay_socket_set_count(f->a.set), 0);
}

static void test_relay_socket_moved_to_another_loop_keeps_what_is_queued(void **state)
{
    struct fixture *f = *state;
    uint64_t handle, moved;
    struct parcel parcel;
    struct addr local = open_one(f, &handle);
    assert_int_equal(send_from(f->peer, &local, "one"), 3);
    assert_int_equal(f->a.sockets.detach(f->a.set, handle, &parcel), 0);
    assert_true(addr_equal(&parcel.local, &local));
    assert_int_equal(relay_socket_fd(f->a.set, handle), -EBADF);
    assert_int_equal(send_from(f->peer, &local, "two"), 3);
    turn(&f->a, 2);
    assert_int_equal(f->a.events.packets, 0);
    assert_int_equal(f->b.sockets.adopt(f->b.set, &parcel, OWNER, &moved), 0);
    assert_int_equal(parcel.fd, -1);
    assert_int_equal(handle_worker(moved), 1);
    turn(&f->b, 3);
    assert_int_equal(f->b.events.packets, 2);
    assert_memory_equal(f->b.events.bytes, "two", 3);
    f->b.sockets.release(f->b.set, moved);
}

static void test_relay_socket_discarded_parcel_frees_its_port(void **state)
{
    struct fixture *f = *state;
    uint64_t handle;
    struct parcel parcel;
    struct addr local = open_one(f, &handle);
    assert_int_equal(f->a.sockets.detach(f->a.set, handle, &parcel), 0);
    f->a.sockets.discard(f->a.set, &parcel);
    assert_int_equal(parcel.fd, -1);
    f->a.sockets.discard(f->a.set, &parcel);
    assert_int_equal(f->a.sockets.open(f->a.set, &local, OWNER, &handle), 0);
    f->a.sockets.release(f->a.set, handle);
}

static void test_relay_socket_at_the_file_limit_says_so_and_recovers(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, none = {0};
    uint64_t handle = 9, pair[2];
    struct addr local = unused(f->ipv6, true);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int r = f->a.sockets.open(f->a.set, &local, OWNER, &handle);
    int r2 = f->a.sockets.open_pair(f->a.set, &local, OWNER, pair);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r, -EMFILE);
    assert_int_equal(r2, -EMFILE);
    assert_int_equal(handle, 9);
    assert_int_equal(relay_socket_set_count(f->a.set), 0);
    assert_int_equal(f->a.sockets.open(f->a.set, &local, OWNER, &handle), 0);
    f->a.sockets.release(f->a.set, handle);
}

static void test_relay_socket_set_full_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;
    uint64_t handles[64], more;
    for (unsigned i = 0; i < 64; i++) {
        (void)open_one(f, &handles[i]);
    }
    struct addr local = unused(f->ipv6, false);
    assert_int_equal(f->a.sockets.open(f->a.set, &local, OWNER, &more), -ENOMEM);
    for (unsigned i = 0; i < 64; i++) {
        f->a.sockets.release(f->a.set, handles[i]);
    }
    turn(&f->a, 2);
    assert_int_equal(f->a.sockets.open(f->a.set, &local, OWNER, &more), 0);
    f->a.sockets.release(f->a.set, more);
}

static void test_relay_socket_unknown_address_is_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t handle = 9;
    struct addr local;
    assert_int_equal(addr_parse(&local, f->ipv6 ? "[2001:db8::77]:4000" : "203.0.113.77:4000"), 0);
    assert_int_equal(f->a.sockets.open(f->a.set, &local, OWNER, &handle), -EADDRNOTAVAIL);
    assert_int_equal(handle, 9);
}

int main(void)
{
#define IPV4(f) cmocka_unit_test_setup_teardown(f, setup_ipv4, teardown)
#define BOTH(f)                                                                                    \
    IPV4(f),                                                                                       \
    {                                                                                              \
#f "_over_ipv6", f, setup_ipv6, teardown, NULL                                             \
    }
    const struct CMUnitTest tests[] = {
        BOTH(test_relay_socket_datagram_arrives_with_owner_source_and_tos),
        BOTH(test_relay_socket_icmp_error_is_delivered_and_the_socket_goes_on),
        IPV4(test_relay_socket_after_df_sends_without_but_still_hears_of_it),
        {"test_relay_socket_df_over_ipv6_keeps_the_kernel_from_fragmenting",
            test_relay_socket_df_over_ipv6_keeps_the_kernel_from_fragmenting, setup_ipv6, teardown,
            NULL},
        BOTH(test_relay_socket_df_takes_a_pending_error_off_the_next_send),
        BOTH(test_relay_socket_without_owner_counts_and_drops),
        BOTH(test_relay_socket_open_twice_is_in_use),
        BOTH(test_relay_socket_open_shares_with_no_other_socket),
        BOTH(test_relay_socket_open_pair_is_both_or_neither),
        BOTH(test_relay_socket_release_makes_the_handle_stale),
        BOTH(test_relay_socket_released_by_its_own_event_is_safe),
        BOTH(test_relay_socket_moved_to_another_loop_keeps_what_is_queued),
        BOTH(test_relay_socket_discarded_parcel_frees_its_port),
        BOTH(test_relay_socket_at_the_file_limit_says_so_and_recovers),
        BOTH(test_relay_socket_set_full_refuses_and_recovers),
        BOTH(test_relay_socket_unknown_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
