/*
 * Requests of all workers that wait for the store: one number in all, and for each client's prefix
 * an entry of a pin_table.
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
    c->prefixes = pin_table_new(PARKING_TOTAL);
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

enum reason parking_counts_open(
    struct parking_counts *c, struct parking_charge *charge, const struct addr *client)
{
    assert(!charge->open);
    uint32_t index;
    if (!counter_take(&c->total, 1, PARKING_TOTAL))
        return REASON_PARKING_FULL;
    if (pin_table_take(c->prefixes, pin_table_prefix_hash(c->key, client), PARKING_PREFIX,
            &index) != PIN_DONE) {
        counter_give(&c->total, 1);
        return REASON_PARKING_FULL;
    }
    charge->prefix = index;
    charge->open = true;
    return REASON_NONE;
}

void parking_counts_close(struct parking_counts *c, struct parking_charge *charge)
{
    if (!charge->open)
        return;
    pin_table_give(c->prefixes, charge->prefix);
    counter_give(&c->total, 1);
    *charge = (struct parking_charge){0};
}

uint32_t parking_counts_total(const struct parking_counts *c)
{
    return atomic_load(&((struct parking_counts *)c)->total);
}
