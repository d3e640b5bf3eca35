/*
 * A question waits either for Redis, found by its hash so that the same one joins it, or, where
 * Redis cannot be asked, for the next turn of the loop: nobody is answered from within his own
 * call. Answers hold keys and are wiped here. Called by fleet.c.
 */
#include "fleet/redis_store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "fleet/redis_keys.h"
#include "fleet/redis_records.h"

#define BUCKETS 1024u

struct waiter {
    struct waiter *next;
    store_done_fn *done;
    void *ctx;
};

struct question {
    struct question *next; /* of its bucket, or of those that are answered soon */
    struct redis_store *store;
    struct waiter *waiters;
    struct store_question asked;
    uint8_t verdict; /* of those that are answered soon */
    size_t realm_len;
    uint8_t realm[REDIS_KEY_REALM_MAX];
};

struct quiet {
    uint64_t last, suppressed;
};

struct redis_store {
    struct redis_link *link;
    uv_timer_t timer; /* for those that are answered soon */
    uint8_t seed[16];
    struct question *buckets[BUCKETS];
    struct question *soon;
    struct quiet errors, records; /* at most one line a minute of each */
};

static struct question **bucket_of(struct redis_store *s, const struct store_question *q)
{
    uint8_t text[5 + STORE_NAME_MAX] = {q->kind};
    memcpy(text + 1, &q->realm, sizeof(q->realm));
    memcpy(text + 5, q->name, q->name_len);
    return &s->buckets[crypto_siphash(s->seed, text, 5u + q->name_len) % BUCKETS];
}

static bool is_same(const struct store_question *a, const struct store_question *b)
{
    return a->kind == b->kind && a->realm == b->realm &&
           slice_equal(slice_of(a->name, a->name_len), slice_of(b->name, b->name_len));
}

static void unlink_question(struct question **list, const struct question *q)
{
    while (*list != q)
        list = &(*list)->next;
    *list = q->next;
}

/* The question is over, and in no list any more; `answer` is wiped. Callbacks may ask again. */
static void answer_all(struct question *q, struct store_answer *answer)
{
    answer->question = q->asked;
    while (q->waiters) {
        struct waiter *w = q->waiters;
        q->waiters = w->next;
        w->done(w->ctx, answer);
        free(w);
    }
    secret_cleanse(answer, sizeof(*answer));
    free(q);
}

static void answer_soon(struct redis_store *s)
{
    struct question *list = s->soon;
    s->soon = NULL;
    while (list) {
        struct question *q = list;
        struct store_answer answer = {.verdict = q->verdict};
        list = q->next;
        answer_all(q, &answer);
    }
}

static void on_soon(uv_timer_t *timer)
{
    answer_soon(timer->data);
}

/* The names of a record are the operator's and, of a user, whatever a client has sent: escaped. */
static void log_complaint(const struct question *q, const struct redis_complaint *why)
{
    struct redis_store *s = q->store;
    const char *kind = q->asked.kind == STORE_USER ? "user" : "oauth_key";
    const uint64_t now = clock_now().mono_us;
    if (why->error[0] != '\0' && log_once_a_minute(now, &s->errors.last, &s->errors.suppressed)) {
        log_event(LOG_WARN, "redis_refused", log_str("asked_for", kind),
            log_str("error", why->error), log_u64("suppressed", s->errors.suppressed));
        s->errors.suppressed = 0;
    }
    if (why->record && log_once_a_minute(now, &s->records.last, &s->records.suppressed)) {
        log_event(LOG_WARN, "redis_record_unusable", log_str("kind", kind),
            log_bytes("realm", slice_of(q->realm, q->realm_len)),
            log_bytes("name", slice_of(q->asked.name, q->asked.name_len)),
            log_str("cause", why->record), log_u64("suppressed", s->records.suppressed));
        s->records.suppressed = 0;
    }
}

static void on_reply(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct question *q = ctx;
    struct store_answer answer = {.verdict = STORE_UNREACHABLE};
    struct redis_complaint why = {0};
    if (result == REDIS_REPLIED && q->asked.kind == STORE_USER)
        answer.verdict = (uint8_t)redis_record_user(reply, &answer.u.user, &why);
    else if (result == REDIS_REPLIED)
        answer.verdict = (uint8_t)redis_record_oauth(
            reply, slice_of(q->realm, q->realm_len), &answer.u.oauth, &why);
    log_complaint(q, &why);
    unlink_question(bucket_of(q->store, &q->asked), q);
    answer_all(q, &answer);
}

/* 0, or what redis_link_command says, or -EINVAL: such a name has no key. */
static int issue(struct question *q)
{
    struct redis_key key;
    struct slice argv[2 + REDIS_OAUTH_FIELDS] = {slice_of_string("GET")};
    const struct slice name = slice_of(q->asked.name, q->asked.name_len);
    const bool is_user = q->asked.kind == STORE_USER;
    if (is_user && redis_key_user(&key, slice_of(q->realm, q->realm_len), name) < 0)
        return -EINVAL;
    if (!is_user && redis_key_oauth(&key, name) < 0)
        return -EINVAL;
    argv[1] = redis_key_slice(&key);
    if (!is_user) {
        argv[0] = slice_of_string("HMGET");
        for (size_t i = 0; i < REDIS_OAUTH_FIELDS; i++)
            argv[2 + i] = slice_of_string(redis_oauth_fields[i]);
    }
    return redis_link_command(q->store->link, &(struct redis_request){.argv = argv,
                                                  .argc = is_user ? 2 : 2 + REDIS_OAUTH_FIELDS,
                                                  .deadline_ms = REDIS_STORE_DEADLINE_MS,
                                                  .done = on_reply,
                                                  .ctx = q});
}

static struct question *find(struct redis_store *s, const struct store_question *asked)
{
    struct question *q = *bucket_of(s, asked);
    while (q && !is_same(&q->asked, asked))
        q = q->next;
    return q;
}

static struct question *question_new(
    struct redis_store *s, const struct store_question *asked, struct slice realm_name)
{
    struct question *q = calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    *q = (struct question){.store = s, .asked = *asked};
    if (realm_name.len > 0 && realm_name.len <= sizeof(q->realm)) {
        q->realm_len = realm_name.len;
        memcpy(q->realm, realm_name.data, realm_name.len);
    }
    return q;
}

/* Asks Redis, or lets the next turn of the loop answer. */
static void begin(struct redis_store *s, struct question *q)
{
    const int result = s->link ? issue(q) : -EAGAIN;
    if (result == 0) {
        struct question **bucket = bucket_of(s, &q->asked);
        q->next = *bucket;
        *bucket = q;
        return;
    }
    q->verdict = result == -EINVAL ? STORE_NOT_FOUND : STORE_UNREACHABLE;
    q->next = s->soon;
    s->soon = q;
    uv_timer_start(&s->timer, on_soon, 0, 0);
}

static void answer_now(const struct store_question *asked, store_done_fn *done, void *done_ctx)
{
    const struct store_answer answer = {.question = *asked, .verdict = STORE_UNREACHABLE};
    done(done_ctx, &answer);
}

void redis_store_ask(void *store, const struct store_question *question, struct slice realm_name,
    store_done_fn *done, void *done_ctx)
{
    struct redis_store *s = store;
    struct waiter *w = calloc(1, sizeof(*w));
    assert(question->name_len <= STORE_NAME_MAX);
    struct question *q = w ? find(s, question) : NULL;
    const bool joins = q != NULL;
    if (w && !joins)
        q = question_new(s, question, realm_name);
    if (!q) {
        free(w);
        answer_now(question, done, done_ctx);
        return;
    }
    *w = (struct waiter){.next = q->waiters, .done = done, .ctx = done_ctx};
    q->waiters = w;
    if (!joins)
        begin(s, q);
}

struct redis_store *redis_store_new(
    uv_loop_t *loop, struct redis_link *link, const struct random_source *random)
{
    struct redis_store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    if (random_fill(random, s->seed, sizeof(s->seed)) < 0) {
        free(s);
        return NULL;
    }
    s->link = link;
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    return s;
}

static void on_closed(uv_handle_t *timer)
{
    free(timer->data);
}

void redis_store_free(struct redis_store *s)
{
    if (!s)
        return;
    s->link = NULL;
    while (s->soon) /* those too that are asked meanwhile */
        answer_soon(s);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}
