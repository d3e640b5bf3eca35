/* Shared limits on a redis-server that loses what it knew, in whole or in part: restarted empty or
 * with a snapshot, failed over by a Sentinel, with its clock set. */
#include "fleet/redis_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "tests/fleet/redis_fixture.h"
#include "tests/fleet/sharers.h"

#define COST_US 200000u
#define TAU_US  600000u

static struct sharer a, b;
static char url[100];

static struct rate_debit debits(uint32_t count)
{
    return (struct rate_debit){
        .name = 0xa1, .count = count, .cost_us = COST_US, .tau_us = TAU_US, .cap_us = 1000000};
}

static int reset(void **state)
{
    l = (struct linked){.random = &linked_hurry};
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)redis.port);
    return test_redis_says(&redis, "FLUSHALL", "+OK") ? 0 : -1;
}

/* Its bucket is full. */
static void begin(void)
{
    const struct rate_debit none = debits(0);
    sharer_begin(&a, &l, url, 0);
    assert_true(sharer_up(&a, 1));
    linked_sleep(&l, TAU_US / US_PER_MS + 20);
    assert_int_equal(sharer_deny(&a, &none), 0);
}

static void finish(void)
{
    sharer_end(&a);
    linked_end(&l);
}

/* Exhausted as of when the link came up, whatever is found: one is admitted COST_US later. */
static void assert_cold(void)
{
    const struct rate_debit none = debits(0);
    assert_in_range(sharer_deny(&a, &none), 1, COST_US);
    linked_sleep(&l, TAU_US / US_PER_MS + 20);
    assert_int_equal(sharer_deny(&a, &none), 0);
}

static void test_redis_limits_loss_server_restarted_empty_starts_exhausted(void **state)
{
    begin();
    test_redis_kill(&redis);
    test_redis_restart(&redis);
    assert_true(sharer_up(&a, 2));
    assert_cold();
    assert_true(sharer_reaches(&a, &a.forgotten, 1, 2000));
    finish();
}

/* The snapshot has the bucket as it was when it was full. */
static void test_redis_limits_loss_old_snapshot_is_not_believed(void **state)
{
    const struct rate_debit all = debits(3);
    begin();
    assert_int_equal(sharer_others(&a, 0x35, 2), 0);
    assert_true(test_redis_says(&redis, "SAVE", "+OK"));
    assert_true(sharer_deny(&a, &all) > 0);
    test_redis_kill(&redis);
    test_redis_restart(&redis);
    assert_true(test_redis_says(&redis, "EXISTS turnpike/{limits-1}epoch", ":1"));
    assert_true(sharer_up(&a, 2));
    assert_cold();
    assert_true(sharer_reaches(&a, &a.forgotten, 1, 2000));
    /* A lease is worth what its instance says, or nothing once that is silent. */
    sharer_begin(&b, &l, url, 0);
    assert_true(sharer_up(&b, 1));
    assert_int_equal(sharer_others(&a, 0x35, 1), 0);
    assert_int_equal(sharer_others(&b, 0x35, 0), 1);
    sharer_end(&b);
    finish();
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    assert_true(test_redis_says(&redis, "SAVE", "+OK"));
}

static void test_redis_limits_loss_flushed_server_starts_exhausted(void **state)
{
    begin();
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    assert_cold();
    assert_true(sharer_reaches(&a, &a.forgotten, 1, 2000));
    assert_int_equal(a.ups, 1);
    finish();
}

/* It is loaded again, and nothing else has changed. */
static void test_redis_limits_loss_scripts_are_loaded_again(void **state)
{
    const struct rate_debit one = debits(1);
    begin();
    assert_true(test_redis_says(&redis, "SCRIPT FLUSH", "+OK"));
    assert_int_equal(sharer_deny(&a, &one), 0);
    assert_in_range(sharer_find(&a, &one).tat_us, 1, COST_US); /* once, not twice */
    assert_int_equal(a.forgotten, 0);
    finish();
}

static void test_redis_limits_loss_connection_lost_keeps_what_is_known(void **state)
{
    const struct rate_debit two = debits(2);
    begin();
    assert_true(sharer_deny(&a, &two) == 0);
    assert_true(test_redis_says(&redis, "CLIENT KILL TYPE normal SKIPME yes", ":"));
    assert_true(sharer_up(&a, 2));
    assert_int_equal(a.server, REDIS_SERVER_SAME);
    assert_in_range(sharer_find(&a, &two).tat_us, 1, 2 * COST_US);
    linked_sleep(&l, 2 * COST_US / US_PER_MS);
    assert_int_equal(sharer_find(&a, &two).tat_us, 0);
    finish();
}

/* The replica has all that the master had, and may have had less. */
static void test_redis_limits_loss_failover_starts_exhausted(void **state)
{
    static struct test_trio trio;
    test_trio_start(&trio);
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/m", (unsigned)trio.sentinel.port);
    begin();
    assert_int_equal(sharer_others(&a, 0x35, 2), 0);
    const struct rate_debit two = debits(2);
    sharer_deny(&a, &two);
    test_redis_await(&trio.replica, "EXISTS turnpike/{limits-1}rate/00000000000000a1", ":1");
    test_redis_kill(&trio.master);
    assert_true(sharer_reaches(&a, &a.ups, 2, 8000));
    assert_int_equal(a.server, REDIS_SERVER_OTHER);
    assert_true(test_redis_says(&trio.replica, "EXISTS turnpike/{limits-1}epoch", ":1"));
    assert_cold();
    assert_true(sharer_reaches(&a, &a.forgotten, 1, 2000));
    assert_int_equal(sharer_others(&a, 0x35, 2), 0);
    finish();
    test_trio_end(&trio);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup(test_redis_limits_loss_##name, reset)
    const struct CMUnitTest tests[] = {
        TEST(server_restarted_empty_starts_exhausted),
        TEST(old_snapshot_is_not_believed),
        TEST(flushed_server_starts_exhausted),
        TEST(scripts_are_loaded_again),
        TEST(connection_lost_keeps_what_is_known),
        TEST(failover_starts_exhausted),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}
