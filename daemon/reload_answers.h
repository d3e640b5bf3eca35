/*
 * Who waits for what control hands to the workers: a reload that was asked for over the admin
 * server, or a drain that has to be theirs. Control thread.
 */
#ifndef DAEMON_RELOAD_ANSWERS_H
#define DAEMON_RELOAD_ANSWERS_H

#include "admin/later.h"
#include "admin/ops.h"

struct reload_waiting {
    admin_reload_fn *reloaded; /* one of the two */
    admin_drain_fn *drained;
    void *ctx;
    uint64_t version; /* of the snapshot that it waits for; 0: of the next reload */
};

/* Plain; the first two are borrowed for life, the rest begins as zeros. */
struct reload_answers {
    void (*drain_state)(void *ctx, struct admin_drain *out);
    void *ctx;
    struct reload_waiting list[ADMIN_LATER_MAX];
    size_t count;
    /* Of the last reload that went well. */
    char *text; /* owned: what `changes` borrow from */
    struct admin_change *changes;
    struct admin_reloaded told;
};

/* `done` is called once: when the next reload has gone wrong, or every worker has taken it. False:
 * too many wait. */
bool reload_answers_ask(struct reload_answers *a, admin_reload_fn *done, void *ctx);
/* The same of a drain, when every worker has taken this snapshot; 0: at once. */
bool reload_answers_await(
    struct reload_answers *a, uint64_t version, admin_drain_fn *done, void *ctx);
/* The reload is under way to the workers as this snapshot. `diff` is config_diff's text, which is
 * taken over. */
void reload_answers_built(
    struct reload_answers *a, char *diff, uint64_t version, const struct admin_reloaded *told);
/* It went wrong, and nothing has changed. */
void reload_answers_failed(struct reload_answers *a, const char *error);
/* Every worker has this snapshot. */
void reload_answers_taken(struct reload_answers *a, uint64_t version);
/* Answers everybody that nothing comes any more, and frees what is held. */
void reload_answers_end(struct reload_answers *a);

#endif
