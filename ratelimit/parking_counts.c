/*
 * Requests of all workers that wait for the store or for limits: one number in all, and for each
 * client's prefix an entry of a pin_table; of an IPv6 client's network another.
 *
 * Always: a count over its limit is never reached: it is checked and moved in one step. Called by
 * relay/park on any worker, when a request begins to wait and when it no longer does.
 */
#include "ratelimit/parking_counts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ratelimit/counter.h"
#include "ratelimit/pin_table.h"

struct parking_counts {
    struct pin_table *prefixes;
    _Atomic uint32_t total;
    uint8_t key[16];
};

struct parking_counts *parking_counts_new(const uint8_t key[16])
{
    struct parking_counts *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    memcpy(c->key, key, sizeof(c->key));
    c->prefixes = pin_table_new(2 * PARKING_TOTAL);
    if (!c->prefixes) {
        free(c);
        return NULL;
    }
    return c;
}

void parking_counts_free(struct parking_counts *c)
{
    if (!c)
        return;
    assert(atomic_load(&c->total) == 0);
    pin_table_free(c->prefixes);
    free(c);
}

static bool take_prefixes(
    struct parking_counts *c, struct parking_charge *charge, const struct addr *client)
{
    if (pin_table_take(c->prefixes, pin_table_prefix_hash(c->key, client), PARKING_PREFIX,
            &charge->prefix) != PIN_DONE)
        return false;
    if (client->family != ADDR_IPV6)
        return true;
    charge->has_network = true;
    if (pin_table_take(c->prefixes, pin_table_network_hash(c->key, client), PARKING_NETWORK,
            &charge->network) == PIN_DONE)
        return true;
    pin_table_give(c->prefixes, charge->prefix);
    return false;
}

enum reason parking_counts_open(
    struct parking_counts *c, struct parking_charge *charge, const struct addr *client)
{
    assert(!charge->open);
    struct parking_charge taken = {.open = true};
    if (!counter_take(&c->total, 1, PARKING_TOTAL))
        return REASON_PARKING_FULL;
    if (!take_prefixes(c, &taken, client)) {
        counter_give(&c->total, 1);
        return REASON_PARKING_FULL;
    }
    *charge = taken;
    return REASON_NONE;
}

void parking_counts_close(struct parking_counts *c, struct parking_charge *charge)
{
    if (!charge->open)
        return;
    pin_table_give(c->prefixes, charge->prefix);
    if (charge->has_network)
        pin_table_give(c->prefixes, charge->network);
    counter_give(&c->total, 1);
    *charge = (struct parking_charge){0};
}

uint32_t parking_counts_total(const struct parking_counts *c)
{
    return atomic_load(&((struct parking_counts *)c)->total);
}
