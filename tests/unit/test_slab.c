/* base/slab: handles die with their object, objects start as zeros, pointers do not move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/slab.h"

#define OBJECTS    1000
#define OPERATIONS 300000

static uint64_t seed = 0x2545f4914f6cdd1dull;

static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static void test_slab_handle_names_worker_and_slot(void **state)
{
    struct slab *s = slab_new(255, 24, 100);
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t handle = HANDLE_NONE;
        void *object = slab_alloc(s, &handle);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % _Alignof(max_align_t), 0);
        assert_int_equal(handle_worker(handle), 255);
        assert_int_equal(handle_slot(handle), i);
        assert_true(handle != HANDLE_NONE);
        assert_ptr_equal(slab_get(s, handle), object);
        assert_ptr_equal(slab_at(s, i), object);
        assert_int_equal(slab_slots(s), i + 1);
    }
    slab_free(s);
    slab_free(NULL);
}

static void test_slab_first_handle_of_worker_zero_is_not_none(void **state)
{
    struct slab *s = slab_new(0, 1, 1);
    uint64_t handle = HANDLE_NONE;
    assert_non_null(slab_alloc(s, &handle));
    assert_true(handle != HANDLE_NONE);
    assert_null(slab_get(s, HANDLE_NONE));
    slab_free(s);
}

static void test_slab_stale_and_foreign_handles_find_nothing(void **state)
{
    struct slab *s = slab_new(3, 16, 10);
    uint64_t old, new;
    assert_non_null(slab_alloc(s, &old));
    slab_release(s, old);
    assert_null(slab_get(s, old));
    assert_null(slab_at(s, handle_slot(old)));
    assert_non_null(slab_alloc(s, &new));
    assert_int_equal(handle_slot(new), handle_slot(old));
    assert_true(new != old);
    assert_null(slab_get(s, old));
    slab_release(s, old); /* must not touch the new tenant */
    assert_non_null(slab_get(s, new));
    assert_int_equal(slab_count(s), 1);
    assert_null(slab_get(s, new ^ 1ull << 56));   /* another worker's */
    assert_null(slab_get(s, new + (1ull << 32))); /* a slot never used */
    assert_null(slab_get(s, UINT64_MAX));
    assert_null(slab_get(s, new & ~0xffffffffull)); /* generation 0 */
    slab_free(s);
}

static void test_slab_full_returns_null_and_leaves_handle(void **state)
{
    struct slab *s = slab_new(1, 8, 65);
    uint64_t handle = 0, last = 0;
    for (int i = 0; i < 65; i++)
        assert_non_null(slab_alloc(s, &last));
    handle = 99;
    assert_null(slab_alloc(s, &handle));
    assert_true(handle == 99);
    slab_release(s, last);
    assert_non_null(slab_alloc(s, &handle));
    slab_free(s);
    s = slab_new(1, 8, 0);
    assert_null(slab_alloc(s, &handle));
    slab_free(s);
}

static void test_slab_released_object_is_wiped_and_next_one_zero(void **state)
{
    static const uint8_t zeros[40];
    struct slab *s = slab_new(1, 40, 10);
    uint64_t handle;
    void *object = slab_alloc(s, &handle);
    assert_memory_equal(object, zeros, 40);
    memset(object, 0x5a, 40);
    slab_release(s, handle);
    assert_memory_equal(object, zeros, 40);
    memset(object, 0xa5, 40); /* a write through a stale pointer */
    void *again = slab_alloc(s, &handle);
    assert_ptr_equal(again, object);
    assert_memory_equal(again, zeros, 40);
    slab_free(s);
}

static void test_slab_impossible_arguments_give_null(void **state)
{
    assert_null(slab_new(256, 8, 10));
    assert_null(slab_new(0, 0, 10));
    assert_null(slab_new(0, 8, 1u << 24));
    assert_null(slab_new(0, SIZE_MAX / 2, 10));
    struct slab *s = slab_new(0, 8, (1u << 24) - 1);
    assert_non_null(s);
    slab_free(s);
}

static void test_slab_generation_wraps_around_zero(void **state)
{
    assert_int_equal(handle_generation_after(1), 2);
    assert_int_equal(handle_generation_after(UINT32_MAX - 1), UINT32_MAX);
    assert_int_equal(handle_generation_after(UINT32_MAX), 1);
}

/* What a slot's tenant was last told to hold. */
struct tenant {
    uint64_t handle, value;
    uint64_t *object;
};

static void test_slab_random_operations_agree_with_oracle(void **state)
{
    static struct tenant tenants[OBJECTS];
    struct slab *s = slab_new(7, sizeof(uint64_t), OBJECTS);
    size_t count = 0;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct tenant *t = &tenants[next_random() % OBJECTS];
        if (t->object) {
            assert_ptr_equal(slab_get(s, t->handle), t->object);
            assert_true(*t->object == t->value);
            slab_release(s, t->handle);
            assert_null(slab_get(s, t->handle));
            t->object = NULL;
            count--;
        } else {
            uint64_t before = t->handle;
            t->object = slab_alloc(s, &t->handle);
            assert_non_null(t->object);
            assert_true(*t->object == 0);
            assert_true(t->handle != before);
            *t->object = t->value = ((uint64_t)next_random() << 32) | (i + 1);
            count++;
        }
        assert_int_equal(slab_count(s), count);
    }
    size_t visited = 0;
    for (uint32_t slot = 0; slot < slab_slots(s); slot++)
        visited += slab_at(s, slot) != NULL;
    assert_int_equal(visited, count);
    assert_null(slab_at(s, slab_slots(s)));
    slab_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slab_handle_names_worker_and_slot),
        cmocka_unit_test(test_slab_first_handle_of_worker_zero_is_not_none),
        cmocka_unit_test(test_slab_stale_and_foreign_handles_find_nothing),
        cmocka_unit_test(test_slab_full_returns_null_and_leaves_handle),
        cmocka_unit_test(test_slab_released_object_is_wiped_and_next_one_zero),
        cmocka_unit_test(test_slab_impossible_arguments_give_null),
        cmocka_unit_test(test_slab_generation_wraps_around_zero),
        cmocka_unit_test(test_slab_random_operations_agree_with_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
