/*
 * The most that was admitted beyond rate × time in any window, exactly and in one pass: the level
 * of a bucket that drains at the rate and takes in every admission is the maximum over all windows
 * that end now. In integers: one admission is a period, a microsecond drains `count`.
 */
#ifndef TESTS_SCENARIO_SHARED_LIMITS_BOUND_H
#define TESTS_SCENARIO_SHARED_LIMITS_BOUND_H

#include "base/clock.h"
#include "ratelimit/ratelimit_settings.h"

#include <stdbool.h>

struct bound {
    uint64_t count, period_us;
    uint64_t drains;  /* the rate counts so many times: 1 or 2 */
    uint64_t last_us; /* the level is as of then */
    uint64_t level, worst;
};

static inline struct bound bound_of(const struct rate *rate)
{
    return (struct bound){
        .count = rate->count, .period_us = rate->period_s * US_PER_S, .drains = 1};
}

static inline void bound_advance(struct bound *b, uint64_t now_us)
{
    const uint64_t drained = (now_us - b->last_us) * b->count * b->drains;
    b->level = b->level > drained ? b->level - drained : 0;
    b->last_us = now_us;
}

static inline void bound_drain(struct bound *b, uint64_t times, uint64_t now_us)
{
    bound_advance(b, now_us);
    b->drains = times;
}

static inline void bound_admit(struct bound *b, uint64_t now_us)
{
    bound_advance(b, now_us);
    b->level += b->period_us;
    if (b->level > b->worst)
        b->worst = b->level;
}

/* One bucket in one place that holds `burst`: would it admit this one? Then it does. */
static inline bool bound_ask(struct bound *b, uint64_t burst, uint64_t now_us)
{
    bound_advance(b, now_us);
    if (b->level + b->period_us > burst * b->period_us)
        return false;
    b->level += b->period_us;
    return true;
}

/* In admissions. */
static inline double bound_level(const struct bound *b)
{
    return (double)b->level / (double)b->period_us;
}

static inline double bound_worst(const struct bound *b)
{
    return (double)b->worst / (double)b->period_us;
}

#endif
