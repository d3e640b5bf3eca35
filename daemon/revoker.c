/*
 * Revocations between where they come from and the workers.
 *
 * Always: what is in force stands in `known`, once; what a worker has not had yet stands in
 * `queue`, in the order in which it came, and leaves it when the slowest worker has it. So a worker
 * that is behind holds up nobody, and a flood of revocations costs memory here, never a slot that a
 * reload or a stop needs. Called by control.
 */
#include "daemon/revoker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/random.h"
#include "base/table.h"

/* How soon a worker whose mailbox was full is tried again. */
#define RETRY_MS 20

/* Ids are short as a rule: only as much of it as there is. */
struct known {
    int64_t until;
    uint32_t realm;
    uint16_t id_len;
    uint8_t kind;
    uint8_t id[];
};

struct revoker {
    uv_timer_t retry;
    const struct worker_list *workers;
    struct counters *counters;
    uint8_t hash_key[16];
    struct table *table; /* hash of kind, realm and id → place in `known` */
    struct known *known[REVOCATIONS_MAX];
    uint32_t free[REVOCATIONS_MAX]; /* places in `known` that are empty: free[0..free_count) */
    uint32_t free_count;
    /* queue[i] is number first + i; a worker has had all numbers below its own. */
    struct known **queue;
    size_t queued, room;
    uint64_t first, had[WORKERS_MAX];
};

static struct known *known_new(const struct revocation *v)
{
    struct known *k = malloc(sizeof(*k) + v->id_len);
    if (k) {
        k->until = v->until;
        k->realm = v->realm;
        k->id_len = v->id_len;
        k->kind = v->kind;
        memcpy(k->id, v->id, v->id_len);
    }
    return k;
}

static void known_read(struct revocation *out, const struct known *k)
{
    *out = (struct revocation){
        .kind = k->kind, .realm = k->realm, .until = k->until, .id_len = k->id_len};
    memcpy(out->id, k->id, k->id_len);
}

static uint64_t revoker_hash(const struct revoker *r, const struct revocation *v)
{
    uint8_t bytes[5 + REVOCATION_ID_MAX];
    memcpy(bytes, &v->realm, 4);
    bytes[4] = v->kind;
    memcpy(bytes + 5, v->id, v->id_len);
    return crypto_siphash(r->hash_key, bytes, 5u + v->id_len);
}

static bool revoker_match(uint32_t place, const void *key, void *ctx)
{
    const struct revoker *r = ctx;
    const struct known *k = r->known[place];
    const struct revocation *v = key;
    return k->kind == v->kind && k->realm == v->realm && k->id_len == v->id_len &&
           memcmp(k->id, v->id, v->id_len) == 0;
}

static void revoker_on_retry(uv_timer_t *timer);

/* Gives each worker what it has not had, as far as it has room. */
static void revoker_pump(struct revoker *r)
{
    uint64_t end = r->first + r->queued, slowest = end;
    for (unsigned w = 0; w < r->workers->count; w++) {
        struct mailbox_message m = {.kind = MAILBOX_REVOKE};
        for (int posted = 0; r->had[w] < end && posted == 0; r->had[w] += posted == 0) {
            m.u.revocation = malloc(sizeof(*m.u.revocation));
            if (!m.u.revocation) {
                break;
            }
            known_read(m.u.revocation, r->queue[r->had[w] - r->first]);
            posted = mailbox_post(worker_mailbox(r->workers->items[w]), &m);
            if (posted < 0) {
                mailbox_message_free(&m);
            }
        }
        slowest = r->had[w] < slowest ? r->had[w] : slowest;
    }
    size_t done = (size_t)(slowest - r->first);
    for (size_t i = 0; i < done; i++) {
        free(r->queue[i]);
    }
    memmove(r->queue, r->queue + done, (r->queued - done) * sizeof(struct known *));
    r->queued -= done;
    r->first = slowest;
    if (r->queued > 0) {
        uv_timer_start(&r->retry, revoker_on_retry, RETRY_MS, 0);
    }
}

static void revoker_on_retry(uv_timer_t *timer)
{
    revoker_pump(timer->data);
}

/* 0 or -ENOMEM. */
static int revoker_queue(struct revoker *r, const struct revocation *v)
{
    if (r->queued == r->room) {
        size_t room = r->room ? r->room * 2 : 64;
        struct known **queue = realloc(r->queue, room * sizeof(struct known *));
        if (!queue) {
            return -ENOMEM;
        }
        r->queue = queue;
        r->room = room;
    }
    struct known *k = known_new(v);
    if (!k) {
        return -ENOMEM;
    }
    r->queue[r->queued++] = k;
    return 0;
}

static void revoker_forget(struct revoker *r, uint32_t place)
{
    struct revocation v;
    known_read(&v, r->known[place]);
    (void)table_remove(r->table, revoker_hash(r, &v), place);
    free(r->known[place]);
    r->known[place] = NULL;
    r->free[r->free_count++] = place;
}

static void revoker_show(struct revoker *r)
{
    counters_gauge_set(r->counters, GAUGE_REVOCATIONS, REVOCATIONS_MAX - r->free_count);
}

/* Puts one that is not known into `known`, where there is a place. 0 or -ENOMEM. */
static int revoker_add(struct revoker *r, const struct revocation *v)
{
    struct known *k = known_new(v);
    if (!k) {
        return -ENOMEM;
    }
    uint32_t place = r->free[r->free_count - 1];
    if (table_insert(r->table, revoker_hash(r, v), place) < 0) {
        free(k);
        return -ENOMEM;
    }
    r->free_count--;
    r->known[place] = k;
    return 0;
}

int revoker_put(struct revoker *r, const struct revocation *v, int64_t now_s)
{
    bool live = v->until > now_s;
    uint32_t place = table_find(r->table, revoker_hash(r, v), revoker_match, v, r);
    if (place == TABLE_NOT_FOUND ? !live : r->known[place]->until == v->until) {
        return 0;
    }
    if (place == TABLE_NOT_FOUND && r->free_count == 0) {
        return -ENOSPC;
    }
    /* What is queued goes to the workers even if memory fails behind it: it is not known then, and
     * the next time it comes it is queued again. */
    int rc = revoker_queue(r, v);
    if (rc < 0) {
        return rc;
    }
    if (place == TABLE_NOT_FOUND) {
        rc = revoker_add(r, v);
    } else if (live) {
        r->known[place]->until = v->until;
    } else {
        revoker_forget(r, place);
    }
    if (!uv_is_active((uv_handle_t *)&r->retry)) {
        revoker_pump(r);
    }
    revoker_show(r);
    if (rc < 0) {
        return rc;
    }
    counters_add(r->counters, METRIC_REVOCATIONS, live ? 1 : 0);
    return 1;
}

void revoker_tick(struct revoker *r, int64_t now_s)
{
    for (uint32_t i = 0; i < REVOCATIONS_MAX && r->free_count < REVOCATIONS_MAX; i++) {
        if (r->known[i] && r->known[i]->until <= now_s) {
            revoker_forget(r, i);
        }
    }
    revoker_show(r);
}

static void revoker_delete(struct revoker *r)
{
    for (uint32_t i = 0; i < REVOCATIONS_MAX; i++) {
        free(r->known[i]);
    }
    for (size_t i = 0; i < r->queued; i++) {
        free(r->queue[i]);
    }
    free(r->queue);
    table_free(r->table);
    free(r);
}

static void revoker_on_closed(uv_handle_t *timer)
{
    revoker_delete(timer->data);
}

struct revoker *revoker_new(
    uv_loop_t *loop, const struct worker_list *workers, struct counters *counters)
{
    struct revoker *r = calloc(1, sizeof(*r));
    if (!r) {
        return NULL;
    }
    r->workers = workers;
    r->counters = counters;
    r->table = table_new(REVOCATIONS_MAX);
    if (!r->table || random_fill(random_system(), r->hash_key, sizeof(r->hash_key)) < 0) {
        revoker_delete(r);
        return NULL;
    }
    while (r->free_count < REVOCATIONS_MAX) {
        r->free[r->free_count] = REVOCATIONS_MAX - 1 - r->free_count;
        r->free_count++;
    }
    uv_timer_init(loop, &r->retry); /* cannot fail */
    r->retry.data = r;
    return r;
}

void revoker_free(struct revoker *r)
{
    if (r) {
        uv_close((uv_handle_t *)&r->retry, revoker_on_closed);
    }
}
