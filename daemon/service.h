/*
 * The daemon as a service: it says when it is ready, reloads or stops, what it is doing, and that
 * it is alive. Alive are the loop that calls and every worker that has ticked since the last time:
 * one that hangs is left unsaid, and the service manager ends what does not relay. Control thread.
 */
#ifndef DAEMON_SERVICE_H
#define DAEMON_SERVICE_H

#include <uv.h>

#include "daemon/notify.h"
#include "net/worker.h"

struct service {
    struct notify notify;
    uv_timer_t watchdog;
    bool watching, ready, reloading, stopping, silent;
    unsigned ticks;
    /* How often worker `n` has ticked. */
    uint32_t (*beats)(const void *ctx, unsigned n);
    const void *ctx;
    unsigned workers;
    uint32_t seen[WORKERS_MAX];
    char status[NOTIFY_TEXT_MAX]; /* said last */
};

/* Takes what the environment says; see notify_init. A service that cannot be told is a warning in
 * the log. Afterwards the structure stays where it is. */
void service_init(struct service *s);
/* Watches `workers` of them from here on, if a sign of life is wanted. 0 or libuv's error. */
int service_watch(struct service *s, uv_loop_t *loop, unsigned workers,
    uint32_t (*beats)(const void *ctx, unsigned n), const void *ctx);

/* All workers poll. `status`: one line for people. Before it, and after service_stopping, nothing
 * is said but that. */
void service_ready(struct service *s, const char *status);
/* The configuration is read again. `now_us`: CLOCK_MONOTONIC. */
void service_reloading(struct service *s, uint64_t now_us);
/* What service_reloading began has ended, well or not; else nothing happens. */
void service_reloaded(struct service *s, const char *status);
void service_stopping(struct service *s);
/* Once a second while a stop that was asked for waits: TimeoutStopSec of the unit does not end it.
 */
void service_extend(struct service *s);
/* Every second or so: says what was not taken, and every few times `status`, if it has changed. */
void service_tick(struct service *s, const char *status);
/* Closes the timer, if there is one: run the loop before it is freed. Then the socket. */
void service_close(struct service *s);

#endif
