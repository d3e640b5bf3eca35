/*
 * The connections of one worker as a set: accepted within the limits, found by handle, closed.
 *
 * Always: an accepted connection counts once when it comes and once, by its reason, when it goes;
 * what it took (files, counts) goes back in the same step. A connection that has ended keeps its
 * memory until libuv has let go of it, and relay/ hears of its end before its handle is stale.
 * Called by the worker and by stream_listener.c.
 */
#include "net/connections.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "net/connection.h"
#include "net/socket_budget.h"

struct connections *connections_new(const struct connections_options *options)
{
    struct connections *set = calloc(1, sizeof(*set));
    if (!set) {
        return NULL;
    }
    set->options = *options;
    set->io = options->io;
    set->slab = slab_new(options->worker, sizeof(struct connection), options->max);
    set->wheel = wheel_new(io_now(set->io)->mono_us, set);
    if (!set->slab || !set->wheel) {
        connections_free(set);
        return NULL;
    }
    return set;
}

void connections_free(struct connections *set)
{
    if (set) {
        wheel_free(set->wheel);
        slab_free(set->slab);
        free(set);
    }
}

void connections_set_snapshot(struct connections *set, const struct net_snapshot *snapshot)
{
    set->snapshot = snapshot;
}

uint32_t connections_count(const struct connections *set)
{
    return (uint32_t)slab_count(set->slab);
}

static enum gauge gauge_of(const struct connection *c)
{
    return c->flow.transport == TRANSPORT_TLS ? GAUGE_CONNECTIONS_TLS : GAUGE_CONNECTIONS_TCP;
}

static void log_closed(const struct flow *flow, enum reason why)
{
    log_event(LOG_DEBUG, "connection_closed", log_str("transport", transport_name(flow->transport)),
        log_addr("client", &flow->remote), log_str("reason", reason_name(why)));
}

void connection_end(struct connection *c, enum reason why)
{
    if (c->ending) {
        return;
    }
    c->ending = why;
    c->next_ending = c->set->ending;
    c->set->ending = c;
    uv_poll_stop(&c->poll);
    counters_close(c->set->io->counters, why);
    log_closed(&c->flow, why);
}

static void give_back_fd(struct connections *set, int fd)
{
    close(fd);
    if (set->options.budget) {
        socket_budget_give_connection(set->options.budget);
    }
}

/* What a connection that is being made holds, until it is a struct connection. */
struct arrival {
    struct flow flow;
    int fd;
    struct connection_charge charge;
};

static void refuse(struct connections *set, struct arrival *a, enum reason why)
{
    counters_close(set->io->counters, why);
    log_closed(&a->flow, why);
    connection_counts_close(set->options.counts, &a->charge);
    give_back_fd(set, a->fd);
}

/* False: the kernel has no resources to say it (getsockname(2)), and half a 5-tuple is none. */
static bool local_of(struct flow *flow, int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
        return false;
    }
    (void)addr_from_sockaddr(&flow->local, (struct sockaddr *)&sa);
    return true;
}

/* Who may speak at all, and what the client has taken. Behind a proxy the client is not known yet:
 * its prefix is counted after the header. */
static enum reason admit(struct connections *set, struct arrival *a)
{
    const struct stream_settings *s = &set->snapshot->streams;
    const struct prefix_set *proxies = set->snapshot->listeners[a->flow.listener].proxy_from;
    const struct connection_limits limits = {
        .total = s->max_connections,
        .per_prefix = s->connections_per_prefix,
        .half_open_per_prefix = s->half_open_per_prefix,
    };
    if (proxies && prefix_set_match_ip(proxies, &a->flow.remote) != PREFIX_ALL_PORTS) {
        return REASON_PROXY_UNTRUSTED;
    }
    enum reason refused = connection_counts_open(set->options.counts, &a->charge, &limits);
    if (refused || proxies) {
        return refused;
    }
    return connection_counts_place(set->options.counts, &a->charge, &limits, &a->flow.remote);
}

static void start(struct connections *set, struct arrival *a)
{
    uint64_t handle;
    struct connection *c = slab_alloc(set->slab, &handle);
    if (!c) {
        refuse(set, a, REASON_CONNECTION_MEMORY);
        return;
    }
    c->set = set;
    c->fd = a->fd;
    c->flow = a->flow;
    c->flow.connection = handle;
    c->charge = a->charge;
    if (uv_poll_init(set->io->loop, &c->poll, c->fd) < 0) {
        slab_release(set->slab, handle);
        refuse(set, a, REASON_CONNECTION_FILES);
        return;
    }
    c->poll.data = c;
    counters_gauge(set->io->counters, gauge_of(c), 1);
    counters_gauge(set->io->counters, GAUGE_CONNECTIONS_HALF_OPEN, 1);
    c->state = connection_listener(c)->proxy_from   ? CONNECTION_PROXY
               : c->flow.transport == TRANSPORT_TLS ? CONNECTION_CHOOSE
                                                    : CONNECTION_FIRST;
    connection_start(c);
}

void connections_accept(
    struct connections *set, int fd, uint16_t listener, const struct addr *remote)
{
    struct arrival a = {.fd = fd};
    a.flow.transport = set->snapshot->listeners[listener].transport;
    a.flow.listener = listener;
    a.flow.remote = *remote;
    bool tls = a.flow.transport == TRANSPORT_TLS;
    counters_add(set->io->counters, tls ? METRIC_CONNECTIONS_TLS : METRIC_CONNECTIONS_TCP, 1);
    if (set->options.budget && !socket_budget_take_connection(set->options.budget)) {
        counters_close(set->io->counters, REASON_CONNECTION_FILES);
        log_closed(&a.flow, REASON_CONNECTION_FILES);
        close(fd);
        return;
    }
    enum reason refused = local_of(&a.flow, fd) ? admit(set, &a) : REASON_CONNECTION_MEMORY;
    if (refused) {
        refuse(set, &a, refused);
        return;
    }
    start(set, &a);
}

void connections_tick(struct connections *set, const struct instant *now)
{
    set->now = *now;
    wheel_advance(set->wheel, now->mono_us);
}

static void on_closed(uv_handle_t *poll)
{
    struct connection *c = poll->data;
    slab_release(c->set->slab, c->flow.connection);
}

static void close_one(struct connections *set, struct connection *c)
{
    struct counters *counters = set->io->counters;
    if (c->state == CONNECTION_OPEN) {
        set->io->handlers.connection_closed(set->io->handlers.ctx, &c->flow, io_now(set->io));
    } else {
        counters_gauge(counters, GAUGE_CONNECTIONS_HALF_OPEN, -1);
    }
    counters_gauge(counters, gauge_of(c), -1);
    if (c->tls) {
        tls_stream_close(c->tls);
        tls_stream_free(c->tls);
    }
    wheel_disarm(set->wheel, &c->times.timer);
    write_queue_clear(&c->queue);
    connection_partial_clear(c);
    connection_counts_close(set->options.counts, &c->charge);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    give_back_fd(set, c->fd);
    c->fd = -1;
}

void connections_reap(struct connections *set)
{
    while (set->ending) {
        struct connection *c = set->ending;
        set->ending = c->next_ending;
        close_one(set, c);
    }
}

void connections_end_all(struct connections *set)
{
    for (uint32_t i = 0; i < slab_slots(set->slab); i++) {
        struct connection *c = slab_at(set->slab, i);
        if (c) {
            connection_end(c, REASON_CONNECTION_STOPPING);
        }
    }
    connections_reap(set);
}
