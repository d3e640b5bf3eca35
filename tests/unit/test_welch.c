/* bench/welch: the statistics by which the benchmark says that users can or cannot be told apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <math.h>
#include <cmocka.h>

#include "bench/welch.h"

#define SAMPLE(values)                                                                             \
    {                                                                                              \
        values, sizeof(values) / sizeof((values)[0])                                               \
    }

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b))) {
        fail_msg("%.17g is not %.17g", a, b);
    }
}

/* Means, variances and t were computed with exact fractions. */
static void test_welch_known_numbers_agree(void **state)
{
    static const uint32_t a[] = {
        275, 210, 190, 236, 170, 179, 169, 201, 219, 226, 231, 196, 190, 217, 214};
    static const uint32_t b[] = {
        271, 220, 208, 234, 234, 235, 258, 220, 248, 202, 219, 221, 229, 205, 244};
    const struct welch_sample samples[2] = {SAMPLE(a), SAMPLE(b)};
    struct welch w;

    assert_int_equal(welch_compare(&w, samples, 0), 0);
    assert_near(w.mean[0], 208.2);
    assert_near(w.mean[1], 229.86666666666667);
    assert_near(w.variance[0], 786.7428571428571);
    assert_near(w.variance[1], 381.26666666666665);
    assert_near(w.t, -2.455356398286005);
    assert_near(w.difference, 208.2 - 229.86666666666667);
    assert_int_equal(w.count[0] + w.count[1], 30);
}

static void test_welch_unequal_sizes_agree(void **state)
{
    static const uint32_t a[] = {172, 209, 226, 181, 169, 215, 194, 192, 230, 231};
    static const uint32_t b[] = {
        214, 225, 214, 202, 232, 204, 227, 227, 197, 205, 199, 238, 186, 204, 202, 220, 229, 210};
    const struct welch_sample samples[2] = {SAMPLE(a), SAMPLE(b)},
                              swapped[2] = {samples[1], samples[0]};
    struct welch w;

    assert_int_equal(welch_compare(&w, samples, 0), 0);
    assert_near(w.t, -1.3619116453258457);
    assert_int_equal(welch_compare(&w, swapped, 0), 0);
    assert_near(w.t, 1.3619116453258457);
}

/* The textbook's formula by sums of integers, exact to the last division. */
static double by_sums(const uint32_t *a, size_t na, const uint32_t *b, size_t nb)
{
    uint64_t sa = 0, qa = 0, sb = 0, qb = 0;
    for (size_t i = 0; i < na; i++) {
        sa += a[i];
        qa += (uint64_t)a[i] * a[i];
    }
    for (size_t i = 0; i < nb; i++) {
        sb += b[i];
        qb += (uint64_t)b[i] * b[i];
    }
    long double va = (long double)(na * qa - sa * sa) / na / (na - 1) / na;
    long double vb = (long double)(nb * qb - sb * sb) / nb / (nb - 1) / nb;
    return (double)(((long double)sa / na - (long double)sb / nb) / sqrtl(va + vb));
}

static uint32_t step(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 18;
}

static void test_welch_agrees_with_the_formula_by_sums(void **state)
{
    enum { A = 5000, B = 3777 };
    static uint32_t a[A], b[B];
    uint32_t x = 1;

    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < A; i++) {
            a[i] = 20000 + step(&x);
        }
        for (unsigned i = 0; i < B; i++) {
            b[i] = 20000 + step(&x) + 37 * round;
        }
        const struct welch_sample samples[2] = {{a, A}, {b, B}};
        struct welch w;
        assert_int_equal(welch_compare(&w, samples, 0), 0);
        assert_near(w.t, by_sums(a, A, b, B));
    }
}

static void test_welch_a_shift_is_found_and_no_shift_is_not(void **state)
{
    enum { N = 20000 };
    static uint32_t a[N], b[N];
    uint32_t x = 7;
    struct welch w;

    for (unsigned i = 0; i < N; i++) {
        a[i] = 20000 + (step(&x) + step(&x) + step(&x) + step(&x)) / 4;
        b[i] = 20000 + (step(&x) + step(&x) + step(&x) + step(&x)) / 4;
    }
    const struct welch_sample samples[2] = {{a, N}, {b, N}};
    assert_int_equal(welch_compare(&w, samples, 10), 0);
    assert_true(fabs(w.t) < WELCH_TOLD_APART);
    for (unsigned i = 0; i < N; i++) {
        b[i] += 400; /* of a deviation of 2,365; the crop shrinks a difference */
    }
    assert_int_equal(welch_compare(&w, samples, 10), 0);
    assert_true(w.t <= -WELCH_TOLD_APART);
    assert_true(w.difference < -100 && w.difference > -400);
}

static void test_welch_crop_cuts_the_pool_alike_at_both_ends(void **state)
{
    static const uint32_t a[] = {1, 100, 102, 104, 106, 108, 110, 112, 114, 4000000000u};
    static const uint32_t b[] = {2, 101, 103, 105, 107, 109, 111, 113, 115, 3900000000u};
    const struct welch_sample samples[2] = {SAMPLE(a), SAMPLE(b)};
    struct welch w;

    assert_int_equal(welch_compare(&w, samples, 10), 0); /* two of twenty at either end */
    assert_int_equal(w.low, 100);
    assert_int_equal(w.high, 115);
    assert_int_equal(w.count[0], 8);
    assert_int_equal(w.count[1], 8);
    assert_near(w.difference, -1);
    assert_int_equal(welch_compare(&w, samples, 9.9), 0); /* 1.98 of them: one */
    assert_int_equal(w.low, 2);
    assert_int_equal(w.high, 3900000000u);
    assert_int_equal(w.count[0], 8);
    assert_int_equal(w.count[1], 10);
}

static void test_welch_crop_keeps_values_equal_to_the_last(void **state)
{
    static const uint32_t a[] = {5, 5, 5, 5, 7, 9, 9, 9}, b[] = {5, 5, 7, 7, 7, 9};
    const struct welch_sample samples[2] = {SAMPLE(a), SAMPLE(b)};
    struct welch w;

    assert_int_equal(welch_compare(&w, samples, 20), 0);
    assert_int_equal(w.count[0], 8);
    assert_int_equal(w.count[1], 6);
}

static void test_welch_nothing_that_varies_is_equal_or_infinitely_apart(void **state)
{
    static const uint32_t a[] = {3, 3, 3}, b[] = {4, 4};
    const struct welch_sample same[2] = {SAMPLE(a), SAMPLE(a)}, apart[2] = {SAMPLE(a), SAMPLE(b)};
    struct welch w;

    assert_int_equal(welch_compare(&w, same, 0), 0);
    assert_true(w.t == 0);
    assert_int_equal(welch_compare(&w, apart, 0), 0);
    assert_true(isinf(w.t) && w.t < 0);
}

static void test_welch_too_little_is_refused_and_nothing_written(void **state)
{
    static const uint32_t one[] = {1}, low[] = {1, 2}, high[] = {8, 9, 9, 9, 9, 9, 9, 9, 9, 9};
    const struct welch_sample few[2] = {SAMPLE(low), SAMPLE(one)},
                              cropped[2] = {SAMPLE(low), SAMPLE(high)};
    struct welch w = {.t = 77};

    assert_int_equal(welch_compare(&w, few, 0), -EINVAL);
    assert_int_equal(welch_compare(&w, cropped, 20), -EINVAL); /* nothing remains of the first */
    assert_int_equal(welch_compare(&w, cropped, 50), -EINVAL);
    assert_int_equal(welch_compare(&w, cropped, -1), -EINVAL);
    assert_int_equal(welch_compare(&w, cropped, NAN), -EINVAL);
    assert_true(w.t == 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_welch_known_numbers_agree),
        cmocka_unit_test(test_welch_unequal_sizes_agree),
        cmocka_unit_test(test_welch_agrees_with_the_formula_by_sums),
        cmocka_unit_test(test_welch_a_shift_is_found_and_no_shift_is_not),
        cmocka_unit_test(test_welch_crop_cuts_the_pool_alike_at_both_ends),
        cmocka_unit_test(test_welch_crop_keeps_values_equal_to_the_last),
        cmocka_unit_test(test_welch_nothing_that_varies_is_equal_or_infinitely_apart),
        cmocka_unit_test(test_welch_too_little_is_refused_and_nothing_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
