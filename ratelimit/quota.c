/*
 * Who holds how much, in tables without a lock: how many allocations a user of a realm, a realm and
 * a client's prefix have stands in a pin_table, and what they hold besides in counters beside it.
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
#include <assert.h>
#include <stdlib.h>

#define KEYS 3 /* of a charge: user, realm, prefix */

enum key_kind { KEY_USER = 1, KEY_REALM, KEY_PREFIX };

struct entry {
    _Atomic uint32_t held[QUOTA_KINDS];
};

struct quota_table {
    struct pin_table *pins;
    struct entry *entries; /* by the index of the pin */
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
    if (!t->entries) {
        pin_table_free(t->pins);
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
    free(t->entries);
    free(t);
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

static enum reason refusal(enum pin_outcome result, enum reason over)
{
    return result == PIN_OVER_LIMIT ? over : REASON_ALLOCATION_CAP;
}

/* User, realm, prefix, in this order; on refusal what was pinned is let go. */
static enum reason pin_all(
    struct quota_table *t, struct quota_charge *c, const struct quota_asked *asked)
{
    const struct quota_limits *limits = asked->limits;
    const struct addr prefix =
        addr_masked(&asked->client, asked->client.family == ADDR_IPV4 ? 24 : 64);
    uint8_t prefix_text[17] = {prefix.family};
    memcpy(prefix_text + 1, prefix.ip, 16);

    enum pin_outcome result = pin_table_take(t->pins,
        hash_key(t, KEY_USER, asked->realm, asked->user), limits->allocations_per_user, &c->user);
    if (result != PIN_DONE)
        return refusal(result, REASON_QUOTA_USER);
    result = pin_table_take(t->pins, hash_key(t, KEY_REALM, asked->realm, (struct slice){0}),
        limits->allocations_per_realm, &c->realm);
    if (result != PIN_DONE) {
        pin_table_give(t->pins, c->user);
        return refusal(result, REASON_QUOTA_REALM);
    }
    result = pin_table_take(t->pins,
        hash_key(t, KEY_PREFIX, 0, slice_of(prefix_text, sizeof(prefix_text))), 0, &c->prefix);
    if (result != PIN_DONE) {
        pin_table_give(t->pins, c->user);
        pin_table_give(t->pins, c->realm);
        return REASON_ALLOCATION_CAP;
    }
    return REASON_NONE;
}

enum reason quota_open(struct quota_table *t, struct quota_charge *charge,
    const struct quota_asked *asked, bool *report)
{
    struct quota_charge c = {.open = true};
    enum reason reason = pin_all(t, &c, asked);
    (void)report;
    if (reason != REASON_NONE)
        return reason;
    uint32_t total = asked->limits->allocations_total;
    bool by_table = total == 0 || total > t->max_allocations;
    /* max_allocations 0 is a table for none, not one without a limit. */
    if (t->max_allocations == 0 ||
        !counter_take(&t->allocations, 1, by_table ? t->max_allocations : total)) {
        pin_table_give(t->pins, c.user);
        pin_table_give(t->pins, c.realm);
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
    pin_table_give(t->pins, charge->user);
    pin_table_give(t->pins, charge->realm);
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
