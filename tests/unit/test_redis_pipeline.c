/* Commands in flight: order, deadlines, late replies; and the pauses between attempts. */
#include "fleet/redis_pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>

#include "fleet/redis_backoff.h"

#define CAPACITY 64

static void done(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
}

static int push(struct redis_pipeline *p, uintptr_t id, uint64_t deadline_us)
{
    const struct redis_waiting w = {done, (void *)id, 1, deadline_us};
    return redis_pipeline_push(p, &w);
}

static void test_redis_pipeline_takes_in_order_and_is_bounded(void **state)
{
    struct redis_pipeline *p = redis_pipeline_new(3);
    struct redis_waiting w;
    assert_false(redis_pipeline_take(p, &w));
    assert_true(redis_pipeline_deadline(p) == UINT64_MAX);
    for (uintptr_t round = 0; round < 5; round++) { /* the ring goes round */
        assert_int_equal(push(p, 1, 30), 0);
        assert_int_equal(push(p, 2, 10), 0);
        assert_int_equal(push(p, 3, 20), 0);
        assert_int_equal(push(p, 4, 5), -EAGAIN);
        assert_int_equal(redis_pipeline_deadline(p), 10);
        for (uintptr_t id = 1; id <= 3; id++) {
            assert_true(redis_pipeline_take(p, &w));
            assert_ptr_equal(w.ctx, (void *)id);
            assert_non_null(w.done);
        }
        assert_int_equal(redis_pipeline_count(p), 0);
    }
    redis_pipeline_free(p);
}

static void test_redis_pipeline_expired_keep_their_place(void **state)
{
    struct redis_pipeline *p = redis_pipeline_new(3);
    struct redis_waiting w;
    push(p, 1, 10);
    push(p, 2, 30);
    push(p, 3, 20);
    assert_false(redis_pipeline_expire(p, 9, &w));
    assert_true(redis_pipeline_expire(p, 20, &w));
    assert_ptr_equal(w.ctx, (void *)1);
    assert_non_null(w.done);
    assert_true(redis_pipeline_expire(p, 20, &w));
    assert_ptr_equal(w.ctx, (void *)3);
    assert_false(redis_pipeline_expire(p, 20, &w));
    assert_int_equal(redis_pipeline_deadline(p), 30);
    assert_int_equal(redis_pipeline_count(p), 3);
    assert_int_equal(push(p, 4, 40), -EAGAIN); /* they count until their replies have come */
    assert_true(redis_pipeline_take(p, &w) && !w.done);
    assert_true(redis_pipeline_take(p, &w) && w.done && w.ctx == (void *)2);
    assert_true(redis_pipeline_take(p, &w) && !w.done);
    assert_true(redis_pipeline_deadline(p) == UINT64_MAX);
    redis_pipeline_free(p);
}

/* A generator of the test's own: the same sequence each time. */
static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Against the simplest thing that does the same: an array. */
static void test_redis_pipeline_agrees_with_a_model(void **state)
{
    static struct {
        uint64_t deadline;
        bool answered;
    } model[100000];
    struct redis_pipeline *p = redis_pipeline_new(CAPACITY);
    size_t head = 0, tail = 0;
    uint32_t seed = 7;
    uint64_t now = 0;
    for (unsigned step = 0; step < 100000; step++) {
        struct redis_waiting w;
        const uint32_t what = next(&seed) % 8;
        if (what < 4) {
            const uint64_t deadline = now + next(&seed) % 100;
            const bool full = tail - head == CAPACITY;
            assert_int_equal(push(p, tail, deadline), full ? -EAGAIN : 0);
            if (!full)
                model[tail++].deadline = deadline;
        } else if (what < 7) {
            const bool there = redis_pipeline_take(p, &w);
            assert_int_equal(there, head < tail);
            if (there) {
                assert_int_equal(!w.done, model[head].answered);
                assert_true(w.ctx == (void *)head++);
            }
        } else {
            now += next(&seed) % 30;
            uint64_t last = 0;
            while (redis_pipeline_expire(p, now, &w)) {
                const size_t id = (size_t)w.ctx;
                assert_true(id >= head && id < tail && !model[id].answered);
                assert_true(model[id].deadline >= last && model[id].deadline <= now);
                last = model[id].deadline;
                model[id].answered = true;
            }
        }
        uint64_t earliest = UINT64_MAX;
        for (size_t i = head; i < tail; i++) {
            if (!model[i].answered && model[i].deadline < earliest)
                earliest = model[i].deadline;
        }
        assert_true(redis_pipeline_deadline(p) == earliest);
        assert_int_equal(redis_pipeline_count(p), tail - head);
    }
    for (struct redis_waiting w; redis_pipeline_take(p, &w);)
        continue;
    redis_pipeline_free(p);
}

static int fill_broken(void *ctx, void *out, size_t len)
{
    return -EIO;
}

static void test_redis_backoff_ranges_double_and_are_drawn_whole(void **state)
{
    static const uint32_t range[] = {50, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    const struct random_source broken = {fill_broken, NULL};
    struct redis_backoff b = {0};
    for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++)
        assert_int_equal(redis_backoff_next(&b, &broken), range[i]);
    uint32_t least[3] = {UINT32_MAX, UINT32_MAX, UINT32_MAX}, most[3] = {0};
    for (unsigned turn = 0; turn < 2000; turn++) {
        b.failures = 0;
        for (size_t i = 0; i < 3; i++) {
            const uint32_t drawn = redis_backoff_next(&b, random_system());
            assert_in_range(drawn, 1, range[i]);
            least[i] = drawn < least[i] ? drawn : least[i];
            most[i] = drawn > most[i] ? drawn : most[i];
        }
    }
    for (size_t i = 0; i < 3; i++) {
        assert_true(least[i] <= range[i] / 10);
        assert_true(most[i] >= range[i] - range[i] / 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_pipeline_takes_in_order_and_is_bounded),
        cmocka_unit_test(test_redis_pipeline_expired_keep_their_place),
        cmocka_unit_test(test_redis_pipeline_agrees_with_a_model),
        cmocka_unit_test(test_redis_backoff_ranges_double_and_are_drawn_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
