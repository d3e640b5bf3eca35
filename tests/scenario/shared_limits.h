/*
 * A fleet whose instances share limits, simulated: each has a rate table and reports of its own and
 * a link to one fake Redis, with delays, faults, and clients that ask at the worst moment. What is
 * driven is the code that ships: ratelimit/rate_table, ratelimit/rate_reports, fleet/redis_limits_
 * calls, fleet/redis_clock and the script. One thread; time is simulated.
 */
#ifndef TESTS_SCENARIO_SHARED_LIMITS_H
#define TESTS_SCENARIO_SHARED_LIMITS_H

#include "tests/scenario/shared_limits_plan.h"
#include "tests/scenario/shared_limits_redis.h"

struct sim_result {
    double worst;       /* admitted beyond rate × time in any window, at most */
    double utilisation; /* share of what was asked, and could have been admitted */
    uint64_t admitted, calls;
    unsigned refused; /* instances that refuse although the largest debt must be paid off by then */
};

/* Runs a plan against a Redis that is emptied first; of two limits the worse result. */
void sim_run(const struct plan *plan, struct fake_redis *redis, struct sim_result *out);

#endif
