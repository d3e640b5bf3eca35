/*
 * How a limit of the fleet is divided and reported, as arithmetic on its rate: pure, for this
 * folder.
 */
#ifndef RATELIMIT_RATE_SHARED_H
#define RATELIMIT_RATE_SHARED_H

#include "ratelimit/rate_pending.h"

/* u = 1 + ceil(rate * RATE_REPORT_WINDOW_US): so many may be unreported. */
static inline uint32_t rate_unreported_max(const struct rate *limit)
{
    const uint64_t windows = limit->period_s * (US_PER_S / RATE_REPORT_WINDOW_US);
    if (windows == 0) /* a period of nothing */
        return RATE_COUNT_MAX;
    const uint64_t u = 1 + limit->count / windows + (limit->count % windows != 0);
    return u < RATE_COUNT_MAX ? (uint32_t)u : RATE_COUNT_MAX;
}

/* So much of what was admitted while Redis was silent is told afterwards: more than a burst empties
 * the bucket no further. */
static inline uint32_t rate_owed_max(const struct rate *limit)
{
    return limit->burst == 0 ? 1 : limit->burst < RATE_COUNT_MAX ? limit->burst : RATE_COUNT_MAX;
}

/* What one of so many instances may admit alone: rate / instances, at once max(1, burst /
 * instances), so that what an admission costs here empties it as far as the fleet's. */
static inline struct gcra rate_share_of(const struct rate *limit, uint32_t instances)
{
    const struct gcra whole = gcra_of(limit);
    struct gcra share = {whole.cost_us, 0};
    if (__builtin_mul_overflow(whole.cost_us, (uint64_t)instances, &share.cost_us))
        share.cost_us = UINT64_MAX;
    if (limit->burst > instances &&
        __builtin_mul_overflow(whole.cost_us, (uint64_t)limit->burst - instances, &share.tau_us))
        share.tau_us = UINT64_MAX;
    return share;
}

#endif
