/*
 * Answers to those who wait for a reload or for a drain.
 *
 * Always: each is answered once, and taken out before, so that it may ask again from within; a
 * reload is told to those alone who asked before the file was read. Called by reload.c, and through
 * admin/ops.h.
 */
#include "daemon/reload_answers.h"

#include <stdlib.h>
#include <string.h>

static bool reload_answers_add(struct reload_answers *a, const struct reload_waiting *w)
{
    if (a->count == ADMIN_LATER_MAX) {
        return false;
    }
    a->list[a->count++] = *w;
    return true;
}

bool reload_answers_ask(struct reload_answers *a, admin_reload_fn *done, void *ctx)
{
    const struct reload_waiting w = {.reloaded = done, .ctx = ctx};
    return reload_answers_add(a, &w);
}

static void reload_answers_call(const struct reload_answers *a, const struct reload_waiting *w,
    const struct admin_reloaded *told)
{
    struct admin_drain now;
    if (w->reloaded) {
        w->reloaded(w->ctx, told);
        return;
    }
    a->drain_state(a->ctx, &now);
    w->drained(w->ctx, &now);
}

bool reload_answers_await(
    struct reload_answers *a, uint64_t version, admin_drain_fn *done, void *ctx)
{
    const struct reload_waiting w = {.drained = done, .ctx = ctx, .version = version};
    if (version == 0) {
        reload_answers_call(a, &w, NULL);
        return true;
    }
    return reload_answers_add(a, &w);
}

static void reload_answers_answer(
    struct reload_answers *a, size_t i, const struct admin_reloaded *told)
{
    const struct reload_waiting w = a->list[i];
    a->list[i] = a->list[--a->count];
    reload_answers_call(a, &w, told);
}

/* config_diff's lines as a list. For want of memory the list is empty, and said to be. */
static void reload_answers_read(struct reload_answers *a, char *diff)
{
    static const char restart[] = ", needs a restart";
    size_t room = 1;
    for (const char *p = diff; *p; p++) {
        room += *p == '\n';
    }
    struct admin_change *changes = calloc(room, sizeof(*changes));
    char *rest = diff;
    size_t count = 0;
    for (char *line; changes && (line = strsep(&rest, "\n"));) {
        const size_t len = strlen(line), tail = sizeof(restart) - 1;
        if (len == 0) {
            continue;
        }
        struct admin_change *change = &changes[count++];
        change->what = line;
        change->needs_restart = len > tail && strcmp(line + len - tail, restart) == 0;
        if (change->needs_restart) {
            line[len - tail] = '\0';
        }
    }
    free(a->text);
    free(a->changes);
    a->text = diff;
    a->changes = changes;
    a->told.changes = changes;
    a->told.change_count = count;
}

void reload_answers_built(
    struct reload_answers *a, char *diff, uint64_t version, const struct admin_reloaded *told)
{
    a->told = *told;
    reload_answers_read(a, diff);
    for (size_t i = 0; i < a->count; i++) {
        if (a->list[i].version == 0) {
            a->list[i].version = version;
        }
    }
}

void reload_answers_failed(struct reload_answers *a, const char *error)
{
    const struct admin_reloaded told = {.error = error};
    for (size_t i = a->count; i-- > 0;) {
        if (a->list[i].version == 0) {
            reload_answers_answer(a, i, &told);
        }
    }
}

void reload_answers_taken(struct reload_answers *a, uint64_t version)
{
    for (size_t i = a->count; i-- > 0;) {
        if (a->list[i].version != 0 && a->list[i].version <= version) {
            reload_answers_answer(a, i, &a->told);
        }
    }
}

void reload_answers_end(struct reload_answers *a)
{
    const struct admin_reloaded told = {.error = "the daemon stops", .busy = true};
    while (a->count > 0) {
        reload_answers_answer(a, a->count - 1, &told);
    }
    free(a->text);
    free(a->changes);
    *a = (struct reload_answers){0};
}
