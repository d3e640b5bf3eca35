/*
 * The thread that relays: one uv_loop and everything on it.
 *
 * Always: only this thread touches what hangs on the loop, from worker_start to worker_join. The
 * outbox is empty whenever the loop waits: it is flushed after the sockets of a turn and after each
 * tick. A snapshot is swapped between batches, never within one. Allocations end only after all
 * workers have stopped and all messages between them have arrived, so that every socket, port and
 * charge has exactly one owner to give it back. Called by daemon/control.
 */
#include "net/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "net/connections.h"
#include "net/dtls_sessions.h"
#include "net/listeners.h"
#include "net/relay_socket.h"
#include "net/sender.h"

#define TICK_MS          100
#define MAILBOX_CAPACITY 1024u
/* Reservations, and released sockets that wait for libuv's close callback. */
#define SPARE_SOCKETS 4096u

struct worker {
    struct worker_options options;
    pthread_t thread;
    bool started, loop_open;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    struct mailbox *mailbox;
    struct io io;
    struct relay_socket_set *sockets;
    struct udp_batch *batch;
    struct listeners listeners;
    struct connections *connections;
    struct dtls_sessions *dtls;
    struct sender sender;
    struct relay *relay;
    struct crypto *crypto;
    struct outbox outbox;
    struct counters counters;
    _Atomic uint32_t beats; /* written by this thread alone */
};

static void worker_from_client(void *ctx, const struct packet *packet, const struct instant *now)
{
    struct worker *w = ctx;
    relay_from_client(w->relay, packet, now);
}

static void worker_from_peer(void *ctx, const struct peer_packet *packet, const struct instant *now)
{
    struct worker *w = ctx;
    relay_from_peer(w->relay, packet, now);
}

static void worker_icmp(void *ctx, const struct icmp_error *error, const struct instant *now)
{
    struct worker *w = ctx;
    relay_icmp(w->relay, error, now);
}

static void worker_connection_closed(void *ctx, const struct flow *flow, const struct instant *now)
{
    struct worker *w = ctx;
    if (w->relay) {
        relay_connection_closed(w->relay, flow, now);
    }
}

static bool worker_flow_in_use(void *ctx, const struct flow *flow)
{
    struct worker *w = ctx;
    return w->relay && relay_flow_in_use(w->relay, flow);
}

static enum reason worker_judge_source(void *ctx, const struct flow *flow)
{
    struct worker *w = ctx;
    return relay_judge_source(w->relay, flow);
}

static bool worker_charge_answer(void *ctx, const struct addr *source, const struct instant *now)
{
    struct worker *w = ctx;
    return relay_charge_answer(w->relay, source, now);
}

static bool worker_charge_handshake(void *ctx, const struct addr *source, const struct instant *now)
{
    struct worker *w = ctx;
    return relay_charge_handshake(w->relay, source, now);
}

/* relay_deps.post: to another worker's mailbox. */
static int worker_post(void *ctx, unsigned to, const struct relay_message *message)
{
    struct worker *w = ctx;
    if (to >= w->options.workers->count) {
        return -EINVAL;
    }
    struct mailbox_message m = {.kind = MAILBOX_RELAY, .from = (uint8_t)w->options.index};
    m.u.relay = *message;
    return mailbox_post(w->options.workers->items[to]->mailbox, &m);
}

/* relay_deps.ask: control has the store asked. */
static int worker_ask(void *ctx, const struct store_question *question)
{
    struct worker *w = ctx;
    struct mailbox_message m = {.kind = MAILBOX_ASK, .from = (uint8_t)w->options.index};
    m.u.question = malloc(sizeof(*question));
    if (!m.u.question) {
        return -EAGAIN;
    }
    *m.u.question = *question;
    int r = mailbox_post(w->options.control, &m);
    if (r < 0) {
        mailbox_message_free(&m);
    }
    return r;
}

/* relay_deps.want_keys: control knows what was deposited. */
static int worker_want_keys(void *ctx, const struct srtp_wanted *wanted)
{
    struct worker *w = ctx;
    struct mailbox_message m = {.kind = MAILBOX_SRTP_WANTED, .from = (uint8_t)w->options.index};
    m.u.wanted = malloc(sizeof(*wanted));
    if (!m.u.wanted) {
        return -EAGAIN;
    }
    *m.u.wanted = *wanted;
    int r = mailbox_post(w->options.control, &m);
    if (r < 0) {
        mailbox_message_free(&m);
    }
    return r;
}

/* relay_deps.unwant_keys. One that control has no room for ages there. */
static void worker_unwant_keys(void *ctx, uint64_t allocation)
{
    struct worker *w = ctx;
    struct mailbox_message m = {.kind = MAILBOX_SRTP_UNWANTED, .from = (uint8_t)w->options.index};
    m.u.allocation = allocation;
    (void)mailbox_post(w->options.control, &m);
}

static void worker_end_turn(struct worker *w)
{
    io_flush(&w->io);
    connections_reap(w->connections);
    dtls_sessions_reap(w->dtls);
}

static void worker_on_tick(uv_timer_t *tick)
{
    struct worker *w = tick->data;
    const struct instant *now = io_now_fresh(&w->io);
    atomic_fetch_add_explicit(&w->beats, 1, memory_order_relaxed);
    relay_tick(w->relay, now);
    delay_tick(&w->io.delay, now);
    connections_tick(w->connections, now);
    dtls_sessions_tick(w->dtls, now);
    listeners_resume(&w->listeners);
    worker_end_turn(w);
}

static void worker_before_poll(uv_prepare_t *prepare)
{
    struct worker *w = prepare->data;
    w->io.now_known = false;
}

static void worker_after_poll(uv_check_t *check)
{
    struct worker *w = check->data;
    worker_end_turn(w);
}

/* 0 or -errno. */
static int worker_take_listeners(struct worker *w, const struct net_snapshot *snapshot)
{
    const struct listeners_deps deps = {
        .io = &w->io,
        .batch = w->batch,
        .connections = w->connections,
        .dtls = w->dtls,
        .worker = w->options.index,
    };
    connections_set_snapshot(w->connections, snapshot);
    dtls_sessions_set_snapshot(w->dtls, snapshot);
    return listeners_take(&w->listeners, &deps, snapshot);
}

static void worker_take_snapshot(struct worker *w, const struct net_snapshot *snapshot)
{
    relay_set_snapshot(w->relay, &snapshot->relay);
    int r = worker_take_listeners(w, snapshot);
    if (r < 0) {
        log_event(LOG_ERROR, "listener_not_polled", log_u64("worker", w->options.index),
            log_str("error", strerror(-r)));
    }
    struct mailbox_message taken = {
        .kind = MAILBOX_SNAPSHOT_TAKEN, .from = (uint8_t)w->options.index};
    taken.u.version = snapshot->relay.version;
    if (mailbox_post(w->options.control, &taken) < 0) {
        /* Control then keeps the snapshot before for good: a leak, never a use after free. */
        log_event(LOG_ERROR, "snapshot_not_acknowledged", log_u64("worker", w->options.index));
    }
}

/* A page that finds no room on its way back is not waited for by control for ever. */
static void worker_list_sessions(struct worker *w, struct mailbox_message *message)
{
    struct mailbox_message read = {
        .kind = MAILBOX_SESSIONS_READ, .from = (uint8_t)w->options.index};
    read.u.page = message->u.page;
    message->u.page = NULL;
    relay_sessions(w->relay, read.u.page, io_now(&w->io));
    if (mailbox_post(w->options.control, &read) < 0) {
        mailbox_message_free(&read);
    }
}

/* One that finds no room on its way back is not waited for by control for ever. */
static void worker_kick(struct worker *w, struct mailbox_message *message)
{
    struct mailbox_message kicked = {.kind = MAILBOX_KICKED, .from = (uint8_t)w->options.index};
    kicked.u.kick = message->u.kick;
    message->u.kick = NULL;
    relay_kick(w->relay, kicked.u.kick, io_now(&w->io));
    if (mailbox_post(w->options.control, &kicked) < 0) {
        mailbox_message_free(&kicked);
    }
}

static void worker_deliver(void *ctx, struct mailbox_message *message)
{
    struct worker *w = ctx;
    switch (message->kind) {
    case MAILBOX_RELAY:
        relay_message(w->relay, &message->u.relay, io_now(&w->io));
        break;
    case MAILBOX_SNAPSHOT:
        worker_take_snapshot(w, message->u.snapshot);
        break;
    case MAILBOX_ANSWER:
        relay_store_answer(w->relay, message->u.answer, io_now(&w->io));
        break;
    case MAILBOX_LIMITS:
        relay_limits_answered(w->relay, io_now(&w->io));
        break;
    case MAILBOX_SECRETS:
        relay_store_secrets(w->relay, message->u.secrets);
        break;
    case MAILBOX_SRTP_DEPOSIT:
        (void)relay_srtp_deposit(w->relay, message->u.deposit, io_now(&w->io));
        break;
    case MAILBOX_REVOKE:
        relay_revoke(w->relay, message->u.revocation, io_now(&w->io));
        break;
    case MAILBOX_SESSIONS:
        worker_list_sessions(w, message);
        break;
    case MAILBOX_KICK:
        worker_kick(w, message);
        break;
    case MAILBOX_STOP:
        uv_stop(&w->loop);
        break;
    default:
        break;
    }
    mailbox_message_free(message);
}

static int worker_open_loop(struct worker *w)
{
    int r = uv_loop_init(&w->loop);
    if (r < 0) {
        return r;
    }
    w->loop_open = true;
    w->tick.data = w->before_poll.data = w->after_poll.data = w;
    /* These three cannot fail. */
    uv_timer_init(&w->loop, &w->tick);
    uv_prepare_init(&w->loop, &w->before_poll);
    uv_check_init(&w->loop, &w->after_poll);
    return mailbox_new(&w->mailbox, &w->loop, MAILBOX_CAPACITY, worker_deliver, w);
}

static int worker_build_dtls(struct worker *w)
{
    if (!w->options.dtls) {
        return 0;
    }
    const struct dtls_sessions_options options = {
        .io = &w->io,
        .counts = w->options.dtls,
        .random = w->options.random,
        .worker = w->options.index,
        .max = connection_counts_max(w->options.dtls),
    };
    w->dtls = w->sender.dtls = dtls_sessions_new(&options);
    return w->dtls ? 0 : -ENOMEM;
}

static int worker_build_sender(struct worker *w)
{
    const struct connections_options connections = {
        .io = &w->io,
        .counts = w->options.connections,
        .budget = w->options.sockets,
        .worker = w->options.index,
        .max = connection_counts_max(w->options.connections),
    };
    w->connections = connections_new(&connections);
    w->sender.io = &w->io;
    w->sender.connections = w->connections;
    w->sender.udp = udp_out_new(&w->io, w->sockets, &w->listeners.udp);
    if (!w->connections || !w->sender.udp) {
        return -ENOMEM;
    }
    outbox_init(&w->outbox, sender_send, &w->sender);
    return worker_build_dtls(w);
}

static int worker_build(struct worker *w)
{
    int r = io_init(&w->io, &w->loop, &w->outbox, &w->counters);
    if (r < 0) {
        return r;
    }
    w->io.handlers = (struct io_handlers){
        .ctx = w,
        .from_client = worker_from_client,
        .from_peer = worker_from_peer,
        .icmp = worker_icmp,
        .connection_closed = worker_connection_closed,
        .flow_in_use = worker_flow_in_use,
        .judge_source = worker_judge_source,
        .charge_answer = worker_charge_answer,
        .charge_handshake = worker_charge_handshake,
    };
    size_t sockets = (size_t)w->options.max_allocations * 2 + SPARE_SOCKETS;
    size_t most = (1u << 24) - 1;
    w->sockets = relay_socket_set_new(
        &w->io, w->options.sockets, w->options.index, sockets < most ? sockets : most);
    w->batch = udp_batch_new();
    w->crypto = crypto_new();
    if (!w->sockets || !w->batch || !w->crypto) {
        return -ENOMEM;
    }
    return worker_build_sender(w);
}

int worker_new(struct worker **out, const struct worker_options *options)
{
    size_t size = (sizeof(struct worker) + 63) & ~(size_t)63;
    struct worker *w = aligned_alloc(64, size);
    if (!w) {
        return -ENOMEM;
    }
    memset(w, 0, size);
    w->options = *options;
    int r = worker_open_loop(w);
    if (r == 0) {
        r = worker_build(w);
    }
    if (r < 0) {
        worker_free(w);
        return r;
    }
    *out = w;
    return 0;
}

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    char name[16];
    snprintf(name, sizeof(name), "worker-%u", w->options.index % 1000);
    /* Its own: that of another thread lies in a file of /proc. */
    pthread_setname_np(pthread_self(), name);
    struct mailbox_message started = {.kind = MAILBOX_STARTED, .from = (uint8_t)w->options.index};
    (void)mailbox_post(w->options.control, &started);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    struct mailbox_message stopped = {.kind = MAILBOX_STOPPED, .from = (uint8_t)w->options.index};
    (void)mailbox_post(w->options.control, &stopped);
    return NULL;
}

/* Signals belong to the control thread: this one is started with all of them blocked. */
static int worker_spawn(struct worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&w->thread, NULL, worker_run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        return -r;
    }
    w->started = true;
    return 0;
}

int worker_start(struct worker *w, const struct net_snapshot *snapshot)
{
    struct relay_deps deps = {
        .worker = w->options.index,
        .worker_count = w->options.workers->count,
        .shared = w->options.shared,
        .sockets = relay_socket_set_interface(w->sockets),
        .ask = worker_ask,
        .ask_ctx = w,
        .want_keys = worker_want_keys,
        .want_keys_ctx = w,
        .unwant_keys = worker_unwant_keys,
        .report = w->options.report,
        .report_ctx = w->options.report_ctx,
        .post = worker_post,
        .post_ctx = w,
        .usage = w->options.usage,
        .outbox = &w->outbox,
        .counters = &w->counters,
        .crypto = w->crypto,
        .random = w->options.random,
        .max_allocations = w->options.max_allocations,
    };
    w->relay = relay_new(&deps, &snapshot->relay, io_now_fresh(&w->io));
    if (!w->relay) {
        return -ENOMEM;
    }
    int r = worker_take_listeners(w, snapshot);
    if (r < 0) {
        return r;
    }
    uv_timer_start(&w->tick, worker_on_tick, TICK_MS, TICK_MS);
    uv_prepare_start(&w->before_poll, worker_before_poll);
    uv_check_start(&w->after_poll, worker_after_poll);
    return worker_spawn(w);
}

struct mailbox *worker_mailbox(struct worker *w)
{
    return w->mailbox;
}

const struct counters *worker_counters(const struct worker *w)
{
    return &w->counters;
}

uint32_t worker_beats(const struct worker *w)
{
    return atomic_load_explicit(&w->beats, memory_order_relaxed);
}

void worker_join(struct worker *w)
{
    if (w->started) {
        pthread_join(w->thread, NULL);
        w->started = false;
    }
}

uint32_t worker_settle(struct worker *w)
{
    uint32_t count = w->mailbox && w->relay ? mailbox_drain(w->mailbox) : 0;
    io_flush(&w->io);
    return count;
}

static void worker_close_loop(struct worker *w)
{
    listeners_stop(&w->listeners);
    mailbox_close(w->mailbox);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->before_poll, NULL);
    uv_close((uv_handle_t *)&w->after_poll, NULL);
    /* A stop that was delivered late ends the first run at once. */
    while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0) {
    }
    int r = uv_loop_close(&w->loop);
    if (r < 0) {
        log_event(LOG_ERROR, "loop_not_empty", log_str("error", uv_strerror(r)));
    }
    listeners_free(&w->listeners);
}

bool worker_end_allocations(struct worker *w)
{
    const bool waiting = w->relay && relay_end_allocations(w->relay, io_now_fresh(&w->io));
    io_flush(&w->io);
    return waiting;
}

void worker_free(struct worker *w)
{
    if (!w) {
        return;
    }
    if (w->relay) {
        relay_free(w->relay, io_now_fresh(&w->io));
        io_flush(&w->io);
        w->relay = NULL;
    }
    if (w->connections) {
        connections_end_all(w->connections);
    }
    dtls_sessions_end_all(w->dtls);
    if (w->loop_open) {
        worker_close_loop(w);
    }
    connections_free(w->connections);
    dtls_sessions_free(w->dtls);
    udp_out_free(w->sender.udp);
    udp_batch_free(w->batch);
    relay_socket_set_free(w->sockets);
    crypto_free(w->crypto);
    io_deinit(&w->io);
    free(w);
}
