/*
 * Allocations a second: by user, address, prefix, /48, realm and instance, in this order. All
 * levels are asked before any is charged, so that who is refused at one takes nothing from the
 * others. Called by relay on any worker, once a request.
 */
#ifndef RATELIMIT_ALLOCATION_RATES_H
#define RATELIMIT_ALLOCATION_RATES_H

#include "base/addr.h"
#include "base/counters.h"
#include "ratelimit/rate_table.h"

struct allocation_asked {
    const struct ratelimit_settings *limits; /* its `rates` are not looked at */
    const struct realm_rates *rates;
    uint8_t realm;           /* id */
    struct slice realm_name; /* the same on every instance */
    struct slice account;
    struct addr client;
    uint64_t now_us;
    bool waits; /* it can; else "not yet" is a refusal */
};

struct allocation_level;

/* REASON_NONE; REASON_RATE_USER, _ADDRESS, _PREFIX, _NETWORK, _REALM or _INSTANCE;
 * REASON_LIMITS_UNREACHABLE (on_failure: deny); or REASON_LIMITS_PENDING with *pending the level
 * that is to be heard of: asked once more when Redis has answered or been silent. *report: as
 * rate_table_admit_shared. */
enum reason allocation_rates_charge(struct rate_table *t, const struct allocation_asked *asked,
    struct allocation_level *pending, bool *report);

/* The keys of the levels above, in their order; for who wants to look at them. How many. */
#define ALLOCATION_RATES_MAX 6
struct allocation_level {
    struct rate_key key;
    struct rate limit;
    enum reason reason;
};
/* Is it still "not yet"? */
bool allocation_rates_pending(
    struct rate_table *t, const struct allocation_level *level, const struct rate_ask *ask);
unsigned allocation_rates_levels(const struct rate_table *t, const struct allocation_asked *asked,
    struct allocation_level levels[ALLOCATION_RATES_MAX]);

#endif
