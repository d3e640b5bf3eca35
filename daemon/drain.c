/*
 * A drain from its beginning to its end: the state that snapshots are made of, what the log says of
 * it, and what becomes of the daemon when nothing is left.
 *
 * Always: what has been asked for in words stays, whatever a reload changes; nothing but an
 * operator, or the end of the process, ends a drain. Called by control, and through admin/ops.h.
 */
#include "daemon/drain.h"

#include <stdio.h>

#include "base/log.h"

#define DRAIN_LOG_US (10 * US_PER_S)

/*
 * The one place where an operator, the log and whoever watches the process learn of a change:
 * `event` is drain_started, drain_changed, draining, drained or drain_undone.
 */
static void drain_say(
    struct drain *d, const char *event, const char *who, const struct instant *now)
{
    const uint64_t left = d->deps.allocations(d->deps.ctx);
    counters_gauge_set(d->deps.counters, GAUGE_DRAINING, d->on ? 1 : 0);
    log_event(LOG_INFO, event, log_str("by", who), log_u64("allocations", left),
        log_u64("at_first", d->at_first),
        log_u64("seconds", (now->mono_us - d->began_us) / US_PER_S),
        log_u64("deadline_in", drain_left_s(d, now)), log_str("then", d->stop ? "stop" : "wait"));
    d->logged_us = now->mono_us;
}

static void drain_take(struct drain *d, const struct drain_asked *asked, const struct instant *now)
{
    if (asked->has_deadline) {
        d->deadline_us = now->mono_us + asked->deadline_s * US_PER_S;
    }
    if (asked->has_stop) {
        d->stop = asked->stop;
    }
    if (asked->has_alternates) {
        d->own_alternates = true;
        d->alternates = *asked->alternates;
    }
}

void drain_begin(
    struct drain *d, const struct drain_asked *asked, const char *who, const struct instant *now)
{
    const bool again = d->on;
    if (!again) {
        const struct drain_settings *settings = &d->deps.config->drain;
        *d = (struct drain){.deps = d->deps,
            .on = true,
            .stop = settings->stop,
            .began_us = now->mono_us,
            .deadline_us = now->mono_us + settings->deadline_s * US_PER_S,
            .at_first = d->deps.allocations(d->deps.ctx)};
    }
    d->emptied = false;
    drain_take(d, asked, now);
    drain_say(d, again ? "drain_changed" : "drain_started", who, now);
    d->deps.spread(d->deps.ctx);
}

void drain_undo(struct drain *d, const char *who, const struct instant *now)
{
    if (!d->on) {
        return;
    }
    d->on = false;
    drain_say(d, "drain_undone", who, now);
    d->deps.spread(d->deps.ctx);
}

void drain_tick(struct drain *d, const struct instant *now)
{
    if (!d->on) {
        return;
    }
    const bool empty = d->deps.allocations(d->deps.ctx) == 0;
    if (empty && !d->emptied) {
        drain_say(d, "drained", "drain", now);
    } else if (!empty && now->mono_us - d->logged_us >= DRAIN_LOG_US) {
        drain_say(d, "draining", "drain", now);
    }
    d->emptied = empty;
    if (empty && d->stop && d->deps.settled(d->deps.ctx)) {
        d->deps.stop(d->deps.ctx);
    }
}

void drain_snapshot(const struct drain *d, const struct config *config, struct relay_drain *out)
{
    out->on = d->on;
    out->deadline_us = d->deadline_us;
    out->alternates = d->own_alternates ? d->alternates : config->drain.alternates;
}

const struct drain_alternates *drain_alternates(const struct drain *d)
{
    return d->own_alternates ? &d->alternates : &d->deps.config->drain.alternates;
}

uint64_t drain_left_s(const struct drain *d, const struct instant *now)
{
    if (!d->on || d->deadline_us <= now->mono_us) {
        return 0;
    }
    return (d->deadline_us - now->mono_us + US_PER_S - 1) / US_PER_S;
}
