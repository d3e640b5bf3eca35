/* Fleets against a real redis-server: what they share, and what is left when it goes away. */
#include "fleet/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fleet/redis_revocations.h"
#include "tests/fleet/fleets.h"
#include "tests/fleet/servers.h"

static struct test_redis redis;
static struct linked l;
static struct test_fleet a, b;

static int setup(void **state)
{
    test_redis_start(&redis, NULL);
    return 0;
}

static int teardown(void **state)
{
    test_redis_end(&redis);
    return 0;
}

static int reset(void **state)
{
    l = (struct linked){.random = &linked_hurry};
    return test_redis_says(&redis, "FLUSHALL", "+OK") ? 0 : -1;
}

static const char *url(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "redis://127.0.0.1:%u", (unsigned)redis.port);
    return text;
}

static int64_t in_an_hour(void)
{
    return clock_now().wall_s + 3600;
}

static void begin(struct test_fleet *f)
{
    test_fleet_begin(f, &l, url());
    assert_true(test_fleet_up(f, &l, 1));
}

static void end(void)
{
    test_fleet_end(&a);
    if (b.fleet)
        test_fleet_end(&b);
    linked_end(&l);
}

static void assert_revoked(const struct test_fleet *f, size_t n, const char *user, int64_t until)
{
    const struct revocation *v = &f->revoked[n];
    assert_int_equal(v->kind, REVOKE_USER);
    assert_int_equal(v->id_len, strlen(user));
    assert_memory_equal(v->id, user, v->id_len);
    assert_int_equal(v->until, until);
}

static void test_fleet_revocation_reaches_the_other_within_seconds(void **state)
{
    const int64_t until = in_an_hour();
    begin(&a);
    begin(&b);
    const uint64_t begun = clock_now().mono_us;
    assert_int_equal(test_fleet_revoke(&a, 2, "mallory", until), 0);
    assert_true(test_fleet_revoked(&b, &l, 1, 4000));
    assert_in_range(clock_now().mono_us - begun, 0, 4000000);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000)); /* its own */
    assert_revoked(&a, 0, "mallory", until);
    assert_revoked(&b, 0, "mallory", until);
    assert_int_equal(b.revoked[0].realm, 2);
    linked_sleep(&l, 2500);
    assert_int_equal(a.revoked_told, 1); /* once */
    assert_int_equal(b.revoked_told, 1);
    end();
}

static void test_fleet_take_back_reaches_all_and_is_not_undone(void **state)
{
    const int64_t until = in_an_hour();
    begin(&a);
    begin(&b);
    assert_int_equal(test_fleet_revoke(&a, 1, "bob", until), 0);
    assert_true(test_fleet_revoked(&b, &l, 1, 4000));
    assert_int_equal(test_fleet_revoke(&b, 1, "bob", 0), 0);
    assert_true(test_fleet_revoked(&a, &l, 2, 4000));
    assert_revoked(&a, 1, "bob", 0);
    /* Both tell an emptied Redis what they know: that it was taken back. */
    test_redis_kill(&redis);
    test_redis_restart(&redis);
    assert_true(test_fleet_up(&a, &l, 2) && test_fleet_up(&b, &l, 2));
    linked_sleep(&l, 2500);
    struct test_fleet c;
    begin(&c);
    assert_true(test_fleet_revoked(&c, &l, 1, 4000));
    assert_revoked(&c, 0, "bob", 0);
    assert_int_equal(a.revoked_told, 2);
    test_fleet_end(&c);
    end();
}

static void test_fleet_redis_restarted_empty_learns_again(void **state)
{
    const int64_t until = in_an_hour();
    begin(&a);
    assert_int_equal(test_fleet_revoke(&a, 1, "eve", until), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    test_redis_kill(&redis);
    test_redis_restart(&redis);
    assert_true(test_fleet_up(&a, &l, 2));
    begin(&b);
    assert_true(test_fleet_revoked(&b, &l, 1, 4000));
    assert_revoked(&b, 0, "eve", until);
    end();
}

/* The same server, emptied: only the set itself tells. */
static void test_fleet_redis_flushed_learns_again(void **state)
{
    const int64_t until = in_an_hour();
    begin(&a);
    assert_int_equal(test_fleet_revoke(&a, 1, "eve", until), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    linked_sleep(&l, 1100);
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    linked_sleep(&l, 2500);
    begin(&b);
    assert_true(test_fleet_revoked(&b, &l, 1, 4000));
    assert_revoked(&b, 0, "eve", until);
    assert_int_equal(a.ups, 1);
    end();
}

static void test_fleet_revocation_while_redis_is_away_is_sent_when_it_returns(void **state)
{
    const int64_t until = in_an_hour();
    begin(&a);
    begin(&b);
    test_redis_signal(&redis, SIGSTOP);
    assert_int_equal(test_fleet_revoke(&a, 1, "frozen", until), 0); /* on its way when it is lost */
    linked_sleep(&l, 3000);
    assert_false(fleet_is_up(a.fleet));
    assert_int_equal(test_fleet_revoke(&a, 1, "away", until), 0);
    test_redis_signal(&redis, SIGCONT);
    assert_true(test_fleet_revoked(&b, &l, 2, 8000));
    assert_true(test_fleet_revoked(&a, &l, 2, 8000));
    assert_int_equal(b.until_sum, 2 * until);
    end();
}

static void test_fleet_too_many_that_wait_are_refused(void **state)
{
    char user[32];
    begin(&a);
    test_redis_signal(&redis, SIGSTOP);
    for (unsigned i = 0; i < REDIS_REVOCATIONS_WAITING_MAX; i++) {
        snprintf(user, sizeof(user), "user%u", i);
        assert_int_equal(test_fleet_revoke(&a, 1, user, in_an_hour()), 0);
    }
    assert_int_equal(test_fleet_revoke(&a, 1, "one more", in_an_hour()), -ENOSPC);
    test_redis_signal(&redis, SIGCONT);
    /* Thousands, in pages, to one that comes later. */
    assert_true(test_fleet_revoked(&a, &l, REDIS_REVOCATIONS_WAITING_MAX, 20000));
    begin(&b);
    assert_true(test_fleet_revoked(&b, &l, REDIS_REVOCATIONS_WAITING_MAX, 20000));
    linked_sleep(&l, 1500);
    assert_int_equal(b.revoked_told, REDIS_REVOCATIONS_WAITING_MAX);
    assert_int_equal(a.revoked_told, REDIS_REVOCATIONS_WAITING_MAX);
    end();
}

static void test_fleet_revocation_of_nobody_is_refused(void **state)
{
    struct revocation v = {.kind = REVOKE_USER, .realm = 3, .id_len = 1};
    begin(&a);
    assert_int_equal(fleet_revoke(a.fleet, &v), -EINVAL);
    v = (struct revocation){.kind = 0, .realm = 1, .id_len = 1};
    assert_int_equal(fleet_revoke(a.fleet, &v), -EINVAL);
    v = (struct revocation){.kind = REVOKE_TOKEN, .realm = 1, .id_len = 0};
    assert_int_equal(fleet_revoke(a.fleet, &v), -EINVAL);
    end();
}

static void test_fleet_realm_that_comes_later_is_told(void **state)
{
    const struct fleet_realm more[] = {{1, slice_of_string("example.org"), true},
        {2, slice_of_string("other.example"), false}, {7, slice_of_string("third"), false}};
    begin(&a);
    begin(&b);
    assert_int_equal(fleet_set_realms(a.fleet, more, 3), 0);
    assert_int_equal(test_fleet_revoke(&a, 7, "dave", in_an_hour()), 0);
    assert_int_equal(test_fleet_revoke(&a, 1, "dora", in_an_hour()), 0);
    assert_true(test_fleet_revoked(&b, &l, 1, 4000));
    assert_int_equal(b.revoked[0].realm, 1);
    linked_sleep(&l, 1200);
    assert_int_equal(b.revoked_told, 1);
    assert_int_equal(fleet_set_realms(b.fleet, more, 3), 0);
    assert_int_equal(b.revoked_told, 2);
    assert_int_equal(b.revoked[1].realm, 7);
    end();
}

static void test_fleet_secrets_are_told_at_first_and_when_they_change(void **state)
{
    assert_true(test_redis_says(&redis, "SADD turn/realm/example.org/secret two one", ":2"));
    begin(&a);
    assert_true(test_fleet_secrets(&a, &l, 1, 2000));
    assert_int_equal(a.secrets.realm, 1);
    assert_int_equal(a.secrets.count, 2);
    assert_true(slice_equal(secret_slice(&a.secrets.list[0]), slice_of_string("one")));
    assert_true(slice_equal(secret_slice(&a.secrets.list[1]), slice_of_string("two")));
    assert_true(test_redis_says(&redis, "SREM turn/realm/example.org/secret one", ":1"));
    assert_true(test_fleet_secrets(&a, &l, 2, 12000));
    assert_int_equal(a.secrets.count, 1);
    /* What cannot be read changes nothing, and what is the same is not told. */
    assert_true(test_redis_says(&redis, "SET turn/realm/example.org/secret x", "+OK"));
    test_redis_kill(&redis);
    linked_sleep(&l, 100);
    assert_int_equal(a.secrets_told, 2);
    assert_int_equal(a.secrets.count, 1);
    test_redis_restart(&redis);
    assert_true(test_fleet_secrets(&a, &l, 3, 8000));
    assert_int_equal(a.secrets.count, 0);
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fleet_revocation_reaches_the_other_within_seconds, reset),
        cmocka_unit_test_setup(test_fleet_take_back_reaches_all_and_is_not_undone, reset),
        cmocka_unit_test_setup(test_fleet_redis_restarted_empty_learns_again, reset),
        cmocka_unit_test_setup(test_fleet_redis_flushed_learns_again, reset),
        cmocka_unit_test_setup(
            test_fleet_revocation_while_redis_is_away_is_sent_when_it_returns, reset),
        cmocka_unit_test_setup(test_fleet_too_many_that_wait_are_refused, reset),
        cmocka_unit_test_setup(test_fleet_revocation_of_nobody_is_refused, reset),
        cmocka_unit_test_setup(test_fleet_realm_that_comes_later_is_told, reset),
        cmocka_unit_test_setup(test_fleet_secrets_are_told_at_first_and_when_they_change, reset),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
