/* The arithmetic of one bucket, at rest, under load, at the edges of 64 bits. */
#include "ratelimit/gcra.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct gcra of(uint32_t count, uint32_t period_s, uint32_t burst)
{
    struct rate rate = {.count = count, .period_s = period_s, .burst = burst};
    return gcra_of(&rate);
}

static void test_gcra_of_rate_gives_interval_and_tolerance(void **state)
{
    struct gcra g = of(100, 1, 100);
    assert_int_equal(g.cost_us, 10000);
    assert_int_equal(g.tau_us, 990000);
    g = of(300, 60, 1);
    assert_int_equal(g.cost_us, 200000);
    assert_int_equal(g.tau_us, 0);
    g = of(10, 3600, 0); /* a burst of none is a burst of one */
    assert_int_equal(g.cost_us, 360000000);
    assert_int_equal(g.tau_us, 0);
    g = of(3, 1, 2); /* rounded up: never faster than asked for */
    assert_int_equal(g.cost_us, 333334);
    g = of(UINT32_MAX, 1, 1);
    assert_int_equal(g.cost_us, 1);
    g = of(1, UINT32_MAX, UINT32_MAX); /* would be over 2^64 */
    assert_int_equal(g.cost_us, UINT32_MAX * 1000000ull);
    assert_true(g.tau_us == UINT64_MAX);
    g = of(5, 0, 5);
    assert_int_equal(g.cost_us, 1);
}

static void test_gcra_admit_count_zero_admits_everything(void **state)
{
    struct gcra g = of(0, 1, 1);
    uint64_t tat = 7;
    for (int i = 0; i < 100000; i++)
        assert_true(gcra_admit(&g, &tat, 0));
    assert_int_equal(tat, 7);
    assert_true(gcra_drained(&g, UINT64_MAX, 0));
}

static void test_gcra_admit_burst_then_one_an_interval(void **state)
{
    struct gcra g = of(100, 1, 5);
    uint64_t tat = 0, now = 1000000000;
    for (int i = 0; i < 5; i++)
        assert_true(gcra_admit(&g, &tat, now));
    uint64_t before = tat;
    assert_false(gcra_admit(&g, &tat, now));
    assert_false(gcra_admit(&g, &tat, now + 9999));
    assert_int_equal(tat, before);
    for (int i = 1; i <= 50; i++) {
        assert_true(gcra_admit(&g, &tat, now + 10000ull * (unsigned)i));
        assert_false(gcra_admit(&g, &tat, now + 10000ull * (unsigned)i));
    }
}

static void test_gcra_admit_any_window_at_most_burst_and_rate(void **state)
{
    /* Asked every 37 µs for 20 s; every window of every length that is a multiple of 100 ms is
     * counted. */
    struct gcra g = of(7, 1, 3);
    enum { STEPS = 200 };
    static uint32_t admitted[STEPS + 1];
    uint64_t tat = 0;
    for (uint64_t us = 0; us < STEPS * 100000ull; us += 37)
        admitted[us / 100000 + 1] += gcra_admit(&g, &tat, us);
    for (int i = 1; i <= STEPS; i++)
        admitted[i] += admitted[i - 1];
    assert_true(admitted[STEPS] >= 139);
    for (int a = 0; a < STEPS; a++)
        for (int b = a + 1; b <= STEPS; b++)
            assert_true((admitted[b] - admitted[a]) * 10 <= 3 * 10 + 7 * (unsigned)(b - a));
}

static void test_gcra_admit_clock_steps_back_never_fuller(void **state)
{
    struct gcra g = of(10, 1, 3);
    uint64_t tat = 0;
    for (int i = 0; i < 3; i++)
        assert_true(gcra_admit(&g, &tat, 50000000));
    assert_false(gcra_admit(&g, &tat, 50000000));
    assert_false(gcra_admit(&g, &tat, 49000000));
    assert_false(gcra_admit(&g, &tat, 0));
    assert_true(gcra_admit(&g, &tat, 50100000));
}

static void test_gcra_admit_near_end_of_time_refuses_not_wraps(void **state)
{
    struct gcra g = of(10, 1, UINT32_MAX);
    uint64_t tat = UINT64_MAX - 250000;
    assert_true(gcra_admit(&g, &tat, UINT64_MAX - 250000));
    assert_true(gcra_admit(&g, &tat, UINT64_MAX - 250000));
    uint64_t before = tat;
    for (int i = 0; i < 10; i++)
        assert_false(gcra_admit(&g, &tat, UINT64_MAX - 250000));
    assert_false(gcra_admit(&g, &tat, UINT64_MAX));
    assert_true(tat == before && tat < UINT64_MAX);
    g = of(1, UINT32_MAX, 2);
    tat = UINT64_MAX - 1;
    assert_false(gcra_admit(&g, &tat, UINT64_MAX - 1));
}

static void test_gcra_drained_only_at_rest(void **state)
{
    struct gcra g = of(100, 1, 10);
    uint64_t tat = 0;
    assert_true(gcra_drained(&g, tat, 0));
    assert_true(gcra_admit(&g, &tat, 5000));
    assert_false(gcra_drained(&g, tat, 5000));
    assert_false(gcra_drained(&g, tat, 14999));
    assert_true(gcra_drained(&g, tat, 15000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gcra_of_rate_gives_interval_and_tolerance),
        cmocka_unit_test(test_gcra_admit_count_zero_admits_everything),
        cmocka_unit_test(test_gcra_admit_burst_then_one_an_interval),
        cmocka_unit_test(test_gcra_admit_any_window_at_most_burst_and_rate),
        cmocka_unit_test(test_gcra_admit_clock_steps_back_never_fuller),
        cmocka_unit_test(test_gcra_admit_near_end_of_time_refuses_not_wraps),
        cmocka_unit_test(test_gcra_drained_only_at_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
