/*
 * Connections of all workers: one number in all, and for each client's prefix an entry of a
 * pin_table with the half-open ones beside it.
 *
 * Always: a half-open connection is counted in its prefix too, so that an entry without connections
 * has no half-open ones. A count over its limit is never reached: it is checked and moved in one
 * step. Called by net/ once for each connection that comes, is proven, and goes.
 */
#include "ratelimit/connection_counts.h"

#include "ratelimit/counter.h"
#include "ratelimit/pin_table.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct connection_counts {
    struct pin_table *prefixes;
    _Atomic uint32_t *half_open; /* by the index of the prefix */
    _Atomic uint32_t total;
    uint32_t max, reach; /* reach ≤ max */
    uint8_t key[16];
};

struct connection_counts *connection_counts_new(uint32_t max, const uint8_t key[16])
{
    if (max > PIN_COUNT_MAX)
        return NULL;
    struct connection_counts *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->max = c->reach = max;
    memcpy(c->key, key, sizeof(c->key));
    c->prefixes = pin_table_new(max);
    if (c->prefixes)
        c->half_open = calloc(pin_table_entries(c->prefixes), sizeof(*c->half_open));
    if (!c->half_open) {
        pin_table_free(c->prefixes);
        free(c);
        return NULL;
    }
    return c;
}

void connection_counts_free(struct connection_counts *c)
{
    if (!c)
        return;
    assert(atomic_load(&c->total) == 0);
    for (size_t i = 0; i < pin_table_entries(c->prefixes); i++)
        assert(atomic_load(&c->half_open[i]) == 0);
    pin_table_free(c->prefixes);
    free(c->half_open);
    free(c);
}

void connection_counts_reach(struct connection_counts *c, uint64_t most)
{
    if (most < c->reach)
        c->reach = (uint32_t)most;
}

enum reason connection_counts_open(struct connection_counts *c, struct connection_charge *charge,
    const struct connection_limits *limits)
{
    assert(!charge->counted);
    uint32_t limit = limits->total == 0 || limits->total > c->max ? c->max : limits->total;
    if (limit == 0 || !counter_take(&c->total, 1, limit))
        return REASON_CONNECTION_CAP;
    charge->counted = true;
    return REASON_NONE;
}

/* "enforced above half of the global cap": while there is room for all, nobody is counted out. A
 * half that is never reached would let one prefix have them all. */
static uint32_t half_open_limit(
    const struct connection_counts *c, const struct connection_limits *limits)
{
    uint32_t total = limits->total == 0 || limits->total > c->reach ? c->reach : limits->total;
    return atomic_load(&c->total) > total / 2 ? limits->half_open_per_prefix : 0;
}

enum reason connection_counts_place(struct connection_counts *c, struct connection_charge *charge,
    const struct connection_limits *limits, const struct addr *client)
{
    assert(charge->counted && !charge->has_prefix);
    uint32_t index;
    if (pin_table_take(c->prefixes, pin_table_prefix_hash(c->key, client), limits->per_prefix,
            &index) != PIN_DONE)
        return REASON_CONNECTION_PREFIX_CAP;
    if (!counter_take(&c->half_open[index], 1, half_open_limit(c, limits))) {
        pin_table_give(c->prefixes, index);
        return REASON_HALF_OPEN_CAP;
    }
    charge->prefix = index;
    charge->has_prefix = charge->half_open = true;
    return REASON_NONE;
}

void connection_counts_proven(struct connection_counts *c, struct connection_charge *charge)
{
    if (charge->half_open)
        counter_give(&c->half_open[charge->prefix], 1);
    charge->half_open = false;
}

void connection_counts_close(struct connection_counts *c, struct connection_charge *charge)
{
    connection_counts_proven(c, charge);
    if (charge->has_prefix)
        pin_table_give(c->prefixes, charge->prefix);
    if (charge->counted)
        counter_give(&c->total, 1);
    *charge = (struct connection_charge){0};
}

uint32_t connection_counts_total(const struct connection_counts *c)
{
    return atomic_load(&((struct connection_counts *)c)->total);
}

uint32_t connection_counts_max(const struct connection_counts *c)
{
    return c->max;
}
