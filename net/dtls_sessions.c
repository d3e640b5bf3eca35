/*
 * The DTLS sessions of one worker as a set: made within the limits, found by 5-tuple, replaced by a
 * newer one of the same client, closed.
 *
 * Always: a 5-tuple has one session that is found by it, and at most one pending beside it, whose
 * client has proven its address but not finished its handshake. A session counts once when it
 * begins and once, by its reason, when it goes; what it took goes back in the same step, and relay/
 * hears of its end before its handle is stale. Called by the worker and by the other dtls_*.c.
 */
#include "net/dtls_client.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "base/log.h"

struct dtls_key {
    struct addr local, remote;
};

struct dtls_sessions *dtls_sessions_new(const struct dtls_sessions_options *options)
{
    struct dtls_sessions *set = calloc(1, sizeof(*set));
    if (!set) {
        return NULL;
    }
    set->options = *options;
    set->io = options->io;
    set->slab = slab_new(options->worker, sizeof(struct dtls_client), options->max);
    set->table = table_new(options->max);
    set->wheel = wheel_new(io_now(set->io)->mono_us, set);
    set->listener = dtls_listener_new();
    set->out.record = malloc(DTLS_MESSAGE_MAX);
    /* Pages that no message has reached stay unbacked. */
    set->plain = malloc(DTLS_PLAIN);
    if (!set->slab || !set->table || !set->wheel || !set->listener || !set->out.record ||
        !set->plain || random_fill(options->random, set->key, sizeof(set->key)) < 0) {
        dtls_sessions_free(set);
        return NULL;
    }
    return set;
}

void dtls_sessions_free(struct dtls_sessions *set)
{
    if (!set) {
        return;
    }
    dtls_listener_free(set->listener);
    wheel_free(set->wheel);
    table_free(set->table);
    slab_free(set->slab);
    free(set->out.record);
    free(set->plain);
    free(set);
}

void dtls_sessions_set_snapshot(struct dtls_sessions *set, const struct net_snapshot *snapshot)
{
    if (set) {
        set->snapshot = snapshot;
    }
}

uint32_t dtls_sessions_count(const struct dtls_sessions *set)
{
    return (uint32_t)slab_count(set->slab);
}

static uint64_t hash_of(const struct dtls_sessions *set, const struct dtls_key *key)
{
    return crypto_siphash(set->key, key, sizeof(*key));
}

static bool match_client(uint32_t slot, const void *key, void *ctx)
{
    const struct dtls_sessions *set = ctx;
    const struct dtls_client *c = slab_at(set->slab, slot);
    const struct dtls_key *wanted = key;
    return addr_equal(&c->flow.remote, &wanted->remote) &&
           addr_equal(&c->flow.local, &wanted->local);
}

struct dtls_client *dtls_client_find(const struct dtls_sessions *set, const struct flow *flow)
{
    if (table_count(set->table) == 0) {
        return NULL;
    }
    const struct dtls_key key = {flow->local, flow->remote};
    uint32_t slot =
        table_find(set->table, hash_of(set, &key), match_client, &key, (void *)(uintptr_t)set);
    return slot == TABLE_NOT_FOUND ? NULL : slab_at(set->slab, slot);
}

/* There is always room: the table has as many places as the slab. */
static void link_front(struct dtls_client *c)
{
    const struct dtls_key key = {c->flow.local, c->flow.remote};
    (void)table_insert(c->set->table, hash_of(c->set, &key), handle_slot(c->flow.connection));
}

static void unlink_client(struct dtls_client *c)
{
    struct dtls_client *pending = c->place.pending;
    if (c->place.front) {
        c->place.front->place.pending = NULL;
        c->place.front = NULL;
        return;
    }
    const struct dtls_key key = {c->flow.local, c->flow.remote};
    (void)table_remove(c->set->table, hash_of(c->set, &key), handle_slot(c->flow.connection));
    if (pending) {
        c->place.pending = NULL;
        pending->place.front = NULL;
        link_front(pending);
    }
}

static enum reason charge_client(
    struct dtls_sessions *set, struct connection_charge *charge, const struct addr *remote)
{
    const struct connection_limits limits = {
        .total = set->snapshot->dtls.max_sessions,
        .half_open_per_prefix = set->snapshot->dtls.half_open_per_prefix,
    };
    enum reason refused = connection_counts_open(set->options.counts, charge, &limits);
    return refused ? refused
                   : connection_counts_place(set->options.counts, charge, &limits, remote);
}

struct dtls_client *dtls_client_new(struct dtls_sessions *set, const struct udp_listener *l,
    const struct flow *flow, enum reason *why)
{
    uint64_t handle;
    struct connection_charge charge = {0};
    enum reason refused = charge_client(set, &charge, &flow->remote);
    struct dtls_client *c = refused ? NULL : slab_alloc(set->slab, &handle);
    if (!c) {
        connection_counts_close(set->options.counts, &charge);
        *why = refused ? refused : REASON_CONNECTION_MEMORY;
        return NULL;
    }
    c->set = set;
    c->via = l;
    c->flow = *flow;
    c->flow.transport = TRANSPORT_DTLS;
    c->flow.connection = handle;
    c->charge = charge;
    return c;
}

void dtls_client_discard(struct dtls_client *c)
{
    connection_counts_close(c->set->options.counts, &c->charge);
    slab_release(c->set->slab, c->flow.connection);
}

/* When it ends if nothing comes, and why. */
static uint64_t deadline_of(const struct dtls_client *c, enum reason *why)
{
    const struct dtls_settings *s = &c->set->snapshot->dtls;
    if (!c->established) {
        *why = REASON_HANDSHAKE_TIMEOUT;
        return c->times.begun_us + s->handshake_timeout_ms * US_PER_MS;
    }
    *why = REASON_CONNECTION_IDLE;
    return c->times.message_us + s->idle_timeout_ms * US_PER_MS;
}

void dtls_client_arm(struct dtls_client *c)
{
    enum reason why;
    struct wheel_timer *timer = &c->times.timer;
    uint64_t due = deadline_of(c, &why);
    if (c->ending) {
        return;
    }
    if (c->times.resend_us < due) {
        due = c->times.resend_us;
    }
    if (!timer->prev || due < timer->deadline_us) {
        wheel_arm(c->set->wheel, timer, due);
    }
}

/* A flight that nobody has answered leaves again, by the time that OpenSSL keeps. */
static void resend(struct dtls_client *c, uint64_t now)
{
    uint64_t left = dtls_session_tick(c->tls);
    c->times.resend_us = left == UINT64_MAX ? UINT64_MAX : now + left;
}

/* Deadlines only move away while messages come, so the timer is left where it is and looks here
 * what has become of them. */
static void on_timer(struct wheel_timer *timer, void *ctx)
{
    struct dtls_client *c = container_of(timer, struct dtls_client, times.timer);
    const struct io_handlers *h = &c->set->io->handlers;
    uint64_t now = c->set->now.mono_us;
    enum reason why;
    uint64_t deadline = deadline_of(c, &why);
    if (c->ending) {
        return;
    }
    if (now >= deadline && c->established && h->flow_in_use(h->ctx, &c->flow)) {
        c->times.message_us = now;
    } else if (now >= deadline) {
        dtls_client_end(c, why);
        return;
    }
    if (now >= c->times.resend_us) {
        resend(c, now);
    }
    dtls_client_arm(c);
}

void dtls_client_begin(struct dtls_client *c)
{
    struct counters *counters = c->set->io->counters;
    struct dtls_client *there = dtls_client_find(c->set, &c->flow);
    counters_add(counters, METRIC_CONNECTIONS_DTLS, 1);
    counters_gauge(counters, GAUGE_CONNECTIONS_DTLS, 1);
    counters_gauge(counters, GAUGE_CONNECTIONS_HALF_OPEN, 1);
    if (there && there->established) {
        if (there->place.pending) {
            dtls_client_end(there->place.pending, REASON_SESSION_REPLACED);
        }
        there->place.pending = c;
        c->place.front = there;
    } else {
        if (there) {
            dtls_client_end(there, REASON_SESSION_REPLACED);
        }
        link_front(c);
    }
    c->times.timer.fire = on_timer;
    c->times.begun_us = io_now(c->set->io)->mono_us;
    resend(c, c->times.begun_us);
    dtls_client_arm(c);
}

void dtls_client_establish(struct dtls_client *c)
{
    c->established = true;
    c->set->established++;
    c->times.message_us = io_now(c->set->io)->mono_us;
    c->times.resend_us = UINT64_MAX;
    if (c->place.front) {
        dtls_client_end(c->place.front, REASON_SESSION_REPLACED);
    }
}

void dtls_client_log_closed(const struct flow *flow, enum reason why)
{
    log_event(LOG_DEBUG, "connection_closed", log_str("transport", "dtls"),
        log_addr("client", &flow->remote), log_str("reason", reason_name(why)));
}

void dtls_client_end(struct dtls_client *c, enum reason why)
{
    if (c->ending) {
        return;
    }
    unlink_client(c);
    c->ending = why;
    c->place.next_ending = c->set->ending;
    c->set->ending = c;
    if (c->established) {
        c->set->established--;
    }
    counters_close(c->set->io->counters, why);
    dtls_client_log_closed(&c->flow, why);
}

void dtls_sessions_tick(struct dtls_sessions *set, const struct instant *now)
{
    if (set) {
        set->now = *now;
        wheel_advance(set->wheel, now->mono_us);
    }
}

static void close_one(struct dtls_sessions *set, struct dtls_client *c)
{
    const struct io_handlers *h = &set->io->handlers;
    struct counters *counters = set->io->counters;
    if (c->spoken) {
        h->connection_closed(h->ctx, &c->flow, io_now(set->io));
    } else {
        counters_gauge(counters, GAUGE_CONNECTIONS_HALF_OPEN, -1);
    }
    counters_gauge(counters, GAUGE_CONNECTIONS_DTLS, -1);
    /* A client that has begun anew knows nothing of the session before. */
    if (c->ending != REASON_SESSION_REPLACED) {
        dtls_session_close(c->tls);
    }
    dtls_session_free(c->tls);
    wheel_disarm(set->wheel, &c->times.timer);
    connection_counts_close(set->options.counts, &c->charge);
    slab_release(set->slab, c->flow.connection);
}

void dtls_sessions_reap(struct dtls_sessions *set)
{
    while (set && set->ending) {
        struct dtls_client *c = set->ending;
        set->ending = c->place.next_ending;
        close_one(set, c);
    }
}

void dtls_sessions_end_all(struct dtls_sessions *set)
{
    for (uint32_t i = 0; set && i < slab_slots(set->slab); i++) {
        struct dtls_client *c = slab_at(set->slab, i);
        if (c) {
            dtls_client_end(c, REASON_CONNECTION_STOPPING);
        }
    }
    dtls_sessions_reap(set);
}
