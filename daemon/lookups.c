/*
 * What a worker needs from the store and may not wait for.
 *
 * Always: each question has one answer, whatever becomes of the store; a key is wiped wherever it
 * has lain. Called by control and by explain.c.
 */
#include "daemon/lookups.h"

#include <stdlib.h>

struct lookup {
    struct lookups *lookups;
    store_done_fn *done;
    void *done_ctx;
};

struct worker_lookup {
    struct lookups *lookups;
    unsigned worker;
};

static void lookups_count(struct lookups *l, const struct store_answer *answer)
{
    static const enum metric users[] = {[STORE_FOUND] = METRIC_LOOKUPS_USER_FOUND,
        [STORE_NOT_FOUND] = METRIC_LOOKUPS_USER_NOT_FOUND,
        [STORE_UNREACHABLE] = METRIC_LOOKUPS_USER_UNREACHABLE};
    static const enum metric keys[] = {[STORE_FOUND] = METRIC_LOOKUPS_OAUTH_KEY_FOUND,
        [STORE_NOT_FOUND] = METRIC_LOOKUPS_OAUTH_KEY_NOT_FOUND,
        [STORE_UNREACHABLE] = METRIC_LOOKUPS_OAUTH_KEY_UNREACHABLE};
    const enum metric *by = answer->question.kind == STORE_OAUTH_KEY ? keys : users;
    counters_add(l->counters, by[answer->verdict], 1);
}

static void lookup_done(void *ctx, const struct store_answer *answer)
{
    struct lookup *k = ctx;
    lookups_count(k->lookups, answer);
    k->done(k->done_ctx, answer);
    free(k);
}

static void lookups_unreachable(
    struct lookups *l, const struct store_question *question, store_done_fn *done, void *done_ctx)
{
    const struct store_answer answer = {.question = *question, .verdict = STORE_UNREACHABLE};
    lookups_count(l, &answer);
    done(done_ctx, &answer);
}

void lookups_ask(
    struct lookups *l, const struct store_question *question, store_done_fn *done, void *done_ctx)
{
    struct lookup *k = NULL;
    if (l->store.ask && question->realm < l->auth->realm_count) {
        k = malloc(sizeof(*k));
    }
    if (!k) {
        lookups_unreachable(l, question, done, done_ctx);
        return;
    }
    *k = (struct lookup){l, done, done_ctx};
    l->store.ask(l->store.ctx, question, slice_of_string(l->auth->realms[question->realm].name),
        lookup_done, k);
}

static void worker_lookup_done(void *ctx, const struct store_answer *answer)
{
    struct worker_lookup *k = ctx;
    struct mailbox_message m = {.kind = MAILBOX_ANSWER};
    m.u.answer = malloc(sizeof(*answer));
    if (m.u.answer) {
        *m.u.answer = *answer;
        if (mailbox_post(worker_mailbox(k->lookups->workers->items[k->worker]), &m) < 0) {
            mailbox_message_free(&m);
        }
    }
    free(k);
}

void lookups_ask_for(struct lookups *l, struct store_question *question, unsigned worker)
{
    struct worker_lookup *k = malloc(sizeof(*k));
    if (k) {
        *k = (struct worker_lookup){l, worker};
        lookups_ask(l, question, worker_lookup_done, k);
    }
    free(question);
}
