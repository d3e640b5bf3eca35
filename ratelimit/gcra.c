/*
 * A bucket as one number: the time at which it would be as full as at rest, the theoretical arrival
 * time. An admission at `now` is allowed while that time is not more than tau ahead. Rounding is
 * against the one who asks: over any time not more than burst + rate × time is admitted. Called by
 * rate_table.c, from any thread.
 */
#include "ratelimit/gcra.h"

#include "base/clock.h"

struct gcra gcra_of(const struct rate *rate)
{
    struct gcra g = {0, 0};
    if (rate->count == 0)
        return g;
    uint64_t period_us = rate->period_s * US_PER_S;
    g.cost_us = period_us / rate->count + (period_us % rate->count != 0);
    if (g.cost_us == 0)
        g.cost_us = 1; /* a period of nothing: still a limit */
    if (rate->burst > 1 && __builtin_mul_overflow((uint64_t)rate->burst - 1, g.cost_us, &g.tau_us))
        g.tau_us = UINT64_MAX;
    return g;
}

bool gcra_admit(const struct gcra *g, uint64_t *tat, uint64_t now_us)
{
    if (g->cost_us == 0)
        return true;
    /* A clock that steps back finds the bucket emptier, never fuller. */
    uint64_t base = *tat > now_us ? *tat : now_us;
    if (base - now_us > g->tau_us)
        return false;
    /* What cannot be charged is refused. UINT64_MAX itself is never reached: rate_table.c marks
     * entries with it. */
    if (g->cost_us >= UINT64_MAX - base)
        return false;
    *tat = base + g->cost_us;
    return true;
}

bool gcra_drained(const struct gcra *g, uint64_t tat, uint64_t now_us)
{
    return g->cost_us == 0 || tat <= now_us;
}
