/*
 * Counting keys without a lock. A key lives in one bucket of 64 entries; the table has three times
 * the room that it is made for, so that no bucket overflows in practice (at full load 21 entries
 * are expected; more than 64 has a chance under 10^-12 a bucket), and if one did, the key is
 * refused.
 *
 * What always holds, whatever the interleaving:
 * - An entry is one word, { tag, marked, kept, count }: finding, counting and freeing are one
 * compare-and-swap each. While it counts something or is kept the entry is pinned.
 * - A key has at most one counting entry. Who makes one first marks a free entry as CLAIMED for the
 * tag, then looks at the whole bucket; if another entry has the tag, the mark is taken back and all
 * is tried again. Of two at once at least one sees the other, as the words are written and read in
 * one order (seq_cst).
 * - No count passes its limit or wraps: it is checked and moved in one step.
 *
 * Called by quota.c, connection_counts.c and parking_counts.c on any worker; never for a media
 * packet.
 */
#include "ratelimit/pin_table.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"

#define BUCKET     64
#define ROOM       3 /* times the keys that can be pinned at once */
#define TRIES      1024
#define COUNT_MASK 0xffffffull
#define CLAIMED    COUNT_MASK /* instead of a count: not yet an entry, or not any more */
#define KEPT       (1ull << 24)
#define MARKED     (1ull << 25)
#define TAG_MASK   (~0ull << PIN_TAG_FREE_BITS)
#define PINNED     (KEPT | COUNT_MASK)

struct pin_table {
    uint32_t buckets;
    _Atomic uint64_t words[]; /* tag in the upper 38 bits, MARKED, KEPT, count in the lower 24 */
};

struct pin_table *pin_table_new(uint32_t keys)
{
    uint32_t buckets = (uint32_t)(((uint64_t)keys * ROOM + BUCKET - 1) / BUCKET);
    if (buckets == 0)
        buckets = 1;
    struct pin_table *t = calloc(1, sizeof(*t) + (size_t)buckets * BUCKET * sizeof(t->words[0]));
    if (t)
        t->buckets = buckets;
    return t;
}

void pin_table_free(struct pin_table *t)
{
    for (size_t i = 0; t && i < pin_table_entries(t); i++)
        assert((atomic_load(&t->words[i]) & COUNT_MASK) == 0); /* leases may be left */
    free(t);
}

size_t pin_table_entries(const struct pin_table *t)
{
    return (size_t)t->buckets * BUCKET;
}

enum try { TRY_DONE = PIN_DONE, TRY_OVER_LIMIT, TRY_NO_ROOM, TRY_AGAIN };

/* One that is to be counted, and where. */
struct want {
    uint64_t tag;
    uint32_t limit;
    bool keep;
    bool found;     /* the key has an entry */
    uint32_t place; /* in the bucket */
    uint64_t before, after;
};

static uint64_t one_more(const struct want *w, uint64_t word)
{
    word = (word + 1) | (w->keep ? KEPT : 0);
    return word & KEPT ? word | MARKED : word;
}

/* Makes an entry with a count of one in a free place. TRY_AGAIN: somebody else was about to do the
 * same. */
static enum try make_entry(_Atomic uint64_t *bucket, struct want *w)
{
    uint32_t mine = BUCKET;
    for (uint32_t i = 0; i < BUCKET && mine == BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i]);
        if ((word & PINNED) == 0 &&
            atomic_compare_exchange_strong(&bucket[i], &word, w->tag | CLAIMED))
            mine = i;
    }
    if (mine == BUCKET)
        return TRY_NO_ROOM;
    for (uint32_t i = 0; i < BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i]);
        if (i == mine || (word & TAG_MASK) != w->tag || (word & PINNED) == 0)
            continue;
        atomic_store(&bucket[mine], 0);
        return TRY_AGAIN;
    }
    w->place = mine;
    w->before = w->tag;
    w->after = one_more(w, w->tag);
    atomic_store(&bucket[mine], w->after);
    return TRY_DONE;
}

/* One more in an entry that is there. TRY_AGAIN: it is not there, or changing. */
static enum try count_one(_Atomic uint64_t *bucket, struct want *w)
{
    w->found = false;
    for (uint32_t i = 0; i < BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i]);
        while ((word & TAG_MASK) == w->tag && (word & PINNED) != 0) {
            w->found = true;
            uint64_t count = word & COUNT_MASK;
            if (count == CLAIMED)
                return TRY_AGAIN;
            if (count >= PIN_COUNT_MAX || (w->limit != 0 && count >= w->limit))
                return TRY_OVER_LIMIT;
            w->place = i;
            w->after = one_more(w, word);
            if (atomic_compare_exchange_weak(&bucket[i], &word, w->after)) {
                w->before = word;
                return TRY_DONE;
            }
        }
    }
    return TRY_AGAIN;
}

static uint32_t bucket_of(const struct pin_table *t, uint64_t hash)
{
    /* The bucket comes from the lower half of the hash, the tag from its upper bits. */
    return (uint32_t)((hash & UINT32_MAX) * t->buckets >> 32) * BUCKET;
}

static enum pin_outcome count_somewhere(struct pin_table *t, uint64_t hash, struct want *w)
{
    _Atomic uint64_t *bucket = &t->words[bucket_of(t, hash)];
    w->tag = pin_table_tag(hash);
    for (unsigned i = 0; i < TRIES; i++) {
        enum try result = count_one(bucket, w);
        if (result == TRY_AGAIN && !w->found)
            result = make_entry(bucket, w);
        if (result != TRY_AGAIN)
            return (enum pin_outcome)result;
    }
    return PIN_NO_ROOM;
}

enum pin_outcome pin_table_take(struct pin_table *t, uint64_t hash, uint32_t limit, uint32_t *index)
{
    struct want w = {.limit = limit};
    enum pin_outcome result = count_somewhere(t, hash, &w);
    if (result == PIN_DONE)
        *index = bucket_of(t, hash) + w.place;
    return result;
}

enum pin_outcome pin_table_take_kept(
    struct pin_table *t, uint64_t hash, bool keep, struct pin_taken *out)
{
    struct want w = {.keep = keep};
    enum pin_outcome result = count_somewhere(t, hash, &w);
    if (result != PIN_DONE)
        return PIN_NO_ROOM;
    *out = (struct pin_taken){.index = bucket_of(t, hash) + w.place,
        .count = (uint32_t)(w.after & COUNT_MASK),
        .marked = (w.after & ~w.before & MARKED) != 0};
    return PIN_DONE;
}

void pin_table_give(struct pin_table *t, uint32_t index)
{
    uint64_t old = atomic_fetch_sub(&t->words[index], 1);
    assert((old & COUNT_MASK) != 0 && (old & COUNT_MASK) != CLAIMED);
    (void)old;
}

bool pin_table_give_kept(struct pin_table *t, uint32_t index)
{
    uint64_t old = atomic_load(&t->words[index]), next;
    do {
        assert((old & COUNT_MASK) != 0 && (old & COUNT_MASK) != CLAIMED);
        next = (old - 1) | (old & KEPT ? MARKED : 0);
    } while (!atomic_compare_exchange_weak(&t->words[index], &old, next));
    return (next & ~old & MARKED) != 0;
}

bool pin_table_keep(struct pin_table *t, uint32_t index, uint64_t tag)
{
    uint64_t old = atomic_load(&t->words[index]);
    do {
        const uint64_t count = old & COUNT_MASK;
        if ((old & TAG_MASK) != tag || (old & MARKED) != 0 || count == 0 || count == CLAIMED)
            return false;
    } while (!atomic_compare_exchange_weak(&t->words[index], &old, old | KEPT | MARKED));
    return true;
}

bool pin_table_mark(struct pin_table *t, uint32_t index)
{
    return (atomic_fetch_or(&t->words[index], MARKED) & MARKED) == 0;
}

void pin_table_unmark(struct pin_table *t, uint32_t index)
{
    atomic_fetch_and(&t->words[index], ~MARKED);
}

bool pin_table_seize(struct pin_table *t, uint32_t index)
{
    uint64_t old = atomic_load(&t->words[index]);
    if ((old & (MARKED | PINNED)) != KEPT)
        return false;
    return atomic_compare_exchange_strong(&t->words[index], &old, (old & TAG_MASK) | CLAIMED);
}

void pin_table_drop(struct pin_table *t, uint32_t index)
{
    assert((atomic_load(&t->words[index]) & COUNT_MASK) == CLAIMED);
    atomic_store(&t->words[index], 0);
}

uint32_t pin_table_count(const struct pin_table *t, uint32_t index)
{
    const uint64_t count = atomic_load((_Atomic uint64_t *)&t->words[index]) & COUNT_MASK;
    return count == CLAIMED ? 0 : (uint32_t)count;
}

bool pin_table_find(const struct pin_table *t, uint64_t hash, uint32_t *index)
{
    const uint32_t first = bucket_of(t, hash);
    for (uint32_t i = first; i < first + BUCKET; i++) {
        const uint64_t word = atomic_load((_Atomic uint64_t *)&t->words[i]);
        if ((word & TAG_MASK) == pin_table_tag(hash) && (word & PINNED) != 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

uint64_t pin_table_tag(uint64_t hash)
{
    return hash & TAG_MASK;
}

static uint64_t hash_of(const uint8_t key[16], const struct addr *client, uint8_t bits)
{
    const struct addr prefix = addr_masked(client, bits);
    uint8_t text[18] = {prefix.family, bits};
    memcpy(text + 2, prefix.ip, sizeof(prefix.ip));
    return crypto_siphash(key, text, sizeof(text));
}

uint64_t pin_table_prefix_hash(const uint8_t key[16], const struct addr *client)
{
    return hash_of(key, client, client->family == ADDR_IPV4 ? 24 : 64);
}

uint64_t pin_table_network_hash(const uint8_t key[16], const struct addr *client)
{
    return hash_of(key, client, 48);
}
