/*
 * Keys of media in a real Redis: what is deposited is told within a quarter of a second, once, over
 * pages, outages and a Redis that has lost its data; what is asked for is answered as it lies
 * there.
 */
#include "fleet/redis_srtp_keys.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/fleet/fleet_fixture.h"

struct watcher {
    struct fleet *fleet;
    unsigned ups, downs, told, malformed, found;
    char first[64], last[64]; /* places that were told */
    /* The last that was found. */
    int outcome;
    bool whole;
    size_t count;
    char place[64], name[32], value[64]; /* and its last field */
    unsigned early;                      /* told or found from within a call */
    bool calling;
};

static void copy(char *out, size_t cap, struct slice text)
{
    snprintf(out, cap, "%.*s", (int)text.len, text.len ? (const char *)text.data : "");
}

static void on_state(void *ctx, const struct redis_state *state)
{
    struct watcher *w = ctx;
    w->ups += state->up;
    w->downs += !state->up;
}

static void on_deposited(void *ctx, struct slice place)
{
    struct watcher *w = ctx;
    if (place.len == 0) {
        w->malformed++;
        return;
    }
    if (w->told++ == 0)
        copy(w->first, sizeof(w->first), place);
    copy(w->last, sizeof(w->last), place);
    w->early += w->calling;
}

static void on_found(void *ctx, const struct fleet_srtp_found *found)
{
    struct watcher *w = ctx;
    w->found++;
    w->early += w->calling;
    w->outcome = (int)found->outcome;
    w->whole = found->whole;
    w->count = found->count;
    copy(w->place, sizeof(w->place), found->place);
    if (found->count > 0) {
        copy(w->name, sizeof(w->name), found->fields[found->count - 1].name);
        copy(w->value, sizeof(w->value), found->fields[found->count - 1].value);
    }
}

static void watch(struct watcher *w, uint16_t port)
{
    char url[64], error[128];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)port);
    struct redis_settings settings = l.settings;
    settings.url = url;
    const struct fleet_hooks hooks = {
        .state = on_state, .srtp_deposited = on_deposited, .srtp_found = on_found, .ctx = w};
    *w = (struct watcher){0};
    linked_loop(&l);
    assert_int_equal(
        fleet_new(&w->fleet, &l.loop, &settings, &linked_hurry, &hooks, error, sizeof(error)), 0);
    fleet_srtp_use(w->fleet, true);
}

static void watch_end(struct watcher *w)
{
    fleet_free(w->fleet);
    linked_end(&l);
    assert_int_equal(w->early, 0);
}

struct awaited {
    const unsigned *value;
    unsigned least;
};

static bool reached(struct linked *linked, void *ctx)
{
    const struct awaited *a = ctx;
    return *a->value >= a->least;
}

static bool reaches(const unsigned *value, unsigned least, unsigned ms)
{
    return linked_run(&l, reached, &(struct awaited){value, least}, ms);
}

/* Up, and the stream has been looked at. */
static void watch_up(struct watcher *w, unsigned ups)
{
    assert_true(reaches(&w->ups, ups, 8000));
    linked_sleep(&l, 50);
}

static void ask(struct watcher *w, const char *place)
{
    const unsigned before = w->found;
    w->calling = true;
    assert_int_equal(fleet_srtp_ask(w->fleet, slice_of_string(place)), 0);
    w->calling = false;
    assert_true(reaches(&w->found, before + 1, 2000));
    assert_int_equal(w->found, before + 1);
    assert_string_equal(w->place, place);
}

static bool says(const char *words, const char *expected)
{
    return test_redis_says(&redis, words, expected);
}

static void deposit(const char *place)
{
    char words[200];
    snprintf(words, sizeof(words), "XADD turnpike/srtp/deposits * place %s", place);
    assert_true(says(words, "$"));
}

#define PLACE "allocation/0123456789abcdef"

static void test_redis_srtp_keys_deposit_is_told_at_once(void **state)
{
    struct watcher w;
    deposit("allocation/00000000000000aa"); /* long ago */
    watch(&w, redis.port);
    watch_up(&w, 1);
    deposit(PLACE);
    const uint64_t since = clock_now().mono_us;
    assert_true(reaches(&w.told, 1, 2000));
    assert_true(clock_now().mono_us - since < 600 * US_PER_MS);
    assert_string_equal(w.first, PLACE);
    linked_sleep(&l, 600);
    assert_int_equal(w.told, 1);
    watch_end(&w);
}

static void test_redis_srtp_keys_other_prefix_is_heeded(void **state)
{
    struct watcher w;
    l.settings.prefix = (char *)(uintptr_t) "other";
    watch(&w, redis.port);
    watch_up(&w, 1);
    deposit(PLACE);
    assert_true(says("XADD other/srtp/deposits * place user/r/u", "$"));
    assert_true(says("HSET other/srtp/user/r/u to_peer v", ":1"));
    assert_true(reaches(&w.told, 1, 2000));
    assert_string_equal(w.first, "user/r/u");
    ask(&w, "user/r/u");
    assert_int_equal(w.count, 1);
    linked_sleep(&l, 300);
    assert_int_equal(w.told, 1);
    watch_end(&w);
}

static void test_redis_srtp_keys_what_lies_there_is_found(void **state)
{
    struct watcher w;
    assert_true(says("HSET turnpike/srtp/" PLACE " to_client v1.1.x", ":1"));
    assert_true(says("SET turnpike/srtp/user/r/text x", "+OK"));
    watch(&w, redis.port);
    watch_up(&w, 1);
    ask(&w, PLACE);
    assert_int_equal(w.outcome, FLEET_SRTP_READ);
    assert_int_equal(w.count, 1);
    assert_true(w.whole);
    assert_string_equal(w.name, "to_client");
    assert_string_equal(w.value, "v1.1.x");
    ask(&w, "user/r/nobody");
    assert_int_equal(w.outcome, FLEET_SRTP_READ);
    assert_int_equal(w.count, 0);
    assert_true(w.whole);
    ask(&w, "user/r/text");
    assert_int_equal(w.outcome, FLEET_SRTP_UNREADABLE);
    assert_int_equal(w.count, 0);
    assert_int_equal(fleet_srtp_ask(w.fleet, slice_of_string("user/r/a b")), -EINVAL);
    watch_end(&w);
}

static void test_redis_srtp_keys_too_many_fields_are_left_out(void **state)
{
    struct watcher w;
    char words[100];
    for (unsigned i = 0; i <= FLEET_SRTP_FIELDS_MAX; i++) {
        snprintf(words, sizeof(words), "HSET turnpike/srtp/user/r/u to_peer/%u v", i);
        assert_true(says(words, ":1"));
    }
    watch(&w, redis.port);
    watch_up(&w, 1);
    ask(&w, "user/r/u");
    assert_int_equal(w.count, FLEET_SRTP_FIELDS_MAX);
    assert_false(w.whole);
    assert_true(says("HDEL turnpike/srtp/user/r/u to_peer/7", ":1"));
    ask(&w, "user/r/u");
    assert_int_equal(w.count, FLEET_SRTP_FIELDS_MAX);
    assert_true(w.whole);
    watch_end(&w);
}

/* Entries without a place, with none that can be, and with more besides. */
static void test_redis_srtp_keys_malformed_entries_are_passed_over(void **state)
{
    struct watcher w;
    watch(&w, redis.port);
    watch_up(&w, 1);
    assert_true(says("XADD turnpike/srtp/deposits * other " PLACE, "$"));
    const struct slice blank[] = {slice_of_string("XADD"),
        slice_of_string("turnpike/srtp/deposits"), slice_of_string("*"), slice_of_string("place"),
        slice_of_string("user/r/a b")};
    assert_true(test_redis_command(&redis, blank, 5, "$"));
    char large[REDIS_SRTP_PLACE_MAX + 1];
    memset(large, 'x', sizeof(large));
    const struct slice long_one[] = {
        blank[0], blank[1], blank[2], blank[3], slice_of(large, sizeof(large))};
    assert_true(test_redis_command(&redis, long_one, 5, "$"));
    assert_true(says("XADD turnpike/srtp/deposits * from x place " PLACE, "$"));
    assert_true(reaches(&w.told, 1, 2000));
    assert_string_equal(w.first, PLACE);
    linked_sleep(&l, 300);
    assert_int_equal(w.told, 1);
    assert_int_equal(w.malformed, 3);
    watch_end(&w);
}

/* A writer whose stream is no stream stops nobody who asks. */
static void test_redis_srtp_keys_stream_of_another_type_is_survived(void **state)
{
    struct watcher w;
    assert_true(says("SET turnpike/srtp/deposits x", "+OK"));
    watch(&w, redis.port);
    watch_up(&w, 1);
    linked_sleep(&l, 600);
    assert_int_equal(w.downs, 0);
    assert_true(says("DEL turnpike/srtp/deposits", ":1"));
    linked_sleep(&l, 600);
    deposit(PLACE);
    assert_true(reaches(&w.told, 1, 2000));
    watch_end(&w);
}

static void test_redis_srtp_keys_full_pages_are_followed_at_once(void **state)
{
    struct watcher w;
    watch(&w, redis.port);
    watch_up(&w, 1);
    const struct slice many[] = {slice_of_string("EVAL"),
        slice_of_string("for i = 1, 3000 do redis.call('XADD', KEYS[1], '*', 'place', "
                        "string.format('allocation/%016x', i)) end return 1"),
        slice_of_string("1"), slice_of_string("turnpike/srtp/deposits")};
    assert_true(test_redis_command(&redis, many, 4, ":1"));
    const uint64_t since = clock_now().mono_us;
    assert_true(reaches(&w.told, 3000, 3000));
    assert_true(
        clock_now().mono_us - since < 1000 * US_PER_MS); /* twelve pages, not twelve ticks */
    assert_string_equal(w.first, "allocation/0000000000000001");
    assert_string_equal(w.last, "allocation/0000000000000bb8");
    linked_sleep(&l, 300);
    assert_int_equal(w.told, 3000);
    watch_end(&w);
}

static void test_redis_srtp_keys_off_sends_nothing(void **state)
{
    struct watcher w;
    static struct test_monitor monitor;
    watch(&w, redis.port);
    fleet_srtp_use(w.fleet, false);
    test_monitor_start(&monitor, &redis);
    watch_up(&w, 1);
    deposit(PLACE);
    assert_int_equal(fleet_srtp_ask(w.fleet, slice_of_string(PLACE)), -EAGAIN);
    linked_sleep(&l, 600);
    const char *said = test_monitor_read(&monitor, &redis);
    assert_null(strstr(said, "\"XREAD\""));
    assert_null(strstr(said, "\"XREVRANGE\""));
    assert_null(strstr(said, "\"HGETALL\" \"turnpike/srtp"));
    assert_int_equal(w.told, 0);
    fleet_srtp_use(w.fleet, true);
    linked_sleep(&l, 300);
    assert_int_equal(w.told, 0); /* from here on */
    deposit("user/r/u");
    assert_true(reaches(&w.told, 1, 2000));
    assert_string_equal(w.first, "user/r/u");
    said = test_monitor_read(&monitor, &redis);
    assert_non_null(strstr(said, "\"XREAD\""));
    assert_null(strstr(said, "BLOCK"));
    test_monitor_end(&monitor);
    watch_end(&w);
}

/* The connection goes, and Redis does not: what was deposited meanwhile is told. */
static void test_redis_srtp_keys_deposit_while_away_is_told(void **state)
{
    struct watcher w;
    watch(&w, redis.port);
    watch_up(&w, 1);
    deposit("user/r/before");
    assert_true(reaches(&w.told, 1, 2000));
    assert_true(says("CLIENT KILL TYPE normal", ":"));
    deposit("user/r/meanwhile");
    assert_true(reaches(&w.ups, 2, 8000));
    assert_true(reaches(&w.told, 2, 2000));
    assert_string_equal(w.last, "user/r/meanwhile");
    linked_sleep(&l, 600);
    assert_int_equal(w.told, 2);
    watch_end(&w);
}

/* Ids of the new one are far below what was read: its clock is behind. */
static void test_redis_srtp_keys_redis_that_lost_its_data_is_read_again(void **state)
{
    struct watcher w;
    assert_true(says("XADD turnpike/srtp/deposits 9000000000000-5 place user/r/late", "$"));
    watch(&w, redis.port);
    watch_up(&w, 1);
    assert_int_equal(w.told, 0);
    test_redis_kill(&redis);
    assert_true(reaches(&w.downs, 1, 5000));
    test_redis_restart(&redis);
    assert_true(reaches(&w.ups, 2, 8000));
    deposit(PLACE);
    assert_true(reaches(&w.told, 1, 2000));
    assert_string_equal(w.first, PLACE);
    watch_end(&w);
}

/* The same without a restart: noticed by the look every ten seconds. */
static void test_redis_srtp_keys_stream_that_was_deleted_is_read_again(void **state)
{
    struct watcher w;
    assert_true(says("XADD turnpike/srtp/deposits 9000000000000-5 place user/r/late", "$"));
    watch(&w, redis.port);
    watch_up(&w, 1);
    assert_true(says("DEL turnpike/srtp/deposits", ":1"));
    deposit(PLACE);
    linked_sleep(&l, 600);
    assert_int_equal(w.told, 0);
    assert_true(reaches(&w.told, 1, 11000));
    assert_string_equal(w.first, PLACE);
    linked_sleep(&l, 300);
    assert_int_equal(w.told, 1);
    watch_end(&w);
}

static void test_redis_srtp_keys_asked_while_away_is_refused(void **state)
{
    struct watcher w;
    watch(&w, redis.port);
    assert_int_equal(fleet_srtp_ask(w.fleet, slice_of_string(PLACE)), -EAGAIN);
    watch_up(&w, 1);
    test_redis_signal(&redis, SIGSTOP);
    assert_int_equal(fleet_srtp_ask(w.fleet, slice_of_string(PLACE)), 0);
    assert_true(reaches(&w.found, 1, 4000));
    assert_int_equal(w.outcome, FLEET_SRTP_FAILED);
    test_redis_signal(&redis, SIGCONT);
    watch_end(&w);
}

/* What is in flight when the fleet ends frees itself, and nobody is told. */
static void test_redis_srtp_keys_end_while_asking_is_quiet(void **state)
{
    struct watcher w;
    watch(&w, redis.port);
    watch_up(&w, 1);
    assert_int_equal(fleet_srtp_ask(w.fleet, slice_of_string(PLACE)), 0);
    assert_int_equal(fleet_srtp_ask(w.fleet, slice_of_string("user/r/u")), 0);
    watch_end(&w);
    assert_int_equal(w.found, 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define CASE(name) cmocka_unit_test_setup(name, redis_reset)
    const struct CMUnitTest tests[] = {
        CASE(test_redis_srtp_keys_deposit_is_told_at_once),
        CASE(test_redis_srtp_keys_other_prefix_is_heeded),
        CASE(test_redis_srtp_keys_what_lies_there_is_found),
        CASE(test_redis_srtp_keys_too_many_fields_are_left_out),
        CASE(test_redis_srtp_keys_malformed_entries_are_passed_over),
        CASE(test_redis_srtp_keys_stream_of_another_type_is_survived),
        CASE(test_redis_srtp_keys_full_pages_are_followed_at_once),
        CASE(test_redis_srtp_keys_off_sends_nothing),
        CASE(test_redis_srtp_keys_deposit_while_away_is_told),
        CASE(test_redis_srtp_keys_redis_that_lost_its_data_is_read_again),
        CASE(test_redis_srtp_keys_stream_that_was_deleted_is_read_again),
        CASE(test_redis_srtp_keys_asked_while_away_is_refused),
        CASE(test_redis_srtp_keys_end_while_asking_is_quiet),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}
