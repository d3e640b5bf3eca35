/*
 * Answers that come later.
 *
 * Always: `all` is NULL once the server is gone, `answered` once its connection is; a place is held
 * until the answer comes, though nobody waits for it, so that what runs at once is bounded whatever
 * clients do. Called by server.c, and by handlers of resources that answer later.
 */
#include "admin/later.h"

#include <stdlib.h>

struct admin_later {
    struct admin_laters *all;
    admin_later_fn *answered;
    void *ctx;
};

struct admin_later *admin_later_new(struct admin_laters *all, admin_later_fn *answered, void *ctx)
{
    for (size_t i = 0; i < ADMIN_LATER_MAX; i++) {
        if (all->place[i]) {
            continue;
        }
        struct admin_later *l = malloc(sizeof(*l));
        if (l) {
            *l = (struct admin_later){all, answered, ctx};
            all->place[i] = l;
        }
        return l;
    }
    return NULL;
}

void admin_later_drop(struct admin_later *l)
{
    for (size_t i = 0; l->all && i < ADMIN_LATER_MAX; i++) {
        if (l->all->place[i] == l) {
            l->all->place[i] = NULL;
        }
    }
    free(l);
}

void admin_later_answer(struct admin_later *l, unsigned status, char *body, size_t len)
{
    if (l->answered) {
        l->answered(l->ctx, status, body, len);
    } else {
        free(body);
    }
    admin_later_drop(l);
}

void admin_later_abandon(struct admin_later *l)
{
    l->answered = NULL;
}

void admin_laters_deinit(struct admin_laters *all)
{
    for (size_t i = 0; i < ADMIN_LATER_MAX; i++) {
        if (all->place[i]) {
            all->place[i]->answered = NULL;
            all->place[i]->all = NULL;
        }
    }
    *all = (struct admin_laters){0};
}
