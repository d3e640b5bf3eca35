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

#define WAYS         4
#define ENTRIES_MIN  1024
#define TRIES        16
#define BUSY         UINT64_MAX /* a tat: the entry is changing hands */
#define PARENT_SHARE 0x80 /* in the key: the bucket that a prefix's keys without an entry share */

struct entry {
    _Atomic uint64_t tag; /* 0: free */
    _Atomic uint64_t tat;
};

struct set {
    _Alignas(64) struct entry way[WAYS];
};

struct rate_table {
    struct set *sets;
    _Atomic uint64_t
        *overflow; /* one tat a set, for keys that have neither an entry nor a parent with one */
    size_t mask;
    uint8_t key[16];
};

enum verdict { ADMITTED, REFUSED, NO_PLACE };

struct rate_table *rate_table_new(size_t entries, const uint8_t key[16])
{
    size_t sets = ENTRIES_MIN / WAYS;
    while (sets * WAYS < entries && sets <= SIZE_MAX / 2 / sizeof(struct set))
        sets *= 2;
    struct rate_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->sets = aligned_alloc(64, sets * sizeof(*t->sets));
    t->overflow = calloc(sets, sizeof(*t->overflow));
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

static uint64_t tag_of(
    const struct rate_table *t, enum rate_scope scope, const struct addr *prefix, unsigned bits)
{
    uint8_t text[3 + 16] = {(uint8_t)scope, prefix->family, (uint8_t)bits};
    memcpy(text + 3, prefix->ip, 16);
    uint64_t tag = crypto_siphash(t->key, text, sizeof(text));
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

/* The next wider prefix that is limited as well (answer_budget.c), 0: none. */
static unsigned parent_bits(const struct addr *prefix, unsigned bits)
{
    if (prefix->family == ADDR_IPV4)
        return bits > 24 ? 24 : 0;
    return bits > 64 ? 64 : bits > 48 ? 48 : 0;
}

bool rate_table_admit_prefix(struct rate_table *t, enum rate_scope scope, const struct addr *prefix,
    unsigned bits, const struct gcra *g, uint64_t now_us)
{
    if (g->cost_us == 0)
        return true;
    uint64_t tag = tag_of(t, scope, prefix, bits);
    enum verdict v = admit(t, tag, g, now_us);
    for (unsigned up = parent_bits(prefix, bits); v == NO_PLACE && up != 0;
         up = parent_bits(prefix, up)) {
        struct addr wider = addr_masked(prefix, up);
        v = admit(t, tag_of(t, scope, &wider, up | PARENT_SHARE), g, now_us);
    }
    if (v == NO_PLACE)
        v = charge(&t->overflow[tag & t->mask], g, now_us);
    return v == ADMITTED;
}
