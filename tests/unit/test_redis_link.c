/* The link against a real redis-server: connecting, commands, deadlines, bounds, scripts. */
#include "fleet/redis_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "fleet/redis_script.h"
#include "tests/fleet/linked.h"
#include "tests/fleet/servers.h"

static struct test_redis plain, locked; /* without, and with passwords */
static struct linked l;
static char url[512];

static int setup(void **state)
{
    static const char *const arguments[] = {"--requirepass", "s:e/c@ret", "--user", "turn", "on",
        ">p%w", "~k:*", "+ping", "+info", "+client|setname", "+get", "+set", "--user", "bare", "on",
        ">p", "~*", "+get", NULL};
    test_redis_start(&plain, NULL);
    test_redis_start(&locked, arguments);
    return 0;
}

static int teardown(void **state)
{
    test_redis_end(&plain);
    test_redis_end(&locked);
    return 0;
}

static int reset(void **state)
{
    l = (struct linked){0};
    return 0;
}

static const char *url_of(const struct test_redis *r, const char *credentials, const char *rest)
{
    snprintf(url, sizeof(url), "redis://%s127.0.0.1:%u%s", credentials, (unsigned)r->port, rest);
    return url;
}

static void begin_plain(void)
{
    linked_begin(&l, url_of(&plain, "", ""));
    assert_true(linked_up(&l, 1));
}

static void assert_text(struct answer a, const char *text)
{
    if (!answer_is(&a, text))
        fail_msg("%.*s (result %d, kind %d), not %s", (int)(a.len < 200 ? a.len : 200),
            (const char *)a.text, a.result, a.kind, text);
}

static void test_redis_link_tcp_comes_up_and_answers(void **state)
{
    linked_begin(&l, url_of(&plain, "", ""));
    struct answer a;
    assert_int_equal(linked_issue(&l, "PING", 1000, &a), -EAGAIN); /* not up yet */
    assert_int_equal(redis_link_stats(l.link).refused, 1);
    assert_true(linked_up(&l, 1));
    assert_int_equal(l.server, REDIS_SERVER_FIRST);
    assert_int_equal(strlen(l.run_id), 40);
    const struct addr expected = addr_ipv4(127, 0, 0, 1, plain.port);
    assert_true(addr_equal(&l.address, &expected));
    assert_text(linked_ask(&l, "PING"), "PONG");
    assert_text(linked_ask(&l, "CLIENT GETNAME"), "turnpike");
    assert_text(linked_ask(&l, "SET a 1"), "OK");
    assert_text(linked_ask(&l, "INCRBY a 41"), "42");
    assert_text(linked_ask(&l, "GET none"), "(nil)");
    assert_text(
        linked_ask(&l, "NOSUCH"), "ERR unknown command 'NOSUCH', with args beginning with: ");
    const struct redis_link_stats stats = redis_link_stats(l.link);
    assert_int_equal(stats.connected, 1);
    assert_int_equal(stats.sent, 6);
    assert_int_equal(stats.replied, 6);
    assert_in_range(stats.rtt_us, 1, 1000000);
    linked_end(&l);
    assert_int_equal(l.downs, 0); /* no hook is called by free */
}

static void test_redis_link_names_are_looked_up(void **state)
{
    snprintf(url, sizeof(url), "redis://localhost:%u", (unsigned)plain.port);
    linked_begin(&l, url); /* ::1 is tried too, where it comes first, and refused */
    assert_true(linked_up(&l, 1));
    assert_text(linked_ask(&l, "PING"), "PONG");
    linked_end(&l);
}

static void test_redis_link_unix_socket_comes_up_and_answers(void **state)
{
    snprintf(url, sizeof(url), "unix://%s?db=3", plain.socket);
    linked_begin(&l, url);
    assert_true(linked_up(&l, 1));
    assert_int_equal(l.address.family, ADDR_NONE);
    assert_text(linked_ask(&l, "SET in3 yes"), "OK");
    linked_end(&l);
    linked_begin(&l, url_of(&plain, "", "/3"));
    assert_true(linked_up(&l, 1));
    assert_text(linked_ask(&l, "GET in3"), "yes");
    linked_end(&l);
    linked_begin(&l, url_of(&plain, "", "/0"));
    assert_true(linked_up(&l, 1));
    assert_text(linked_ask(&l, "GET in3"), "(nil)");
    linked_end(&l);
}

static bool has_failed(struct linked *linked, void *ctx)
{
    return redis_link_stats(linked->link).failed >= *(unsigned *)ctx;
}

/* Never comes up, and goes on trying. */
static void assert_never_up(const char *text)
{
    unsigned twice = 2;
    linked_begin(&l, text);
    assert_true(linked_run(&l, has_failed, &twice, 8000));
    assert_int_equal(l.ups + l.downs, 0);
    linked_end(&l);
}

static void test_redis_link_passwords_and_users_are_checked(void **state)
{
    static const char *const good[] = {
        ":s%3Ae%2Fc%40ret@", "default:s%3Ae%2Fc%40ret@", "turn:p%25w@"};
    for (size_t i = 0; i < 3; i++) {
        linked_begin(&l, url_of(&locked, good[i], ""));
        assert_true(linked_up(&l, 1));
        assert_text(linked_ask(&l, "SET k:1 v"), "OK");
        if (i == 2)
            assert_text(linked_ask(&l, "DEL k:1"),
                "NOPERM this user has no permissions to run the 'del' command");
        linked_end(&l);
    }
    static const char *const bad[] = {"", ":wrong@", "turn:wrong@", "nobody:p%25w@", "bare:p@"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_never_up(url_of(&locked, bad[i], ""));
    assert_never_up(url_of(&plain, ":s@", "")); /* a password where none is configured */
    assert_never_up(url_of(&plain, "", "/99")); /* 16 databases */
}

static void test_redis_link_bad_settings_are_refused_by_name(void **state)
{
    char error[256];
    assert_int_equal(linked_try(&l, "redis://h:secret@", error, sizeof(error)), -EINVAL);
    assert_memory_equal(error, "redis.url: ", 11);
    assert_null(strstr(error, "secret"));
    char name[] = "two words", ca[] = "/nonexistent.pem";
    l.settings.client_name = name;
    assert_int_equal(linked_try(&l, "redis://h", error, sizeof(error)), -EINVAL);
    assert_memory_equal(error, "redis.client_name: ", 19);
    l.settings.client_name = NULL;
    l.settings.tls.ca = ca;
    assert_int_equal(linked_try(&l, "rediss://h", error, sizeof(error)), -ENOENT);
    assert_memory_equal(error, "redis.tls.ca /nonexistent.pem: ", 31);
}

/* THREATS row 12: whatever a name holds, it is one argument of one command. */
static void test_redis_link_arguments_are_binary_safe(void **state)
{
    static const char *const nasty[] = {
        "a\r\nSET injected 1\r\n", "%s%n%p", "\0\0", "\x1b[31m/\xff", "$3\r\nfoo\r\n", ""};
    static const size_t len[] = {19, 6, 2, 8, 9, 0};
    begin_plain();
    assert_text(linked_ask(&l, "FLUSHALL"), "OK");
    for (size_t i = 0; i < sizeof(nasty) / sizeof(nasty[0]); i++) {
        struct answer a = {0};
        struct slice argv[3] = {
            slice_of_string("SET"), slice_of(nasty[i], len[i]), slice_of(nasty[i], len[i])};
        struct redis_request request = {argv, 3, 5000, linked_answer, &a};
        assert_int_equal(redis_link_command(l.link, &request), 0);
        assert_true(linked_answered(&l, &a, 5000));
        assert_text(a, "OK");
        a = (struct answer){0};
        argv[0] = slice_of_string("GET");
        request.argc = 2;
        assert_int_equal(redis_link_command(l.link, &request), 0);
        assert_true(linked_answered(&l, &a, 5000));
        assert_int_equal(a.kind, REDIS_KIND_STRING);
        assert_int_equal(a.len, len[i]);
        assert_memory_equal(a.text, nasty[i], len[i]);
    }
    assert_text(linked_ask(&l, "DBSIZE"), "6");
    assert_text(linked_ask(&l, "EXISTS injected"), "0");
    linked_end(&l);
}

static unsigned in_order, out_of_order;

static void count_order(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    if (result == REDIS_REPLIED && reply->integer == (int64_t)in_order + 1)
        in_order++;
    else
        out_of_order++;
}

static bool has_all(struct linked *linked, void *ctx)
{
    return in_order + out_of_order >= *(unsigned *)ctx;
}

static void test_redis_link_pipelines_ten_thousand_commands_in_order(void **state)
{
    const struct slice argv[] = {slice_of_string("INCR"), slice_of_string("order")};
    const struct redis_request request = {argv, 2, 10000, count_order, NULL};
    unsigned all = 10000;
    in_order = out_of_order = 0;
    l.settings.in_flight = all;
    begin_plain();
    assert_text(linked_ask(&l, "DEL order"), "0");
    for (unsigned i = 0; i < all; i++)
        assert_int_equal(redis_link_command(l.link, &request), 0);
    assert_int_equal(redis_link_command(l.link, &request), -EAGAIN); /* the bound */
    assert_int_equal(in_order + out_of_order, 0); /* never from within the call */
    assert_true(linked_run(&l, has_all, &all, 8000));
    assert_int_equal(in_order, all);
    linked_end(&l);
}

static void test_redis_link_many_in_flight_at_the_end_are_lost(void **state)
{
    const struct slice argv[] = {slice_of_string("INCR"), slice_of_string("order")};
    const struct redis_request request = {argv, 2, 10000, count_order, NULL};
    in_order = out_of_order = 0;
    begin_plain();
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(redis_link_command(l.link, &request), 0);
    assert_int_equal(redis_link_command(l.link, &request), -EAGAIN);
    linked_end(&l);
    assert_int_equal(out_of_order, 4096);
}

static void test_redis_link_big_arguments_and_replies_pass_within_bounds(void **state)
{
    const size_t size = 3u << 20;
    uint8_t *big = malloc(size);
    for (size_t i = 0; i < size; i++)
        big[i] = (uint8_t)(i * 2654435761u >> 13);
    l.settings.reply_max = 4u << 20;
    begin_plain();
    struct answer a = {0};
    const struct slice argv[] = {
        slice_of_string("SET"), slice_of_string("big"), slice_of(big, size)};
    assert_int_equal(
        redis_link_command(l.link, &(struct redis_request){argv, 3, 8000, linked_answer, &a}), 0);
    /* What waits to be written is bounded. */
    struct answer b;
    assert_int_equal(
        redis_link_command(l.link, &(struct redis_request){argv, 3, 8000, linked_answer, &b}),
        -EAGAIN);
    assert_true(linked_answered(&l, &a, 8000));
    assert_text(a, "OK");
    a = linked_ask(&l, "GET big");
    assert_int_equal(a.len, size);
    assert_memory_equal(a.text, big, sizeof(a.text));
    const struct slice huge[] = {
        slice_of_string("SET"), slice_of_string("big"), slice_of(big, (4u << 20) + 1)};
    assert_int_equal(
        redis_link_command(l.link, &(struct redis_request){huge, 3, 8000, linked_answer, &b}),
        -EMSGSIZE);
    linked_end(&l);
    free(big);
}

static void test_redis_link_larger_reply_than_the_bound_ends_the_connection(void **state)
{
    begin_plain();
    assert_text(linked_ask(&l, "SETRANGE large 2000000 x"), "2000001");
    struct answer a;
    assert_int_equal(linked_issue(&l, "GET large", 5000, &a), 0);
    assert_true(linked_answered(&l, &a, 5000));
    assert_int_equal(a.result, REDIS_LOST);
    assert_string_equal(l.cause, "a reply was too large");
    assert_true(linked_up(&l, 2)); /* and it comes back */
    assert_int_equal(l.server, REDIS_SERVER_SAME);
    assert_text(linked_ask(&l, "DEL large"), "1");
    linked_end(&l);
}

static void test_redis_link_argument_counts_are_checked(void **state)
{
    static struct slice argv[257];
    struct answer a = {0};
    begin_plain();
    for (size_t i = 0; i < 257; i++)
        argv[i] = slice_of_string(i == 0 ? "DEL" : "x");
    struct redis_request request = {argv, 257, 5000, linked_answer, &a};
    assert_int_equal(redis_link_command(l.link, &request), -E2BIG);
    request.argc = 0;
    assert_int_equal(redis_link_command(l.link, &request), -E2BIG);
    request.argc = 256;
    assert_int_equal(redis_link_command(l.link, &request), 0);
    assert_true(linked_answered(&l, &a, 5000));
    assert_text(a, "0");
    linked_end(&l);
}

static void test_redis_link_timed_out_command_is_answered_once_and_its_reply_swallowed(void **state)
{
    struct answer slow, behind;
    begin_plain();
    /* A script that runs for a quarter of a second: what stands behind it waits, too. */
    const struct slice argv[] = {slice_of_string("EVAL"),
        slice_of_string("local t = redis.call('TIME'); local e = t[1] * 1000000 + t[2] + 250000; "
                        "repeat t = redis.call('TIME') until t[1] * 1000000 + t[2] > e; return 7"),
        slice_of_string("0")};
    slow = (struct answer){.asked_us = 0};
    assert_int_equal(
        redis_link_command(l.link, &(struct redis_request){argv, 3, 5000, linked_answer, &slow}),
        0);
    assert_int_equal(linked_issue(&l, "ECHO behind", 50, &behind), 0);
    assert_true(linked_answered(&l, &behind, 2000));
    assert_int_equal(behind.result, REDIS_TIMED_OUT);
    assert_in_range(behind.after_us, 50000, 1000000);
    assert_int_equal(slow.calls, 0);
    struct answer after;
    assert_int_equal(linked_issue(&l, "ECHO after", 5000, &after), 0);
    assert_true(linked_answered(&l, &after, 5000));
    assert_text(after, "after");
    assert_text(slow, "7");
    assert_int_equal(behind.calls, 1);
    const struct redis_link_stats stats = redis_link_stats(l.link);
    assert_int_equal(stats.timed_out, 1);
    assert_int_equal(stats.late, 1);
    assert_int_equal(stats.sent, stats.replied + stats.timed_out);
    linked_end(&l);
}

static const char script_text[] = "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}";

static int run_script(struct redis_script *script, struct answer *a)
{
    const struct slice argv[] = {slice_of_string("counter"), slice_of("a\0\r\n", 4)};
    *a = (struct answer){0};
    return redis_link_script(
        l.link, script, 1, &(struct redis_request){argv, 2, 5000, linked_answer, a});
}

static void test_redis_link_scripts_are_loaded_where_they_are_unknown(void **state)
{
    struct redis_script script;
    struct answer a[20];
    begin_plain();
    assert_int_equal(redis_script_init(&script, script_text), 0);
    assert_text(linked_ask(&l, "SCRIPT FLUSH"), "OK");
    assert_text(linked_ask(&l, "SET counter 0"), "OK");
    for (unsigned round = 1; round <= 2; round++) {
        for (size_t i = 0; i < 20; i++)
            assert_int_equal(run_script(&script, &a[i]), 0);
        for (size_t i = 0; i < 20; i++) {
            assert_true(linked_answered(&l, &a[i], 5000));
            assert_int_equal(a[i].result, REDIS_REPLIED);
            assert_int_equal(a[i].kind, REDIS_KIND_ARRAY);
            assert_int_equal(a[i].count, 3);
        }
        assert_int_equal(script.loads, round); /* twenty did not know it: one load */
        char expected[8];
        snprintf(expected, sizeof(expected), "%u", 20 * round); /* nothing ran twice */
        assert_text(linked_ask(&l, "GET counter"), expected);
        assert_text(linked_ask(&l, "SCRIPT FLUSH"), "OK");
    }
    linked_end(&l);
}

static void test_redis_link_broken_script_is_answered_once(void **state)
{
    struct redis_script script;
    struct answer a;
    begin_plain();
    assert_int_equal(redis_script_init(&script, "this is no Lua"), 0);
    assert_int_equal(run_script(&script, &a), 0);
    assert_true(linked_answered(&l, &a, 5000));
    assert_int_equal(a.result, REDIS_REPLIED);
    assert_memory_equal(a.text, "NOSCRIPT", 8);
    assert_text(linked_ask(&l, "PING"), "PONG");
    assert_int_equal(a.calls, 1);
    linked_end(&l);
}

static void test_redis_link_channels_are_heard(void **state)
{
    static const char *const channels[] = {"news:a", "news:b"};
    struct linked speaker = {0};
    linked_begin(&speaker, url_of(&plain, "", ""));
    assert_true(linked_up(&speaker, 1));
    l.channels = channels;
    l.channel_count = 2;
    begin_plain();
    struct answer a;
    assert_int_equal(linked_issue(&l, "PING", 1000, &a), -EPERM);
    a = linked_ask(&speaker, "PUBLISH news:b hello");
    assert_text(a, "1");
    a = linked_ask(&speaker, "PUBLISH news:c hello");
    assert_text(a, "0");
    linked_sleep(&l, 1300); /* long enough for a PING, which is answered differently here */
    assert_int_equal(l.messages, 1);
    assert_string_equal(l.channel, "news:b");
    assert_string_equal(l.payload, "hello");
    assert_int_equal(redis_link_stats(l.link).replied, 1);
    assert_int_equal(l.downs, 0);
    linked_end(&l);
    linked_end(&speaker);
}

static void free_link(struct linked *linked, bool up)
{
    redis_link_free(linked->link);
    linked->link = NULL;
}

static void test_redis_link_may_be_freed_by_its_hook(void **state)
{
    l.on_state = free_link;
    linked_begin(&l, url_of(&plain, "", ""));
    linked_sleep(&l, 50);
    assert_int_equal(l.ups, 1);
    linked_end(&l);
}

static void free_by_answer(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    if (result == REDIS_REPLIED)
        free_link(&l, true);
    ++*(unsigned *)ctx;
}

static void test_redis_link_may_be_freed_by_a_callback(void **state)
{
    const struct slice argv[] = {slice_of_string("PING")};
    unsigned calls = 0;
    begin_plain();
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(redis_link_command(l.link,
                             &(struct redis_request){argv, 1, 5000, free_by_answer, &calls}),
            0);
    linked_sleep(&l, 50);
    assert_int_equal(calls, 10); /* the first was answered, the others are lost */
    linked_end(&l);
}

static void test_redis_link_may_be_freed_while_it_connects(void **state)
{
    static const char *const urls[] = {"redis://localhost:1", "redis://127.0.0.1:1",
        "unix:///nonexistent.sock", "redis+sentinel://localhost:1,127.0.0.1:1/m"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        for (unsigned turns = 0; turns < 6; turns++) {
            linked_begin(&l, urls[i]);
            for (unsigned turn = 0; turn < turns; turn++)
                uv_run(&l.loop, UV_RUN_NOWAIT);
            linked_end(&l);
        }
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_redis_link_tcp_comes_up_and_answers, reset),
        cmocka_unit_test_setup(test_redis_link_names_are_looked_up, reset),
        cmocka_unit_test_setup(test_redis_link_unix_socket_comes_up_and_answers, reset),
        cmocka_unit_test_setup(test_redis_link_passwords_and_users_are_checked, reset),
        cmocka_unit_test_setup(test_redis_link_bad_settings_are_refused_by_name, reset),
        cmocka_unit_test_setup(test_redis_link_arguments_are_binary_safe, reset),
        cmocka_unit_test_setup(test_redis_link_pipelines_ten_thousand_commands_in_order, reset),
        cmocka_unit_test_setup(test_redis_link_many_in_flight_at_the_end_are_lost, reset),
        cmocka_unit_test_setup(test_redis_link_big_arguments_and_replies_pass_within_bounds, reset),
        cmocka_unit_test_setup(
            test_redis_link_larger_reply_than_the_bound_ends_the_connection, reset),
        cmocka_unit_test_setup(test_redis_link_argument_counts_are_checked, reset),
        cmocka_unit_test_setup(
            test_redis_link_timed_out_command_is_answered_once_and_its_reply_swallowed, reset),
        cmocka_unit_test_setup(test_redis_link_scripts_are_loaded_where_they_are_unknown, reset),
        cmocka_unit_test_setup(test_redis_link_broken_script_is_answered_once, reset),
        cmocka_unit_test_setup(test_redis_link_channels_are_heard, reset),
        cmocka_unit_test_setup(test_redis_link_may_be_freed_by_its_hook, reset),
        cmocka_unit_test_setup(test_redis_link_may_be_freed_by_a_callback, reset),
        cmocka_unit_test_setup(test_redis_link_may_be_freed_while_it_connects, reset),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
