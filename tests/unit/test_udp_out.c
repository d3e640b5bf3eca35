/* The outbox over loopback: what a client or a peer receives, and how each entry is counted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/cmsg.h"
#include "net/udp_out.h"

/*
 * Stands before the C library's: loopback never fills a send buffer. So many more messages are
 * taken, then full_error; below 0: as the kernel pleases.
 */
static int full_after = -1, full_error;

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    if (full_after == 0) {
        errno = full_error;
        return -1;
    }
    if (full_after > 0 && count > (unsigned)full_after) {
        count = (unsigned)full_after;
    }
    int n = (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
    if (full_after > 0 && n > 0) {
        full_after -= n;
    }
    return n;
}

struct fixture {
    uv_loop_t loop;
    struct outbox *outbox;
    struct counters counters;
    struct io io;
    struct relay_socket_set *set;
    struct relay_sockets sockets;
    struct udp_endpoint *endpoint; /* wildcard */
    struct udp_listener listener, *list[1];
    struct udp_listener_list listeners;
    struct udp_out *out;
    uint64_t socket;
    struct addr relayed;
    int far; /* client or peer */
    struct addr far_addr;
    unsigned icmp;
};

static void send_outbox(void *ctx, struct outbox *outbox)
{
    udp_out_send(ctx, outbox->entries, 0, outbox->count);
}

static void on_icmp(void *ctx, const struct icmp_error *error, const struct instant *now)
{
    struct fixture *f = ctx;
    f->icmp++;
}

static struct addr address(const char *text, uint16_t port)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(&a, text), 0);
    a.port = port;
    return a;
}

static int bound(const char *ip, struct addr *got)
{
    struct addr want = address(ip, 0);
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&want, &sa);
    const int one = 1;
    int fd = socket(sa.ss_family, SOCK_DGRAM, 0);
    bool v4 = want.family == ADDR_IPV4;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
                         v4 ? IP_RECVTOS : IPV6_RECVTCLASS, &one, sizeof(one)),
        0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(got, (struct sockaddr *)&sa), 0);
    return fd;
}

static struct addr free_port(const char *ip)
{
    struct addr got;
    close(bound(ip, &got));
    return got;
}

static int setup_family(void **state, const char *loopback, const char *wildcard)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->outbox = calloc(1, sizeof(*f->outbox));
    assert_non_null(f->outbox);
    assert_int_equal(io_init(&f->io, &f->loop, f->outbox, &f->counters), 0);
    f->io.handlers = (struct io_handlers){.ctx = f, .icmp = on_icmp};
    f->set = relay_socket_set_new(&f->io, NULL, 0, 8);
    assert_non_null(f->set);
    f->sockets = relay_socket_set_interface(f->set);
    f->list[0] = &f->listener;
    f->listeners = (struct udp_listener_list){f->list, 1};
    f->out = udp_out_new(&f->io, f->set, &f->listeners);
    assert_non_null(f->out);
    outbox_init(f->outbox, send_outbox, f->out);
    struct addr listen = free_port(wildcard);
    assert_int_equal(udp_endpoint_open(&f->endpoint, &listen, 1, 0), 0);
    f->listener.endpoint = f->endpoint;
    f->listener.fd = f->endpoint->fds[0];
    f->relayed = free_port(loopback);
    assert_int_equal(f->sockets.open(f->set, &f->relayed, 1, &f->socket), 0);
    f->far = bound(loopback, &f->far_addr);
    *state = f;
    return 0;
}

static int setup_ipv4(void **state)
{
    return setup_family(state, "127.0.0.1", "0.0.0.0");
}

static int setup_ipv6(void **state)
{
    return setup_family(state, "::1", "::");
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->sockets.release(f->set, f->socket);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    relay_socket_set_free(f->set);
    udp_endpoint_close(f->endpoint);
    udp_out_free(f->out);
    io_deinit(&f->io);
    close(f->far);
    free(f->outbox);
    free(f);
    return 0;
}

static struct outbox_entry *to_peer(struct fixture *f, const void *data, size_t len)
{
    struct outbox_entry *e = outbox_append(f->outbox);
    e->target = OUTBOX_TO_PEER;
    e->media = true;
    e->socket = f->socket;
    e->peer = f->far_addr;
    e->body = slice_of(data, len);
    return e;
}

static struct outbox_entry *to_client(
    struct fixture *f, const char *local, const void *data, size_t len)
{
    struct outbox_entry *e = outbox_append(f->outbox);
    e->target = OUTBOX_TO_CLIENT;
    e->media = true;
    e->flow = (struct flow){.transport = TRANSPORT_UDP, .remote = f->far_addr};
    e->flow.local = address(local, f->endpoint->addr.port);
    e->body = slice_of(data, len);
    return e;
}

/* What the far side receives: its length or -1, its source and TOS. */
static ssize_t receive(
    struct fixture *f, uint8_t *out, size_t cap, struct addr *source, uint8_t *tos)
{
    struct sockaddr_storage sa;
    _Alignas(struct cmsghdr) uint8_t control[CMSG_ROOM];
    struct iovec iov = {out, cap};
    struct msghdr m = {.msg_name = &sa,
        .msg_namelen = sizeof(sa),
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(f->far, &m, MSG_DONTWAIT);
    struct addr unused = {0};
    *tos = 0;
    if (n >= 0) {
        assert_int_equal(addr_from_sockaddr(source, (struct sockaddr *)&sa), 0);
        cmsg_read(&m, &unused, tos);
    }
    return n;
}

static uint64_t metric(const struct fixture *f, enum metric m)
{
    return atomic_load(&f->counters.metric[m]);
}

static uint64_t dropped(const struct fixture *f, enum reason r)
{
    return atomic_load(&f->counters.dropped[r]);
}

static void test_udp_out_client_gets_header_body_padding_from_the_address_it_asked(void **state)
{
    struct fixture *f = *state;
    uint8_t got[64], tos;
    struct addr source;
    struct outbox_entry *e =
        to_client(f, f->far_addr.family == ADDR_IPV4 ? "127.0.0.7" : "::1", "abcde", 5);
    memcpy(e->header, "\x40\x00\x00\x05", 4);
    e->header_len = 4;
    e->padding = 3;
    e->tos = 0xb9;
    struct addr local = e->flow.local;
    outbox_flush(f->outbox);
    assert_int_equal(receive(f, got, sizeof(got), &source, &tos), 12);
    assert_memory_equal(got,
        "\x40\x00\x00\x05"
        "abcde\0\0\0",
        12);
    assert_int_equal(tos, 0xb9);
    assert_true(addr_equal(&source, &local));
    assert_int_equal(metric(f, METRIC_RELAYED_TO_CLIENT), 1);
    assert_int_equal(metric(f, METRIC_BYTES_TO_CLIENT), 12);
    assert_int_equal(metric(f, METRIC_REPLIES_SENT), 0);
}

static void test_udp_out_reply_in_the_arena_counts_as_sent(void **state)
{
    struct fixture *f = *state;
    uint8_t got[64], tos;
    struct addr source;
    uint8_t *room = outbox_reserve(f->outbox, 20);
    memset(room, 7, 20);
    struct outbox_entry *e =
        to_client(f, f->far_addr.family == ADDR_IPV4 ? "127.0.0.1" : "::1", NULL, 0);
    e->media = false;
    e->head = slice_of(room, 20);
    outbox_flush(f->outbox);
    assert_int_equal(receive(f, got, sizeof(got), &source, &tos), 20);
    assert_int_equal(got[19], 7);
    assert_int_equal(tos, 0);
    assert_int_equal(metric(f, METRIC_REPLIES_SENT), 1);
    assert_int_equal(metric(f, METRIC_RELAYED_TO_CLIENT), 0);
}

static void test_udp_out_run_to_a_peer_arrives_in_order_from_the_relayed_address(void **state)
{
    struct fixture *f = *state;
    uint8_t numbers[100], got[8], tos;
    struct addr source;
    for (unsigned i = 0; i < 100; i++) {
        numbers[i] = (uint8_t)i;
        to_peer(f, &numbers[i], 1)->tos = i < 50 ? 0 : 0x28;
    }
    outbox_flush(f->outbox);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(receive(f, got, sizeof(got), &source, &tos), 1);
        assert_int_equal(got[0], i);
        assert_int_equal(tos, i < 50 ? 0 : 0x28);
        assert_true(addr_equal(&source, &f->relayed));
    }
    assert_int_equal(metric(f, METRIC_RELAYED_TO_PEER), 100);
    assert_int_equal(metric(f, METRIC_BYTES_TO_PEER), 100);
    assert_int_equal(metric(f, METRIC_SEND_CALLS), 1);
}

static void test_udp_out_pending_icmp_error_costs_no_datagram(void **state)
{
    struct fixture *f = *state;
    uint8_t got[8], tos;
    struct addr source;
    to_peer(f, "1", 1)->peer = free_port(f->far_addr.family == ADDR_IPV4 ? "127.0.0.1" : "::1");
    outbox_flush(f->outbox);
    to_peer(f, "2", 1);
    to_peer(f, "3", 1);
    outbox_flush(f->outbox);
    assert_int_equal(receive(f, got, sizeof(got), &source, &tos), 1);
    assert_int_equal(receive(f, got + 1, 1, &source, &tos), 1);
    assert_memory_equal(got, "23", 2);
    assert_int_equal(metric(f, METRIC_RELAYED_TO_PEER), 3);
    for (unsigned i = 0; i < 3; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(f->icmp, 1);
}

static void test_udp_out_stale_socket_drops_its_media_only(void **state)
{
    struct fixture *f = *state;
    uint8_t got[8], tos;
    struct addr source;
    to_peer(f, "1", 1)->socket = f->socket + 1;
    to_peer(f, "2", 1);
    to_peer(f, "3", 1)->socket = 0;
    outbox_flush(f->outbox);
    assert_int_equal(receive(f, got, sizeof(got), &source, &tos), 1);
    assert_int_equal(got[0], '2');
    assert_int_equal(dropped(f, REASON_RELAY_CLOSED), 2);
    assert_int_equal(metric(f, METRIC_RELAYED_TO_PEER), 1);
}

static void test_udp_out_refused_destination_fails_alone(void **state)
{
    struct fixture *f = *state;
    uint8_t got[8], tos;
    struct addr source;
    to_peer(f, "1", 1);
    /* Port 0 is nowhere: EINVAL. */
    to_peer(f, "2", 1)->peer.port = 0;
    to_peer(f, "3", 1);
    outbox_flush(f->outbox);
    assert_int_equal(receive(f, got, sizeof(got), &source, &tos), 1);
    assert_int_equal(receive(f, got + 1, 1, &source, &tos), 1);
    assert_memory_equal(got, "13", 2);
    assert_int_equal(dropped(f, REASON_SEND_FAILED), 1);
    assert_int_equal(metric(f, METRIC_RELAYED_TO_PEER), 2);
}

static void test_udp_out_too_big_is_dropped_with_its_own_reason(void **state)
{
    struct fixture *f = *state;
    static const uint8_t big[65530];
    to_peer(f, big, sizeof(big));
    struct outbox_entry *e =
        to_client(f, f->far_addr.family == ADDR_IPV4 ? "127.0.0.1" : "::1", big, sizeof(big));
    e->media = false;
    outbox_flush(f->outbox);
    assert_int_equal(dropped(f, REASON_SEND_TOO_BIG), 1);
    assert_int_equal(metric(f, METRIC_REPLIES_FAILED), 1);
    assert_int_equal(metric(f, METRIC_RELAYED_TO_PEER), 0);
}

static void test_udp_out_unknown_listener_is_dropped(void **state)
{
    struct fixture *f = *state;
    to_client(f, "127.0.0.1", "x", 1)->flow.listener = 9;
    outbox_flush(f->outbox);
    assert_int_equal(metric(f, METRIC_RELAYED_TO_CLIENT), 0);
    assert_int_equal(dropped(f, REASON_RELAY_CLOSED), 1);
}

static void test_udp_out_dont_fragment_sets_df_for_its_own_datagram(void **state)
{
    struct fixture *f = *state;
    uint8_t got[8], tos;
    struct addr source;
    int discover, fd = relay_socket_fd(f->set, f->socket);
    socklen_t len = sizeof(discover);
    to_peer(f, "1", 1)->dont_fragment = true;
    outbox_flush(f->outbox);
    assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, &len), 0);
    assert_int_equal(discover, IP_PMTUDISC_DO);
    to_peer(f, "2", 1)->dont_fragment = true;
    to_peer(f, "3", 1);
    outbox_flush(f->outbox);
    assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, &len), 0);
    assert_int_equal(discover, IP_PMTUDISC_OMIT);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(receive(f, got, sizeof(got), &source, &tos), 1);
        assert_int_equal(got[0], '1' + i);
    }
}

static void fill_send_buffer(struct fixture *f, int error)
{
    full_after = 3;
    full_error = error;
    for (unsigned i = 0; i < 8; i++) {
        to_peer(f, "x", 1);
    }
    outbox_flush(f->outbox);
    full_after = -1;
}

static void test_udp_out_full_send_buffer_drops_and_never_waits(void **state)
{
    struct fixture *f = *state;
    uint8_t got[8], tos;
    struct addr source;
    fill_send_buffer(f, EAGAIN);
    fill_send_buffer(f, ENOBUFS);
    assert_int_equal(dropped(f, REASON_SEND_WOULD_BLOCK), 10);
    assert_int_equal(metric(f, METRIC_RELAYED_TO_PEER), 6);
    assert_int_equal(metric(f, METRIC_SEND_CALLS), 4);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(receive(f, got, sizeof(got), &source, &tos), 1);
    }
    assert_int_equal(receive(f, got, sizeof(got), &source, &tos), -1);
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
        BOTH(test_udp_out_client_gets_header_body_padding_from_the_address_it_asked),
        BOTH(test_udp_out_reply_in_the_arena_counts_as_sent),
        BOTH(test_udp_out_run_to_a_peer_arrives_in_order_from_the_relayed_address),
        BOTH(test_udp_out_pending_icmp_error_costs_no_datagram),
        BOTH(test_udp_out_stale_socket_drops_its_media_only),
        BOTH(test_udp_out_refused_destination_fails_alone),
        BOTH(test_udp_out_too_big_is_dropped_with_its_own_reason),
        IPV4(test_udp_out_unknown_listener_is_dropped),
        IPV4(test_udp_out_dont_fragment_sets_df_for_its_own_datagram),
        IPV4(test_udp_out_full_send_buffer_drops_and_never_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
