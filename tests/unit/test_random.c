/* base/random: uniformity without modulo bias, and failure that leaves the output alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"

/* Hands out a fixed list of 32-bit words, then fails. */
struct script {
    const uint32_t *words;
    size_t count, used;
};

static int script_fill(void *ctx, void *out, size_t len)
{
    struct script *s = ctx;
    if (len != sizeof(uint32_t) || s->used == s->count)
        return -EIO;
    memcpy(out, &s->words[s->used++], len);
    return 0;
}

static int constant_fill(void *ctx, void *out, size_t len)
{
    memset(out, 0, len);
    return 0;
}

static void test_random_system_fills_differently_each_time(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(random_fill(random_system(), a, sizeof(a)), 0);
    assert_int_equal(random_fill(random_system(), b, sizeof(b)), 0);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(random_fill(random_system(), NULL, 0), 0);
}

static void test_random_below_throws_biased_values_away(void **state)
{
    /* 2^32 mod 3 = 1: only the value 0 is thrown away. */
    const uint32_t words[] = {0, 0, 7};
    struct script s = {words, 3, 0};
    struct random_source r = {script_fill, &s};
    uint32_t v = 99;
    assert_int_equal(random_below(&r, 3, &v), 0);
    assert_int_equal(v, 1);
    assert_int_equal(s.used, 3);
}

static void test_random_below_edges_of_rejection_are_exact(void **state)
{
    const uint32_t bound = 0xc0000000u, reject = 0x40000000u; /* 2^32 mod bound */
    const uint32_t words[] = {reject - 1, reject, UINT32_MAX};
    struct script s = {words, 3, 0};
    struct random_source r = {script_fill, &s};
    uint32_t v;
    assert_int_equal(random_below(&r, bound, &v), 0);
    assert_int_equal(v, reject);
    assert_int_equal(s.used, 2);
    assert_int_equal(random_below(&r, bound, &v), 0);
    assert_int_equal(v, UINT32_MAX % bound);
}

static void test_random_below_power_of_two_rejects_nothing(void **state)
{
    const uint32_t words[] = {0, 255, 256};
    struct script s = {words, 3, 0};
    struct random_source r = {script_fill, &s};
    uint32_t v;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(random_below(&r, 256, &v), 0);
        assert_int_equal(v, words[i] % 256);
    }
    s.used = 0;
    assert_int_equal(random_below(&r, 1, &v), 0);
    assert_int_equal(v, 0);
}

static void test_random_below_failing_source_leaves_output(void **state)
{
    struct script s = {NULL, 0, 0};
    struct random_source r = {script_fill, &s};
    uint32_t v = 99;
    assert_int_equal(random_below(&r, 10, &v), -EIO);
    assert_int_equal(v, 99);
}

static void test_random_below_stuck_source_fails_instead_of_hanging(void **state)
{
    struct random_source r = {constant_fill, NULL};
    uint32_t v = 99;
    assert_int_equal(random_below(&r, 3, &v), -EIO);
    assert_int_equal(v, 99);
}

static void test_random_below_shares_are_even(void **state)
{
    enum { BOUND = 10, DRAWS = 100000 };
    unsigned hits[BOUND] = {0};
    for (size_t i = 0; i < DRAWS; i++) {
        uint32_t v;
        assert_int_equal(random_below(random_system(), BOUND, &v), 0);
        assert_true(v < BOUND);
        hits[v]++;
    }
    /* Standard deviation 95: ten of them. */
    for (size_t i = 0; i < BOUND; i++)
        assert_in_range(hits[i], DRAWS / BOUND - 950, DRAWS / BOUND + 950);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_system_fills_differently_each_time),
        cmocka_unit_test(test_random_below_throws_biased_values_away),
        cmocka_unit_test(test_random_below_edges_of_rejection_are_exact),
        cmocka_unit_test(test_random_below_power_of_two_rejects_nothing),
        cmocka_unit_test(test_random_below_failing_source_leaves_output),
        cmocka_unit_test(test_random_below_stuck_source_fails_instead_of_hanging),
        cmocka_unit_test(test_random_below_shares_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
