/*
 * Rate buckets of all workers without a lock. A set is four entries {tag, tat}, one cache line; a
 * key lives in one set only.
 *
 * What always holds, whatever the interleaving:
 * - A key has at most one open entry. Who wants to make one first takes a drained entry by a
 * compare-and-swap of its tat to BUSY, then writes the tag, then looks whether any other entry of
 * the set has that tag; if so it gives its own up. Of two at once at least one sees the other, as
 * tags are written and read in one order (seq_cst); that both give up is possible, and then both
 * try again.
 * - Only a drained tat becomes BUSY: a charge that comes in between changes the tat, and the swap
 * fails.
 * - A charge that lands in an entry just given to another key (the tat was read before, the tag
 * changed after) is noticed: the tag is read again after the swap, and the admission is judged once
 * more. The other key has paid one admission too many: errors are on the side of refusing.
 * - Everything is tried a bounded number of times; who loses every time is refused.
 */
#include "ratelimit/rate_table.h"

#include "base/crypto.h"
#include <stdatomic.h>
#include <stdlib.h>

#define WAYS        4
#define ENTRIES_MIN 1024
#define TRIES       16
#define BUSY        UINT64_MAX /* a tat: the entry is changing hands */
#define SHARE       0x80 /* in the scope: the bucket that a prefix's keys without an entry share */

struct entry {
    _Atomic uint64_t tag; /* 0: free */
    _Atomic uint64_t tat;
};

struct set {
    _Alignas(64) struct entry way[WAYS];
};

struct rate_table {
    struct set *sets;
    /* RATE_SCOPES × sets, one tat each: for keys that have neither an entry nor a parent with one
     */
    _Atomic uint64_t *overflow;
    size_t mask;
    uint8_t key[16];
};

enum verdict { ADMITTED, REFUSED, NO_PLACE };

struct rate_table *rate_table_new(size_t entries, const uint8_t key[16])
{
    size_t sets = ENTRIES_MIN / WAYS;
    while (sets * WAYS < entries && sets <= SIZE_MAX / 4 / sizeof(struct set))
        sets *= 2;
    struct rate_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->sets = aligned_alloc(64, sets * sizeof(*t->sets));
    t->overflow = calloc(sets * RATE_SCOPES, sizeof(*t->overflow));
    if (!t->sets || !t->overflow) {
        rate_table_free(t);
        return NULL;
    }
    memset(t->sets, 0, sets * sizeof(*t->sets));
    t->mask = sets - 1;
    memcpy(t->key, key, 16);
    return t;
}

void rate_table_free(struct rate_table *t)
{
    if (!t)
        return;
    free(t->sets);
    free(t->overflow);
    free(t);
}

static uint64_t tag_of(const struct rate_table *t, const struct rate_key *key)
{
    uint8_t text[3 + 16 + sizeof(key->id)] = {
        (uint8_t)key->scope, key->prefix.family, (uint8_t)key->bits};
    size_t len = sizeof(text) - (key->id == 0 ? sizeof(key->id) : 0);
    memcpy(text + 3, key->prefix.ip, 16);
    memcpy(text + 19, &key->id, sizeof(key->id));
    uint64_t tag = crypto_siphash(t->key, text, len);
    return tag ? tag : 1;
}

static enum verdict charge(_Atomic uint64_t *tat, const struct gcra *g, uint64_t now_us)
{
    uint64_t old = atomic_load(tat);
    for (unsigned i = 0; i < TRIES && old != BUSY; i++) {
        uint64_t new = old;
        if (!gcra_admit(g, &new, now_us))
            return REFUSED;
        if (atomic_compare_exchange_weak(tat, &old, new))
            return ADMITTED;
    }
    return old == BUSY ? NO_PLACE : REFUSED;
}

static struct entry *find(struct set *s, uint64_t tag)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (atomic_load(&s->way[i].tag) == tag)
            return &s->way[i];
    return NULL;
}

/* Takes a drained entry for the tag, at rest. False: none is drained, or another thread was about
 * to do the same. */
static bool claim(struct set *s, uint64_t tag, const struct gcra *g, uint64_t now_us)
{
    struct entry *mine = NULL;
    for (unsigned i = 0; i < WAYS && !mine; i++) {
        uint64_t tat = atomic_load(&s->way[i].tat);
        if (tat != BUSY && gcra_drained(g, tat, now_us) &&
            atomic_compare_exchange_strong(&s->way[i].tat, &tat, BUSY))
            mine = &s->way[i];
    }
    if (!mine)
        return false;
    atomic_store(&mine->tag, tag);
    bool alone = true;
    for (unsigned i = 0; i < WAYS; i++)
        alone = alone && (&s->way[i] == mine || atomic_load(&s->way[i].tag) != tag);
    if (!alone)
        atomic_store(&mine->tag, 0);
    atomic_store(&mine->tat, 0);
    return alone;
}

static bool has_drained(const struct set *s, const struct gcra *g, uint64_t now_us)
{
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t tat = atomic_load(&s->way[i].tat);
        if (tat == BUSY || gcra_drained(g, tat, now_us))
            return true;
    }
    return false;
}

/* NO_PLACE: the key has no entry and the set has none to give. */
static enum verdict admit(struct rate_table *t, uint64_t tag, const struct gcra *g, uint64_t now_us)
{
    struct set *s = &t->sets[tag & t->mask];
    for (unsigned i = 0; i < TRIES; i++) {
        struct entry *e = find(s, tag);
        if (e) {
            enum verdict v = charge(&e->tat, g, now_us);
            if (v != NO_PLACE && atomic_load(&e->tag) == tag)
                return v;
        } else if (!claim(s, tag, g, now_us) && !has_drained(s, g, now_us)) {
            return NO_PLACE;
        }
    }
    return REFUSED;
}

/* What admit would say. */
static enum verdict look(struct rate_table *t, uint64_t tag, const struct gcra *g, uint64_t now_us)
{
    struct set *s = &t->sets[tag & t->mask];
    for (unsigned i = 0; i < TRIES; i++) {
        struct entry *e = find(s, tag);
        if (!e)
            return has_drained(s, g, now_us) ? ADMITTED : NO_PLACE;
        uint64_t tat = atomic_load(&e->tat);
        /* Only what is drained, or new, changes hands. */
        bool good = tat == BUSY || gcra_admit(g, &tat, now_us);
        if (atomic_load(&e->tag) == tag)
            return good ? ADMITTED : REFUSED;
    }
    return REFUSED;
}

/* The next wider prefix whose keys share a bucket when they find no place, 0: none. */
static unsigned parent_bits(const struct rate_key *key, unsigned bits)
{
    if (key->prefix.family == ADDR_IPV4)
        return bits > 24 ? 24 : 0;
    return bits > 64 ? 64 : bits > 48 ? 48 : 0;
}

/* The bucket that all keys of a scope share whose prefix hashes alike. Of an IPv6 address /32: whom
 * a network was given shall not fill the buckets of all others with its many prefixes. */
static _Atomic uint64_t *overflow_of(const struct rate_table *t, const struct rate_key *key)
{
    struct rate_key wide = *key;
    if (key->prefix.family != ADDR_NONE) {
        wide.id = 0;
        wide.bits = key->prefix.family == ADDR_IPV4 ? 24 : 32;
        wide.prefix = addr_masked(&key->prefix, wide.bits);
    }
    size_t sets = t->mask + 1;
    return &t->overflow[key->scope * sets + (tag_of(t, &wide) & t->mask)];
}

typedef enum verdict judge_fn(
    struct rate_table *t, uint64_t tag, const struct gcra *g, uint64_t now_us);

/* The key's own bucket, or else the narrowest that it shares and that has a place. */
static enum verdict judge(struct rate_table *t, const struct rate_key *key, judge_fn *ask,
    const struct gcra *g, uint64_t now_us)
{
    enum verdict v = ask(t, tag_of(t, key), g, now_us);
    struct rate_key wider = {.scope = key->scope | SHARE};
    for (unsigned up = key->id ? key->bits : parent_bits(key, key->bits);
         v == NO_PLACE && up != 0 && key->prefix.family != ADDR_NONE; up = parent_bits(key, up)) {
        wider.prefix = addr_masked(&key->prefix, up);
        wider.bits = up;
        v = ask(t, tag_of(t, &wider), g, now_us);
    }
    return v;
}

bool rate_table_admit(
    struct rate_table *t, const struct rate_key *key, const struct gcra *g, uint64_t now_us)
{
    if (g->cost_us == 0)
        return true;
    enum verdict v = judge(t, key, admit, g, now_us);
    if (v == NO_PLACE)
        v = charge(overflow_of(t, key), g, now_us);
    return v == ADMITTED;
}

bool rate_table_peek(
    struct rate_table *t, const struct rate_key *key, const struct gcra *g, uint64_t now_us)
{
    if (g->cost_us == 0)
        return true;
    enum verdict v = judge(t, key, look, g, now_us);
    if (v != NO_PLACE)
        return v == ADMITTED;
    uint64_t tat = atomic_load(overflow_of(t, key));
    return gcra_admit(g, &tat, now_us);
}
