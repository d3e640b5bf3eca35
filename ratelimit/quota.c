/*
 * Who holds how much, in a fixed table without a lock. A key (a user of a realm, a realm, a
 * client's prefix) lives in one bucket of 64 entries; the table has three times the room that
 * max_allocations charges can need, so that no bucket overflows in practice (at full load 21
 * entries are expected; more than 64 has a chance under 10^-12 a bucket), and if one did, the
 * charge is refused.
 *
 * What always holds, whatever the interleaving:
 * - An entry is one word, { tag, number of allocations }: finding, counting and freeing are one
 * compare-and-swap each. While the number is not zero the entry is pinned; permissions and channels
 * exist only under an allocation, so they are zero when it is free.
 * - A key has at most one counting entry. Who makes one first marks a free entry as CLAIMED for the
 * tag, then looks at the whole bucket; if another entry has the tag, the mark is taken back and all
 * is tried again. Of two at once at least one sees the other, as the words are written and read in
 * one order (seq_cst).
 * - No counter passes its limit or wraps: each is checked and moved in one step. What a request has
 * taken before it is refused is given back; in between, a neighbour at its limit may be refused
 * too, never admitted too often.
 *
 * Called by relay on any worker, once a request; a media packet never comes here.
 */
#include "ratelimit/quota.h"

#include "base/crypto.h"
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BUCKET     64
#define ROOM       3 /* times the entries that can be pinned at once */
#define TRIES      1024
#define COUNT_MASK 0xffffffull
#define CLAIMED    COUNT_MASK /* instead of a count: not yet an entry */
#define CAP_MAX    (COUNT_MASK - 1)

enum key_kind { KEY_USER = 1, KEY_REALM, KEY_PREFIX };

struct entry {
    _Atomic uint64_t word; /* tag in the upper 40 bits, allocations in the lower 24 */
    _Atomic uint32_t held[QUOTA_KINDS];
};

struct quota_table {
    struct entry *entries;
    uint32_t buckets;
    uint32_t max_allocations;
    _Atomic uint32_t allocations;
    uint8_t key[16];
};

struct quota_table *quota_new(uint32_t max_allocations, const uint8_t key[16])
{
    if (max_allocations > CAP_MAX)
        return NULL;
    struct quota_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->max_allocations = max_allocations;
    t->buckets = (uint32_t)(((uint64_t)max_allocations * 3 * ROOM + BUCKET - 1) / BUCKET);
    if (t->buckets == 0)
        t->buckets = 1;
    memcpy(t->key, key, 16);
    t->entries = calloc((size_t)t->buckets * BUCKET, sizeof(*t->entries));
    if (!t->entries) {
        free(t);
        return NULL;
    }
    return t;
}

void quota_free(struct quota_table *t)
{
    if (!t)
        return;
    assert(atomic_load(&t->allocations) == 0);
    for (size_t i = 0; i < (size_t)t->buckets * BUCKET; i++) {
        assert((atomic_load(&t->entries[i].word) & COUNT_MASK) == 0);
        for (unsigned kind = 0; kind < QUOTA_KINDS; kind++)
            assert(atomic_load(&t->entries[i].held[kind]) == 0);
    }
    free(t->entries);
    free(t);
}

/* limit 0: unlimited, but never past UINT32_MAX. */
static bool counter_take(_Atomic uint32_t *counter, uint32_t n, uint32_t limit)
{
    if (limit == 0)
        limit = UINT32_MAX;
    uint32_t old = atomic_load(counter);
    do {
        if (n > limit || old > limit - n)
            return false;
    } while (!atomic_compare_exchange_weak(counter, &old, old + n));
    return true;
}

static void counter_give(_Atomic uint32_t *counter, uint32_t n)
{
    uint32_t old = atomic_fetch_sub(counter, n);
    assert(old >= n);
    (void)old;
}

static uint64_t hash_key(
    const struct quota_table *t, enum key_kind kind, uint32_t realm, struct slice name)
{
    /* Two steps, so that a name of any length needs no buffer. */
    uint64_t id = crypto_siphash(t->key, name.data, name.len);
    uint8_t text[1 + 4 + 8] = {(uint8_t)kind};
    memcpy(text + 1, &realm, 4);
    memcpy(text + 5, &id, 8);
    return crypto_siphash(t->key, text, sizeof(text));
}

enum pin { PINNED, OVER_LIMIT, NO_ROOM, AGAIN };

/* Makes an entry with one allocation in a free place. AGAIN: somebody else was about to do the
 * same. */
static enum pin make_entry(struct entry *bucket, uint64_t tag, uint32_t *index)
{
    uint32_t mine = BUCKET;
    for (uint32_t i = 0; i < BUCKET && mine == BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i].word);
        if ((word & COUNT_MASK) == 0 &&
            atomic_compare_exchange_strong(&bucket[i].word, &word, tag | CLAIMED))
            mine = i;
    }
    if (mine == BUCKET)
        return NO_ROOM;
    for (uint32_t i = 0; i < BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i].word);
        if (i == mine || (word & ~COUNT_MASK) != tag || (word & COUNT_MASK) == 0)
            continue;
        atomic_store(&bucket[mine].word, 0);
        return AGAIN;
    }
    atomic_store(&bucket[mine].word, tag | 1);
    *index = mine;
    return PINNED;
}

/* One more allocation in an entry that is there. AGAIN: it is not there, or changing. */
static enum pin count_one(
    struct entry *bucket, uint64_t tag, uint32_t limit, uint32_t *index, bool *found)
{
    *found = false;
    for (uint32_t i = 0; i < BUCKET; i++) {
        uint64_t word = atomic_load(&bucket[i].word);
        while ((word & ~COUNT_MASK) == tag && (word & COUNT_MASK) != 0) {
            *found = true;
            uint64_t count = word & COUNT_MASK;
            if (count == CLAIMED)
                return AGAIN;
            if (count >= CAP_MAX || (limit != 0 && count >= limit))
                return OVER_LIMIT;
            if (atomic_compare_exchange_weak(&bucket[i].word, &word, word + 1)) {
                *index = i;
                return PINNED;
            }
        }
    }
    return AGAIN;
}

static enum pin pin(struct quota_table *t, uint64_t hash, uint32_t limit, uint32_t *index)
{
    uint32_t first = (uint32_t)((hash & UINT32_MAX) * t->buckets >> 32) * BUCKET, place = 0;
    /* The bucket comes from the lower half of the hash, the tag from its upper 40 bits. */
    uint64_t tag = hash & ~COUNT_MASK;
    for (unsigned i = 0; i < TRIES; i++) {
        bool found;
        enum pin result = count_one(&t->entries[first], tag, limit, &place, &found);
        if (result == AGAIN && !found)
            result = make_entry(&t->entries[first], tag, &place);
        if (result == PINNED)
            *index = first + place;
        if (result != AGAIN)
            return result;
    }
    return NO_ROOM;
}

static void unpin(struct quota_table *t, uint32_t index)
{
    uint64_t old = atomic_fetch_sub(&t->entries[index].word, 1);
    assert((old & COUNT_MASK) != 0 && (old & COUNT_MASK) != CLAIMED);
    (void)old;
}

static enum reason refusal(enum pin result, enum reason over)
{
    return result == OVER_LIMIT ? over : REASON_ALLOCATION_CAP;
}

/* User, realm, prefix, in this order; on refusal what was pinned is let go. */
static enum reason pin_all(struct quota_table *t, struct quota_charge *c,
    const struct quota_limits *limits, uint32_t realm, struct slice user, const struct addr *client)
{
    const struct addr prefix = addr_masked(client, client->family == ADDR_IPV4 ? 24 : 64);
    uint8_t prefix_text[17] = {prefix.family};
    memcpy(prefix_text + 1, prefix.ip, 16);

    enum pin result =
        pin(t, hash_key(t, KEY_USER, realm, user), limits->allocations_per_user, &c->user);
    if (result != PINNED)
        return refusal(result, REASON_QUOTA_USER);
    result = pin(t, hash_key(t, KEY_REALM, realm, (struct slice){0}), limits->allocations_per_realm,
        &c->realm);
    if (result != PINNED) {
        unpin(t, c->user);
        return refusal(result, REASON_QUOTA_REALM);
    }
    result = pin(
        t, hash_key(t, KEY_PREFIX, 0, slice_of(prefix_text, sizeof(prefix_text))), 0, &c->prefix);
    if (result != PINNED) {
        unpin(t, c->user);
        unpin(t, c->realm);
        return REASON_ALLOCATION_CAP;
    }
    return REASON_NONE;
}

enum reason quota_open(struct quota_table *t, struct quota_charge *charge,
    const struct quota_limits *limits, uint32_t realm, struct slice user, const struct addr *client)
{
    struct quota_charge c = {.open = true};
    enum reason reason = pin_all(t, &c, limits, realm, user, client);
    if (reason != REASON_NONE)
        return reason;
    uint32_t total = limits->allocations_total;
    bool by_table = total == 0 || total > t->max_allocations;
    /* max_allocations 0 is a table for none, not one without a limit. */
    if (t->max_allocations == 0 ||
        !counter_take(&t->allocations, 1, by_table ? t->max_allocations : total)) {
        unpin(t, c.user);
        unpin(t, c.realm);
        unpin(t, c.prefix);
        return by_table ? REASON_ALLOCATION_CAP : REASON_QUOTA_INSTANCE;
    }
    *charge = c;
    return REASON_NONE;
}

enum reason quota_take(struct quota_table *t, struct quota_charge *charge,
    const struct quota_limits *limits, enum quota_kind kind, uint32_t n)
{
    assert(charge->open);
    /* Refreshing what is held asks for nothing more, also where a reload has lowered the limit. */
    if (n == 0)
        return REASON_NONE;
    bool permissions = kind == QUOTA_PERMISSIONS;
    uint32_t per_user = permissions ? limits->permissions_per_user : limits->channels_per_user;
    uint32_t per_prefix =
        permissions ? limits->permissions_per_prefix : limits->channels_per_prefix;
    enum reason over = permissions ? REASON_PERMISSION_CAP : REASON_CHANNEL_CAP;
    _Atomic uint32_t *of_user = &t->entries[charge->user].held[kind];
    if (!counter_take(of_user, n, per_user))
        return over;
    if (!counter_take(&t->entries[charge->prefix].held[kind], n, per_prefix)) {
        counter_give(of_user, n);
        return over;
    }
    charge->held[kind] += n; /* at most what the user's counter holds */
    return REASON_NONE;
}

void quota_give(
    struct quota_table *t, struct quota_charge *charge, enum quota_kind kind, uint32_t n)
{
    assert(charge->open && charge->held[kind] >= n);
    counter_give(&t->entries[charge->user].held[kind], n);
    counter_give(&t->entries[charge->prefix].held[kind], n);
    charge->held[kind] -= n;
}

void quota_close(struct quota_table *t, struct quota_charge *charge)
{
    if (!charge->open)
        return;
    for (unsigned kind = 0; kind < QUOTA_KINDS; kind++)
        quota_give(t, charge, kind, charge->held[kind]);
    unpin(t, charge->user);
    unpin(t, charge->realm);
    unpin(t, charge->prefix);
    counter_give(&t->allocations, 1);
    *charge = (struct quota_charge){
        .user = QUOTA_CHARGE_NONE, .realm = QUOTA_CHARGE_NONE, .prefix = QUOTA_CHARGE_NONE};
}

uint32_t quota_allocations(const struct quota_table *t)
{
    return atomic_load(&((struct quota_table *)t)->allocations);
}
