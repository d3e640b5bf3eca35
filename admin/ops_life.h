/* What admin/ops.h says of reloads and drains. */
#ifndef ADMIN_OPS_LIFE_H
#define ADMIN_OPS_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/drain_settings.h"

/* A key of the configuration that a reload found changed. */
struct admin_change {
    const char *what; /* "relay.max_lifetime: 1h -> 2h" */
    bool needs_restart;
};

/* What became of a reload. Borrowed for the call. */
struct admin_reloaded {
    const char *error;     /* NULL: it is in force in every worker; else one line, and nothing has
                              changed */
    bool busy;             /* with an error: the file was not even read */
    uint64_t version;      /* of the configuration */
    size_t listeners_kept; /* taken out of the configuration, and served until the next start */
    const struct admin_change *changes;
    size_t change_count;
};

typedef void admin_reload_fn(void *ctx, const struct admin_reloaded *told);

/* `done` is called exactly once. */
struct admin_reload {
    admin_reload_fn *done;
    void *ctx;
};

/* How far a drain is. */
struct admin_drain {
    bool on, stop;
    uint64_t since_s, left_s; /* seconds since its beginning, and until its deadline */
    uint64_t allocations, at_first;
    const struct drain_alternates *alternates; /* borrowed until the handler returns */
};

typedef void admin_drain_fn(void *ctx, const struct admin_drain *now);

/* What is asked of a drain. What is not said stays as it is, or is as the configuration says. */
struct admin_drain_asked {
    bool off; /* let clients in again; nothing else counts then */
    bool has_deadline, has_stop, has_alternates;
    bool stop;                                 /* the daemon, when nothing is left */
    uint32_t deadline_s;                       /* from now */
    const struct drain_alternates *alternates; /* borrowed for the call */
    admin_drain_fn *done;                      /* when every worker does so */
    void *ctx;
};

#endif
