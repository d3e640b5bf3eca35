/*
 * Who holds how much, in tables without a lock: how many allocations a user of a realm, a realm and
 * a client's prefix have stands in a pin_table, and what they hold besides in counters beside it.
 * Where instances share the limits of users and realms, quota_shared.c decides about these.
 *
 * What always holds, whatever the interleaving:
 * - Permissions and channels exist only under an allocation, so they are zero when a key's entry
 * changes hands.
 * - No counter passes its limit or wraps: each is checked and moved in one step. What a request has
 * taken before it is refused is given back; in between, a neighbour at its limit may be refused
 * too, never admitted too often.
 *
 * Called by relay on any worker, once a request; a media packet never comes here.
 */
#include "ratelimit/quota.h"

#include "base/crypto.h"
#include "ratelimit/counter.h"
#include "ratelimit/pin_table.h"
#include "ratelimit/quota_shared.h"
#include <assert.h>
#include <stdlib.h>

#define KEYS 3 /* of a charge: user, realm, prefix */

enum key_kind { KEY_USER = 1, KEY_REALM, KEY_PREFIX };

struct entry {
    _Atomic uint32_t held[QUOTA_KINDS];
};

struct quota_table {
    struct pin_table *pins;
    struct entry *entries;       /* by the index of the pin */
    struct quota_shared *shared; /* likewise */
    uint32_t max_allocations;
    _Atomic uint32_t allocations;
    uint8_t key[16];
};

struct quota_table *quota_new(uint32_t max_allocations, const uint8_t key[16])
{
    if (max_allocations > PIN_COUNT_MAX)
        return NULL;
    struct quota_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->max_allocations = max_allocations;
    memcpy(t->key, key, 16);
    t->pins = pin_table_new(max_allocations * KEYS);
    t->entries = t->pins ? calloc(pin_table_entries(t->pins), sizeof(*t->entries)) : NULL;
    t->shared = t->entries ? quota_shared_new(t->pins) : NULL;
    if (!t->shared) {
        pin_table_free(t->pins);
        free(t->entries);
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
    for (size_t i = 0; i < pin_table_entries(t->pins); i++) {
        for (unsigned kind = 0; kind < QUOTA_KINDS; kind++)
            assert(atomic_load(&t->entries[i].held[kind]) == 0);
    }
    pin_table_free(t->pins);
    quota_shared_free(t->shared);
    free(t->entries);
    free(t);
}

void quota_share(struct quota_table *t, const uint8_t name_key[16])
{
    quota_shared_begin(t->shared, name_key);
}

void quota_set_fleet(struct quota_table *t, uint32_t instances)
{
    quota_shared_set_fleet(t->shared, instances);
}

void quota_set_reachable(struct quota_table *t, bool reachable)
{
    quota_shared_set_reachable(t->shared, reachable);
}

void quota_set_limits(struct quota_table *t, uint32_t realm, const struct quota_limits *limits)
{
    quota_shared_note(t->shared, realm, limits);
}

struct quota_shared *quota_shared_of(struct quota_table *t)
{
    return t->shared;
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

static enum reason refusal(
    enum quota_verdict verdict, enum reason over, const struct quota_asked *asked)
{
    switch (verdict) {
    case QUOTA_GRANTED:
        return REASON_NONE;
    case QUOTA_OVER:
        return over;
    case QUOTA_WAIT:
        return asked->waits ? REASON_LIMITS_PENDING : over;
    case QUOTA_ALONE:
        return REASON_LIMITS_UNREACHABLE;
    default:
        return REASON_ALLOCATION_CAP;
    }
}

/* Of this process alone. */
static enum quota_verdict pin(struct quota_table *t, uint64_t hash, uint32_t limit, uint32_t *index)
{
    switch (pin_table_take(t->pins, hash, limit, index)) {
    case PIN_DONE:
        return QUOTA_GRANTED;
    case PIN_OVER_LIMIT:
        return QUOTA_OVER;
    default:
        return QUOTA_NO_ROOM;
    }
}

static enum quota_verdict pin_level(struct quota_table *t, const struct quota_asked *asked,
    enum quota_level level, uint32_t *index, bool *report)
{
    const bool user = level == QUOTA_OF_USER;
    const struct slice name = user ? asked->user : (struct slice){0};
    const struct quota_who who = {
        .hash = hash_key(t, user ? KEY_USER : KEY_REALM, asked->realm, name),
        .name = quota_shared_begun(t->shared)
                    ? quota_shared_name(t->shared, level, asked->realm_name, name)
                    : 0,
        .realm = asked->realm,
        .level = level};
    if (quota_shared_begun(t->shared))
        return quota_shared_take(t->shared, &who, asked, index, report);
    return pin(t, who.hash,
        user ? asked->limits->allocations_per_user : asked->limits->allocations_per_realm, index);
}

static void unpin(struct quota_table *t, uint32_t index)
{
    if (quota_shared_begun(t->shared))
        quota_shared_give(t->shared, index);
    else
        pin_table_give(t->pins, index);
}

/* User, realm, prefix, in this order; on refusal what was pinned is let go. */
static enum reason pin_all(
    struct quota_table *t, struct quota_charge *c, const struct quota_asked *asked, bool *report)
{
    const struct addr prefix =
        addr_masked(&asked->client, asked->client.family == ADDR_IPV4 ? 24 : 64);
    uint8_t prefix_text[17] = {prefix.family};
    memcpy(prefix_text + 1, prefix.ip, 16);

    enum quota_verdict verdict = pin_level(t, asked, QUOTA_OF_USER, &c->user, report);
    if (verdict != QUOTA_GRANTED)
        return refusal(verdict, REASON_QUOTA_USER, asked);
    verdict = pin_level(t, asked, QUOTA_OF_REALM, &c->realm, report);
    if (verdict != QUOTA_GRANTED) {
        unpin(t, c->user);
        return refusal(verdict, REASON_QUOTA_REALM, asked);
    }
    verdict = pin(
        t, hash_key(t, KEY_PREFIX, 0, slice_of(prefix_text, sizeof(prefix_text))), 0, &c->prefix);
    if (verdict != QUOTA_GRANTED) {
        unpin(t, c->user);
        unpin(t, c->realm);
        return REASON_ALLOCATION_CAP;
    }
    return REASON_NONE;
}

enum reason quota_open(struct quota_table *t, struct quota_charge *charge,
    const struct quota_asked *asked, bool *report)
{
    struct quota_charge c = {.open = true};
    if (quota_shared_begun(t->shared) && quota_shared_note(t->shared, asked->realm, asked->limits))
        *report = true;
    enum reason reason = pin_all(t, &c, asked, report);
    if (reason != REASON_NONE)
        return reason;
    uint32_t total = asked->limits->allocations_total;
    bool by_table = total == 0 || total > t->max_allocations;
    /* max_allocations 0 is a table for none, not one without a limit. */
    if (t->max_allocations == 0 ||
        !counter_take(&t->allocations, 1, by_table ? t->max_allocations : total)) {
        unpin(t, c.user);
        unpin(t, c.realm);
        pin_table_give(t->pins, c.prefix);
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
    pin_table_give(t->pins, charge->prefix);
    counter_give(&t->allocations, 1);
    *charge = (struct quota_charge){
        .user = QUOTA_CHARGE_NONE, .realm = QUOTA_CHARGE_NONE, .prefix = QUOTA_CHARGE_NONE};
}

size_t quota_entries(const struct quota_table *t)
{
    return pin_table_entries(t->pins);
}

uint32_t quota_allocations(const struct quota_table *t)
{
    return atomic_load(&((struct quota_table *)t)->allocations);
}

void quota_inspect(struct quota_table *t, uint32_t realm, struct slice user, uint64_t now_us,
    struct quota_state *out)
{
    const uint64_t hash = hash_key(t, user.len > 0 ? KEY_USER : KEY_REALM, realm, user);
    if (!quota_shared_inspect(t->shared, hash, now_us, out))
        *out = (struct quota_state){0};
}
