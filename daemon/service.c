/*
 * States of a service, and its watchdog.
 *
 * Always: a sign of life is sent only while every worker has ticked since the one before; at twice
 * the rate that is asked for, so that one lost wake-up ends nothing. Called by control and reload.
 */
#include "daemon/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* Workers tick ten times a second; half of it must be long enough to see a tick. */
#define WATCHDOG_SHORTEST_US 1000000u
#define STATUS_TICKS         5
#define STOP_EXTENDED_US     (15 * US_PER_S)

void service_init(struct service *s)
{
    *s = (struct service){0};
    const int r = notify_init(&s->notify);
    if (r < 0) {
        log_event(LOG_WARN, "service_manager_not_told", log_str("key", "NOTIFY_SOCKET"),
            log_str("error", strerror(-r)));
    }
}

/* Every worker has ticked since the last call. */
static bool service_is_alive(struct service *s)
{
    unsigned stuck = s->workers;
    for (unsigned i = 0; i < s->workers; i++) {
        const uint32_t beats = s->beats(s->ctx, i);
        if (beats == s->seen[i]) {
            stuck = i;
        }
        s->seen[i] = beats;
    }
    const bool silent = stuck < s->workers;
    if (silent && !s->silent) {
        log_event(LOG_ERROR, "worker_hangs", log_u64("worker", stuck),
            log_str("watchdog", "is not told that we live"));
    }
    s->silent = silent;
    return !silent;
}

static void service_on_watchdog(uv_timer_t *timer)
{
    struct service *s = timer->data;
    if (service_is_alive(s)) {
        notify_alive(&s->notify);
    }
}

int service_watch(struct service *s, uv_loop_t *loop, unsigned workers,
    uint32_t (*beats)(const void *ctx, unsigned n), const void *ctx)
{
    if (s->notify.watchdog_us == 0) {
        return 0;
    }
    if (s->notify.watchdog_us < WATCHDOG_SHORTEST_US) {
        log_event(LOG_WARN, "watchdog_too_short", log_u64("us", s->notify.watchdog_us),
            log_u64("shortest_us", WATCHDOG_SHORTEST_US));
    }
    s->workers = workers;
    s->beats = beats;
    s->ctx = ctx;
    for (unsigned i = 0; i < workers; i++) {
        s->seen[i] = beats(ctx, i);
    }
    const uint64_t half_ms = s->notify.watchdog_us / US_PER_MS / 2;
    uv_timer_init(loop, &s->watchdog);
    s->watchdog.data = s;
    s->watching = true;
    return uv_timer_start(&s->watchdog, service_on_watchdog, half_ms, half_ms > 0 ? half_ms : 1);
}

void service_ready(struct service *s, const char *status)
{
    if (s->stopping) {
        return;
    }
    s->ready = true;
    snprintf(s->status, sizeof(s->status), "%s", status);
    notify_state(&s->notify, "READY=1", status);
}

void service_reloading(struct service *s, uint64_t now_us)
{
    char state[64];
    if (!s->ready || s->stopping) {
        return;
    }
    /* "the field MONOTONIC_USEC= … must be set to the CLOCK_MONOTONIC time at which the
     * notification message was generated" (sd_notify(3)). */
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_us);
    s->reloading = true;
    notify_state(&s->notify, state, "Reading the configuration again");
}

void service_reloaded(struct service *s, const char *status)
{
    if (s->reloading) {
        s->reloading = false;
        service_ready(s, status);
    }
}

void service_stopping(struct service *s)
{
    if (!s->stopping) {
        s->stopping = true;
        notify_state(&s->notify, "STOPPING=1", "Stopping");
    }
}

/* "The value specified is a time in microseconds during which the service must send a new message"
 * (sd_notify(3)). */
void service_extend(struct service *s)
{
    if (!s->stopping) {
        notify_extend(&s->notify, STOP_EXTENDED_US);
    }
}

void service_tick(struct service *s, const char *status)
{
    notify_retry(&s->notify);
    if (s->ticks++ % STATUS_TICKS == 0 && s->ready && !s->stopping &&
        strcmp(s->status, status) != 0) {
        snprintf(s->status, sizeof(s->status), "%s", status);
        notify_status(&s->notify, status);
    }
}

void service_close(struct service *s)
{
    if (s->watching) {
        uv_close((uv_handle_t *)&s->watchdog, NULL);
        s->watching = false;
    }
    notify_deinit(&s->notify);
}
