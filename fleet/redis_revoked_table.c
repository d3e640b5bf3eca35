/*
 * A dense array of entries, found by name through base/table. What is removed is replaced by the
 * last one, so both sweeps, for what has expired and for what is marked, go round in circles.
 * Called by redis_revocations.c.
 */
#include "fleet/redis_revoked_table.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/table.h"

struct entry {
    struct redis_revoked_known known;
    uint32_t at; /* in `list` */
    uint8_t name[];
};

struct redis_revoked_table {
    struct table *by_name;
    struct entry **list; /* REVOCATIONS_MAX */
    size_t count, marked;
    size_t sweep, mark_sweep;
    uint8_t seed[16];
};

struct redis_revoked_table *redis_revoked_table_new(const struct random_source *random)
{
    struct redis_revoked_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->by_name = table_new(REVOCATIONS_MAX);
    t->list = calloc(REVOCATIONS_MAX, sizeof(struct entry *));
    if (t->by_name && t->list && random_fill(random, t->seed, sizeof(t->seed)) == 0)
        return t;
    redis_revoked_table_free(t);
    return NULL;
}

void redis_revoked_table_free(struct redis_revoked_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->list[i]);
    if (t->by_name)
        table_free(t->by_name);
    free(t->list);
    free(t);
}

size_t redis_revoked_table_count(const struct redis_revoked_table *t)
{
    return t->count;
}

const struct redis_revoked_known *redis_revoked_table_at(
    const struct redis_revoked_table *t, size_t n)
{
    return &t->list[n]->known;
}

static bool has_name(uint32_t value, const void *key, void *ctx)
{
    const struct redis_revoked_table *t = ctx;
    return slice_equal(t->list[value]->known.revoked.name, *(const struct slice *)key);
}

static uint64_t hash_of(const struct redis_revoked_table *t, struct slice name)
{
    return crypto_siphash(t->seed, name.data, name.len);
}

static struct entry *find(const struct redis_revoked_table *t, struct slice name)
{
    const uint32_t at =
        table_find(t->by_name, hash_of(t, name), has_name, &name, (void *)(uintptr_t)t);
    return at == TABLE_NOT_FOUND ? NULL : t->list[at];
}

const struct redis_revoked_known *redis_revoked_table_find(
    const struct redis_revoked_table *t, struct slice name)
{
    const struct entry *e = find(t, name);
    return e ? &e->known : NULL;
}

static int add(struct redis_revoked_table *t, const struct redis_revoked *revoked)
{
    const struct slice name = revoked->name;
    if (t->count == REVOCATIONS_MAX)
        return -ENOSPC;
    struct entry *e = malloc(sizeof(*e) + name.len);
    if (!e)
        return -ENOMEM;
    if (table_insert(t->by_name, hash_of(t, name), (uint32_t)t->count) < 0) {
        free(e);
        return -ENOSPC;
    }
    *e = (struct entry){.known.revoked = *revoked, .at = (uint32_t)t->count};
    memcpy(e->name, name.data, name.len);
    e->known.revoked.name = slice_of(e->name, name.len);
    t->list[t->count++] = e;
    return 0;
}

int redis_revoked_table_put(struct redis_revoked_table *t, const struct redis_revoked *revoked)
{
    struct entry *e = find(t, revoked->name);
    if (!e)
        return add(t, revoked);
    const struct slice name = e->known.revoked.name;
    redis_revoked_table_mark(t, &e->known, false);
    e->known.revoked = *revoked;
    e->known.revoked.name = name;
    return 0;
}

static void remove_at(struct redis_revoked_table *t, size_t at)
{
    struct entry *e = t->list[at], *last = t->list[t->count - 1];
    redis_revoked_table_mark(t, &e->known, false);
    table_remove(t->by_name, hash_of(t, e->known.revoked.name), e->at);
    if (last != e) {
        const uint64_t hash = hash_of(t, last->known.revoked.name);
        table_remove(t->by_name, hash, last->at);
        table_insert(t->by_name, hash, e->at); /* there is room: two went out */
        last->at = e->at;
        t->list[at] = last;
    }
    t->list[--t->count] = NULL;
    free(e);
}

void redis_revoked_table_expire(struct redis_revoked_table *t, int64_t now_s, size_t budget)
{
    for (size_t i = 0; i < budget && t->count > 0; i++) {
        if (t->sweep >= t->count)
            t->sweep = 0;
        if (t->list[t->sweep]->known.revoked.expires < now_s)
            remove_at(t, t->sweep);
        else
            t->sweep++;
    }
}

void redis_revoked_table_mark(
    struct redis_revoked_table *t, const struct redis_revoked_known *known, bool again)
{
    struct entry *e = (struct entry *)(uintptr_t)known; /* its first member */
    if (e->known.again != again)
        t->marked += again ? 1 : SIZE_MAX;
    e->known.again = again;
}

void redis_revoked_table_mark_all(struct redis_revoked_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        t->list[i]->known.again = true;
    t->marked = t->count;
}

size_t redis_revoked_table_marked(const struct redis_revoked_table *t)
{
    return t->marked;
}

const struct redis_revoked_known *redis_revoked_table_next_marked(struct redis_revoked_table *t)
{
    if (t->marked == 0)
        return NULL;
    for (;;) {
        if (t->mark_sweep >= t->count)
            t->mark_sweep = 0;
        if (t->list[t->mark_sweep]->known.again)
            return &t->list[t->mark_sweep]->known;
        t->mark_sweep++;
    }
}
