/*
 * Draining the instance: begun and undone by operators or by SIGTERM, watched until nothing is
 * left. What workers do of it is relay/drain.c. Control thread.
 */
#ifndef DAEMON_DRAIN_H
#define DAEMON_DRAIN_H

#include "base/clock.h"
#include "base/counters.h"
#include "config/config.h"
#include "relay/drain.h"

/* Everything borrowed for life. */
struct drain_deps {
    const struct config *config; /* the running one */
    struct counters *counters;
    /* Has all workers judge by drain_snapshot from soon on. */
    void (*spread)(void *ctx);
    /* They all do. */
    bool (*settled)(void *ctx);
    /* Stops the daemon. */
    void (*stop)(void *ctx);
    uint64_t (*allocations)(void *ctx); /* that live */
    void *ctx;
};

/* Plain; begins as {.deps = …}. All but the state may be read. */
struct drain {
    struct drain_deps deps;
    bool on;
    bool stop; /* the daemon, when nothing is left */
    bool
        own_alternates; /* `alternates` are named for this drain, else those of the configuration */
    bool emptied;       /* said already */
    struct drain_alternates alternates;
    uint64_t began_us, deadline_us, logged_us; /* monotonic */
    uint64_t at_first;                         /* allocations at its beginning */
};

/* What of a drain is asked for; what is not keeps what it has, or what the configuration says. */
struct drain_asked {
    bool has_deadline, has_stop, has_alternates;
    bool stop;
    uint32_t deadline_s;                       /* from now */
    const struct drain_alternates *alternates; /* its domain counts too */
};

/* Begins one, or changes the one that runs. `who` is a word for the log. */
void drain_begin(
    struct drain *d, const struct drain_asked *asked, const char *who, const struct instant *now);
/* Lets clients in again; no drain: nothing happens. What has ended stays so. */
void drain_undo(struct drain *d, const char *who, const struct instant *now);
/* Once a second: says how far it is, and stops the daemon where that is wanted. */
void drain_tick(struct drain *d, const struct instant *now);
/* What a snapshot made of `config` says of it. */
void drain_snapshot(const struct drain *d, const struct config *config, struct relay_drain *out);
/* Where clients are sent; of the running configuration, or those of its own. */
const struct drain_alternates *drain_alternates(const struct drain *d);
/* Whole seconds until the deadline, rounded up; 0: it has passed, or there is no drain. */
uint64_t drain_left_s(const struct drain *d, const struct instant *now);

#endif
