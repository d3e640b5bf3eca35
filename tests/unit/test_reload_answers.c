/* daemon/reload_answers.c: who is told what, and when; exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/reload_answers.h"

struct told {
    unsigned times;
    bool error, busy, drain;
    uint64_t version;
    size_t changes, restarts, kept;
    char first[64];
};

static struct reload_answers answers;

static void on_reloaded(void *ctx, const struct admin_reloaded *r)
{
    struct told *told = ctx;
    told->times++;
    told->error = r->error != NULL;
    told->busy = r->busy;
    told->version = r->version;
    told->kept = r->listeners_kept;
    for (size_t i = 0; i < r->change_count; i++) {
        told->changes += !r->changes[i].needs_restart;
        told->restarts += r->changes[i].needs_restart;
    }
    if (r->change_count > 0)
        snprintf(told->first, sizeof(told->first), "%s", r->changes[0].what);
}

static void on_drained(void *ctx, const struct admin_drain *now)
{
    struct told *told = ctx;
    told->times++;
    told->drain = now->on;
}

static void drain_state(void *ctx, struct admin_drain *out)
{
    *out = (struct admin_drain){.on = ctx == &answers};
}

static int set_up(void **state)
{
    answers = (struct reload_answers){.drain_state = drain_state, .ctx = &answers};
    return 0;
}

static int tear_down(void **state)
{
    reload_answers_end(&answers);
    return 0;
}

static void build(uint64_t version, const char *diff)
{
    const struct admin_reloaded told = {.version = version * 10, .listeners_kept = 3};
    char *text = strdup(diff);
    assert_non_null(text);
    reload_answers_built(&answers, text, version, &told);
}

static void test_reload_is_told_when_every_worker_has_it(void **state)
{
    struct told a = {0}, b = {0};
    assert_true(reload_answers_ask(&answers, on_reloaded, &a));
    assert_true(reload_answers_ask(&answers, on_reloaded, &b));
    build(5, "relay.ports: 1 -> 2\nworkers: 1 -> 2, needs a restart\nauth.users: changed\n");
    assert_int_equal(a.times, 0);
    reload_answers_taken(&answers, 4);
    assert_int_equal(a.times, 0);
    reload_answers_taken(&answers, 5);
    assert_int_equal(a.times, 1);
    assert_int_equal(b.times, 1);
    assert_false(a.error);
    assert_int_equal(a.version, 50);
    assert_int_equal(a.kept, 3);
    assert_int_equal(a.changes, 2);
    assert_int_equal(a.restarts, 1);
    assert_string_equal(a.first, "relay.ports: 1 -> 2");
    reload_answers_taken(&answers, 6);
    assert_int_equal(a.times, 1);
}

static void test_reload_without_changes_says_none(void **state)
{
    struct told a = {0};
    assert_true(reload_answers_ask(&answers, on_reloaded, &a));
    build(2, "");
    reload_answers_taken(&answers, 2);
    assert_int_equal(a.times, 1);
    assert_int_equal(a.changes + a.restarts, 0);
}

/* Who asked when the file had been read already is told about the next reading. */
static void test_reload_that_is_under_way_is_told_to_those_before_it_only(void **state)
{
    struct told a = {0}, b = {0};
    assert_true(reload_answers_ask(&answers, on_reloaded, &a));
    build(2, "a: 1 -> 2\n");
    assert_true(reload_answers_ask(&answers, on_reloaded, &b));
    reload_answers_taken(&answers, 2);
    assert_int_equal(a.times, 1);
    assert_int_equal(b.times, 0);
    build(3, "b: 1 -> 2\n");
    reload_answers_taken(&answers, 3);
    assert_int_equal(b.times, 1);
    assert_string_equal(b.first, "b: 1 -> 2");
    assert_int_equal(a.times, 1);
}

static void test_reload_that_fails_is_told_at_once_and_to_no_other(void **state)
{
    struct told a = {0}, b = {0};
    assert_true(reload_answers_ask(&answers, on_reloaded, &a));
    build(2, "");
    assert_true(reload_answers_ask(&answers, on_reloaded, &b));
    reload_answers_failed(&answers, "f.yaml:1: no");
    assert_int_equal(a.times, 0);
    assert_int_equal(b.times, 1);
    assert_true(b.error);
    assert_false(b.busy);
    reload_answers_taken(&answers, 2);
    assert_int_equal(a.times, 1);
    assert_false(a.error);
}

static void test_drain_is_told_with_its_snapshot_or_at_once(void **state)
{
    struct told a = {0}, b = {0};
    assert_true(reload_answers_await(&answers, 0, on_drained, &a));
    assert_int_equal(a.times, 1);
    assert_true(a.drain);
    assert_true(reload_answers_await(&answers, 3, on_drained, &b));
    reload_answers_failed(&answers, "no");
    reload_answers_taken(&answers, 2);
    assert_int_equal(b.times, 0);
    reload_answers_taken(&answers, 4);
    assert_int_equal(b.times, 1);
    assert_true(b.drain);
}

static void test_too_many_are_not_taken(void **state)
{
    struct told all = {0}, one = {0};
    for (unsigned i = 0; i < ADMIN_LATER_MAX; i++)
        assert_true(reload_answers_ask(&answers, on_reloaded, &all));
    assert_false(reload_answers_ask(&answers, on_reloaded, &one));
    assert_false(reload_answers_await(&answers, 9, on_drained, &one));
    assert_int_equal(one.times, 0);
    reload_answers_failed(&answers, "no");
    assert_int_equal(all.times, ADMIN_LATER_MAX);
    assert_true(reload_answers_ask(&answers, on_reloaded, &one));
    reload_answers_failed(&answers, "no");
    assert_int_equal(one.times, 1);
}

static void test_the_end_answers_everybody(void **state)
{
    struct told a = {0}, b = {0};
    assert_true(reload_answers_ask(&answers, on_reloaded, &a));
    assert_true(reload_answers_await(&answers, 9, on_drained, &b));
    reload_answers_end(&answers);
    assert_int_equal(a.times, 1);
    assert_true(a.error && a.busy);
    assert_int_equal(b.times, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reload_is_told_when_every_worker_has_it),
        TEST(test_reload_without_changes_says_none),
        TEST(test_reload_that_is_under_way_is_told_to_those_before_it_only),
        TEST(test_reload_that_fails_is_told_at_once_and_to_no_other),
        TEST(test_drain_is_told_with_its_snapshot_or_at_once),
        TEST(test_too_many_are_not_taken),
        TEST(test_the_end_answers_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
