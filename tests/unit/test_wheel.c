/* base/wheel: each timer fires once, never early, at most a tick late; callbacks may do anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/wheel.h"

#define SECOND  1000000ull
#define HOUR    (3600 * SECOND)
#define DAY     (24 * HOUR)
#define TIMERS  2000
#define ROUNDS  20000
#define FAR_OFF UINT64_MAX

static uint64_t seed = 0x2545f4914f6cdd1dull;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed >> 8;
}

struct world {
    struct wheel *wheel;
    uint64_t now_us;
    unsigned fired;
    struct wheel_timer timers[TIMERS];
    bool armed[TIMERS];
    uint64_t armed_at_us[TIMERS], previous_us; /* previous_us: the advance before this one */
};

static void fire_count(struct wheel_timer *timer, void *ctx)
{
    struct world *w = ctx;
    w->fired++;
}

static void world_init(struct world *w, uint64_t now_us)
{
    memset(w, 0, sizeof(*w));
    w->now_us = now_us;
    w->wheel = wheel_new(now_us, w);
    for (size_t i = 0; i < TIMERS; i++)
        w->timers[i].fire = fire_count;
}

static void world_advance(struct world *w, uint64_t now_us)
{
    w->previous_us = w->now_us;
    w->now_us = now_us;
    wheel_advance(w->wheel, now_us);
}

static struct world world;

static void test_wheel_deadline_at_each_level_is_exact(void **state)
{
    static const uint64_t delays[] = {1, 99999, 100000, 100001, 6300000, 6400000, 6400001,
        64 * 64 * 100000ull - 1, 64 * 64 * 100000ull, 64 * 64 * 100000ull + 1,
        64 * 64 * 64 * 100000ull, 64 * 64 * 64 * 100000ull + 1, 64ull * 64 * 64 * 64 * 100000,
        64ull * 64 * 64 * 64 * 100000 + 1, 100 * DAY, 1000 * DAY};
    static const uint64_t starts[] = {0, 1, 99999, 6399999, 12345678901, 64 * 64 * 100000ull - 1};
    for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
        for (size_t d = 0; d < sizeof(delays) / sizeof(delays[0]); d++) {
            uint64_t deadline = starts[s] + delays[d];
            world_init(&world, starts[s]);
            wheel_arm(world.wheel, &world.timers[0], deadline);
            world_advance(&world, deadline - 1);
            assert_int_equal(world.fired, 0);
            assert_int_equal(wheel_count(world.wheel), 1);
            world_advance(&world, deadline + WHEEL_TICK_US);
            assert_int_equal(world.fired, 1);
            assert_int_equal(wheel_count(world.wheel), 0);
            world_advance(&world, deadline + 2000 * DAY);
            assert_int_equal(world.fired, 1);
            wheel_free(world.wheel);
        }
    }
}

static void test_wheel_small_steps_reach_far_deadline_in_time(void **state)
{
    world_init(&world, 77);
    uint64_t deadline = 2 * HOUR + 12345;
    wheel_arm(world.wheel, &world.timers[0], deadline);
    uint64_t now = 77;
    while (world.fired == 0) {
        now += 50000;
        world_advance(&world, now);
        assert_true(now < deadline + WHEEL_TICK_US + 50000);
    }
    assert_true(now >= deadline);
    wheel_free(world.wheel);
}

static void test_wheel_past_deadline_fires_at_next_advance(void **state)
{
    world_init(&world, 10 * SECOND);
    wheel_arm(world.wheel, &world.timers[0], 0);
    wheel_arm(world.wheel, &world.timers[1], 10 * SECOND);
    assert_int_equal(world.fired, 0);
    world_advance(&world, 10 * SECOND); /* time has not moved */
    assert_int_equal(world.fired, 2);
    wheel_free(world.wheel);
}

static void test_wheel_time_going_back_is_ignored(void **state)
{
    world_init(&world, 10 * SECOND);
    wheel_arm(world.wheel, &world.timers[0], 11 * SECOND);
    world_advance(&world, 0);
    assert_int_equal(world.fired, 0);
    world_advance(&world, 11 * SECOND);
    assert_int_equal(world.fired, 1);
    wheel_free(world.wheel);
}

static void test_wheel_rearm_moves_and_disarm_forgets(void **state)
{
    world_init(&world, 0);
    wheel_arm(world.wheel, &world.timers[0], SECOND);
    wheel_arm(world.wheel, &world.timers[0], HOUR);
    assert_int_equal(wheel_count(world.wheel), 1);
    world_advance(&world, HOUR - 1);
    assert_int_equal(world.fired, 0);
    wheel_arm(world.wheel, &world.timers[0], HOUR + SECOND);
    world_advance(&world, HOUR + 900000);
    assert_int_equal(world.fired, 0);
    wheel_disarm(world.wheel, &world.timers[0]);
    wheel_disarm(world.wheel, &world.timers[0]);
    assert_int_equal(wheel_count(world.wheel), 0);
    world_advance(&world, 2 * HOUR);
    assert_int_equal(world.fired, 0);
    wheel_free(world.wheel);
    wheel_free(NULL);
}

static void test_wheel_jump_of_decades_is_quick_and_keeps_the_rest(void **state)
{
    world_init(&world, 0);
    for (size_t i = 0; i < 1000; i++)
        wheel_arm(world.wheel, &world.timers[i], i * 7 * DAY);
    wheel_arm(world.wheel, &world.timers[1000], 40000 * DAY);
    wheel_arm(world.wheel, &world.timers[1001], FAR_OFF);
    world_advance(&world, 30000 * DAY);
    assert_int_equal(world.fired, 1000);
    world_advance(&world, 39999 * DAY);
    assert_int_equal(world.fired, 1000);
    world_advance(&world, 40000 * DAY);
    assert_int_equal(world.fired, 1001);
    assert_int_equal(wheel_count(world.wheel), 1);
    wheel_free(world.wheel);
}

/* Fires in order of ticks, also over one large jump. */
static void fire_in_order(struct wheel_timer *timer, void *ctx)
{
    struct world *w = ctx;
    assert_true(timer->deadline_us / WHEEL_TICK_US + 1 >= w->armed_at_us[0] / WHEEL_TICK_US);
    w->armed_at_us[0] = timer->deadline_us;
    w->fired++;
}

static void test_wheel_jump_fires_in_order_of_deadlines(void **state)
{
    world_init(&world, 0);
    for (size_t i = 0; i < TIMERS; i++) {
        world.timers[i].fire = fire_in_order;
        wheel_arm(world.wheel, &world.timers[i], 1 + next_random() % DAY);
    }
    world_advance(&world, 2 * DAY);
    assert_int_equal(world.fired, TIMERS);
    wheel_free(world.wheel);
}

static void fire_rearm_now(struct wheel_timer *timer, void *ctx)
{
    struct world *w = ctx;
    w->fired++;
    wheel_arm(w->wheel, timer, 0);
}

static void test_wheel_rearming_for_the_past_does_not_hang_an_advance(void **state)
{
    world_init(&world, 0);
    world.timers[0].fire = fire_rearm_now;
    wheel_arm(world.wheel, &world.timers[0], 1);
    for (unsigned i = 1; i <= 5; i++) {
        world_advance(&world, i * DAY);
        assert_int_equal(world.fired, i);
    }
    wheel_free(world.wheel);
}

static void fire_disarm_all_others(struct wheel_timer *timer, void *ctx)
{
    struct world *w = ctx;
    w->fired++;
    for (size_t i = 0; i < TIMERS; i++)
        wheel_disarm(w->wheel, &w->timers[i]);
}

static void test_wheel_callback_disarms_neighbours_of_its_slot(void **state)
{
    world_init(&world, 0);
    for (size_t i = 0; i < TIMERS; i++) {
        world.timers[i].fire = fire_disarm_all_others;
        wheel_arm(world.wheel, &world.timers[i], SECOND);
    }
    world_advance(&world, 2 * SECOND);
    assert_int_equal(world.fired, 1);
    assert_int_equal(wheel_count(world.wheel), 0);
    world_advance(&world, 3 * SECOND);
    assert_int_equal(world.fired, 1);
    wheel_free(world.wheel);
}

static uint64_t random_delay(void)
{
    static const uint64_t scales[] = {
        SECOND / 5, 10 * SECOND, 10 * 60 * SECOND, 10 * HOUR, 60 * DAY};
    return next_random() % scales[next_random() % 5];
}

static void oracle_arm(struct world *w, size_t i)
{
    uint64_t deadline = w->now_us + random_delay();
    /* Some deadlines have passed already. */
    if (next_random() % 20 == 0)
        deadline = w->now_us - next_random() % (w->now_us + 1);
    wheel_arm(w->wheel, &w->timers[i], deadline);
    w->armed[i] = true;
    w->armed_at_us[i] = w->now_us;
}

static void oracle_disarm(struct world *w, size_t i)
{
    wheel_disarm(w->wheel, &w->timers[i]);
    w->armed[i] = false;
}

static void fire_checked(struct wheel_timer *timer, void *ctx)
{
    struct world *w = ctx;
    size_t i = (size_t)(timer - w->timers);
    assert_true(w->armed[i]);
    assert_true(timer->deadline_us <= w->now_us);
    assert_null(timer->prev);
    w->armed[i] = false;
    w->fired++;
    /* Itself, others that may be due in the same advance, in any combination. */
    if (next_random() % 4 == 0)
        oracle_arm(w, i);
    if (next_random() % 4 == 0)
        oracle_arm(w, next_random() % TIMERS);
    if (next_random() % 4 == 0)
        oracle_disarm(w, next_random() % TIMERS);
}

/* After an advance nothing may be armed whose deadline was a whole tick ago, unless armed in it. */
static void oracle_check(const struct world *w)
{
    uint32_t armed = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        armed += w->armed[i];
        assert_int_equal(w->timers[i].prev != NULL, w->armed[i]);
        if (w->armed[i] && w->armed_at_us[i] < w->now_us)
            assert_true(w->timers[i].deadline_us + WHEEL_TICK_US > w->now_us);
    }
    assert_int_equal(wheel_count(w->wheel), armed);
}

static void test_wheel_random_operations_agree_with_oracle(void **state)
{
    world_init(&world, 123456789);
    for (size_t i = 0; i < TIMERS; i++)
        world.timers[i].fire = fire_checked;
    for (size_t round = 0; round < ROUNDS; round++) {
        for (unsigned n = next_random() % 8; n > 0; n--)
            oracle_arm(&world, next_random() % TIMERS);
        if (next_random() % 3 == 0)
            oracle_disarm(&world, next_random() % TIMERS);
        /* Mostly the loop's tick, sometimes a jump. */
        uint64_t step = next_random() % 50 == 0 ? random_delay() : next_random() % 200000;
        world_advance(&world, world.now_us + step + 1);
        oracle_check(&world);
    }
    assert_true(world.fired > ROUNDS);
    wheel_free(world.wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_deadline_at_each_level_is_exact),
        cmocka_unit_test(test_wheel_small_steps_reach_far_deadline_in_time),
        cmocka_unit_test(test_wheel_past_deadline_fires_at_next_advance),
        cmocka_unit_test(test_wheel_time_going_back_is_ignored),
        cmocka_unit_test(test_wheel_rearm_moves_and_disarm_forgets),
        cmocka_unit_test(test_wheel_jump_of_decades_is_quick_and_keeps_the_rest),
        cmocka_unit_test(test_wheel_jump_fires_in_order_of_deadlines),
        cmocka_unit_test(test_wheel_rearming_for_the_past_does_not_hang_an_advance),
        cmocka_unit_test(test_wheel_callback_disarms_neighbours_of_its_slot),
        cmocka_unit_test(test_wheel_random_operations_agree_with_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
