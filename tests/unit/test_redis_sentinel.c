/* A real Sentinel over a real master and its replica: asked, followed, and asked again. */
#include "fleet/redis_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "tests/fleet/fake_redis.h"
#include "tests/fleet/linked.h"
#include "tests/fleet/servers.h"

static struct test_trio trio;
static struct linked l;
static char url[200];

static int setup(void **state)
{
    test_trio_start(&trio);
    return 0;
}

static int teardown(void **state)
{
    test_trio_end(&trio);
    return 0;
}

static int reset(void **state)
{
    l = (struct linked){.random = &linked_hurry};
    return 0;
}

static bool has_failed(struct linked *linked, void *ctx)
{
    return redis_link_stats(linked->link).failed >= 4;
}

static void test_redis_sentinel_dead_and_ignorant_ones_are_passed_over(void **state)
{
    linked_loop(&l);
    struct fake_redis *ignorant = fake_redis_new(&l.loop);
    fake_redis_greet(ignorant, slice_of_string("*-1\r\n"));
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/m/2",
        (unsigned)test_free_port(), (unsigned)fake_redis_port(ignorant),
        (unsigned)trio.sentinel.port);
    linked_begin(&l, url);
    assert_true(linked_up(&l, 1));
    assert_int_equal(l.address.port, trio.master.port);
    assert_int_equal(fake_redis_connections(ignorant), 1);
    assert_int_equal(redis_link_stats(l.link).failed, 2);
    struct answer a = linked_ask(&l, "SET k v");
    assert_true(answer_is(&a, "OK"));
    fake_redis_free(ignorant);
    linked_end(&l);
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/other", (unsigned)trio.sentinel.port);
    linked_begin(&l, url);
    assert_true(linked_run(&l, has_failed, NULL, 3000));
    assert_int_equal(l.ups, 0);
    linked_end(&l);
}

/* A Sentinel that still names the old master: a replica is not taken for it. */
static void test_redis_sentinel_replica_is_not_taken_for_the_master(void **state)
{
    char answer[64], port[8];
    linked_loop(&l);
    struct fake_redis *stale = fake_redis_new(&l.loop);
    snprintf(port, sizeof(port), "%u", (unsigned)trio.replica.port);
    snprintf(answer, sizeof(answer), "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port), port);
    fake_redis_greet(stale, slice_of_string(answer));
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/m", (unsigned)fake_redis_port(stale));
    linked_begin(&l, url);
    assert_true(linked_run(&l, has_failed, NULL, 3000));
    assert_int_equal(l.ups, 0);
    fake_redis_free(stale);
    linked_end(&l);
}

static void test_redis_sentinel_failover_is_followed(void **state)
{
    struct answer a;
    char first[41];
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/m", (unsigned)trio.sentinel.port);
    linked_begin(&l, url);
    assert_true(linked_up(&l, 1));
    memcpy(first, l.run_id, sizeof(first));
    a = linked_ask(&l, "SET kept yes");
    assert_true(answer_is(&a, "OK"));
    a = linked_ask(&l, "WAIT 1 3000");
    assert_true(answer_is(&a, "1"));
    test_redis_kill(&trio.master);
    assert_true(linked_down(&l, 1));
    const uint64_t lost = clock_now().mono_us;
    assert_true(linked_up(&l, 2));
    assert_in_range(clock_now().mono_us - lost, 100000, 8000000);
    assert_int_equal(l.address.port, trio.replica.port);
    assert_int_equal(l.server, REDIS_SERVER_OTHER);
    assert_string_not_equal(l.run_id, first);
    a = linked_ask(&l, "GET kept");
    assert_true(answer_is(&a, "yes"));
    a = linked_ask(&l, "SET written yes");
    assert_true(answer_is(&a, "OK"));
    linked_end(&l);
}

/* A master that is demoted with its connections left open says READONLY. */
static void test_redis_sentinel_demoted_master_is_left(void **state)
{
    char answer[64], port[8];
    struct answer a;
    test_redis_await(&trio.replica, "ROLE", "*3\r\n$6\r\nmaster");
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    snprintf(port, sizeof(port), "%u", (unsigned)trio.replica.port);
    snprintf(answer, sizeof(answer), "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port), port);
    fake_redis_greet(fake, slice_of_string(answer));
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/m", (unsigned)fake_redis_port(fake));
    linked_begin(&l, url);
    assert_true(linked_up(&l, 1));
    test_redis_await(&trio.replica, "REPLICAOF 127.0.0.1 1", "+OK");
    assert_int_equal(linked_issue(&l, "SET k v", 5000, &a), 0);
    assert_true(linked_down(&l, 1));
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.kind, REDIS_KIND_ERROR);
    assert_string_equal(l.cause, "it is not the master any more");
    test_redis_await(&trio.replica, "REPLICAOF NO ONE", "+OK");
    assert_true(linked_up(&l, 2));
    fake_redis_free(fake);
    linked_end(&l);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_redis_sentinel_dead_and_ignorant_ones_are_passed_over, reset),
        cmocka_unit_test_setup(test_redis_sentinel_replica_is_not_taken_for_the_master, reset),
        cmocka_unit_test_setup(test_redis_sentinel_failover_is_followed, reset),
        cmocka_unit_test_setup(test_redis_sentinel_demoted_master_is_left, reset),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
