/*
 * Keys of media from a real Redis to the mailbox of the worker that holds the allocation: within a
 * second of their deposit, whatever came first, and however Redis was away.
 */
#include "tests/unit/mailboxes.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "daemon/media_keys.h"
#include "srtp/wrapped_key.h"
#include "tests/fleet/linked.h"
#include "tests/fleet/servers.h"

#define ATTRIBUTE "AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
#define ID        0x01000001000000abu /* of worker 1 */
#define PLACE     "allocation/01000001000000ab"
#define ALICE     "user/example.org/alice"

static const uint8_t wrap_key[32] = "a key of thirty-two bytes, yes!";
static struct test_redis redis;

struct fixture {
    struct mailboxes m;
    struct config config;
    struct auth_realm_settings realm;
    struct crypto *crypto;
    struct media_keys *keys;
    struct fleet *fleet;
    unsigned ups, downs;
};

static struct fixture *f;

static void on_state(void *ctx, const struct redis_state *state)
{
    f->ups += state->up;
    f->downs += !state->up;
    media_watch_link(media_keys_watch(f->keys), state->up);
}

static void on_deposited(void *ctx, struct slice place)
{
    media_watch_deposited(media_keys_watch(f->keys), place);
}

static void on_found(void *ctx, const struct fleet_srtp_found *found)
{
    media_watch_found(media_keys_watch(f->keys), found);
}

static int setup(void **state)
{
    char error[128], url[64];
    const struct fleet_hooks hooks = {
        .state = on_state, .srtp_deposited = on_deposited, .srtp_found = on_found};
    f = calloc(1, sizeof(*f));
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    mailboxes_init(&f->m);
    f->realm.name = (char *)(uintptr_t) "example.org";
    f->config.auth.realms = &f->realm;
    f->config.auth.realm_count = 1;
    f->config.relay.max_allocation_age_s = 3600;
    assert_int_equal(secret_set(&f->config.srtp.wrap_key, slice_of(wrap_key, 32)), 0);
    f->crypto = crypto_new();
    f->keys = media_keys_new(&(struct media_keys_deps){.loop = &f->m.loop,
        .config = &f->config,
        .workers = &f->m.workers,
        .counters = &f->m.counters});
    assert_non_null(f->keys);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)redis.port);
    const struct redis_settings settings = {.url = url};
    assert_int_equal(
        fleet_new(&f->fleet, &f->m.loop, &settings, &linked_hurry, &hooks, error, sizeof(error)),
        0);
    media_watch_start(media_keys_watch(f->keys), f->fleet);
    return 0;
}

static int teardown(void **state)
{
    media_watch_stop(media_keys_watch(f->keys));
    fleet_free(f->fleet);
    media_keys_end(f->keys);
    mailboxes_deinit(&f->m);
    media_keys_free(f->keys);
    crypto_free(f->crypto);
    secret_wipe(&f->config.srtp.wrap_key);
    free(f);
    return 0;
}

/* Until the value is reached, at most `ms`. */
static bool reaches(const unsigned *value, unsigned least, unsigned ms)
{
    const uint64_t until = clock_now().mono_us + ms * US_PER_MS;
    while (*value < least && clock_now().mono_us < until)
        mailboxes_run(&f->m);
    return *value >= least;
}

struct told {
    unsigned keys, taken_back;
    struct srtp_deposit last;
};

/* What worker 1 was posted, until there is one key or one that is taken back. */
static struct told wait_told(unsigned ms)
{
    struct told t = {0};
    struct mailboxes_one *w = &f->m.worker[1];
    const uint64_t until = clock_now().mono_us + ms * US_PER_MS;
    while (w->count == 0 && clock_now().mono_us < until)
        mailboxes_run(&f->m);
    for (size_t i = 0; i < w->count; i++) {
        assert_int_equal(w->kept[i].kind, MAILBOX_SRTP_DEPOSIT);
        t.last = *w->kept[i].u.deposit;
        t.keys += t.last.until > clock_now().wall_s;
        t.taken_back += t.last.until <= clock_now().wall_s;
        mailbox_message_free(&w->kept[i]);
    }
    w->count = 0;
    return t;
}

static void want(void)
{
    struct srtp_wanted *w = calloc(1, sizeof(*w));
    w->allocation = ID;
    w->user_len = 5;
    memcpy(w->user, "alice", 5);
    media_keys_want(f->keys, w, 1);
}

/* As the signalling side does it. */
static void deposit(const char *place, const char *field)
{
    char value[SRTP_WRAPPED_MAX + 1], key[100], entry[200];
    const struct srtp_deposit d = {.until = clock_now().wall_s + 600};
    const struct wrapped_for whose = {slice_of_string(place), slice_of_string(field)};
    assert_int_equal(wrapped_key_make(f->crypto, random_system(), slice_of(wrap_key, 32), &whose,
                         &d, slice_of_string(ATTRIBUTE), value),
        0);
    snprintf(key, sizeof(key), "turnpike/srtp/%s", place);
    const struct slice argv[] = {slice_of_string("HSET"), slice_of_string(key),
        slice_of_string(field), slice_of_string(value)};
    assert_true(test_redis_command(&redis, argv, 4, ":"));
    snprintf(entry, sizeof(entry), "XADD turnpike/srtp/deposits MAXLEN ~ 10000 * place %s", place);
    assert_true(test_redis_says(&redis, entry, "$"));
}

static void test_media_redis_deposit_for_a_running_allocation_is_there_in_a_second(void **state)
{
    struct told t;
    assert_true(reaches(&f->ups, 1, 8000));
    want();
    assert_int_equal(wait_told(300).keys, 0);
    const uint64_t since = clock_now().mono_us;
    deposit(PLACE, "to_client");
    t = wait_told(3000);
    const uint64_t took_ms = (clock_now().mono_us - since) / US_PER_MS;
    print_message("%llu ms\n", (unsigned long long)took_ms);
    assert_true(took_ms < 1000);
    assert_int_equal(t.keys, 1);
    assert_int_equal(t.last.binding.allocation, ID);
    assert_int_equal(t.last.binding.direction, SRTP_TO_CLIENT);
    deposit(ALICE, "to_peer/77");
    t = wait_told(3000);
    assert_int_equal(t.keys, 1);
    assert_int_equal(t.last.binding.ssrc, 77);
    assert_int_equal(f->m.worker[0].count, 0);
}

static void test_media_redis_deposit_before_the_allocation_is_found(void **state)
{
    assert_true(reaches(&f->ups, 1, 8000));
    deposit(ALICE, "to_peer/77");
    assert_int_equal(wait_told(400).keys, 0); /* nobody has asked */
    want();
    const struct told t = wait_told(3000);
    assert_int_equal(t.keys, 1);
    assert_int_equal(t.last.binding.ssrc, 77);
}

static void test_media_redis_key_is_taken_back(void **state)
{
    assert_true(reaches(&f->ups, 1, 8000));
    want();
    assert_int_equal(wait_told(300).keys, 0);
    deposit(PLACE, "to_client");
    assert_int_equal(wait_told(3000).keys, 1);
    assert_true(test_redis_says(&redis, "DEL turnpike/srtp/" PLACE, ":1"));
    assert_true(test_redis_says(&redis, "XADD turnpike/srtp/deposits * place " PLACE, "$"));
    const struct told t = wait_told(3000);
    assert_int_equal(t.taken_back, 1);
    assert_int_equal(t.last.binding.allocation, ID);
}

/* Redis is gone when the allocation is made, and comes back without what it had. */
static void test_media_redis_allocation_while_away_gets_its_keys_later(void **state)
{
    assert_true(reaches(&f->ups, 1, 8000));
    test_redis_kill(&redis);
    assert_true(reaches(&f->downs, 1, 5000));
    want();
    assert_int_equal(wait_told(300).keys, 0);
    test_redis_restart(&redis);
    deposit(PLACE, "to_peer");
    assert_int_equal(wait_told(8000).keys, 1);
    deposit(PLACE, "to_client");
    assert_true(wait_told(3000).keys >= 1);
}

static int start_redis(void **state)
{
    test_redis_start(&redis, NULL);
    return 0;
}

static int end_redis(void **state)
{
    test_redis_end(&redis);
    return 0;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_media_redis_deposit_for_a_running_allocation_is_there_in_a_second),
        CASE(test_media_redis_deposit_before_the_allocation_is_found),
        CASE(test_media_redis_key_is_taken_back),
        CASE(test_media_redis_allocation_while_away_gets_its_keys_later),
    };
    return cmocka_run_group_tests(tests, start_redis, end_redis);
}
