/* base/secret: copies, wiping, and comparison. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/secret.h"

static void test_secret_set_copies_and_terminates(void **state)
{
    char source[] = "pass\0word";
    struct secret s = {0};
    assert_int_equal(secret_set(&s, slice_of(source, 9)), 0);
    memset(source, 'x', sizeof(source));
    assert_int_equal(s.len, 9);
    assert_memory_equal(s.data, "pass\0word", 10);
    assert_true(slice_equal(secret_slice(&s), slice_of("pass\0word", 9)));
    secret_wipe(&s);
}

static void test_secret_set_empty_is_null(void **state)
{
    struct secret s = {0};
    assert_int_equal(secret_set(&s, slice_of("", 0)), 0);
    assert_null(s.data);
    assert_int_equal(s.len, 0);
    assert_int_equal(secret_slice(&s).len, 0);
    secret_wipe(&s);
}

static void test_secret_wipe_empties_and_may_repeat(void **state)
{
    struct secret s = {0};
    assert_int_equal(secret_set(&s, slice_of_string("password")), 0);
    secret_wipe(&s);
    assert_null(s.data);
    assert_int_equal(s.len, 0);
    secret_wipe(&s);
    assert_int_equal(secret_set(&s, slice_of_string("again")), 0);
    assert_memory_equal(s.data, "again", 6);
    secret_wipe(&s);
}

static void test_secret_equal_sees_each_byte_and_length(void **state)
{
    uint8_t a[40], b[40];
    memset(a, 7, sizeof(a));
    memset(b, 7, sizeof(b));
    assert_true(secret_equal(slice_of(a, 40), slice_of(b, 40)));
    assert_false(secret_equal(slice_of(a, 40), slice_of(b, 39)));
    assert_true(secret_equal(slice_of(NULL, 0), slice_of(b, 0)));
    for (size_t i = 0; i < sizeof(b); i++) {
        b[i] ^= 0x80;
        assert_false(secret_equal(slice_of(a, 40), slice_of(b, 40)));
        b[i] ^= 0x80;
    }
}

static void test_secret_cleanse_clears_exactly_the_range(void **state)
{
    uint8_t bytes[6] = {1, 2, 3, 4, 5, 6};
    secret_cleanse(bytes + 1, 4);
    assert_int_equal(bytes[0], 1);
    assert_int_equal(bytes[5], 6);
    assert_memory_equal(bytes + 1, "\0\0\0\0", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_set_copies_and_terminates),
        cmocka_unit_test(test_secret_set_empty_is_null),
        cmocka_unit_test(test_secret_wipe_empties_and_may_repeat),
        cmocka_unit_test(test_secret_equal_sees_each_byte_and_length),
        cmocka_unit_test(test_secret_cleanse_clears_exactly_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
