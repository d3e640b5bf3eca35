/*
 * The scripts of shared limits in a real redis-server, called and read with the functions that the
 * daemon uses, against the same formulas in C.
 */
#include "fleet/redis_limits_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fleet/redis_limits_scripts.h"
#include "fleet/redis_script.h"
#include "tests/fleet/redis_fixture.h"

#define PREFIX "turnpike"
#define RUN    "0123456789abcdef0123456789abcdef01234567"
#define OTHER  "fedcba9876543210fedcba9876543210fedcba98"

static struct redis_script debit, look, lease, heartbeat;
static const struct redis_limits_server server = {RUN, 0};

static int reset(void **state)
{
    char url[64];
    l = (struct linked){.random = &linked_hurry};
    if (!test_redis_says(&redis, "FLUSHALL", "+OK") ||
        redis_script_init(&debit, redis_limits_debit) < 0 ||
        redis_script_init(&look, redis_limits_look) < 0 ||
        redis_script_init(&lease, redis_limits_lease) < 0 ||
        redis_script_init(&heartbeat, redis_limits_heartbeat) < 0)
        return -1;
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)redis.port);
    linked_begin(&l, url);
    return linked_up(&l, 1) ? 0 : -1;
}

static int end(void **state)
{
    linked_end(&l);
    return 0;
}

/* What a call was answered, read while the reply is there. */
struct said {
    unsigned calls;
    size_t count; /* of items */
    int read;
    enum { DEBIT, LOOK, LEASE, HEARTBEAT } kind;
    uint64_t now_us, deny_us[SHARE_BATCH_MAX];
    struct rate_found found[SHARE_BATCH_MAX];
    struct redis_limits_alive alive;
    uint32_t others[SHARE_BATCH_MAX];
};

static void on_said(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    struct said *s = ctx;
    s->calls++;
    assert_int_equal(result, REDIS_REPLIED);
    if (s->kind == DEBIT)
        s->read = redis_limits_reply_debit(&s->now_us, s->deny_us, s->count, reply);
    else if (s->kind == LOOK)
        s->read = redis_limits_reply_look(&s->now_us, s->found, s->count, reply);
    else if (s->kind == LEASE)
        s->read = redis_limits_reply_lease(&s->alive, s->others, s->count, reply);
    else
        s->read = redis_limits_reply_heartbeat(&s->alive, reply);
}

static bool was_said(struct linked *linked, void *ctx)
{
    return ((struct said *)ctx)->calls == 1;
}

static void issue(struct redis_script *script, const struct redis_limits_call *c, struct said *s)
{
    const struct redis_request request = {c->argv, c->argc, 2000, on_said, s};
    assert_int_equal(redis_link_script(l.link, script, c->key_count, &request), 0);
    assert_true(linked_run(&l, was_said, s, 4000));
}

static struct said ask_debit(
    const struct redis_limits_server *known, const struct rate_debit *items, size_t count)
{
    static struct redis_limits_call c;
    struct said s = {.count = count, .kind = DEBIT};
    assert_int_equal(redis_limits_call_rates(&c, PREFIX, known, items, count), 0);
    issue(&debit, &c, &s);
    return s;
}

static struct said ask_look(
    const struct redis_limits_server *known, const struct rate_debit *items, size_t count)
{
    static struct redis_limits_call c;
    struct said s = {.count = count, .kind = LOOK};
    assert_int_equal(redis_limits_call_rates(&c, PREFIX, known, items, count), 0);
    issue(&look, &c, &s);
    return s;
}

static struct said ask_lease(
    const struct redis_limits_instance *who, const struct quota_lease *items, size_t count)
{
    static struct redis_limits_call c;
    struct said s = {.count = count, .kind = LEASE};
    assert_int_equal(redis_limits_call_lease(&c, PREFIX, who, items, count), 0);
    issue(&lease, &c, &s);
    return s;
}

static struct said beat(const struct redis_limits_instance *who, unsigned shard)
{
    static struct redis_limits_call c;
    struct said s = {.kind = HEARTBEAT};
    assert_int_equal(redis_limits_call_heartbeat(&c, PREFIX, who, shard), 0);
    issue(&heartbeat, &c, &s);
    return s;
}

/* The formulas of redis_limits_scripts.h. A bucket that is not there has cost 0. */
struct bucket {
    double tat, cost;
};

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double rounded_up(double value)
{
    const double whole = (double)(int64_t)value;
    return whole < value ? whole + 1 : whole;
}

static uint64_t expect(
    struct bucket *b, double epoch, double now, const struct rate_debit *d, bool debits)
{
    const double cost = (double)d->cost_us, tau = (double)d->tau_us;
    b->tat = larger(b->tat, now);
    if (b->cost > 0 && b->cost != cost)
        b->tat = now + rounded_up((b->tat - now) * cost / b->cost);
    b->tat = larger(b->tat, epoch + tau);
    if (debits)
        b->tat += d->count * cost;
    const double most = now + tau + (double)d->cap_us;
    b->tat = b->tat < most ? b->tat : most;
    b->cost = cost;
    return (uint64_t)larger(0, b->tat + cost - tau - now);
}

static uint32_t next(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(*seed >> 8) * below >> 24);
}

/* Any counts, rates and caps, with pauses, under names of one shard; costs change now and then. */
static void test_redis_limits_calls_debit_is_what_the_formulas_say(void **state)
{
    struct bucket buckets[8] = {0};
    uint32_t seed = 7;
    double epoch = 0;
    unsigned denied = 0, admitted = 0, rescaled = 0;
    for (unsigned round = 0; round < 400; round++) {
        struct rate_debit items[8];
        for (unsigned i = 0; i < 8; i++) {
            const uint64_t cost = 1 + (uint64_t[]){next(&seed, 2000), 0, 1000, 99, 7, 12345,
                                          1ull << 40, 300}[round % 50 == 0 ? next(&seed, 8) : i];
            rescaled += buckets[i].cost > 0 && buckets[i].cost != (double)cost;
            items[i] = (struct rate_debit){.name = 0x1230 + 16 * i + 5,
                .count = next(&seed, 5) == 0 ? next(&seed, 100000) : next(&seed, 20),
                .cost_us = cost,
                .tau_us = cost * (1 + next(&seed, 40)),
                .cap_us = cost * next(&seed, 60)};
        }
        const struct said s = ask_debit(&server, items, 8);
        assert_int_equal(s.read, 0);
        if (round == 0)
            epoch = (double)s.now_us;
        for (unsigned i = 0; i < 8; i++) {
            const uint64_t deny = expect(&buckets[i], epoch, (double)s.now_us, &items[i], true);
            assert_int_equal(s.deny_us[i], deny);
            denied += deny > 0;
            admitted += deny == 0;
        }
        const struct said seen = ask_look(&server, items, 8);
        assert_int_equal(seen.read, 0);
        for (unsigned i = 0; i < 8; i++) {
            struct bucket copy = buckets[i];
            const uint64_t deny = expect(&copy, epoch, (double)seen.now_us, &items[i], false);
            assert_int_equal(seen.found[i].deny_us, deny);
            assert_int_equal(seen.found[i].tat_us, (uint64_t)(copy.tat - (double)seen.now_us));
        }
        if (round % 10 == 0)
            linked_sleep(&l, 3);
    }
    /* Depends on the machine, but not by so much. */
    assert_true(denied > 300 && admitted > 300 && rescaled > 300);
}

static void test_redis_limits_calls_epoch_starts_exhausted(void **state)
{
    const struct rate_debit one = {
        .name = 0xa1, .count = 0, .cost_us = 100000, .tau_us = 500000, .cap_us = 900000};
    const struct rate_debit none = {
        .name = 0xb1, .count = 0, .cost_us = 100000, .tau_us = 500000, .cap_us = 900000};
    struct said s = ask_debit(&server, &one, 1);
    assert_int_equal(s.deny_us[0], 100000); /* a bucket that was never there is empty at first */
    const uint64_t epoch = s.now_us;
    linked_sleep(&l, 250);
    s = ask_debit(&server, &one, 1);
    assert_int_equal(s.deny_us[0], 0);
    s = ask_look(&server, &none, 1);
    assert_int_equal(s.found[0].tat_us, epoch + 500000 - s.now_us); /* nobody has debited it yet */
    linked_sleep(&l, 300);
    s = ask_look(&server, &none, 1);
    assert_int_equal(s.found[0].tat_us, 0); /* it is full */
    /* Another server, as after a restart or a failover: what it has may be old. */
    const struct redis_limits_server other = {OTHER, 0};
    s = ask_look(&other, &one, 1);
    assert_int_equal(s.found[0].tat_us, 500000);
    s = ask_debit(&other, &one, 1);
    assert_int_equal(s.deny_us[0], 100000);
    assert_int_equal(ask_debit(&other, &none, 1).deny_us[0] > 0, 1);
    /* It has lost all. */
    linked_sleep(&l, 520);
    assert_int_equal(ask_debit(&other, &one, 1).deny_us[0], 0);
    assert_true(test_redis_says(&redis, "FLUSHALL", "+OK"));
    assert_int_equal(ask_debit(&other, &one, 1).deny_us[0], 100000);
    linked_sleep(&l, 520);
    assert_int_equal(ask_debit(&other, &one, 1).deny_us[0], 0);
    /* It was told another script, and knows ours no more. */
    assert_true(test_redis_says(&redis, "SCRIPT FLUSH", "+OK"));
    assert_int_equal(ask_debit(&other, &one, 1).deny_us[0], 0);
    /* The epoch of a shard is its own. */
    const struct rate_debit elsewhere = {
        .name = 0xa2, .count = 0, .cost_us = 100000, .tau_us = 500000, .cap_us = 900000};
    assert_int_equal(ask_debit(&other, &elsewhere, 1).deny_us[0], 100000);
}

static void test_redis_limits_calls_floor_begins_an_epoch_once(void **state)
{
    const struct rate_debit one = {
        .name = 0xa1, .count = 0, .cost_us = 50000, .tau_us = 200000, .cap_us = 0};
    struct said s = ask_debit(&server, &one, 1);
    linked_sleep(&l, 220);
    const struct redis_limits_server same = {RUN, s.now_us};
    assert_int_equal(ask_debit(&same, &one, 1).deny_us[0], 0); /* it began no earlier */
    const struct redis_limits_server later = {RUN, s.now_us + 1};
    s = ask_debit(&later, &one, 1);
    assert_int_equal(s.deny_us[0], 50000);
    linked_sleep(&l, 220);
    assert_int_equal(ask_debit(&later, &one, 1).deny_us[0], 0);
    /* A floor that is still to come is none: its clock was set back since. */
    const struct redis_limits_server ahead = {RUN, s.now_us + 3600 * US_PER_S};
    assert_int_equal(ask_debit(&ahead, &one, 1).deny_us[0], 0);
}

static bool set(const char *key, const char *value)
{
    const struct slice argv[] = {
        slice_of_string("SET"), slice_of_string(key), slice_of_string(value)};
    return test_redis_command(&redis, argv, 3, "+OK");
}

/* What was written while Redis's clock was ahead does not deny for longer than the cap. */
static void test_redis_limits_calls_clock_set_back_denies_no_longer_than_the_cap(void **state)
{
    const struct rate_debit one = {
        .name = 0xa1, .count = 0, .cost_us = 50000, .tau_us = 100000, .cap_us = 150000};
    char text[128];
    const uint64_t hour = ask_debit(&server, &one, 1).now_us + 3600 * US_PER_S;
    snprintf(text, sizeof(text), "%s %" PRIu64, RUN, hour);
    assert_true(set("turnpike/{limits-1}epoch", text));
    snprintf(text, sizeof(text), "%" PRIu64 " 50000", hour);
    assert_true(set("turnpike/{limits-1}rate/00000000000000a1", text));
    assert_int_equal(ask_debit(&server, &one, 1).deny_us[0], 200000);
    linked_sleep(&l, 210);
    assert_int_equal(ask_debit(&server, &one, 1).deny_us[0], 0);
}

/* Under our keys anybody may have written anything. */
static void test_redis_limits_calls_garbage_counts_as_nothing(void **state)
{
    static const char *const garbage[] = {"", "x", "5", "5 ", " 5 6", "nan 5", "5 nan", "-5 6",
        "5 -6", "1e300 5", "5 0", "0 0", "99999999999999999999 5", "5 99999999999999999999"};
    const struct rate_debit one = {
        .name = 0xa1, .count = 1, .cost_us = 1000, .tau_us = 2000, .cap_us = 3000};
    static const char key[] = "turnpike/{limits-1}rate/00000000000000a1";
    ask_debit(&server, &one, 1);
    linked_sleep(&l, 20);
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        assert_true(set(key, garbage[i]));
        const struct said s = ask_debit(&server, &one, 1);
        assert_int_equal(s.read, 0);
        assert_int_equal(s.deny_us[0], 0);
        assert_in_range(ask_look(&server, &one, 1).found[0].tat_us, 0, one.cost_us);
        assert_true(set("turnpike/{limits-1}epoch", garbage[i]));
        assert_int_equal(ask_debit(&server, &one, 1).deny_us[0], 2000); /* an epoch begins */
        linked_sleep(&l, 10);
    }
    assert_true(test_redis_says(&redis, "DEL turnpike/{limits-1}rate/00000000000000a1", ":1"));
    assert_true(test_redis_says(&redis, "LPUSH turnpike/{limits-1}rate/00000000000000a1 x", ":1"));
    assert_int_equal(ask_debit(&server, &one, 1).deny_us[0], 0);
    assert_true(
        test_redis_says(&redis, "TYPE turnpike/{limits-1}rate/00000000000000a1", "+string"));
}

static const struct redis_limits_instance a = {"aaaaaaaaaaaaaaaa", 1000};
static const struct redis_limits_instance b = {"bbbbbbbbbbbbbbbb", 1000};

static void test_redis_limits_calls_leases_add_up(void **state)
{
    struct quota_lease items[SHARE_BATCH_MAX];
    for (unsigned i = 0; i < SHARE_BATCH_MAX; i++)
        items[i] = (struct quota_lease){.name = 0x100 * i + 3, .held = i};
    struct said s = ask_lease(&a, items, SHARE_BATCH_MAX);
    assert_int_equal(s.read, 0);
    assert_false(s.alive.known);
    for (unsigned i = 0; i < SHARE_BATCH_MAX; i++)
        assert_int_equal(s.others[i], 0);
    s = ask_lease(&b, items, SHARE_BATCH_MAX);
    for (unsigned i = 0; i < SHARE_BATCH_MAX; i++)
        assert_int_equal(s.others[i], i);
    items[5].held = 0;
    items[6].held = UINT32_MAX;
    s = ask_lease(&b, items, SHARE_BATCH_MAX);
    assert_true(s.alive.known);
    s = ask_lease(&a, items, 8);
    assert_int_equal(s.others[5], 0);
    assert_int_equal(s.others[6], UINT32_MAX);
    assert_int_equal(s.others[7], 7);
    assert_true(test_redis_says(&redis, "EXISTS turnpike/{limits-3}held/0000000000000503", ":0"));
    /* It leaves: what it held is free at once. */
    const struct redis_limits_instance gone = {"bbbbbbbbbbbbbbbb", 0};
    s = beat(&gone, 3);
    assert_true(s.alive.known);
    assert_int_equal(s.alive.count, 1);
    s = ask_lease(&a, items, 8);
    assert_int_equal(s.others[6], 0);
    assert_int_equal(s.others[7], 0);
    assert_true(test_redis_says(&redis, "HLEN turnpike/{limits-3}held/0000000000000703", ":1"));
}

static void test_redis_limits_calls_dead_instances_hold_nothing(void **state)
{
    const struct quota_lease item = {.name = 0x21, .held = 4};
    ask_lease(&a, &item, 1);
    ask_lease(&b, &item, 1);
    linked_sleep(&l, 600);
    struct said s = beat(&b, 1);
    assert_true(s.alive.known);
    assert_int_equal(s.alive.count, 2);
    assert_int_equal(ask_lease(&b, &item, 1).others[0], 4);
    linked_sleep(&l, 600);
    assert_int_equal(ask_lease(&b, &item, 1).others[0], 0);
    s = beat(&b, 1);
    assert_int_equal(s.alive.count, 1);
    s = beat(&a, 1); /* it was cut off, and is back */
    assert_false(s.alive.known);
    assert_int_equal(s.alive.count, 2);
    assert_int_equal(ask_lease(&b, &item, 1).others[0], 0); /* until it says so again */
    ask_lease(&a, &item, 1);
    assert_int_equal(ask_lease(&b, &item, 1).others[0], 4);
}

/* Entries of a time to come: the clock was set back. */
static void test_redis_limits_calls_alive_for_too_long_is_not_alive(void **state)
{
    const struct quota_lease item = {.name = 0x21, .held = 4};
    ask_lease(&b, &item, 1);
    assert_true(test_redis_says(
        &redis, "ZADD turnpike/{limits-1}alive 9000000000000000 bbbbbbbbbbbbbbbb", ":0"));
    assert_int_equal(ask_lease(&a, &item, 1).others[0], 0);
    assert_int_equal(beat(&a, 1).alive.count, 1);
    assert_false(beat(&b, 1).alive.known);
}

/* An error changes nothing: it may be sent again. */
static void test_redis_limits_calls_error_changes_nothing(void **state)
{
    const struct quota_lease items[] = {{.name = 0x21, .held = 4}, {.name = 0x31, .held = 4}};
    assert_true(test_redis_says(&redis, "SET turnpike/{limits-1}held/0000000000000031 x", "+OK"));
    struct said s = ask_lease(&a, items, 2);
    assert_int_equal(s.read, -EBADMSG);
    assert_true(test_redis_says(&redis, "EXISTS turnpike/{limits-1}held/0000000000000021", ":0"));
    assert_true(test_redis_says(&redis, "EXISTS turnpike/{limits-1}alive", ":0"));
    assert_true(test_redis_says(&redis, "SET turnpike/{limits-1}alive x", "+OK"));
    assert_int_equal(ask_lease(&a, items, 1).read, -EBADMSG);
    assert_int_equal(beat(&a, 1).read, -EBADMSG);
}

/* Every key that was made has an expiry and the hash tag of its shard. */
static void test_redis_limits_calls_keys_go_away_by_themselves(void **state)
{
    static const char check[] =
        "local n = 0 for _, key in ipairs(redis.call('KEYS', '*')) do n = n + 1 "
        "local ttl = redis.call('PTTL', key) "
        "if ttl < 0 or ttl > 2592000000 then return key end "
        "if not string.match(key, '^turnpike/{limits%-%x}') then return key end end return n";
    const struct slice argv[] = {
        slice_of_string("EVAL"), slice_of_string(check), slice_of_string("0")};
    struct rate_debit items[SHARE_BATCH_MAX];
    struct quota_lease held[SHARE_BATCH_MAX];
    for (unsigned i = 0; i < SHARE_BATCH_MAX; i++) {
        items[i] = (struct rate_debit){
            .name = 0x10 * i, .count = 1, .cost_us = 1000, .tau_us = 50000, .cap_us = 0};
        held[i] = (struct quota_lease){.name = 0x10 * i, .held = 1};
    }
    ask_debit(&server, items, SHARE_BATCH_MAX);
    ask_lease(&a, held, SHARE_BATCH_MAX);
    beat(&a, 7);
    assert_true(test_redis_command(&redis, argv, 3, ":131\r\n")); /* 64 + 64, epoch, two alive */
    /* A bucket goes a second after it is full, who is alive a second after the last has gone. */
    linked_sleep(&l, 1200);
    assert_true(test_redis_says(&redis, "EXISTS turnpike/{limits-0}rate/0000000000000010", ":0"));
    linked_sleep(&l, 900);
    assert_true(test_redis_command(&redis, argv, 3, ":65\r\n"));
    assert_true(test_redis_says(&redis, "TTL turnpike/{limits-0}epoch", ":25919"));
    assert_true(test_redis_says(&redis, "TTL turnpike/{limits-0}held/0000000000000010", ":1763"));
    /* Not before: it would be full again. */
    const struct rate_debit slow = {
        .name = 0x20, .count = 1, .cost_us = 5000000, .tau_us = 1000000000, .cap_us = 5000000};
    assert_int_equal(ask_debit(&server, &slow, 1).read, 0);
    assert_true(test_redis_says(&redis, "TTL turnpike/{limits-0}rate/0000000000000020", ":100"));
}

static void test_redis_limits_calls_largest_times_stay_exact(void **state)
{
    const struct rate_debit items[] = {{.name = 0x11,
                                           .count = UINT32_MAX,
                                           .cost_us = UINT64_MAX,
                                           .tau_us = UINT64_MAX,
                                           .cap_us = UINT64_MAX},
        {.name = 0x21, .count = 1, .cost_us = 0, .tau_us = 0, .cap_us = 0}};
    struct said s = ask_debit(&server, items, 2);
    assert_int_equal(s.read, 0);
    assert_int_equal(s.deny_us[0], 2 * REDIS_LIMITS_TIME_MAX_US); /* the cap, and one */
    assert_int_equal(s.deny_us[1], 1);
    s = ask_look(&server, items, 2);
    assert_in_range(s.found[0].tat_us, 2 * REDIS_LIMITS_TIME_MAX_US - 5 * US_PER_S,
        2 * REDIS_LIMITS_TIME_MAX_US);
}

static void test_redis_limits_calls_what_cannot_be_is_refused(void **state)
{
    static struct redis_limits_call c;
    static const struct redis_limits_server unknown = {"", 0};
    static const struct redis_limits_instance nobody = {"aaaa", 1000};
    struct rate_debit rates[SHARE_BATCH_MAX + 1] = {0};
    struct quota_lease held[SHARE_BATCH_MAX + 1] = {0};
    char prefix[REDIS_LIMITS_PREFIX_MAX + 2];
    memset(prefix, 'p', sizeof(prefix));
    prefix[sizeof(prefix) - 1] = '\0';
    assert_int_equal(redis_limits_call_rates(&c, PREFIX, &server, rates, 0), -EINVAL);
    assert_int_equal(
        redis_limits_call_rates(&c, PREFIX, &server, rates, SHARE_BATCH_MAX + 1), -EINVAL);
    assert_int_equal(redis_limits_call_rates(&c, PREFIX, &unknown, rates, 1), -EINVAL);
    assert_int_equal(redis_limits_call_rates(&c, prefix, &server, rates, 1), -EINVAL);
    assert_int_equal(redis_limits_call_lease(&c, PREFIX, &a, held, 0), -EINVAL);
    assert_int_equal(redis_limits_call_lease(&c, PREFIX, &a, held, SHARE_BATCH_MAX + 1), -EINVAL);
    assert_int_equal(redis_limits_call_lease(&c, PREFIX, &nobody, held, 1), -EINVAL);
    assert_int_equal(redis_limits_call_heartbeat(&c, PREFIX, &a, SHARE_SHARDS), -EINVAL);
    rates[1].name = held[1].name = 1; /* another shard */
    assert_int_equal(redis_limits_call_rates(&c, PREFIX, &server, rates, 2), -EINVAL);
    assert_int_equal(redis_limits_call_lease(&c, PREFIX, &a, held, 2), -EINVAL);
    static const char *const bad[] = {"", "a b", "{a}", "a}", "\x7f", "a\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(redis_limits_is_prefix(bad[i]));
    prefix[REDIS_LIMITS_PREFIX_MAX] = '\0';
    assert_true(redis_limits_is_prefix(prefix));
    assert_int_equal(redis_limits_call_rates(&c, prefix, &server, rates, 1), 0);
    assert_int_equal(c.argc, 5);
    assert_int_equal(c.key_count, 2);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(test_redis_limits_calls_##name, reset, end)
    const struct CMUnitTest tests[] = {
        TEST(debit_is_what_the_formulas_say),
        TEST(epoch_starts_exhausted),
        TEST(floor_begins_an_epoch_once),
        TEST(clock_set_back_denies_no_longer_than_the_cap),
        TEST(garbage_counts_as_nothing),
        TEST(leases_add_up),
        TEST(dead_instances_hold_nothing),
        TEST(alive_for_too_long_is_not_alive),
        TEST(error_changes_nothing),
        TEST(keys_go_away_by_themselves),
        TEST(largest_times_stay_exact),
        TEST(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}
