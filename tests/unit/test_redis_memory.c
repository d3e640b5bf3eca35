/* A link and a fleet when memory fails: each allocation of our own in turn, once. Linked with
 * --wrap.
 */
#include "fleet/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fleet/redis_script.h"
#include "tests/fleet/redis_fixture.h"
#include "tests/unit/failing_memory.h"

#define ROUNDS_MAX 300

/* What is issued is answered once, whatever the answer is; what is not, never. */
static bool settle(int issued, struct answer *a)
{
    if (issued < 0) {
        assert_in_range(-issued, EAGAIN, ENOMEM); /* these two are neighbours */
        return false;
    }
    assert_true(linked_answered(&l, a, 3000));
    return a->result == REDIS_REPLIED;
}

/* Everything that a link does; true if all of it went well. */
static bool use_link(struct redis_script *script)
{
    const struct slice argv[] = {slice_of_string("counter")};
    struct answer a;
    if (!linked_up(&l, 1))
        return false;
    bool good = settle(linked_issue(&l, "SETRANGE large 200000 x", 2000, &a), &a);
    good = settle(linked_issue(&l, "GET large", 2000, &a), &a) && good;
    good = settle(linked_issue(&l, "SCRIPT FLUSH", 2000, &a), &a) && good;
    a = (struct answer){0};
    const struct redis_request call = {argv, 1, 2000, linked_answer, &a};
    return settle(redis_link_script(l.link, script, 1, &call), &a) && good;
}

/* Whatever failed, the link is not stuck: it is up, or comes up again. */
static void check_usable(void)
{
    for (unsigned i = 0; i < 500 && !redis_link_is_up(l.link); i++)
        linked_sleep(&l, 5);
    failing = 0;
    const struct answer a = linked_ask(&l, "PING");
    assert_true(answer_is(&a, "PONG"));
}

static void test_redis_memory_each_failure_is_survived(void **state)
{
    struct redis_script script;
    char error[128], url[300];
    unsigned refused = 0, hurt = 0, unhurt = 0;
    assert_int_equal(redis_script_init(&script, "return redis.call('INCR', KEYS[1])"), 0);
    snprintf(url, sizeof(url), "unix://%s?db=1", redis.socket);
    for (unsigned round = 1; round <= ROUNDS_MAX && unhurt == 0; round++) {
        l = (struct linked){.random = &linked_hurry};
        allocations = 0;
        failing = round;
        const int made = linked_try(&l, url, error, sizeof(error));
        if (made < 0) {
            assert_int_equal(made, -ENOMEM);
            assert_non_null(strstr(error, "out of memory"));
            refused++;
            continue;
        }
        const bool good = use_link(&script);
        const bool hit = allocations >= round;
        hurt += hit && !good;
        unhurt += !hit;
        assert_true(hit || good);
        check_usable();
        linked_end(&l);
    }
    failing = 0;
    assert_int_equal(unhurt, 1); /* every allocation there is has failed once */
    assert_true(refused >= 5);
    assert_true(hurt >= 5);
}

struct used {
    unsigned answers, secrets, revoked, shared, debited, places, keys;
};

static void on_answer(void *ctx, const struct store_answer *answer)
{
    ((struct used *)ctx)->answers++;
}

static void on_secrets(void *ctx, const struct store_secrets *secrets)
{
    ((struct used *)ctx)->secrets += secrets->count == 2;
}

static void on_revoked(void *ctx, const struct revocation *v)
{
    ((struct used *)ctx)->revoked++;
}

static void on_debited(void *ctx, bool answered, const uint64_t *deny_us, uint64_t now_us)
{
    struct used *u = ctx;
    u->shared++;
    u->debited += answered;
}

static void on_leased(void *ctx, bool answered, const uint32_t *others, uint64_t now_us)
{
    struct used *u = ctx;
    u->shared++;
    u->debited += others != NULL;
}

static void on_found(void *ctx, const struct fleet_srtp_found *found)
{
    struct used *u = ctx;
    u->places++;
    u->keys += found->outcome == FLEET_SRTP_READ && found->count == 1;
}

static bool has_found(struct linked *linked, void *ctx)
{
    return ((struct used *)ctx)->places == 1;
}

/* What is asked is answered once; true if it is the key that lies there. */
static bool find_key(struct fleet *f, struct used *u)
{
    if (fleet_srtp_ask(f, slice_of_string("user/r/a")) < 0)
        return false;
    assert_true(linked_run(&l, has_found, u, 3000));
    return u->keys == 1;
}

/* How many of the two will be answered. */
static unsigned share_limits(struct fleet *f, struct used *u)
{
    const struct share share = fleet_share(f);
    const struct rate_debit item = {.name = 1, .count = 1, .cost_us = 1, .tau_us = 1};
    const struct quota_lease held = {.name = 1, .held = 1};
    return (share.debit(share.ctx, &item, 1, on_debited, u) == 0) +
           (share.lease(share.ctx, &held, 1, on_leased, u) == 0);
}

static bool has_answers(struct linked *linked, void *ctx)
{
    return ((struct used *)ctx)->answers == 2;
}

struct expected {
    const struct used *used;
    unsigned shared;
};

static bool has_shared(struct linked *linked, void *ctx)
{
    const struct expected *e = ctx;
    return e->used->shared == e->shared;
}

static bool has_told(struct linked *linked, void *ctx)
{
    const struct used *u = ctx;
    return u->secrets > 0 && u->revoked > 0;
}

/* Everything that a fleet does; true if all of it went well. Each question is answered once. */
static bool use_fleet(struct fleet *f, struct used *u, int64_t until)
{
    const struct fleet_realm realm = {1, slice_of_string("r"), true};
    const struct store store = fleet_store(f);
    struct store_question question = {.kind = STORE_USER, .realm = 1, .name_len = 1, .name = "a"};
    struct revocation v = {.kind = REVOKE_USER, .realm = 1, .until = until, .id_len = 1, .id = "a"};
    bool good = fleet_set_realms(f, &realm, 1) == 0;
    fleet_srtp_use(f, true);
    for (unsigned i = 0; i < 200 && !fleet_is_up(f); i++)
        linked_sleep(&l, 2);
    const unsigned shared = share_limits(f, u);
    store.ask(store.ctx, &question, realm.name, on_answer, u);
    question.kind = STORE_OAUTH_KEY;
    store.ask(store.ctx, &question, realm.name, on_answer, u);
    good = fleet_revoke(f, &v) == 0 && good;
    good = find_key(f, u) && good;
    assert_true(linked_run(&l, has_answers, u, 3000));
    assert_true(linked_run(&l, has_shared, &(struct expected){u, shared}, 3000));
    good = u->debited == 2 && good;
    return linked_run(&l, has_told, u, allocations < failing ? 3000 : 50) && good;
}

static void test_redis_memory_each_failure_of_a_fleet_is_survived(void **state)
{
    char error[128], url[300];
    unsigned refused = 0, unhurt = 0;
    snprintf(url, sizeof(url), "unix://%s?db=2", redis.socket);
    const struct redis_settings settings = {.url = url, .limits = true};
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    const struct slice add[] = {slice_of_string("EVAL"),
        slice_of_string("redis.call('SELECT', 2) return redis.call('SADD', KEYS[1], 'a', 'b')"),
        slice_of_string("1"), slice_of_string("turn/realm/r/secret")};
    assert_true(test_redis_command(&redis, add, 4, ":2"));
    const struct slice deposit[] = {slice_of_string("EVAL"),
        slice_of_string(
            "redis.call('SELECT', 2) return redis.call('HSET', KEYS[1], 'to_peer', 'v')"),
        slice_of_string("1"), slice_of_string("turnpike/srtp/user/r/a")};
    assert_true(test_redis_command(&redis, deposit, 4, ":1"));
    for (unsigned round = 1; round <= ROUNDS_MAX && unhurt == 0; round++) {
        struct used used = {0};
        const struct fleet_hooks hooks = {
            .secrets = on_secrets, .revoked = on_revoked, .srtp_found = on_found, .ctx = &used};
        struct fleet *fleet = NULL;
        l = (struct linked){0};
        linked_loop(&l);
        allocations = 0;
        failing = round;
        const int made =
            fleet_new(&fleet, &l.loop, &settings, &linked_hurry, &hooks, error, sizeof(error));
        if (made < 0) {
            assert_int_equal(made, -ENOMEM);
            assert_null(fleet);
            assert_non_null(strstr(error, "out of memory"));
            refused++;
        } else {
            const bool good = use_fleet(fleet, &used, clock_now().wall_s + 1000 + round);
            assert_true(good || allocations >= round);
            unhurt += allocations < round;
            fleet_free(fleet);
            assert_int_equal(used.answers, 2);
        }
        failing = 0;
        linked_end(&l);
    }
    assert_int_equal(unhurt, 1);
    assert_true(refused >= 10);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_memory_each_failure_is_survived),
        cmocka_unit_test(test_redis_memory_each_failure_of_a_fleet_is_survived),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}
