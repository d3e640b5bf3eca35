/* Revocations against a real redis-server that is frozen, restarted empty, full, and cut off. */
#include "fleet/redis_revocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fleet/redis_revoked.h"
#include "fleet/redis_revoked_scripts.h"
#include "fleet/redis_script.h"
#include "tests/fleet/fleet_fixture.h"
#include "tests/fleet/slow_proxy.h"

static struct test_fleet a, b;

static const char *url(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "redis://127.0.0.1:%u", (unsigned)redis.port);
    return text;
}

static void test_redis_revocations_take_back_reaches_all_and_is_not_undone(void **state)
{
    const int64_t until = in_an_hour();
    fleet_begin(&a);
    fleet_begin(&b);
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
    fleet_begin(&c);
    assert_true(test_fleet_revoked(&c, &l, 1, 4000));
    assert_revoked(&c, 0, "bob", 0);
    assert_int_equal(a.revoked_told, 2);
    test_fleet_end(&c);
    fleets_end(&a, &b);
}

static void test_redis_revocations_restarted_empty_learns_again(void **state)
{
    const int64_t until = in_an_hour();
    fleet_begin(&a);
    assert_int_equal(test_fleet_revoke(&a, 1, "eve", until), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    test_redis_signal(&redis, SIGSTOP);
    assert_int_equal(test_fleet_revoke(&a, 1, "trudy", until), 0); /* lost on its way */
    linked_sleep(&l, 20);
    test_redis_kill(&redis);
    test_redis_restart(&redis);
    assert_true(test_fleet_up(&a, &l, 2));
    fleet_begin(&b);
    assert_true(test_fleet_revoked(&b, &l, 2, 4000));
    assert_int_equal(b.until_sum, 2 * until);
    fleets_end(&a, &b);
}

static void test_redis_revocations_while_redis_is_away_is_sent_when_it_returns(void **state)
{
    const int64_t until = in_an_hour();
    fleet_begin(&a);
    fleet_begin(&b);
    test_redis_signal(&redis, SIGSTOP);
    assert_int_equal(test_fleet_revoke(&a, 1, "frozen", until), 0); /* on its way when it is lost */
    linked_sleep(&l, 3000);
    assert_false(fleet_is_up(a.fleet));
    assert_int_equal(test_fleet_revoke(&a, 1, "away", until), 0);
    test_redis_signal(&redis, SIGCONT);
    assert_true(test_fleet_revoked(&b, &l, 2, 8000));
    assert_true(test_fleet_revoked(&a, &l, 2, 8000));
    assert_int_equal(b.until_sum, 2 * until);
    linked_sleep(&l, 1200);
    assert_int_equal(b.revoked_told, 2); /* although one of them was sent twice */
    fleets_end(&a, &b);
}

static bool is_cut_off(struct linked *linked, void *ctx)
{
    return !fleet_is_up(((struct test_fleet *)ctx)->fleet);
}

/* What was said while Redis was away counts as of then: what another has said since stays, what
 * another had said before does not. */
static void test_redis_revocations_late_revocation_undoes_nothing_newer(void **state)
{
    const int64_t until = in_an_hour();
    char proxied[64];
    linked_loop(&l);
    struct slow_proxy *proxy = slow_proxy_new(&l.loop, redis.port);
    snprintf(proxied, sizeof(proxied), "redis://127.0.0.1:%u", (unsigned)slow_proxy_port(proxy));
    test_fleet_begin(&a, &l, proxied);
    assert_true(test_fleet_up(&a, &l, 1));
    fleet_begin(&b);
    assert_int_equal(test_fleet_revoke(&a, 1, "carol", until), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000) && test_fleet_revoked(&b, &l, 1, 4000));
    slow_proxy_delay(proxy, 3000);
    assert_true(linked_run(&l, is_cut_off, &a, 5000));
    assert_int_equal(test_fleet_revoke(&b, 1, "dan", 0), 0);
    assert_true(test_fleet_revoked(&b, &l, 2, 4000));
    linked_sleep(&l, 150); /* times are told as well as replies are prompt */
    assert_int_equal(test_fleet_revoke(&a, 1, "carol", until + 5), 0);
    assert_int_equal(test_fleet_revoke(&a, 1, "dan", until + 7), 0);
    linked_sleep(&l, 20);
    assert_int_equal(test_fleet_revoke(&b, 1, "carol", 0), 0);
    assert_true(test_fleet_revoked(&b, &l, 3, 4000));
    slow_proxy_delay(proxy, 0);
    assert_true(test_fleet_revoked(&b, &l, 4, 15000)); /* what was slow is waited for */
    assert_revoked(&b, 2, "carol", 0);
    assert_revoked(&b, 3, "dan", until + 7);
    linked_sleep(&l, 1500);
    assert_int_equal(b.revoked_told, 4);
    assert_int_equal(a.until_sum, until + (until + 7)); /* and two that were taken back */
    slow_proxy_free(proxy);
    fleets_end(&a, &b);
}

static bool command(const char *const *words, const char *expected)
{
    struct slice argv[8];
    size_t argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = slice_of_string(words[argc]);
    return test_redis_command(&redis, argv, argc, expected);
}

static bool evaluate(const char *script, const char *expected)
{
    return command((const char *const[]){"EVAL", script, "0", NULL}, expected);
}

static void test_redis_revocations_set_forgets_what_has_expired(void **state)
{
    static const char fill[] =
        "local now = redis.call('TIME')[1] "
        "for i = 1, 150 do local name = 'user/example.org/old' .. i "
        "redis.call('HSET', 'turnpike/revocations/entries', name, '5 6 7') "
        "redis.call('ZADD', 'turnpike/revocations/order', i, name) "
        "redis.call('ZADD', 'turnpike/revocations/expiry', now - 70, name) end return 1";
    assert_true(evaluate(fill, ":1"));
    fleet_begin(&a);
    assert_int_equal(test_fleet_revoke(&a, 1, "one", in_an_hour()), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    assert_int_equal(test_fleet_revoke(&a, 1, "two", in_an_hour()), 0);
    assert_true(test_fleet_revoked(&a, &l, 2, 4000));
    assert_true(test_redis_says(&redis, "HLEN turnpike/revocations/entries", ":2\r\n"));
    assert_true(test_redis_says(&redis, "ZCARD turnpike/revocations/order", ":2\r\n"));
    assert_true(test_redis_says(&redis, "ZCARD turnpike/revocations/expiry", ":2\r\n"));
    assert_true(test_redis_says(&redis, "TTL turnpike/revocations/entries", ":7"));
    assert_true(test_redis_says(&redis, "TTL turnpike/revocations/clock", ":7"));
    assert_int_equal(a.revoked_told, 2); /* what has expired is told nobody */
    fleets_end(&a, &b);
}

static void test_redis_revocations_full_set_takes_no_more(void **state)
{
    static const char fill[] =
        "for i = 1, 65536 do local name = 'user/example.org/old' .. i "
        "redis.call('HSET', 'turnpike/revocations/entries', name, '5 6 4000000000') end "
        "for _, key in ipairs({'order', 'expiry'}) do "
        "redis.call('ZADD', 'turnpike/revocations/' .. key, 4000000000, 'of none') end return 1";
    assert_true(evaluate(fill, ":1"));
    fleet_begin(&a);
    assert_int_equal(test_fleet_revoke(&a, 1, "one", in_an_hour()), 0);
    assert_int_equal(test_fleet_revoke(&a, 1, "old7", in_an_hour()), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    assert_revoked(&a, 0, "old7", a.revoked[0].until);
    assert_true(test_redis_says(&redis, "HLEN turnpike/revocations/entries", ":65536\r\n"));
    fleets_end(&a, &b);
}

/* A Redis that is short of memory gives up one key and keeps the others. */
static void test_redis_revocations_set_in_parts_is_told_again(void **state)
{
    char drop[100];
    struct test_fleet c;
    fleet_begin(&a);
    assert_int_equal(test_fleet_revoke(&a, 1, "eve", in_an_hour()), 0);
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    for (size_t i = 0; i < REDIS_REVOKED_KEYS; i++) {
        snprintf(drop, sizeof(drop), "return redis.call('DEL', '%s')", redis_revoked_keys[i]);
        assert_true(evaluate(drop, ":1"));
        linked_sleep(&l, 2500);
        fleet_begin(&c);
        assert_true(test_fleet_revoked(&c, &l, 1, 4000));
        test_fleet_end(&c);
    }
    fleets_end(&a, &b);
}

static void test_redis_revocations_garbage_in_the_set_is_left_out(void **state)
{
    static const char fill[] =
        "local n = 0 for _, e in ipairs({'x', '5 6', '5 6 7 8', '-1 2 3', '', '1 2 4000000000'}) "
        "do "
        "for _, name in ipairs({'user/example.org/a', 'nobody', '', 'user//x', 'user/r/%41'}) do "
        "n = n + 1 redis.call('HSET', 'turnpike/revocations/entries', name .. n, e) "
        "redis.call('ZADD', 'turnpike/revocations/order', n, name .. n) end end return 1";
    assert_true(evaluate(fill, ":1"));
    fleet_begin(&a);
    assert_int_equal(test_fleet_revoke(&a, 1, "good", in_an_hour()), 0);
    assert_true(test_fleet_revoked(&a, &l, 2, 4000));
    assert_revoked(&a, 0, "a26", 2); /* the one that is none of these */
    assert_revoked(&a, 1, "good", a.revoked[1].until);
    fleets_end(&a, &b);
}

/* A right is missing: what was said is kept, and goes when it is granted. */
/* One change through the script itself. */
static void change(
    struct redis_script *script, const char *name, const char *mode, int64_t until, int64_t version)
{
    struct slice argv[REDIS_REVOKED_KEYS + 7];
    char text[2][24];
    struct answer said = {0};
    snprintf(text[0], sizeof(text[0]), "%lld", (long long)until);
    snprintf(text[1], sizeof(text[1]), "%lld", (long long)version);
    for (size_t i = 0; i < REDIS_REVOKED_KEYS; i++)
        argv[i] = slice_of_string(redis_revoked_keys[i]);
    const char *const more[] = {"10", "172800", name, text[0], text[0], text[1], mode};
    for (size_t i = 0; i < 7; i++)
        argv[REDIS_REVOKED_KEYS + i] = slice_of_string(more[i]);
    const struct redis_request request = {argv, REDIS_REVOKED_KEYS + 7, 2000, linked_answer, &said};
    assert_int_equal(redis_link_script(l.link, script, REDIS_REVOKED_KEYS, &request), 0);
    assert_true(linked_answered(&l, &said, 3000));
    assert_int_equal(said.kind, REDIS_KIND_ARRAY);
    assert_int_equal(said.count, 4);
}

/* The entry of "n". */
static struct redis_revoked entry(void)
{
    static char text[300];
    struct redis_revoked found;
    const struct answer said = linked_ask(&l, "HGET turnpike/revocations/entries n");
    snprintf(text, sizeof(text), "%.*s n", (int)said.len, (const char *)said.text);
    assert_int_equal(redis_revoked_parse(&found, slice_of_string(text)), 0);
    return found;
}

static void assert_entry(int64_t version, int64_t until, int64_t expires)
{
    const struct redis_revoked found = entry();
    assert_int_equal(found.version, version);
    assert_int_equal(found.until, until);
    assert_int_equal(found.expires, expires);
}

static void test_redis_revocations_script_keeps_what_is_newer(void **state)
{
    const int64_t until = in_an_hour(), now = clock_now().wall_s;
    struct redis_script script;
    assert_int_equal(redis_script_init(&script, redis_revoked_put), 0);
    linked_begin(&l, url());
    assert_true(linked_up(&l, 1));
    change(&script, "n", "again", until, 5); /* as it was in another Redis */
    assert_entry(5, until, until);
    change(&script, "n", "new", until + 10, 0);
    const int64_t version = entry().version;
    assert_in_range(version / 1000000 - now, 0, 60);
    change(&script, "n", "again", until + 20, version - 1);
    change(&script, "n", "again", until + 20, version);
    change(&script, "n", "late", until + 20, version - 1);
    assert_entry(version, until + 10, until + 10);
    change(&script, "n", "late", until - 20, 8000000000000000); /* a time to come is now */
    const int64_t later = entry().version;
    assert_in_range(later - version, 1, 60000000);
    assert_entry(later, until - 20, until + 10); /* kept as long as what it replaces */
    change(&script, "n", "new", 0, 0);
    assert_int_equal(entry().until, 0);
    assert_in_range(entry().expires - now, 172800, 172860);
    linked_end(&l);
}

static void test_redis_revocations_missing_right_is_waited_for(void **state)
{
    fleet_begin(&a);
    linked_sleep(&l, 50);
    assert_true(test_redis_says(&redis, "ACL SETUSER default -evalsha", "+OK"));
    assert_int_equal(test_fleet_revoke(&a, 1, "eve", in_an_hour()), 0);
    linked_sleep(&l, 1200);
    assert_int_equal(a.revoked_told, 0);
    assert_true(fleet_is_up(a.fleet));
    assert_true(test_redis_says(&redis, "ACL SETUSER default +evalsha", "+OK"));
    assert_true(test_fleet_revoked(&a, &l, 1, 4000));
    fleets_end(&a, &b);
}

static void test_redis_revocations_too_many_that_wait_are_refused(void **state)
{
    char user[32];
    fleet_begin(&a);
    test_redis_signal(&redis, SIGSTOP);
    for (unsigned i = 0; i < REDIS_REVOCATIONS_WAITING_MAX; i++) {
        snprintf(user, sizeof(user), "user%u", i);
        assert_int_equal(test_fleet_revoke(&a, 1, user, in_an_hour()), 0);
    }
    assert_int_equal(test_fleet_revoke(&a, 1, "one more", in_an_hour()), -ENOSPC);
    test_redis_signal(&redis, SIGCONT);
    /* Thousands, in pages, to one that comes later. */
    assert_true(test_fleet_revoked(&a, &l, REDIS_REVOCATIONS_WAITING_MAX, 20000));
    fleet_begin(&b);
    assert_true(test_fleet_revoked(&b, &l, REDIS_REVOCATIONS_WAITING_MAX, 20000));
    linked_sleep(&l, 1500);
    assert_int_equal(b.revoked_told, REDIS_REVOCATIONS_WAITING_MAX);
    assert_int_equal(a.revoked_told, REDIS_REVOCATIONS_WAITING_MAX);
    fleets_end(&a, &b);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            test_redis_revocations_take_back_reaches_all_and_is_not_undone, redis_reset),
        cmocka_unit_test_setup(test_redis_revocations_restarted_empty_learns_again, redis_reset),
        cmocka_unit_test_setup(test_redis_revocations_set_in_parts_is_told_again, redis_reset),
        cmocka_unit_test_setup(
            test_redis_revocations_while_redis_is_away_is_sent_when_it_returns, redis_reset),
        cmocka_unit_test_setup(
            test_redis_revocations_late_revocation_undoes_nothing_newer, redis_reset),
        cmocka_unit_test_setup(test_redis_revocations_set_forgets_what_has_expired, redis_reset),
        cmocka_unit_test_setup(test_redis_revocations_full_set_takes_no_more, redis_reset),
        cmocka_unit_test_setup(test_redis_revocations_garbage_in_the_set_is_left_out, redis_reset),
        cmocka_unit_test_setup(test_redis_revocations_script_keeps_what_is_newer, redis_reset),
        cmocka_unit_test_setup(test_redis_revocations_missing_right_is_waited_for, redis_reset),
        cmocka_unit_test_setup(test_redis_revocations_too_many_that_wait_are_refused, redis_reset),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}
