/* bench/bench_stats and bench/pace: the arithmetic behind every number of docs/performance.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "bench/bench_stats.h"
#include "bench/pace.h"

static struct histogram *full(uint64_t first, uint64_t last, uint64_t step)
{
    struct histogram *h = malloc(sizeof(*h));

    assert_non_null(h);
    histogram_init(h);
    for (uint64_t value = first; value <= last; value += step) {
        histogram_add(h, value);
    }
    return h;
}

static void test_histogram_empty_gives_zero(void **state)
{
    struct histogram *h = full(1, 0, 1);

    assert_int_equal(histogram_percentile(h, 0), 0);
    assert_int_equal(histogram_percentile(h, 99.9), 0);
    free(h);
}

static void test_histogram_small_values_are_exact_nearest_ranks(void **state)
{
    struct histogram *h = full(1, 10, 1);

    assert_int_equal(histogram_percentile(h, 0), 1);
    assert_int_equal(histogram_percentile(h, 10), 1);
    assert_int_equal(histogram_percentile(h, 10.1), 2);
    assert_int_equal(histogram_percentile(h, 50), 5);
    assert_int_equal(histogram_percentile(h, 90), 9);
    assert_int_equal(histogram_percentile(h, 90.1), 10);
    assert_int_equal(histogram_percentile(h, 100), 10);
    free(h);
}

static void test_histogram_large_values_are_within_a_64th_and_never_low(void **state)
{
    const uint64_t step = 997, count = 100000;
    struct histogram *h = full(step, step * count, step);

    for (unsigned percent = 1; percent <= 100; percent++) {
        uint64_t exact = step * count * percent / 100;
        uint64_t told = histogram_percentile(h, percent);
        assert_true(told >= exact);
        assert_true(told <= exact + exact / 64 + 1);
    }
    assert_int_equal(histogram_percentile(h, 100), step * count);
    free(h);
}

static void test_histogram_boundaries_keep_the_order_of_values(void **state)
{
    for (unsigned bit = 1; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        struct histogram *h = full(power - 1, power - 1, 1);
        histogram_add(h, power);
        assert_int_equal(histogram_percentile(h, 50), power - 1);
        assert_int_equal(histogram_percentile(h, 100), power);
        free(h);
    }
}

static void test_histogram_largest_value_is_kept(void **state)
{
    struct histogram *h = full(UINT64_MAX, UINT64_MAX - 1, 1);

    histogram_add(h, UINT64_MAX);
    assert_int_equal(h->count, 1);
    assert_true(histogram_percentile(h, 50) == UINT64_MAX);
    free(h);
}

static void test_histogram_one_outlier_shows_only_behind_its_rank(void **state)
{
    struct histogram *h = full(1, 0, 1);

    for (unsigned i = 0; i < 999; i++) {
        histogram_add(h, 10);
    }
    histogram_add(h, 5000);
    assert_int_equal(histogram_percentile(h, 99.9), 10);
    assert_int_equal(histogram_percentile(h, 99.91), 5000);
    free(h);
}

static void test_stats_rates_of_nothing_are_zero(void **state)
{
    assert_true(stats_each(5.0, 0) == 0.0);
    assert_true(stats_per_second(5, 0) == 0.0);
    assert_true(stats_loss_percent(0, 0) == 0.0);
}

static void test_stats_rates_are_exact(void **state)
{
    assert_true(stats_each(10.0, 4) == 2.5);
    assert_true(stats_per_second(30000, 1500000000u) == 20000.0);
    assert_true(stats_loss_percent(200, 199) == 0.5);
    assert_true(stats_loss_percent(200, 0) == 100.0);
}

static void test_stats_more_received_than_sent_is_no_loss(void **state)
{
    assert_true(stats_loss_percent(100, 101) == 0.0);
}

/* Whoever asks late gets all that is due, once. */
static void test_pace_uneven_questions_give_the_even_rate(void **state)
{
    struct pace p;
    uint64_t total = 0;

    pace_start(&p, 20000, 1000);
    assert_int_equal(pace_due(&p, 999), 0);
    assert_int_equal(pace_due(&p, 1000), 1);
    for (uint64_t now = 1000; now < 1000 + 1000000000u; now += 7919 * 13) {
        uint64_t due = pace_due(&p, now);
        p.done += due;
        total += due;
        assert_int_equal(pace_due(&p, now), 0);
        assert_true(pace_next(&p) > now);
    }
    assert_true(total >= 19997 && total <= 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_empty_gives_zero),
        cmocka_unit_test(test_histogram_small_values_are_exact_nearest_ranks),
        cmocka_unit_test(test_histogram_large_values_are_within_a_64th_and_never_low),
        cmocka_unit_test(test_histogram_boundaries_keep_the_order_of_values),
        cmocka_unit_test(test_histogram_largest_value_is_kept),
        cmocka_unit_test(test_histogram_one_outlier_shows_only_behind_its_rank),
        cmocka_unit_test(test_stats_rates_of_nothing_are_zero),
        cmocka_unit_test(test_stats_rates_are_exact),
        cmocka_unit_test(test_stats_more_received_than_sent_is_no_loss),
        cmocka_unit_test(test_pace_uneven_questions_give_the_even_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
