/* base/histogram: bounds as operators see them, what falls into which bucket, sums over threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/counters.h"

#define ID HISTOGRAM_CLIENT_RTT

/* The text is what Prometheus sees, so the bound in microseconds must be that. */
static int64_t bound_us(enum histogram_id id, unsigned n)
{
    return (int64_t)(strtod(histogram_bound(id, n), NULL) * 1e6 + 0.5);
}

static struct histogram_sum after(enum histogram_id id, int64_t us)
{
    static struct counters c;
    struct histogram_sum sum = {0};
    memset(&c, 0, sizeof(c));
    counters_observe(&c, id, us);
    histogram_sum_add(&sum, &c.histogram[id]);
    return sum;
}

static unsigned count(const struct histogram_sum *sum)
{
    unsigned n = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
        n += (unsigned)sum->bucket[i];
    return n;
}

static void test_histogram_bounds_rise_and_hold_what_is_not_above_them(void **state)
{
    for (int id = 0; id < HISTOGRAM_COUNT; id++) {
        assert_memory_equal(histogram_name(id), "turnpike_", 9);
        for (unsigned n = 0; n < HISTOGRAM_BOUNDS; n++) {
            const int64_t us = bound_us(id, n);
            assert_true(us > (n ? bound_us(id, n - 1) : 0) && us <= HISTOGRAM_MAX_US);
            struct histogram_sum at = after(id, us), above = after(id, us + 1);
            assert_int_equal(at.bucket[n], 1);
            assert_int_equal(at.sum_us, us);
            assert_int_equal(count(&at), 1);
            assert_int_equal(above.bucket[n + 1], 1);
            assert_int_equal(count(&above), 1);
        }
    }
}

static void test_histogram_zero_is_observed(void **state)
{
    struct histogram_sum sum = after(ID, 0);
    assert_int_equal(sum.bucket[0], 1);
    assert_int_equal(sum.sum_us, 0);
}

static void test_histogram_what_no_clock_says_is_not_observed(void **state)
{
    static const int64_t wrong[] = {-1, INT64_MIN, HISTOGRAM_MAX_US + 1, INT64_MAX};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct histogram_sum sum = after(ID, wrong[i]);
        assert_int_equal(count(&sum), 0);
        assert_int_equal(sum.sum_us, 0);
    }
    struct histogram_sum longest = after(ID, HISTOGRAM_MAX_US);
    assert_int_equal(longest.bucket[HISTOGRAM_BOUNDS], 1);
}

static void test_histogram_sums_add_all_threads(void **state)
{
    static struct counters a, b;
    static struct counters_sum sum;
    counters_observe(&a, ID, 2000);
    counters_observe(&a, ID, 2001);
    counters_observe(&b, ID, 1);
    counters_observe(&b, ID, HISTOGRAM_MAX_US);
    counters_sum_add(&sum, &a);
    counters_sum_add(&sum, &b);
    assert_int_equal(sum.histogram[ID].bucket[0], 2);
    assert_int_equal(sum.histogram[ID].bucket[1], 1);
    assert_int_equal(sum.histogram[ID].bucket[HISTOGRAM_BOUNDS], 1);
    assert_int_equal(sum.histogram[ID].sum_us, 4002 + HISTOGRAM_MAX_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_bounds_rise_and_hold_what_is_not_above_them),
        cmocka_unit_test(test_histogram_zero_is_observed),
        cmocka_unit_test(test_histogram_what_no_clock_says_is_not_observed),
        cmocka_unit_test(test_histogram_sums_add_all_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
