/*
 * DTLS sessions of one worker over loopback: a listener with its loop, a relay/ that keeps what it
 * is handed, and OpenSSL's clients, whose datagrams a test may hold, change and repeat. OpenSSL's
 * clock is the test's, and deadlines pass by dtls_later.
 */
#ifndef TESTS_UNIT_DTLS_CLIENTS_H
#define TESTS_UNIT_DTLS_CLIENTS_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/slab.h"
#include "net/dtls_sessions.h"
#include "tests/tls/datagrams.h"
#include "tests/tls/server.h"

#define DTLS_SEEN_MAX 64

struct dtls_world {
    uv_loop_t loop;
    struct outbox *outbox;
    struct counters counters;
    struct io io;
    struct udp_batch *batch;
    struct udp_endpoint *endpoint;
    struct udp_listener listener;
    struct test_server server;
    struct net_snapshot snapshot;
    struct connection_counts *counts;
    struct dtls_sessions *sessions;
    SSL_CTX *client_ctx;
    uint64_t later_us;
    struct packet seen[DTLS_SEEN_MAX]; /* what relay/ was handed; bytes cut to `first` */
    char first[DTLS_SEEN_MAX][32];
    unsigned count;
    char sent[DTLS_SEEN_MAX]; /* of each entry of the outbox its one letter, or 0: it has several */
    unsigned sent_count;
    bool echo;              /* relay/ sends every message back, as media */
    bool in_use;            /* what relay/ says of every flow */
    bool no_handshake;      /* the budget is used up */
    bool broke;             /* no budget for answers */
    enum reason source;     /* what relay/ says of every source */
    struct flow closed[16]; /* that relay/ was told of */
    unsigned closed_count;
};

/* One client: a socket, and OpenSSL's machine between two queues. */
struct dtls_peer {
    struct test_dtls t; /* only its client and its queues are used */
    struct addr addr;
    int fd;
};

static inline void dtls_world_from_client(
    void *ctx, const struct packet *packet, const struct instant *now)
{
    struct dtls_world *w = ctx;
    assert_true(now->mono_us > 0);
    assert_true(w->count < DTLS_SEEN_MAX);
    size_t len = packet->bytes.len < 31 ? packet->bytes.len : 31;
    memcpy(w->first[w->count], packet->bytes.data, len);
    w->first[w->count][len] = 0;
    w->seen[w->count++] = *packet;
    if (!w->echo) {
        counters_add(&w->counters, METRIC_CONSUMED, 1);
        return;
    }
    struct outbox_entry *e = outbox_append(w->outbox);
    e->target = OUTBOX_TO_CLIENT;
    e->media = true;
    e->flow = packet->flow;
    e->body = packet->bytes;
}

static inline void dtls_world_closed(void *ctx, const struct flow *flow, const struct instant *now)
{
    struct dtls_world *w = ctx;
    assert_true(w->closed_count < 16);
    w->closed[w->closed_count++] = *flow;
}

static inline bool dtls_world_in_use(void *ctx, const struct flow *flow)
{
    return ((struct dtls_world *)ctx)->in_use;
}

static inline enum reason dtls_world_judge(void *ctx, const struct flow *flow)
{
    return ((struct dtls_world *)ctx)->source;
}

static inline bool dtls_world_handshake(
    void *ctx, const struct addr *source, const struct instant *now)
{
    return !((struct dtls_world *)ctx)->no_handshake;
}

static inline bool dtls_world_charge(
    void *ctx, const struct addr *source, const struct instant *now)
{
    return !((struct dtls_world *)ctx)->broke;
}

static inline void dtls_world_send(void *ctx, struct outbox *outbox)
{
    struct dtls_world *w = ctx;
    for (unsigned i = 0; i < outbox->count; i++) {
        const struct slice body = outbox->entries[i].body;
        bool one = body.len > 0 && memcmp(body.data, body.data + 1, body.len - 1) == 0;
        assert_true(w->sent_count < DTLS_SEEN_MAX);
        w->sent[w->sent_count++] = one ? (char)body.data[0] : 0;
        dtls_sessions_send(w->sessions, &outbox->entries[i]);
    }
}

static inline struct addr dtls_name_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct addr a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(&a, (struct sockaddr *)&sa), 0);
    return a;
}

/* `ip` "0.0.0.0" listens on all of loopback. */
static inline void dtls_world_listen(struct dtls_world *w, const char *ip)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(&a, ip), 0);
    assert_int_equal(udp_endpoint_open(&w->endpoint, &a, 1, 1 << 20), 0);
    w->endpoint->addr.port = dtls_name_of(w->endpoint->fds[0]).port;
    w->listener.realm = 5;
    w->listener.realms = 0x22;
    w->listener.dtls = w->sessions;
    assert_int_equal(udp_listener_start(&w->listener, &w->io, w->batch, w->endpoint, 0), 0);
}

static inline void dtls_world_sessions(struct dtls_world *w, uint32_t max)
{
    static const uint8_t key[16] = {7};
    w->counts = connection_counts_new(max, key);
    const struct dtls_sessions_options options = {
        .io = &w->io, .counts = w->counts, .random = random_system(), .worker = 2, .max = max};
    w->sessions = dtls_sessions_new(&options);
    assert_non_null(w->sessions);
    dtls_sessions_set_snapshot(w->sessions, &w->snapshot);
}

static inline struct dtls_world *dtls_world_new(const char *ip, uint32_t max)
{
    struct dtls_world *w = aligned_alloc(64, (sizeof(*w) + 63) & ~(size_t)63);
    memset(w, 0, sizeof(*w));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->outbox = calloc(1, sizeof(*w->outbox));
    outbox_init(w->outbox, dtls_world_send, w);
    assert_int_equal(io_init(&w->io, &w->loop, w->outbox, &w->counters), 0);
    w->io.handlers = (struct io_handlers){.ctx = w,
        .from_client = dtls_world_from_client,
        .connection_closed = dtls_world_closed,
        .flow_in_use = dtls_world_in_use,
        .judge_source = dtls_world_judge,
        .charge_answer = dtls_world_charge,
        .charge_handshake = dtls_world_handshake};
    test_server_init(&w->server);
    w->snapshot.tls = test_server_context(&w->server, TEST_SECRET);
    w->snapshot.dtls = (struct dtls_settings){.max_sessions = max,
        .half_open_per_prefix = 256,
        .handshake_timeout_ms = 5000,
        .idle_timeout_ms = 300000};
    w->client_ctx = test_dtls_client_ctx(DTLS1_2_VERSION);
    w->batch = udp_batch_new();
    dtls_world_sessions(w, max);
    dtls_world_listen(w, ip);
    return w;
}

/* Ends it, and demands that every datagram has been accounted for and everything given back. */
static inline void dtls_world_free(struct dtls_world *w)
{
    dtls_sessions_end_all(w->sessions);
    struct counters_sum sum = {0};
    counters_sum_add(&sum, &w->counters);
    assert_int_equal(counters_sum_imbalance(&sum), 0);
    assert_int_equal(sum.gauge[GAUGE_CONNECTIONS_DTLS], 0);
    assert_int_equal(sum.gauge[GAUGE_CONNECTIONS_HALF_OPEN], 0);
    assert_int_equal(dtls_sessions_count(w->sessions), 0);
    udp_listener_stop(&w->listener);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    dtls_sessions_free(w->sessions);
    connection_counts_free(w->counts); /* asserts that all have come back */
    udp_batch_free(w->batch);
    udp_endpoint_close(w->endpoint);
    io_deinit(&w->io);
    free(w->outbox);
    tls_context_release(w->snapshot.tls);
    SSL_CTX_free(w->client_ctx);
    test_server_deinit(&w->server);
    free(w);
}

/* What a worker does at the end of its loop turn. */
static inline void dtls_turn(struct dtls_world *w)
{
    uv_run(&w->loop, UV_RUN_NOWAIT);
    io_flush(&w->io);
    dtls_sessions_reap(w->sessions);
}

static inline void dtls_later(struct dtls_world *w, uint64_t ms)
{
    struct instant now = clock_now();
    w->later_us += ms * US_PER_MS;
    now.mono_us += w->later_us;
    dtls_sessions_tick(w->sessions, &now);
    io_flush(&w->io);
    dtls_sessions_reap(w->sessions);
}

static inline uint64_t dtls_metric(struct dtls_world *w, enum metric m)
{
    return atomic_load(&w->counters.metric[m]);
}

static inline uint64_t dtls_dropped(struct dtls_world *w, enum reason r)
{
    return atomic_load(&w->counters.dropped[r]);
}

static inline uint64_t dtls_closed(struct dtls_world *w, enum reason r)
{
    return atomic_load(&w->counters.closed[r]);
}

/* A new machine on the same socket: the client has been started again. */
static inline void dtls_peer_restart(struct dtls_world *w, struct dtls_peer *p)
{
    if (p->t.client) {
        test_dtls_deinit(&p->t);
    }
    test_dtls_init(&p->t, w->client_ctx, w->snapshot.tls);
}

static inline void dtls_peer_init(struct dtls_world *w, struct dtls_peer *p, const char *ip)
{
    struct addr own, to = w->endpoint->addr;
    struct sockaddr_storage sa;
    memset(p, 0, sizeof(*p));
    assert_int_equal(addr_parse_ip(&own, ip), 0);
    socklen_t len = addr_to_sockaddr(&own, &sa);
    p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&sa, len), 0);
    if (addr_is_unspecified(&to)) {
        uint16_t port = to.port;
        assert_int_equal(addr_parse_ip(&to, "127.0.0.1"), 0);
        to.port = port;
    }
    len = addr_to_sockaddr(&to, &sa);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&sa, len), 0);
    p->addr = dtls_name_of(p->fd);
    dtls_peer_restart(w, p);
}

static inline void dtls_peer_deinit(struct dtls_peer *p)
{
    test_dtls_deinit(&p->t);
    close(p->fd);
}

/* A datagram as it is, and a turn of the worker. */
static inline void dtls_peer_send(struct dtls_world *w, struct dtls_peer *p, struct slice datagram)
{
    assert_int_equal(send(p->fd, datagram.data, datagram.len, 0), datagram.len);
    dtls_turn(w);
}

/* What the server has sent goes into the client's queue. Returns how many datagrams. */
static inline unsigned dtls_peer_receive(struct dtls_peer *p)
{
    static uint8_t room[70000];
    unsigned count = 0;
    for (ssize_t n; (n = recv(p->fd, room, sizeof(room), 0)) >= 0; count++) {
        test_queue_push(&p->t.to_client, slice_of(room, (size_t)n));
    }
    return count;
}

/* What the client says next stays in its queue t.to_server. */
static inline void dtls_peer_step(struct dtls_peer *p)
{
    uint8_t byte;
    if (SSL_is_init_finished(p->t.client)) {
        SSL_peek(p->t.client, &byte, 1);
    } else {
        SSL_do_handshake(p->t.client);
    }
}

/* The client's queue goes out. */
static inline void dtls_peer_push(struct dtls_world *w, struct dtls_peer *p)
{
    while (p->t.to_server.count > 0) {
        struct test_datagram d = test_queue_take(&p->t.to_server, 0);
        dtls_peer_send(w, p, slice_of(d.data, d.len));
        free(d.data);
    }
}

/* Both go on until neither has anything to say. True: the client's handshake is complete. */
static inline bool dtls_peer_settle(struct dtls_world *w, struct dtls_peer *p)
{
    for (unsigned quiet = 0; quiet < 2; quiet++) {
        dtls_peer_step(p);
        if (p->t.to_server.count > 0) {
            quiet = 0;
        }
        dtls_peer_push(w, p);
        quiet = dtls_peer_receive(p) > 0 ? 0 : quiet;
    }
    return SSL_is_init_finished(p->t.client);
}

/* One message as one record, in the client's queue. */
static inline void dtls_peer_write(struct dtls_peer *p, const void *bytes, size_t len)
{
    assert_int_equal(SSL_write(p->t.client, bytes, (int)len), len);
}

static inline void dtls_peer_say(struct dtls_world *w, struct dtls_peer *p, const char *text)
{
    dtls_peer_write(p, text, strlen(text));
    dtls_peer_push(w, p);
}

/* The next message from the server; empty if there is none. Static. */
static inline const char *dtls_peer_hear(struct dtls_peer *p)
{
    static char heard[20000];
    dtls_peer_receive(p);
    int n = SSL_read(p->t.client, heard, sizeof(heard) - 1);
    heard[n > 0 ? n : 0] = 0;
    return heard;
}

/* True if relay/ was last handed this text, over DTLS, from this client. */
static inline bool dtls_heard_last(
    const struct dtls_world *w, const struct dtls_peer *p, const char *text)
{
    const struct packet *last = w->count ? &w->seen[w->count - 1] : NULL;
    return last && last->flow.transport == TRANSPORT_DTLS && last->flow.connection != HANDLE_NONE &&
           addr_equal(&last->flow.remote, &p->addr) && strcmp(w->first[w->count - 1], text) == 0;
}

/* relay/ answers on a flow; sent at once. */
static inline void dtls_answer(
    struct dtls_world *w, const struct flow *flow, struct slice body, bool media)
{
    struct outbox_entry *e = outbox_append(w->outbox);
    e->target = OUTBOX_TO_CLIENT;
    e->media = media;
    e->flow = *flow;
    e->body = body;
    io_flush(&w->io);
}

/* The fixture of the test programs: one world and one client in it. */
static struct dtls_world *w;
static struct dtls_peer peer;

static inline int begin(void **state)
{
    w = dtls_world_new("127.0.0.1", 16);
    dtls_peer_init(w, &peer, "127.0.0.1");
    return 0;
}

static inline int end(void **state)
{
    dtls_peer_deinit(&peer);
    dtls_world_free(w);
    return 0;
}

static inline void establish(void)
{
    assert_true(dtls_peer_settle(w, &peer));
    dtls_peer_say(w, &peer, "first");
    assert_true(dtls_heard_last(w, &peer, "first"));
}

#endif
