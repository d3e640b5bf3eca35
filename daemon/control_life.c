/*
 * The life of the process between its start and its stop: what is said of it, how a drain is wired
 * to it, and reloads that are asked for. Called by control.c, and through observe.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/tls_front.h"
#include "daemon/control_internal.h"

void control_reserve_admin(struct control *c, const struct admin_settings *settings)
{
    if (settings->tls.pair.cert && !c->admin_reserved) {
        socket_budget_reserve(&c->sockets, ADMIN_TLS_FILES);
        c->admin_reserved = true;
    }
}

static uint64_t control_allocations(void *ctx)
{
    const struct control *c = ctx;
    uint64_t allocations = 0;
    for (unsigned i = 0; i < c->workers.count; i++) {
        const struct counters *own = worker_counters(c->workers.items[i]);
        for (unsigned g = GAUGE_ALLOCATIONS_UDP_IPV4; g <= GAUGE_ALLOCATIONS_DTLS_DUAL; g++) {
            allocations += atomic_load_explicit(&own->gauge[g], memory_order_relaxed);
        }
    }
    return allocations;
}

const char *control_status(struct control *c, char out[NOTIFY_TEXT_MAX])
{
    const uint64_t allocations = control_allocations(c);
    const struct instant now = clock_now();
    if (c->drain.on) {
        snprintf(out, NOTIFY_TEXT_MAX,
            "draining: %" PRIu64 " of %" PRIu64 " allocations left, %" PRIu64 " s to the deadline",
            allocations, c->drain.at_first, drain_left_s(&c->drain, &now));
    } else {
        snprintf(out, NOTIFY_TEXT_MAX, "%" PRIu64 " allocations, %zu listeners, %u workers",
            allocations, c->endpoints.count, c->workers.count);
    }
    return out;
}

/* drain_deps.spread */
static void control_spread(void *ctx)
{
    reload_rebuild(ctx);
}

static bool control_settled(void *ctx)
{
    return reload_is_settled(ctx);
}

/* drain_deps.stop */
static void control_drained(void *ctx)
{
    struct control *c = ctx;
    if (!c->stopping) {
        log_event(LOG_INFO, "stopping", log_str("why", "drained"));
        control_stop(c);
    }
}

/* observe.reload and observe.settle */
void control_reload(void *ctx, const struct admin_reload *what)
{
    reload_ask(ctx, what);
}

void control_settle(void *ctx, admin_drain_fn *done, void *done_ctx)
{
    reload_await(ctx, done, done_ctx);
}

void control_life_init(struct control *c)
{
    c->answers.drain_state = observe_drain;
    c->answers.ctx = &c->observe;
    c->drain.deps = (struct drain_deps){.config = &c->config,
        .counters = &c->counters,
        .spread = control_spread,
        .settled = control_settled,
        .stop = control_drained,
        .allocations = control_allocations,
        .ctx = c};
}

/* SIGTERM drains first where the configuration says so, and once only: whoever sends a second one
 * does not want to wait. */
void control_on_end(struct control *c, int number)
{
    static const struct drain_asked then_stop = {.has_stop = true, .stop = true};
    if (c->stopping) {
        _exit(1);
    }
    if (number == SIGTERM && c->config.drain.on_sigterm && !(c->drain_signalled && c->drain.on)) {
        const struct instant now = clock_now();
        c->drain_signalled = true;
        drain_begin(&c->drain, &then_stop, "SIGTERM", &now);
        return;
    }
    log_event(LOG_INFO, "stopping", log_str("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    control_stop(c);
}
