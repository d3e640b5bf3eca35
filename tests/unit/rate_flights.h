/* A control thread of a test's own: takes what an entry of the rate table has to report, and
 * answers it. */
#ifndef TESTS_UNIT_RATE_FLIGHTS_H
#define TESTS_UNIT_RATE_FLIGHTS_H

#include "ratelimit/rate_control.h"
#include "ratelimit/rate_entry.h"

struct flight {
    struct rate_set *set;
    unsigned way;
    struct rate_owner owner;
    struct rate_taken taken;
};

/* The next dirty entry takes off. */
static inline bool fly(struct rate_table *t, struct flight *f)
{
    uint32_t index;
    rate_table_heed(t);
    if (!rate_table_next(t, &index))
        return false;
    f->owner = rate_table_owner(t, index);
    f->set = rate_table_set_of(t, index, &f->way);
    return rate_entry_take(f->set, f->way, &f->taken);
}

static inline void land(struct flight *f, uint64_t deny_us, uint64_t now)
{
    rate_entry_answered(f->set, f->way, &f->taken, deny_us, now);
}

#endif
