/* Redis's clock as seen through replies: steady, drifting, slow, set forward and back. */
#include "fleet/redis_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define AHEAD_US 1700000000000000ull /* of Redis's clock */
#define MS       1000ull
#define S        1000000ull

/* A reply: sent at `sent`, `there` µs later in Redis, `back` µs more until it is here. */
static enum redis_clock_seen see(
    struct redis_clock *c, uint64_t sent, uint64_t there, uint64_t back, int64_t set)
{
    return redis_clock_see(c, &(struct redis_clock_sample){.sent_us = sent,
                                  .received_us = sent + there + back,
                                  .redis_us = sent + there + AHEAD_US + (uint64_t)set});
}

static void test_redis_clock_steady_is_narrowed_down(void **state)
{
    struct redis_clock c = {0};
    assert_int_equal(see(&c, 5 * S, 900, 100, 0), REDIS_CLOCK_STEADY);
    assert_true(c.known);
    assert_int_equal(c.most_us - c.least_us, 1000);
    assert_int_equal(see(&c, 5 * S + 2000, 100, 900, 0), REDIS_CLOCK_STEADY);
    assert_in_range(c.most_us - c.least_us, 200, 210);
    assert_in_range((int64_t)AHEAD_US, c.least_us, c.most_us);
    assert_int_equal(c.floor_us, 0);
    /* What took long says little, and widens nothing but by the drift. */
    assert_int_equal(see(&c, 6 * S, S, S, 0), REDIS_CLOCK_STEADY);
    assert_in_range(c.most_us - c.least_us, 200, 210 + 2 * 3001);
}

static void test_redis_clock_drift_is_followed(void **state)
{
    struct redis_clock c = {0};
    for (uint64_t i = 0; i < 1000; i++) { /* 0.9 ‰ fast, asked every 5 s */
        assert_int_equal(see(&c, 5 * S * i, 50, 50, (int64_t)(4500 * i)), REDIS_CLOCK_STEADY);
        assert_int_equal(c.floor_us, 0);
    }
    /* An hour of silence in which it went so wrong as clocks may. */
    assert_int_equal(
        see(&c, 5 * S * 999 + 3600 * S, 50, 50, 4500 * 999 + 3600 * 1000), REDIS_CLOCK_STEADY);
    assert_int_equal(c.floor_us, 0);
}

static void test_redis_clock_set_forward_gives_a_floor(void **state)
{
    struct redis_clock c = {0};
    assert_int_equal(see(&c, 10 * S, 100, 100, 0), REDIS_CLOCK_STEADY);
    assert_int_equal(see(&c, 11 * S, 100, 100, 20 * MS), REDIS_CLOCK_STEADY); /* too little */
    c = (struct redis_clock){0};
    see(&c, 10 * S, 100, 100, 0);
    assert_int_equal(see(&c, 11 * S, 100, 100, 60 * S), REDIS_CLOCK_SET_FORWARD);
    /* Later than anything that was shown before, and earlier than anything since. */
    assert_in_range(c.floor_us, 11 * S + AHEAD_US + 100, 11 * S + AHEAD_US + 60 * S);
    assert_true(c.floor_us < 11 * S + AHEAD_US + 10 * MS);
    const uint64_t floor = c.floor_us;
    assert_int_equal(see(&c, 12 * S, 100, 100, 60 * S), REDIS_CLOCK_STEADY);
    assert_int_equal(c.floor_us, floor);
    assert_int_equal(see(&c, 13 * S, 100, 100, 61 * S), REDIS_CLOCK_SET_FORWARD);
    assert_true(c.floor_us > floor + 60 * S);
}

/* Whatever its clock says is no step of the one before, and that one's floor is not its own. */
static void test_redis_clock_of_another_server_begins_anew(void **state)
{
    static const int64_t ahead[] = {3600 * (int64_t)S, -3600 * (int64_t)S, 0};
    for (size_t i = 0; i < 3; i++) {
        struct redis_clock c = {0};
        see(&c, 10 * S, 100, 100, 0);
        assert_int_equal(see(&c, 11 * S, 100, 100, 60 * S), REDIS_CLOCK_SET_FORWARD);
        assert_true(c.floor_us > 0);
        redis_clock_forget(&c);
        assert_false(c.known);
        assert_int_equal(see(&c, 12 * S, 100, 100, ahead[i]), REDIS_CLOCK_STEADY);
        assert_int_equal(c.floor_us, 0);
        assert_int_equal(c.most_us - c.least_us, 200);
        /* It is watched as the other was. */
        assert_int_equal(see(&c, 13 * S, 100, 100, ahead[i] + (int64_t)S), REDIS_CLOCK_SET_FORWARD);
    }
}

static void test_redis_clock_smallest_step_is_seen(void **state)
{
    struct redis_clock c = {0};
    see(&c, 10 * S, 0, 0, 0);
    /* 1 ms of drift in a second, and one µs for what was rounded off. */
    assert_int_equal(see(&c, 11 * S, 0, 0, 21 * MS + 1), REDIS_CLOCK_STEADY);
    c = (struct redis_clock){0};
    see(&c, 10 * S, 0, 0, 0);
    assert_int_equal(see(&c, 11 * S, 0, 0, 21 * MS + 2), REDIS_CLOCK_SET_FORWARD);
}

static void test_redis_clock_set_back_takes_the_floor_away(void **state)
{
    struct redis_clock c = {0};
    see(&c, 10 * S, 100, 100, 0);
    see(&c, 11 * S, 100, 100, 60 * S);
    assert_true(c.floor_us > 0);
    assert_int_equal(see(&c, 12 * S, 100, 100, -5 * (int64_t)S), REDIS_CLOCK_SET_BACK);
    assert_int_equal(c.floor_us, 0);
    assert_int_equal(see(&c, 13 * S, 100, 100, -5 * (int64_t)S), REDIS_CLOCK_STEADY);
    assert_int_equal(see(&c, 14 * S, 100, 100, 0), REDIS_CLOCK_SET_FORWARD);
}

/* Replies that crossed, and values that nobody has. */
static void test_redis_clock_anything_is_survived(void **state)
{
    struct redis_clock c = {0};
    static const uint64_t values[] = {0, 1, S, AHEAD_US, (1ull << 53) - 1};
    for (size_t i = 0; i < 625; i++) {
        const uint64_t sent = values[i % 5], more = values[i / 5 % 5];
        redis_clock_see(
            &c, &(struct redis_clock_sample){
                    .sent_us = sent, .received_us = sent + more, .redis_us = values[i / 25 % 5]});
        assert_true(c.least_us <= c.most_us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_clock_steady_is_narrowed_down),
        cmocka_unit_test(test_redis_clock_drift_is_followed),
        cmocka_unit_test(test_redis_clock_set_forward_gives_a_floor),
        cmocka_unit_test(test_redis_clock_of_another_server_begins_anew),
        cmocka_unit_test(test_redis_clock_smallest_step_is_seen),
        cmocka_unit_test(test_redis_clock_set_back_takes_the_floor_away),
        cmocka_unit_test(test_redis_clock_anything_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
