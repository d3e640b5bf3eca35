/*
 * Answers that come after the handler has returned. Whoever gives one holds a struct admin_later,
 * which outlives its connection and the server: neither has to be there any more. Control thread.
 */
#ifndef ADMIN_LATER_H
#define ADMIN_LATER_H

#include <stddef.h>

/* At once. */
#define ADMIN_LATER_MAX 8

struct admin_later;

struct admin_laters {
    struct admin_later *place[ADMIN_LATER_MAX];
};

/* `body`: to be freed by the one who is called. */
typedef void admin_later_fn(void *ctx, unsigned status, char *body, size_t len);

/* NULL: as many as may be wait, or no memory. */
struct admin_later *admin_later_new(struct admin_laters *all, admin_later_fn *answered, void *ctx);
/* Once for each that was handed on: tells who still waits. Takes `body` (from malloc) and frees
 * `l`. */
void admin_later_answer(struct admin_later *l, unsigned status, char *body, size_t len);
/* Nobody waits for it any more, but it will be answered. */
void admin_later_abandon(struct admin_later *l);
/* For one that was not handed on. */
void admin_later_drop(struct admin_later *l);
/* Nobody waits for any of them. */
void admin_laters_deinit(struct admin_laters *all);

#endif
