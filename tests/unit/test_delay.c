/* net/delay over loopback: what is observed, from when it counts, and what is never observed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/slab.h"
#include "net/udp_out.h"

#define WAIT_US 30000
#define TRIES   50

struct fixture {
    uv_loop_t loop;
    struct outbox *outbox;
    struct counters counters;
    struct io io;
    struct udp_batch *batch;
    struct udp_endpoint *endpoint;
    struct udp_listener listener, *list[1];
    struct udp_listener_list listeners;
    struct relay_socket_set *set;
    struct relay_sockets sockets;
    struct udp_out *out;
    uint64_t socket;
    struct addr relayed;
    int far; /* client and peer */
    struct addr far_addr;
    bool media, drop;
    unsigned replies_first; /* so many datagrams draw a reply, whatever `media` says */
};

static void on_client(void *ctx, const struct packet *p, const struct instant *now)
{
    struct fixture *f = ctx;
    if (f->drop)
        return;
    struct outbox_entry *e = outbox_append(f->outbox);
    const bool media = f->media && f->replies_first == 0;
    f->replies_first -= f->replies_first > 0;
    e->target = media ? OUTBOX_TO_PEER : OUTBOX_TO_CLIENT;
    e->media = media;
    e->body = p->bytes;
    e->flow = p->flow;
    e->socket = f->socket;
    e->peer = f->far_addr;
}

static void on_peer(void *ctx, const struct peer_packet *p, const struct instant *now)
{
    struct fixture *f = ctx;
    struct outbox_entry *e = outbox_append(f->outbox);
    e->target = OUTBOX_TO_CLIENT;
    e->media = true;
    e->body = p->bytes;
    e->flow = (struct flow){.remote = f->far_addr, .local = f->endpoint->addr};
}

static int bound(struct addr *got)
{
    struct addr want = addr_ipv4(127, 0, 0, 1, 0);
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&want, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(got, (struct sockaddr *)&sa), 0);
    return fd;
}

static struct addr free_port(void)
{
    struct addr got;
    close(bound(&got));
    return got;
}

/* As the worker's tick does in that part of a second, and outside it. */
static void note(struct fixture *f, bool on)
{
    const struct instant at = {.mono_us = 7 * US_PER_S + (on ? 1 : DELAY_PART_US)};
    delay_tick(&f->io.delay, &at);
}

/* As sender.c does, for datagrams alone. */
static void send_outbox(void *ctx, struct outbox *outbox)
{
    struct fixture *f = ctx;
    udp_out_send(f->out, outbox->entries, 0, outbox->count);
    delay_forget(&f->io.delay);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->outbox = calloc(1, sizeof(*f->outbox));
    f->batch = udp_batch_new();
    assert_true(f->outbox && f->batch);
    assert_int_equal(io_init(&f->io, &f->loop, f->outbox, &f->counters), 0);
    f->io.handlers = (struct io_handlers){.ctx = f, .from_client = on_client, .from_peer = on_peer};
    f->set = relay_socket_set_new(&f->io, NULL, 0, 8);
    assert_non_null(f->set);
    f->sockets = relay_socket_set_interface(f->set);
    f->list[0] = &f->listener;
    f->listeners = (struct udp_listener_list){f->list, 1};
    f->out = udp_out_new(&f->io, f->set, &f->listeners);
    assert_non_null(f->out);
    outbox_init(f->outbox, send_outbox, f);
    struct addr listen = free_port();
    assert_int_equal(udp_endpoint_open(&f->endpoint, &listen, 1, 0), 0);
    assert_int_equal(udp_listener_start(&f->listener, &f->io, f->batch, f->endpoint, 0), 0);
    f->relayed = free_port();
    assert_int_equal(f->sockets.open(f->set, &f->relayed, 1, &f->socket), 0);
    f->far = bound(&f->far_addr);
    f->media = true;
    note(f, true);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    udp_listener_stop(&f->listener);
    f->sockets.release(f->set, f->socket);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    relay_socket_set_free(f->set);
    udp_endpoint_close(f->endpoint);
    udp_batch_free(f->batch);
    udp_out_free(f->out);
    io_deinit(&f->io);
    close(f->far);
    free(f->outbox);
    free(f);
    return 0;
}

static void send_to(struct fixture *f, const struct addr *to)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(to, &sa);
    assert_int_equal(sendto(f->far, "x", 1, 0, (struct sockaddr *)&sa, len), 1);
}

/* One loop turn, as the worker makes it. */
static void turn(struct fixture *f)
{
    f->io.now_known = false;
    uv_run(&f->loop, UV_RUN_NOWAIT);
    (void)io_now(&f->io);
    io_flush(&f->io);
}

static struct histogram_sum observed(const struct fixture *f)
{
    struct histogram_sum sum = {0};
    histogram_sum_add(&sum, &f->counters.histogram[HISTOGRAM_RELAY_DELAY]);
    return sum;
}

static uint64_t count(const struct fixture *f)
{
    const struct histogram_sum sum = observed(f);
    uint64_t n = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
        n += sum.bucket[i];
    return n;
}

/*
 * The kernel begins to note a moment after it was asked; until then nothing is observed, and never
 * less than the wait.
 */
static void assert_wait_is_seen(struct fixture *f, const struct addr *to)
{
    bool seen = false;
    for (unsigned i = 0; i < TRIES && !seen; i++) {
        const struct histogram_sum before = observed(f);
        const uint64_t samples = count(f);
        send_to(f, to);
        usleep(WAIT_US);
        turn(f);
        seen = count(f) > samples;
        assert_true(!seen || observed(f).sum_us - before.sum_us >= WAIT_US);
    }
    assert_true(seen);
}

static void test_delay_to_peer_counts_from_the_kernels_receipt(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    assert_true(atomic_load(&f->counters.metric[METRIC_RELAYED_TO_PEER]) > 0);
}

static void test_delay_to_client_counts_from_the_kernels_receipt(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->relayed);
    assert_true(atomic_load(&f->counters.metric[METRIC_RELAYED_TO_CLIENT]) > 0);
}

static void test_delay_ends_when_the_outbox_is_sent(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    const uint64_t samples = count(f), before = observed(f).sum_us;
    send_to(f, &f->endpoint->addr);
    f->io.now_known = false;
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(count(f), samples);
    usleep(WAIT_US);
    io_flush(&f->io);
    assert_int_equal(count(f), samples + 1);
    assert_true(observed(f).sum_us - before >= WAIT_US);
}

static void test_delay_of_replies_and_drops_is_not_observed(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    const uint64_t samples = count(f);
    for (unsigned i = 0; i < 4; i++) {
        f->media = false;
        f->drop = i % 2;
        send_to(f, &f->endpoint->addr);
        turn(f);
        usleep(2 * (useconds_t)DELAY_INTERVAL_US);
        turn(f);
    }
    assert_int_equal(count(f), samples);
    assert_int_equal(atomic_load(&f->counters.metric[METRIC_REPLIES_SENT]), 2);
}

/* A reply in front does not stand in for the media behind it. */
static void test_delay_of_a_batch_is_that_of_its_first_media(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    const uint64_t samples = count(f), before = observed(f).sum_us;
    f->replies_first = 2;
    for (unsigned i = 0; i < 5; i++) {
        send_to(f, &f->endpoint->addr);
        usleep(WAIT_US);
    }
    turn(f);
    assert_int_equal(count(f), samples + 1);
    /* The third of five, so three waits. */
    assert_true(observed(f).sum_us - before >= 3 * (uint64_t)WAIT_US);
}

static void test_delay_is_sampled_once_in_a_millisecond(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    const uint64_t samples = count(f), began_us = f->io.now.mono_us;
    for (unsigned i = 0; i < 2000; i++) {
        send_to(f, &f->endpoint->addr);
        turn(f);
    }
    const uint64_t most = (f->io.now.mono_us - began_us) / DELAY_INTERVAL_US + 1;
    assert_true(count(f) > samples && count(f) - samples <= most && most < 2000);
    assert_true(atomic_load(&f->counters.metric[METRIC_RELAYED_TO_PEER]) > 2000);
}

static void test_delay_outside_its_part_of_a_second_is_not_observed(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    const uint64_t samples = count(f);
    note(f, false);
    assert_false(delay_begin(&f->io.delay, f->listener.fd, &f->io.now)); /* no needless call */
    for (unsigned i = 0; i < 5; i++) {
        send_to(f, &f->endpoint->addr);
        usleep(2 * (useconds_t)DELAY_INTERVAL_US);
        turn(f);
    }
    assert_int_equal(count(f), samples);
    note(f, true);
    assert_wait_is_seen(f, &f->endpoint->addr);
}

static int option(int fd)
{
    int flags = -1;
    socklen_t len = sizeof(flags);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, &len), 0);
    return flags;
}

static void test_delay_leaves_no_option_on_the_sockets(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    assert_wait_is_seen(f, &f->relayed);
    assert_int_equal(option(f->listener.fd), 0);
    assert_int_equal(option(relay_socket_fd(f->set, f->socket)), 0);
    assert_int_not_equal(option(f->io.delay.keeper), 0);
    note(f, false);
    assert_int_equal(option(f->io.delay.keeper), 0);
}

static void append_to_peer(struct fixture *f)
{
    struct outbox_entry *e = outbox_append(f->outbox);
    e->target = OUTBOX_TO_PEER;
    e->media = true;
    e->socket = f->socket;
    e->peer = f->far_addr;
    e->body = (struct slice){0};
}

/* Its neighbour's hand-over is not its own; and after the flush its number means another one. */
static void test_delay_of_what_was_not_handed_over_is_forgotten(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    const uint64_t samples = count(f);
    send_to(f, &f->endpoint->addr);
    f->io.now_known = false;
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->outbox->count, 1);
    assert_int_equal(f->io.delay.entry, 1);
    f->outbox->entries[0].socket = HANDLE_NONE;
    append_to_peer(f);
    io_flush(&f->io);
    assert_int_equal(count(f), samples);
    append_to_peer(f);
    io_flush(&f->io);
    assert_int_equal(count(f), samples);
}

/* Media that came before, by a call that was not asked, is not taken for it. */
static void test_delay_of_a_drop_behind_media_is_not_observed(void **state)
{
    struct fixture *f = *state;
    assert_wait_is_seen(f, &f->endpoint->addr);
    const uint64_t samples = count(f);
    append_to_peer(f);
    f->drop = true;
    send_to(f, &f->endpoint->addr);
    turn(f);
    assert_int_equal(count(f), samples);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_delay_to_peer_counts_from_the_kernels_receipt),
        CASE(test_delay_to_client_counts_from_the_kernels_receipt),
        CASE(test_delay_ends_when_the_outbox_is_sent),
        CASE(test_delay_of_replies_and_drops_is_not_observed),
        CASE(test_delay_of_a_batch_is_that_of_its_first_media),
        CASE(test_delay_is_sampled_once_in_a_millisecond),
        CASE(test_delay_outside_its_part_of_a_second_is_not_observed),
        CASE(test_delay_leaves_no_option_on_the_sockets),
        CASE(test_delay_of_what_was_not_handed_over_is_forgotten),
        CASE(test_delay_of_a_drop_behind_media_is_not_observed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
