/* base/table: random operations against a plain array, colliding hashes, the limit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/table.h"

#define KEYS       4096
#define OPERATIONS 1000000

static uint64_t seed = 0x2545f4914f6cdd1dull;

static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static bool match_value(uint32_t value, const void *key, void *ctx)
{
    if (ctx)
        ++*(size_t *)ctx;
    return value == *(const uint32_t *)key;
}

static uint32_t find(const struct table *t, uint64_t hash, uint32_t key)
{
    return table_find(t, hash, match_value, &key, NULL);
}

/* Three kinds of hash: spread, few distinct ones, and all in one small range. */
static uint64_t hash_of(unsigned kind, uint32_t key)
{
    if (kind == 0)
        return (key + 1) * 0xd6e8feb86659fd93ull;
    return kind == 1 ? key % 512 : key / 3;
}

static void check_random_operations(unsigned kind, size_t operations)
{
    static bool in[KEYS];
    memset(in, 0, sizeof(in));
    struct table *t = table_new(KEYS * 3 / 4);
    size_t count = 0;
    for (size_t i = 0; i < operations; i++) {
        uint32_t key = next_random() % KEYS;
        uint64_t hash = hash_of(kind, key);
        assert_int_equal(find(t, hash, key), in[key] ? key : TABLE_NOT_FOUND);
        if (in[key]) {
            assert_true(table_remove(t, hash, key));
            assert_false(table_remove(t, hash, key));
            in[key] = false;
            count--;
        } else {
            int err = table_insert(t, hash, key);
            assert_int_equal(err, count == KEYS * 3 / 4 ? -ENOSPC : 0);
            in[key] = err == 0;
            count += err == 0;
        }
        assert_int_equal(table_count(t), count);
    }
    for (uint32_t key = 0; key < KEYS; key++)
        assert_int_equal(find(t, hash_of(kind, key), key), in[key] ? key : TABLE_NOT_FOUND);
    table_free(t);
}

static void test_table_random_operations_agree_with_oracle(void **state)
{
    check_random_operations(0, OPERATIONS);
}

static void test_table_colliding_hashes_agree_with_oracle(void **state)
{
    check_random_operations(1, OPERATIONS);
    check_random_operations(2, OPERATIONS / 10);
}

static void test_table_equal_hashes_keep_all_values(void **state)
{
    struct table *t = table_new(100);
    for (uint32_t v = 0; v < 100; v++)
        assert_int_equal(table_insert(t, 42, v), 0);
    for (uint32_t v = 0; v < 100; v += 2)
        assert_true(table_remove(t, 42, v));
    for (uint32_t v = 0; v < 100; v++)
        assert_int_equal(find(t, 42, v), v % 2 ? v : TABLE_NOT_FOUND);
    assert_int_equal(find(t, 43, 1), TABLE_NOT_FOUND);
    table_free(t);
}

static void test_table_match_is_asked_only_for_equal_hashes(void **state)
{
    struct table *t = table_new(64);
    for (uint32_t v = 0; v < 64; v++)
        assert_int_equal(table_insert(t, v, v), 0);
    size_t asked = 0;
    uint32_t key = 7;
    assert_int_equal(table_find(t, 7, match_value, &key, &asked), 7);
    assert_int_equal(asked, 1);
    assert_int_equal(table_find(t, 1000, match_value, &key, &asked), TABLE_NOT_FOUND);
    assert_int_equal(asked, 1);
    table_free(t);
}

static void test_table_remove_needs_hash_and_value(void **state)
{
    struct table *t = table_new(8);
    assert_int_equal(table_insert(t, 1, 10), 0);
    assert_false(table_remove(t, 1, 11));
    assert_false(table_remove(t, 2, 10));
    assert_int_equal(table_count(t), 1);
    assert_true(table_remove(t, 1, 10));
    table_free(t);
}

static void test_table_values_at_both_ends_are_kept(void **state)
{
    struct table *t = table_new(4);
    assert_int_equal(table_insert(t, 0, 0), 0);
    assert_int_equal(table_insert(t, UINT64_MAX, UINT32_MAX - 1), 0);
    assert_int_equal(find(t, 0, 0), 0);
    assert_int_equal(find(t, UINT64_MAX, UINT32_MAX - 1), UINT32_MAX - 1);
    table_free(t);
}

static void test_table_full_refuses_and_stays_searchable(void **state)
{
    static const size_t capacities[] = {0, 1, 2, 3, 4, 5, 7, 8, 1000};
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        size_t cap = capacities[i];
        struct table *t = table_new(cap);
        for (uint32_t v = 0; v < cap; v++)
            assert_int_equal(table_insert(t, v, v), 0);
        assert_int_equal(table_insert(t, 5000, 5000), -ENOSPC);
        /* A miss ends: there is always an empty entry left. */
        assert_int_equal(find(t, 5000, 5000), TABLE_NOT_FOUND);
        assert_int_equal(table_count(t), cap);
        table_free(t);
    }
    table_free(NULL);
    assert_null(table_new(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_random_operations_agree_with_oracle),
        cmocka_unit_test(test_table_colliding_hashes_agree_with_oracle),
        cmocka_unit_test(test_table_equal_hashes_keep_all_values),
        cmocka_unit_test(test_table_match_is_asked_only_for_equal_hashes),
        cmocka_unit_test(test_table_remove_needs_hash_and_value),
        cmocka_unit_test(test_table_values_at_both_ends_are_kept),
        cmocka_unit_test(test_table_full_refuses_and_stays_searchable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
