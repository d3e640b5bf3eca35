/* Instances that share limits through a real redis-server: what they hear of each other, and what
 * the server is asked. */
#include "fleet/redis_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/fleet/fake_redis.h"
#include "tests/fleet/redis_fixture.h"
#include "tests/fleet/sharers.h"

static struct sharer a, b, c;
static const struct rate_debit item = {
    .name = 0xa1, .count = 1, .cost_us = 400000, .tau_us = 800000, .cap_us = 2000000};

static int reset(void **state)
{
    l = (struct linked){.random = &linked_hurry};
    return test_redis_says(&redis, "FLUSHALL", "+OK") ? 0 : -1;
}

static void begin(struct sharer *s, uint32_t fleet_size)
{
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)redis.port);
    sharer_begin(s, &l, url, fleet_size);
    assert_true(sharer_up(s, 1));
    assert_true(sharer_reaches(s, &s->told, 1, 2000));
}

static void test_redis_limits_debits_of_all_add_up(void **state)
{
    const struct rate_debit none = {
        .name = 0xa1, .count = 0, .cost_us = 400000, .tau_us = 800000, .cap_us = 2000000};
    begin(&a, 0);
    begin(&b, 0);
    assert_in_range(sharer_deny(&a, &none), 1, 400000);
    linked_sleep(&l, 850);
    assert_int_equal(sharer_find(&b, &none).tat_us, 0);
    assert_int_equal(sharer_find(&b, &none).deny_us, 0);
    assert_int_equal(sharer_deny(&a, &item), 0);
    const uint64_t asked = clock_now().mono_us;
    struct shared said;
    assert_int_equal(sharer_debit(&b, &item, 1, &said), 0);
    assert_int_equal(said.calls, 0);
    assert_true(sharer_answered(&b, &said, 2000));
    assert_true(said.answered);
    assert_in_range(said.deny_us[0], 1, 400000);
    assert_in_range(said.now_us, asked, clock_now().mono_us);
    const struct rate_found found = sharer_find(&a, &item);
    assert_in_range(found.tat_us, 1, 800000);
    assert_in_range(found.deny_us, 1, said.deny_us[0]);
    sharer_end(&a);
    sharer_end(&b);
    linked_end(&l);
}

static void test_redis_limits_leases_of_all_add_up_until_they_leave(void **state)
{
    begin(&a, 0);
    begin(&b, 0);
    begin(&c, 0);
    assert_int_equal(sharer_others(&a, 0x35, 3), 0);
    assert_int_equal(sharer_others(&b, 0x35, 4), 3);
    assert_int_equal(sharer_others(&c, 0x35, 0), 7);
    sharer_end(&a); /* as soon as Redis has heard it */
    linked_sleep(&l, 50);
    assert_int_equal(sharer_others(&c, 0x35, 0), 4);
    /* Without a goodbye: only time tells, and not much of it. */
    sharer_vanish(&b);
    assert_int_equal(sharer_others(&c, 0x35, 0), 4);
    linked_sleep(&l, SHARER_ALIVE_MS - 2 * SHARER_HEARTBEAT_MS);
    assert_int_equal(sharer_others(&c, 0x35, 0), 4);
    linked_sleep(&l, 2 * SHARER_HEARTBEAT_MS + 100);
    assert_int_equal(sharer_others(&c, 0x35, 0), 0);
    sharer_end(&c);
    linked_end(&l);
}

static void test_redis_limits_silent_instance_is_forgotten_and_told_so(void **state)
{
    begin(&a, 0);
    begin(&b, 0);
    assert_int_equal(sharer_others(&a, 0x35, 3), 0);
    sharer_silence(&a);
    linked_sleep(&l, SHARER_ALIVE_MS + 100);
    assert_int_equal(sharer_others(&b, 0x35, 1), 0);
    assert_int_equal(a.forgotten, 0);
    sharer_speak(&a);
    assert_true(sharer_reaches(&a, &a.forgotten, 1, 2000));
    linked_sleep(&l, 1500);
    assert_int_equal(a.forgotten, 1); /* for all shards together */
    assert_int_equal(b.forgotten, 0);
    /* What it says itself may be what finds it out. */
    sharer_silence(&a);
    linked_sleep(&l, SHARER_ALIVE_MS + 100);
    assert_int_equal(sharer_others(&a, 0x35, 3), 1);
    assert_int_equal(a.forgotten, 2);
    sharer_end(&a);
    sharer_end(&b);
    linked_end(&l);
}

static void test_redis_limits_emptied_server_has_forgotten(void **state)
{
    begin(&a, 0);
    linked_sleep(&l, SHARER_HEARTBEAT_MS + 200);
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    assert_true(sharer_reaches(&a, &a.forgotten, 1, 2000));
    assert_int_equal(a.ups, 1);
    /* The same server, after a connection was lost: it has not. */
    assert_true(test_redis_says(&redis, "CLIENT KILL TYPE normal SKIPME yes", ":"));
    assert_true(sharer_up(&a, 2));
    assert_int_equal(a.server, REDIS_SERVER_SAME);
    linked_sleep(&l, 1300);
    assert_int_equal(a.forgotten, 1);
    test_redis_kill(&redis);
    test_redis_restart(&redis);
    assert_true(sharer_up(&a, 3));
    assert_int_equal(a.forgotten, 2);
    linked_sleep(&l, 1300);
    assert_int_equal(a.forgotten, 2);
    sharer_end(&a);
    linked_end(&l);
}

/* What has not changed for long is told again before Redis forgets it. */
static void test_redis_limits_holdings_are_to_be_told_again_after_a_while(void **state)
{
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)redis.port);
    sharer_begin_again(&a, &l, url, 1300);
    assert_true(sharer_up(&a, 1));
    linked_sleep(&l, 1100);
    assert_int_equal(a.forgotten, 0);
    assert_true(sharer_reaches(&a, &a.forgotten, 2, 3000));
    sharer_end(&a);
    linked_end(&l);
}

static void test_redis_limits_instances_are_counted(void **state)
{
    begin(&a, 2);
    assert_int_equal(a.instances, 2); /* there are to be so many */
    begin(&b, 0);
    assert_int_equal(b.instances, 2);
    begin(&c, 0);
    assert_int_equal(c.instances, 3);
    assert_true(sharer_instances(&a, 3, 2000));
    assert_true(sharer_instances(&b, 3, 2000));
    /* While Redis is away it stays, and while they come back one by one as well. */
    const unsigned told = a.told;
    test_redis_kill(&redis);
    linked_sleep(&l, 2 * SHARER_ALIVE_MS);
    test_redis_restart(&redis);
    assert_true(sharer_up(&a, 2) && sharer_up(&b, 2) && sharer_up(&c, 2));
    linked_sleep(&l, 2 * SHARER_HEARTBEAT_MS);
    assert_int_equal(a.told, told);
    assert_int_equal(a.instances, 3);
    /* Who leaves does not count any more when that has stood for a while. */
    sharer_end(&b);
    sharer_end(&c);
    linked_sleep(&l, SHARER_ALIVE_MS - SHARER_HEARTBEAT_MS);
    assert_int_equal(a.instances, 3);
    assert_true(sharer_instances(&a, 2, 2 * SHARER_ALIVE_MS));
    assert_int_equal(a.told, told + 1);
    sharer_end(&a);
    linked_end(&l);
}

static void test_redis_limits_nobody_is_asked_while_the_link_is_down(void **state)
{
    const struct quota_lease held = {.name = 1, .held = 1};
    const struct share none = redis_limits_share(NULL);
    struct shared said;
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)test_free_port());
    sharer_begin(&a, &l, url, 0);
    linked_sleep(&l, 50);
    assert_int_equal(sharer_debit(&a, &item, 1, &said), -EAGAIN);
    assert_int_equal(sharer_look(&a, &item, 1, &said), -EAGAIN);
    assert_int_equal(sharer_lease(&a, &held, 1, &said), -EAGAIN);
    assert_int_equal(said.calls, 0);
    assert_int_equal(none.debit(none.ctx, &item, 1, NULL, NULL), -EAGAIN);
    assert_int_equal(none.look(none.ctx, &item, 1, NULL, NULL), -EAGAIN);
    assert_int_equal(none.lease(none.ctx, &held, 1, NULL, NULL), -EAGAIN);
    assert_int_equal(a.told, 0);
    sharer_end(&a);
    linked_end(&l);
}

#define CALLS 60u

/* Debits, leases and looks in turn. */
static void issue_many(struct sharer *s, struct shared said[CALLS])
{
    const struct quota_lease held = {.name = 1, .held = 1};
    for (unsigned i = 0; i < CALLS; i++) {
        const int issued = i % 3 == 0   ? sharer_debit(s, &item, 1, &said[i])
                           : i % 3 == 1 ? sharer_lease(s, &held, 1, &said[i])
                                        : sharer_look(s, &item, 1, &said[i]);
        assert_int_equal(issued, 0);
    }
}

static void assert_lost(const struct shared said[CALLS])
{
    for (unsigned i = 0; i < CALLS; i++) {
        assert_int_equal(said[i].calls, 1);
        assert_false(said[i].answered);
    }
}

static void test_redis_limits_lost_calls_are_answered_once(void **state)
{
    static struct shared said[CALLS];
    begin(&a, 0);
    test_redis_signal(&redis, SIGSTOP);
    issue_many(&a, said);
    linked_sleep(&l, 20);
    test_redis_kill(&redis);
    assert_true(sharer_reaches(&a, &a.downs, 1, 4000));
    assert_lost(said);
    test_redis_restart(&redis);
    assert_true(sharer_up(&a, 2));
    /* A server that is silent. */
    test_redis_signal(&redis, SIGSTOP);
    issue_many(&a, said);
    const uint64_t begun = clock_now().mono_us;
    assert_true(sharer_reaches(&a, &said[CALLS - 1].calls, 1, 4000));
    assert_in_range(clock_now().mono_us - begun, 0, 2 * US_PER_S + 100000);
    linked_sleep(&l, 50);
    assert_lost(said);
    test_redis_signal(&redis, SIGCONT);
    assert_true(sharer_up(&a, 3));
    /* The end of the link. */
    issue_many(&a, said);
    sharer_end(&a);
    assert_lost(said);
    linked_end(&l);
    assert_lost(said);
}

static bool is_refused(void)
{
    struct shared said;
    const struct quota_lease held = {.name = 1, .held = 1};
    assert_int_equal(sharer_debit(&a, &item, 1, &said), 0);
    assert_true(sharer_answered(&a, &said, 2000));
    const bool debited = said.answered;
    assert_int_equal(sharer_lease(&a, &held, 1, &said), 0);
    assert_true(sharer_answered(&a, &said, 2000));
    return !debited && !said.answered;
}

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

/* Rights, memory and keys that somebody else has made. */
static void test_redis_limits_refusal_is_no_answer_and_is_logged_once(void **state)
{
    const struct quota_lease held = {.name = 1, .held = 1};
    struct shared said;
    char text[4096] = "";
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    begin(&a, 0);
    assert_true(test_redis_says(&redis, "ACL SETUSER default -evalsha", "+OK"));
    assert_true(is_refused());
    assert_true(test_redis_says(&redis, "ACL SETUSER default +evalsha -zscore -mget", "+OK"));
    assert_true(is_refused());
    assert_true(test_redis_says(&redis, "ACL SETUSER default +@all", "+OK"));
    assert_true(test_redis_says(&redis, "CONFIG SET maxmemory 1", "+OK"));
    assert_int_equal(sharer_debit(&a, &item, 1, &said), 0);
    assert_true(sharer_answered(&a, &said, 2000));
    assert_false(said.answered);
    assert_true(test_redis_says(&redis, "CONFIG SET maxmemory 0", "+OK"));
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    assert_true(test_redis_says(&redis, "SET turnpike/{limits-1}alive x", "+OK"));
    assert_true(test_redis_says(&redis, "SET turnpike/{limits-0}alive x", "+OK"));
    linked_sleep(&l, 2 * SHARER_HEARTBEAT_MS);
    assert_int_equal(sharer_lease(&a, &held, 1, &said), 0);
    assert_true(sharer_answered(&a, &said, 2000));
    assert_false(said.answered);
    assert_true(test_redis_says(&redis, "DEL turnpike/{limits-1}alive", ":1"));
    assert_int_equal(sharer_others(&a, 1, 1), 0);
    assert_true(redis_link_is_up(a.link));
    sharer_end(&a);
    linked_end(&l);
    log_deinit();
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    close(fds[0]);
    assert_int_equal(count(text, "redis_limits_refused error=\"NOPERM "), 1);
    assert_int_equal(count(text, "redis_limits_refused"), 1);
}

static void say_time(struct fake_redis *fake, unsigned replies, uint64_t redis_us, const char *rest)
{
    char text[64 * SHARE_SHARDS] = "";
    size_t len = 0;
    for (unsigned i = 0; i < replies; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "*%u\r\n$16\r\n%016llu\r\n%s",
            1 + count(rest, "$"), (unsigned long long)redis_us, rest);
    fake_redis_say(fake, slice_of(text, len));
    linked_sleep(&l, 20);
}

/* What was computed while the clock was set forward fills buckets that are empty: it does not
 * count, and neither does what was in flight. */
static void test_redis_limits_clock_set_forward_mints_nothing(void **state)
{
    const uint64_t then = 1700000000 * US_PER_S, hour = 3600 * US_PER_S;
    struct shared first, second;
    char url[64];
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)fake_redis_port(fake));
    sharer_begin(&a, &l, url, 0);
    assert_true(sharer_up(&a, 1));
    sharer_silence(&a);
    linked_sleep(&l, 20);
    const uint64_t begun = clock_now().mono_us - then;
    say_time(fake, SHARE_SHARDS, then, "$1\r\n0\r\n$1\r\n1\r\n");
    say_time(fake, SHARE_SHARDS, then, ""); /* epochs */
    assert_int_equal(a.instances, 1);
    assert_int_equal(sharer_debit(&a, &item, 1, &first), 0);
    linked_sleep(&l, 20);
    say_time(fake, 1, clock_now().mono_us - begun, "$1\r\n0\r\n");
    assert_true(first.answered);
    assert_int_equal(sharer_debit(&a, &item, 1, &first), 0);
    assert_int_equal(sharer_debit(&a, &item, 1, &second), 0);
    linked_sleep(&l, 20);
    say_time(fake, 2, clock_now().mono_us - begun + hour, "$1\r\n0\r\n");
    assert_int_equal(first.calls + second.calls, 2);
    assert_false(first.answered);
    assert_false(second.answered);
    say_time(fake, SHARE_SHARDS, clock_now().mono_us - begun + hour, ""); /* epochs again */
    assert_int_equal(sharer_debit(&a, &item, 1, &first), 0);
    linked_sleep(&l, 20);
    say_time(fake, 1, clock_now().mono_us - begun + hour, "$1\r\n5\r\n");
    assert_true(first.answered);
    assert_int_equal(first.deny_us[0], 5);
    sharer_end(&a);
    fake_redis_free(fake);
    linked_end(&l);
}

/* A clock that is ahead of another server's has not been set: what the new one says counts at once.
 */
static void test_redis_limits_other_server_has_a_clock_of_its_own(void **state)
{
    const uint64_t then = 1700000000 * US_PER_S, hour = 3600 * US_PER_S;
    const char *const beat = "$1\r\n0\r\n$1\r\n1\r\n";
    char url[64], greeting[sizeof(FAKE_GREETING)] = FAKE_GREETING;
    struct shared said;
    *strstr(greeting, FAKE_RUN_ID) = 'f';
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)fake_redis_port(fake));
    sharer_begin(&a, &l, url, 0);
    assert_true(sharer_up(&a, 1));
    sharer_silence(&a);
    linked_sleep(&l, 20);
    say_time(fake, SHARE_SHARDS, then, beat);
    say_time(fake, SHARE_SHARDS, then, ""); /* epochs */
    fake_redis_greet(fake, slice_of_string(greeting));
    fake_redis_hang_up(fake);
    assert_true(sharer_up(&a, 2));
    assert_int_equal(a.server, REDIS_SERVER_OTHER);
    assert_int_equal(sharer_debit(&a, &item, 1, &said), 0);
    linked_sleep(&l, 20);
    say_time(fake, SHARE_SHARDS, then + hour, beat);
    say_time(fake, SHARE_SHARDS, then + hour, "");
    say_time(fake, 1, then + hour, "$1\r\n5\r\n");
    assert_int_equal(said.calls, 1);
    assert_true(said.answered);
    sharer_end(&a);
    fake_redis_free(fake);
    linked_end(&l);
}

/* So many that shares would be nothing, and debts without end, there are not. */
static void test_redis_limits_no_reply_makes_a_fleet_of_millions(void **state)
{
    char url[64];
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)fake_redis_port(fake));
    sharer_begin(&a, &l, url, 3);
    assert_true(sharer_up(&a, 1));
    sharer_silence(&a);
    linked_sleep(&l, 20);
    say_time(fake, SHARE_SHARDS, 1700000000 * US_PER_S, "$1\r\n0\r\n$10\r\n4294967295\r\n");
    assert_int_equal(a.told, 1);
    assert_int_equal(a.instances, REDIS_LIMITS_INSTANCES_MAX);
    sharer_end(&a);
    fake_redis_free(fake);
    linked_end(&l);
}

/* After FLUSHALL: one bucket is empty, and one that begins full is full. */
static void test_redis_limits_what_begins_full_is_full_in_an_epoch(void **state)
{
    struct rate_debit both[2] = {item, item};
    struct shared said;
    both[1].name += SHARE_SHARDS;
    both[1].warm = true;
    begin(&a, 0);
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    assert_int_equal(sharer_debit(&a, both, 2, &said), 0);
    assert_true(sharer_answered(&a, &said, 2000));
    assert_true(said.deny_us[0] > 0);
    assert_int_equal(said.deny_us[1], 0);
    sharer_end(&a);
    linked_end(&l);
}

/* Who has done nothing yet is not denied because nobody has needed that shard before. */
static void test_redis_limits_epochs_begin_with_the_link(void **state)
{
    const struct rate_debit few = {
        .name = 0x1b, .count = 1, .cost_us = 20000, .tau_us = 200000, .cap_us = 200000};
    struct shared said;
    begin(&a, 0);
    linked_sleep(&l, 400);
    assert_int_equal(sharer_debit(&a, &few, 1, &said), 0);
    assert_true(sharer_answered(&a, &said, 2000));
    assert_int_equal(said.deny_us[0], 0);
    sharer_end(&a);
    linked_end(&l);
}

/* Of a shard that nobody needs for a month: it would begin once more, and deny who has done
 * nothing. */
static void test_redis_limits_epochs_are_kept_while_an_instance_lives(void **state)
{
    static const char *const first = "turnpike/{limits-0}epoch", *const last =
                                                                     "turnpike/{limits-f}epoch";
    char url[64], ask[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)redis.port);
    sharer_begin_again(&a, &l, url, 1300);
    assert_true(sharer_up(&a, 1));
    linked_sleep(&l, 200);
    snprintf(ask, sizeof(ask), "PEXPIRE %s 60000", first);
    assert_true(test_redis_says(&redis, ask, ":1"));
    snprintf(ask, sizeof(ask), "PEXPIRE %s 60000", last);
    assert_true(test_redis_says(&redis, ask, ":1"));
    linked_sleep(&l, 800); /* not before it is time */
    snprintf(ask, sizeof(ask), "PEXPIRE %s 60000 GT", first);
    assert_true(test_redis_says(&redis, ask, ":1"));
    linked_sleep(&l, 800);
    /* Refused: it is to live for longer. */
    for (unsigned i = 0; i < 2; i++) {
        snprintf(ask, sizeof(ask), "PEXPIRE %s 2591000000 GT", i == 0 ? first : last);
        assert_true(test_redis_says(&redis, ask, ":0"));
    }
    sharer_end(&a);
    linked_end(&l);
}

/* Only scripts are run, and no more of them than there are heartbeats and reports. */
static void test_redis_limits_monitor_shows_scripts_only(void **state)
{
    static struct test_monitor monitor;
    struct shared said[4];
    begin(&a, 0);
    linked_sleep(&l, SHARER_HEARTBEAT_MS);
    sharer_silence(&a);
    test_monitor_start(&monitor, &redis);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sharer_debit(&a, &item, 1, &said[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(sharer_answered(&a, &said[i], 2000));
    sharer_others(&a, 0x35, 3);
    sharer_find(&a, &item);
    sharer_speak(&a);
    linked_sleep(&l, 7 * SHARER_HEARTBEAT_MS / 4);
    sharer_end(&a);
    linked_sleep(&l, 50);
    const char *text = test_monitor_read(&monitor, &redis);
    unsigned scripts = 0, loads = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n');
        const bool inside = strstr(line, " lua] ") && strstr(line, " lua] ") < end;
        const char *word = strstr(line, "] \"");
        assert_non_null(word);
        if (inside || strncmp(word, "] \"ECHO\"", 8) == 0)
            continue;
        scripts += strncmp(word, "] \"EVALSHA\"", 11) == 0;
        loads += strncmp(word, "] \"SCRIPT\" \"LOAD\"", 17) == 0;
        assert_true(strncmp(word, "] \"EVALSHA\"", 11) == 0 ||
                    strncmp(word, "] \"SCRIPT\" \"LOAD\"", 17) == 0 ||
                    strncmp(word, "] \"PING\"", 8) == 0);
    }
    /* Four debits, a lease, a look; each again when it was not known; heartbeats, once to three
     * times, and the leave. */
    assert_in_range(loads, 0, 3);
    assert_in_range(scripts, 6 + 2 * SHARE_SHARDS, 6 + 6 + 4 * SHARE_SHARDS);
    test_monitor_end(&monitor);
    linked_end(&l);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup(test_redis_limits_##name, reset)
    const struct CMUnitTest tests[] = {
        TEST(debits_of_all_add_up),
        TEST(leases_of_all_add_up_until_they_leave),
        TEST(silent_instance_is_forgotten_and_told_so),
        TEST(emptied_server_has_forgotten),
        TEST(holdings_are_to_be_told_again_after_a_while),
        TEST(instances_are_counted),
        TEST(no_reply_makes_a_fleet_of_millions),
        TEST(other_server_has_a_clock_of_its_own),
        TEST(nobody_is_asked_while_the_link_is_down),
        TEST(lost_calls_are_answered_once),
        TEST(refusal_is_no_answer_and_is_logged_once),
        TEST(clock_set_forward_mints_nothing),
        TEST(epochs_begin_with_the_link),
        TEST(epochs_are_kept_while_an_instance_lives),
        TEST(what_begins_full_is_full_in_an_epoch),
        TEST(monitor_shows_scripts_only),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}
