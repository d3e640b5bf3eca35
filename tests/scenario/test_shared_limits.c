/*
 * The bounds of limits that instances share, as docs/limits.md states and proves them: thousands of
 * simulated runs for each state of the table, in no window more than the row allows, and in normal
 * running no less than 85 % of what one bucket in one place would have admitted of the same
 * requests. A run that fails is named with what it takes to repeat it: TURNPIKE_SIM=STATE:SEED (a
 * number and a number) runs only that one; TURNPIKE_SIM=STATE:SEED+COUNT so many from there on.
 */
#include "tests/scenario/shared_limits.h"
#include "tests/thorough.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Of each state. */
#define SEEDS             1000
#define SEEDS_MOST        5000
#define LEAST_UTILISATION 0.85
#define FAILURES_MAX      10 /* are named; then it is enough */

struct totals {
    double worst, worst_of_row, least;
    uint64_t admitted, calls, runs, failed;
};

static struct fake_redis *redis;
static struct {
    unsigned state; /* PLAN_STATES: all */
    uint64_t seed, count;
} only = {PLAN_STATES, 0, SEEDS};

static void say_failure(const struct plan *p, const struct sim_result *r)
{
    fprintf(stderr,
        "TURNPIKE_SIM=%d:%" PRIu64 " admits %.2f of %.2f, uses %.2f, %u refuse in the end: %s\n",
        p->state, p->seed, r->worst, p->bounds.allowed, r->utilisation, r->refused, plan_text(p));
}

static void run_one(enum plan_state state, uint64_t seed, struct totals *t)
{
    struct plan plan;
    struct sim_result r;
    plan_draw(&plan, state, seed);
    sim_run(&plan, redis, &r);
    t->runs++;
    t->admitted += r.admitted;
    t->calls += r.calls;
    t->worst = fmax(t->worst, r.worst / plan.bounds.allowed);
    t->worst_of_row = fmax(t->worst_of_row, r.worst / plan.bounds.row);
    if (state == STATE_NORMAL)
        t->least = fmin(t->least, r.utilisation);
    const bool good = r.worst <= plan.bounds.allowed && r.refused == 0 &&
                      (state != STATE_NORMAL || r.utilisation >= LEAST_UTILISATION);
    if (!good || only.count == 1)
        say_failure(&plan, &r);
    t->failed += !good;
}

static void run_state(enum plan_state state, const char *name)
{
    struct totals t = {.least = 1};
    if (only.state != PLAN_STATES && only.state != (unsigned)state)
        return;
    for (uint64_t i = 0; i < only.count && t.failed < FAILURES_MAX; i++)
        run_one(state, only.seed + i, &t);
    print_message("# %s: %" PRIu64 " runs, %" PRIu64 " admitted, %" PRIu64 " calls of the script; "
                  "at most %.3f of the bound, %.3f of the row; least utilisation %.3f\n",
        name, t.runs, t.admitted, t.calls, t.worst, t.worst_of_row, t.least);
    assert_int_equal(t.failed, 0);
}

static void test_limits_in_normal_running_admit_no_more_than_the_burst_and_the_debt(void **state)
{
    run_state(STATE_NORMAL, "normal");
}

static void test_limits_without_redis_admit_no_more_than_a_second_burst(void **state)
{
    run_state(STATE_GONE, "redis gone for all");
}

static void test_limits_of_a_split_fleet_admit_no_more_than_twice(void **state)
{
    run_state(STATE_SPLIT, "some cut off");
}

static void test_limits_after_redis_lost_its_data_admit_no_second_burst(void **state)
{
    run_state(STATE_LOST, "data lost");
}

static void test_limits_under_several_faults_admit_no_more_than_their_sum(void **state)
{
    run_state(STATE_SEVERAL, "several faults");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_in_normal_running_admit_no_more_than_the_burst_and_the_debt),
        cmocka_unit_test(test_limits_without_redis_admit_no_more_than_a_second_burst),
        cmocka_unit_test(test_limits_of_a_split_fleet_admit_no_more_than_twice),
        cmocka_unit_test(test_limits_after_redis_lost_its_data_admit_no_second_burst),
        cmocka_unit_test(test_limits_under_several_faults_admit_no_more_than_their_sum),
    };
    const char *text = getenv("TURNPIKE_SIM");
    only.count = thorough(SEEDS, SEEDS_MOST);
    if (text) {
        const int read =
            sscanf(text, "%u:%" SCNu64 "+%" SCNu64, &only.state, &only.seed, &only.count);
        only.count = read == 2 ? 1 : only.count;
        if (read < 1 || only.state >= PLAN_STATES)
            return 2;
    }
    redis = fake_redis_new();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_redis_free(redis);
    return failed;
}
