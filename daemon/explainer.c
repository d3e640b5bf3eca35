/*
 * Explaining a refusal with the same means that refuse.
 *
 * Always: each question is explained exactly once; a password or token that was asked about is
 * wiped as soon as it has been. Called by control, through admin/ops.h.
 */
#include "daemon/explainer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/realms.h"

/* Questions to the store for one explanation; today's sources need one. */
#define ROUNDS 4

struct explainer {
    struct explainer_deps deps;
    struct crypto *crypto;
    struct auth_worker *worker;
};

/* A question that waits for the store: copies, in one block behind it. */
struct waiting {
    struct explainer *explainer;
    struct admin_explain what;
    uint32_t realm;
    unsigned rounds;
    size_t size;
    uint8_t bytes[];
};

struct explainer *explainer_new(const struct explainer_deps *deps)
{
    struct explainer *e = calloc(1, sizeof(*e));
    if (!e) {
        return NULL;
    }
    e->deps = *deps;
    e->crypto = crypto_new();
    e->worker = e->crypto ? auth_worker_new(e->crypto, 0) : NULL;
    if (!e->worker) {
        explainer_free(e);
        return NULL;
    }
    return e;
}

void explainer_free(struct explainer *e)
{
    if (e) {
        auth_worker_free(e->worker);
        crypto_free(e->crypto);
        free(e);
    }
}

static struct slice waiting_keep(uint8_t **at, struct slice s)
{
    struct slice kept = slice_of(*at, s.len);
    if (s.len > 0) {
        memcpy(*at, s.data, s.len);
    }
    *at += s.len;
    return kept;
}

/* NULL: out of memory. */
static struct waiting *waiting_new(
    struct explainer *e, const struct admin_explain *what, uint32_t realm)
{
    size_t size = sizeof(struct waiting) + what->user.len + what->password.len + what->token.len;
    struct waiting *q = calloc(1, size);
    if (!q) {
        return NULL;
    }
    uint8_t *at = q->bytes;
    q->explainer = e;
    q->what = *what;
    q->what.realm = (struct slice){0};
    q->what.user = waiting_keep(&at, what->user);
    q->what.password = waiting_keep(&at, what->password);
    q->what.token = waiting_keep(&at, what->token);
    q->realm = realm;
    q->size = size;
    return q;
}

static void waiting_free(struct waiting *q)
{
    secret_cleanse(q, q->size);
    free(q);
}

static void waiting_judge(struct waiting *q);

static void waiting_learn(void *ctx, const struct store_answer *answer)
{
    struct waiting *q = ctx;
    const struct instant now = clock_now();
    auth_worker_learn(q->explainer->worker, *q->explainer->deps.auth, answer, &now);
    waiting_judge(q);
}

/* The name is the client's: one that no store can hold is not asked for. */
static bool waiting_put(struct store_question *out, const struct store_need *need)
{
    if (need->name.len == 0 || need->name.len > STORE_NAME_MAX) {
        return false;
    }
    *out = (struct store_question){
        .kind = (uint8_t)need->kind, .realm = need->realm, .name_len = (uint16_t)need->name.len};
    memcpy(out->name, need->name.data, need->name.len);
    return true;
}

static void waiting_judge(struct waiting *q)
{
    struct explainer *e = q->explainer;
    const struct instant now = clock_now();
    const struct auth_question question = {.realm = q->realm,
        .user = q->what.user,
        .password = q->what.password,
        .token = q->what.token};
    struct auth_explanation explanation;
    struct store_question need;
    auth_explain(*e->deps.auth, e->worker, &question, q->rounds > 0, &now, &explanation);
    if (explanation.pending && q->rounds < ROUNDS && waiting_put(&need, &explanation.need)) {
        q->rounds++;
        lookups_ask(e->deps.lookups, &need, waiting_learn, q);
        return;
    }
    q->what.explained(q->what.ctx, &explanation);
    waiting_free(q);
}

void explainer_ask(struct explainer *e, const struct admin_explain *what)
{
    uint32_t realm;
    struct waiting *q = NULL;
    if (realms_find(e->deps.lookups->auth, what->realm, &realm)) {
        q = waiting_new(e, what, realm);
    }
    if (!q) {
        what->explained(what->ctx, NULL);
        return;
    }
    waiting_judge(q);
}

void explainer_secrets(struct explainer *e, const struct store_secrets *secrets)
{
    (void)auth_worker_set_secrets(e->worker, *e->deps.auth, secrets);
}

void explainer_revoke(struct explainer *e, const struct revocation *v)
{
    const struct instant now = clock_now();
    (void)auth_worker_revoke(e->worker, v, &now);
}

enum auth_known explainer_knows(struct explainer *e, uint32_t realm, struct slice id)
{
    return auth_knows_secret(*e->deps.auth, e->worker, realm, id);
}

void explainer_forget(struct explainer *e)
{
    auth_worker_forget(e->worker);
}
