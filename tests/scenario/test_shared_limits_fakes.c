/*
 * What the simulation of shared limits stands on: a Redis that treats numbers, keys and expiry as
 * Redis does, and a count of what was admitted in the worst of all windows.
 */
#include "tests/scenario/shared_limits_bound.h"
#include "tests/scenario/shared_limits_plan.h"
#include "tests/scenario/shared_limits_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static int begin(void **state)
{
    *state = fake_redis_new();
    return 0;
}

static int end(void **state)
{
    fake_redis_free(*state);
    return 0;
}

/* With the keys "{a}1" and "{a}2", and the argument "7". */
static const struct redis_reply *run_at(struct fake_redis *r, const char *script, uint64_t us)
{
    const struct slice argv[] = {
        slice_of_string("{a}1"), slice_of_string("{a}2"), slice_of_string("7")};
    const struct fake_call call = {.script = script, .key_count = 2, .argv = argv, .argc = 3};
    return fake_redis_evaluate(r, &call, us);
}

static void expect(struct fake_redis *r, const char *script, uint64_t us, const char *text)
{
    const struct redis_reply *reply = run_at(r, script, us);
    assert_int_equal(reply->kind, REDIS_KIND_STRING);
    assert_string_equal((const char *)reply->text.data, text);
}

static void expect_error(struct fake_redis *r, const char *script, const char *part)
{
    const struct redis_reply *reply = run_at(r, script, 1);
    assert_int_equal(reply->kind, REDIS_KIND_ERROR);
    assert_non_null(strstr((const char *)reply->text.data, part));
}

static void test_fake_redis_numbers_in_replies_are_cut(void **state)
{
    const struct redis_reply *reply =
        run_at(*state, "return {1.9, '1.9', -1.9, false, ARGV[1], nil, 'unseen'}", 1);
    assert_int_equal(reply->kind, REDIS_KIND_ARRAY);
    assert_int_equal(reply->count, 5);
    assert_int_equal(reply->elements[0]->kind, REDIS_KIND_INTEGER);
    assert_int_equal(reply->elements[0]->integer, 1);
    assert_string_equal((const char *)redis_reply_string(reply, 1).data, "1.9");
    assert_int_equal(reply->elements[2]->integer, -1);
    assert_int_equal(reply->elements[3]->kind, REDIS_KIND_NIL);
    assert_string_equal((const char *)redis_reply_string(reply, 4).data, "7");
}

static void test_fake_redis_numbers_in_commands_become_17_digits(void **state)
{
    expect(*state,
        "redis.call('SET', KEYS[1], 1700000000000123, 'PX', 10) return redis.call('GET', KEYS[1])",
        1, "1700000000000123");
    expect(*state, "redis.call('SET', KEYS[1], 0.1, 'PX', 10) return redis.call('GET', KEYS[1])", 1,
        "0.10000000000000001");
    expect_error(*state, "redis.call('SET', KEYS[1], 'x', 'PX', 10.5)", "not an integer");
    expect_error(*state, "redis.call('SET', KEYS[1], 'x', 'PX', 0)", "invalid expire");
    expect_error(*state, "redis.call('SET', KEYS[1], true, 'PX', 1)", "strings or integers");
}

static void test_fake_redis_a_key_that_is_not_there_is_false(void **state)
{
    expect(*state, "return tostring(redis.call('GET', KEYS[1]))", 1, "false");
    expect(*state, "return tostring(redis.call('MGET', KEYS[1], KEYS[2])[2])", 1, "false");
}

static void test_fake_redis_keys_end_after_their_time(void **state)
{
    run_at(*state, "redis.call('SET', KEYS[2], 'x', 'PX', 5)", 1000999);
    expect(*state, "return tostring(redis.call('GET', KEYS[2]))", 1005999, "x");
    expect(*state, "return tostring(redis.call('GET', KEYS[2]))", 1006000, "false");
}

static void test_fake_redis_tells_the_time_of_the_server(void **state)
{
    expect(*state, "local t = redis.call('TIME') return t[1] .. ' ' .. t[2]", 1700000000000042,
        "1700000000 42");
}

static void test_fake_redis_refuses_what_a_cluster_would(void **state)
{
    const struct slice argv[] = {slice_of_string("{a}1"), slice_of_string("{b}1")};
    const struct fake_call call = {.script = "return 1", .key_count = 2, .argv = argv, .argc = 2};
    expect_error(*state, "return redis.call('GET', '{a}3')", "non local key");
    expect_error(*state, "return redis.call('KEYS', '*')", "unknown command");
    assert_int_equal(fake_redis_evaluate(*state, &call, 1)->kind, REDIS_KIND_ERROR);
}

/* By trying all pairs. */
static double worst_window(const uint64_t *at, size_t count, const struct rate *rate)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count; j++) {
            const double seconds = (double)(at[j] - at[i]) / US_PER_S;
            const double excess = (double)(j - i + 1) - seconds * rate->count / rate->period_s;
            worst = excess > worst ? excess : worst;
        }
    return worst;
}

static void test_bound_is_that_of_the_worst_of_all_windows(void **state)
{
    struct dice d = {.state = 1};
    for (unsigned round = 0; round < 200; round++) {
        const struct rate rate = {.count = (uint32_t)dice_between(&d, 1, 50), .period_s = 1};
        struct bound b = bound_of(&rate);
        uint64_t at[60], now_us = 0;
        for (size_t i = 0; i < 60; i++) {
            now_us += dice_below(&d, dice_chance(&d, 50) ? 1000 : 200000);
            at[i] = now_us;
            bound_admit(&b, now_us);
        }
        const double difference = bound_worst(&b) - worst_window(at, 60, &rate);
        assert_true(difference < 1e-6 && difference > -1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fake_redis_numbers_in_replies_are_cut, begin, end),
        cmocka_unit_test_setup_teardown(
            test_fake_redis_numbers_in_commands_become_17_digits, begin, end),
        cmocka_unit_test_setup_teardown(
            test_fake_redis_a_key_that_is_not_there_is_false, begin, end),
        cmocka_unit_test_setup_teardown(test_fake_redis_keys_end_after_their_time, begin, end),
        cmocka_unit_test_setup_teardown(test_fake_redis_tells_the_time_of_the_server, begin, end),
        cmocka_unit_test_setup_teardown(test_fake_redis_refuses_what_a_cluster_would, begin, end),
        cmocka_unit_test(test_bound_is_that_of_the_worst_of_all_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
