/*
 * Connections of one worker over socket pairs: a loop, a snapshot with one listener, and a relay/
 * that keeps what it is handed. Time stands still until streams_later.
 */
#ifndef TESTS_UNIT_STREAMS_H
#define TESTS_UNIT_STREAMS_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/connections.h"
#include "net/sender.h"
#include "wire/stun.h"

#define STREAMS_SEEN_MAX 64
#define STREAMS_BYTES    (70000u)
#define STREAMS_LISTENER 1 /* index of the listener under test */

struct streams {
    uv_loop_t loop;
    struct outbox *outbox;
    struct counters counters;
    struct io io;
    struct net_listener listeners[2];
    struct net_snapshot snapshot;
    struct connection_counts *counts;
    struct connections *connections;
    struct sender sender;
    struct packet seen[STREAMS_SEEN_MAX];
    uint8_t *bytes; /* of all packets, one behind the other */
    size_t len;
    unsigned count;
    struct flow closed; /* the last that relay/ was told of */
    unsigned closed_count;
    bool in_use;         /* what relay/ says of every flow */
    bool no_handshake;   /* the budget is used up */
    unsigned handshakes; /* that the budget was asked for */
    /* Called for each packet, where set. */
    void (*answer)(struct streams *s, const struct packet *packet);
};

static void streams_from_client(void *ctx, const struct packet *packet, const struct instant *now)
{
    struct streams *s = ctx;
    assert_true(now->mono_us > 0);
    assert_true(s->count < STREAMS_SEEN_MAX && s->len + packet->bytes.len <= STREAMS_BYTES);
    s->seen[s->count] = *packet;
    memcpy(s->bytes + s->len, packet->bytes.data, packet->bytes.len);
    s->seen[s->count++].bytes.data = s->bytes + s->len;
    s->len += packet->bytes.len;
    if (s->answer) {
        s->answer(s, packet);
    }
}

static void streams_closed(void *ctx, const struct flow *flow, const struct instant *now)
{
    struct streams *s = ctx;
    s->closed = *flow;
    s->closed_count++;
}

static bool streams_in_use(void *ctx, const struct flow *flow)
{
    struct streams *s = ctx;
    return s->in_use;
}

static bool streams_handshake(void *ctx, const struct addr *source, const struct instant *now)
{
    struct streams *s = ctx;
    s->handshakes++;
    return !s->no_handshake;
}

static int streams_setup(void **state)
{
    static const uint8_t key[16] = {1};
    struct streams *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->bytes = calloc(1, STREAMS_BYTES);
    s->outbox = calloc(1, sizeof(*s->outbox));
    assert_true(s->bytes && s->outbox);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(io_init(&s->io, &s->loop, s->outbox, &s->counters), 0);
    s->io.handlers = (struct io_handlers){.ctx = s,
        .from_client = streams_from_client,
        .connection_closed = streams_closed,
        .flow_in_use = streams_in_use,
        .charge_handshake = streams_handshake};
    io_now(&s->io);
    s->listeners[STREAMS_LISTENER] =
        (struct net_listener){.transport = TRANSPORT_TCP, .realm = 5, .realms = 0x22};
    s->snapshot = (struct net_snapshot){
        .listener_count = 2,
        .listeners = s->listeners,
        .streams =
            {
                .max_connections = 16,
                .half_open_per_prefix = 256,
                .handshake_timeout_ms = 5000,
                .frame_timeout_ms = 5000,
                .first_message_timeout_ms = 30000,
                .idle_timeout_ms = 300000,
                .write_queue = 65536,
            },
    };
    s->counts = connection_counts_new(64, key);
    const struct connections_options options = {
        .io = &s->io, .counts = s->counts, .worker = 3, .max = 64};
    s->connections = connections_new(&options);
    assert_true(s->counts && s->connections);
    connections_set_snapshot(s->connections, &s->snapshot);
    s->sender.io = &s->io;
    s->sender.connections = s->connections;
    outbox_init(s->outbox, sender_send, &s->sender);
    *state = s;
    return 0;
}

/* What a turn of the worker's loop does. */
static inline void streams_turn(struct streams *s)
{
    uv_run(&s->loop, UV_RUN_NOWAIT);
    io_flush(&s->io);
    connections_reap(s->connections);
    uv_run(&s->loop, UV_RUN_NOWAIT);
}

static inline void streams_later(struct streams *s, uint64_t ms)
{
    s->io.now.mono_us += ms * US_PER_MS;
    connections_tick(s->connections, &s->io.now);
    streams_turn(s);
}

static inline uint64_t streams_gauge(const struct streams *s, enum gauge g)
{
    return atomic_load(&s->counters.gauge[g]);
}

static int streams_teardown(void **state)
{
    struct streams *s = *state;
    connections_end_all(s->connections);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(connections_count(s->connections), 0);
    assert_int_equal(streams_gauge(s, GAUGE_CONNECTIONS_TCP), 0);
    assert_int_equal(streams_gauge(s, GAUGE_CONNECTIONS_TLS), 0);
    assert_int_equal(streams_gauge(s, GAUGE_CONNECTIONS_HALF_OPEN), 0);
    uint64_t accepted = atomic_load(&s->counters.metric[METRIC_CONNECTIONS_TCP]) +
                        atomic_load(&s->counters.metric[METRIC_CONNECTIONS_TLS]);
    for (int i = 0; i < REASON_COUNT; i++) {
        accepted -= atomic_load(&s->counters.closed[i]);
    }
    assert_int_equal(accepted, 0);
    connections_free(s->connections);
    connection_counts_free(s->counts);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    io_deinit(&s->io);
    free(s->outbox);
    free(s->bytes);
    free(s);
    return 0;
}

/* A client's end of a new connection to the listener. */
static inline int streams_connect(struct streams *s)
{
    int pair[2];
    struct addr remote = addr_ipv4(192, 0, 2, 1, 1234);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    connections_accept(s->connections, pair[1], STREAMS_LISTENER, &remote);
    return pair[0];
}

static inline void streams_say(struct streams *s, int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
    streams_turn(s);
}

/* How many connections have closed for the reason. */
static inline uint64_t streams_ended(const struct streams *s, enum reason why)
{
    return atomic_load(&s->counters.closed[why]);
}

/* The server has closed: after whatever it said. */
static inline void streams_assert_closed(int fd)
{
    uint8_t rest[4096];
    ssize_t n;
    do {
        n = recv(fd, rest, sizeof(rest), MSG_DONTWAIT);
    } while (n > 0);
    assert_true(n == 0 || errno == ECONNRESET);
}

static inline void streams_assert_open(int fd)
{
    uint8_t byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    assert_int_equal(errno, EAGAIN);
}

/* A Binding request without attributes, told by its last byte. */
static inline size_t streams_binding(uint8_t out[STUN_HEADER_LEN], uint8_t id)
{
    static const uint8_t head[8] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    memset(out, 0, STUN_HEADER_LEN);
    memcpy(out, head, sizeof(head));
    out[STUN_HEADER_LEN - 1] = id;
    return STUN_HEADER_LEN;
}

/* ChannelData with its padding; returns the length with it. */
static inline size_t streams_channel(uint8_t *out, size_t payload)
{
    memset(out, 0, payload + 8);
    out[0] = 0x40;
    out[2] = (uint8_t)(payload >> 8);
    out[3] = (uint8_t)payload;
    for (size_t i = 0; i < payload; i++) {
        out[4 + i] = (uint8_t)(i + 1);
    }
    return 4 + ((payload + 3) & ~(size_t)3);
}

#endif
