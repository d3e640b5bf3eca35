/*
 * Counting keys without a lock. A key lives in one bucket of 64 entries; the table has three times
 * the room that it is made for, so that no bucket overflows in practice (at full load 21 entries
 * are expected; more than 64 has a chance under 10^-12 a bucket), and if one did, the key is
 * refused.
 *
 * What always holds, whatever the interleaving:
 * - An entry is one word, { tag, count }: finding, counting and freeing are one compare-and-swap
 * each. While the count is not zero the entry is pinned.
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
#define CLAIMED    COUNT_MASK /* instead of a count: not yet an entry */

struct pin_table {
    uint32_t buckets;
    _Atomic uint64_t words[]; /* tag in the upper 40 bits, count in the lower 24 */
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
        assert((atomic_load(&t->words[i]) & COUNT_MASK) == 0);
    free(t);
}

size_t pin_table_entries(const struct pin_table *t)
{
    return (size_t)t->buckets * BUCKET;
}

enum try { TRY_DONE = PIN_DONE, TRY_OVER_LIMIT, TRY_NO_ROOM, TRY_AGAIN };

/* Makes an entry with a count of one in a free place. TRY_AGAIN: somebody else was about to do the
 * same. */
static enum try make_entry(_Atomic uint64_t *bucket, uint64_t tag, uint32_t *index)
{
    uint32_t mine = BUCKET;
    for (uint32_t i = 0; i < BUCKET && mine == BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i]);
        if ((word & COUNT_MASK) == 0 &&
            atomic_compare_exchange_strong(&bucket[i], &word, tag | CLAIMED))
            mine = i;
    }
    if (mine == BUCKET)
        return TRY_NO_ROOM;
    for (uint32_t i = 0; i < BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i]);
        if (i == mine || (word & ~COUNT_MASK) != tag || (word & COUNT_MASK) == 0)
            continue;
        atomic_store(&bucket[mine], 0);
        return TRY_AGAIN;
    }
    atomic_store(&bucket[mine], tag | 1);
    *index = mine;
    return TRY_DONE;
}

/* One more in an entry that is there. TRY_AGAIN: it is not there, or changing. */
static enum try count_one(
    _Atomic uint64_t *bucket, uint64_t tag, uint32_t limit, uint32_t *index, bool *found)
{
    *found = false;
    for (uint32_t i = 0; i < BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i]);
        while ((word & ~COUNT_MASK) == tag && (word & COUNT_MASK) != 0) {
            *found = true;
            uint64_t count = word & COUNT_MASK;
            if (count == CLAIMED)
                return TRY_AGAIN;
            if (count >= PIN_COUNT_MAX || (limit != 0 && count >= limit))
                return TRY_OVER_LIMIT;
            if (atomic_compare_exchange_weak(&bucket[i], &word, word + 1)) {
                *index = i;
                return TRY_DONE;
            }
        }
    }
    return TRY_AGAIN;
}

enum pin_outcome pin_table_take(struct pin_table *t, uint64_t hash, uint32_t limit, uint32_t *index)
{
    uint32_t first = (uint32_t)((hash & UINT32_MAX) * t->buckets >> 32) * BUCKET, place = 0;
    /* The bucket comes from the lower half of the hash, the tag from its upper 40 bits. */
    uint64_t tag = hash & ~COUNT_MASK;
    for (unsigned i = 0; i < TRIES; i++) {
        bool found;
        enum try result = count_one(&t->words[first], tag, limit, &place, &found);
        if (result == TRY_AGAIN && !found)
            result = make_entry(&t->words[first], tag, &place);
        if (result == TRY_DONE)
            *index = first + place;
        if (result != TRY_AGAIN)
            return (enum pin_outcome)result;
    }
    return PIN_NO_ROOM;
}

void pin_table_give(struct pin_table *t, uint32_t index)
{
    uint64_t old = atomic_fetch_sub(&t->words[index], 1);
    assert((old & COUNT_MASK) != 0 && (old & COUNT_MASK) != CLAIMED);
    (void)old;
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
