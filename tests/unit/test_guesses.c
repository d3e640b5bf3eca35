/* Guesses of passwords (THREATS row 19): by pair, prefix and account; who is spared; floods. */
#include "ratelimit/guesses.h"
#include "ratelimit/rate_control.h"

#include "base/clock.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW (1000 * US_PER_S)
#define MIN (60 * US_PER_S)
#define DAY (86400 * US_PER_S)

static const uint8_t key[16] = "key of guesses!";
static const struct ratelimit_settings limits = {.guesses_per_source = {10, 60, 10},
    .guesses_per_prefix = {300, 60, 300},
    .guesses_per_network = {3000, 60, 3000},
    .guesses_per_user = {1000, 60, 1000}};

struct fixture {
    struct rate_table *rates;
    struct guesses *guesses;
};

static int set_up(void **state)
{
    static struct fixture f;
    f.rates = rate_table_new(1 << 16, key);
    f.guesses = guesses_new(f.rates, key);
    *state = &f;
    return f.rates && f.guesses ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    guesses_free(f->guesses);
    guesses_free(NULL);
    rate_table_free(f->rates);
    return 0;
}

/* n-th address, each in a /24 of its own */
static struct addr place(uint32_t n)
{
    return addr_ipv4(10, (uint8_t)(n >> 8), (uint8_t)n, 1, 4000);
}

static struct guess guess_of(struct addr client, const char *account)
{
    return (struct guess){.client = client, .account = slice_of_string(account)};
}

/* Failures until it may not try, at most `most`. */
static unsigned keep_failing(
    struct fixture *f, const struct guess *who, unsigned most, uint64_t now)
{
    unsigned n = 0;
    bool report = false;
    while (n < most && guesses_may_try(f->guesses, &limits, who, now)) {
        guesses_failed(f->guesses, &limits, who, now, &report);
        n++;
    }
    return n;
}

static bool may(struct fixture *f, const struct guess *who, uint64_t now)
{
    return guesses_may_try(f->guesses, &limits, who, now);
}

static void test_guesses_of_a_pair_end_after_ten_and_come_back(void **state)
{
    struct fixture *f = *state;
    struct guess who = guess_of(place(1), "alice");
    assert_int_equal(keep_failing(f, &who, 1000, NOW), 10);
    assert_false(may(f, &who, NOW + 6 * US_PER_S - 1));
    assert_true(may(f, &who, NOW + 6 * US_PER_S));
    assert_int_equal(keep_failing(f, &who, 1000, NOW + MIN), 10);
}

static void test_guesses_asking_and_success_take_nothing(void **state)
{
    struct fixture *f = *state;
    struct guess who = guess_of(place(1), "alice");
    for (int i = 0; i < 5000; i++) {
        assert_true(may(f, &who, NOW));
        guesses_succeeded(f->guesses, &who, NOW);
    }
    assert_int_equal(keep_failing(f, &who, 1000, NOW), 10);
    /* A login before does not open a locked pair. */
    assert_false(may(f, &who, NOW));
}

static void test_guesses_neighbours_of_a_locked_pair_do_not_notice(void **state)
{
    struct fixture *f = *state;
    struct guess locked = guess_of(addr_ipv4(192, 0, 2, 1, 4000), "alice"), other = locked;
    assert_int_equal(keep_failing(f, &locked, 1000, NOW), 10);
    other.client.port = 5000; /* the same pair */
    assert_false(may(f, &other, NOW));
    other.account = slice_of_string("bob");
    assert_int_equal(keep_failing(f, &other, 1000, NOW), 10);
    other = guess_of(addr_ipv4(192, 0, 2, 2, 4000), "alice");
    assert_int_equal(keep_failing(f, &other, 1000, NOW), 10);
    other = locked;
    other.realm_name = slice_of_string("elsewhere");
    assert_int_equal(keep_failing(f, &other, 1000, NOW), 10);
}

static void test_guesses_ipv6_pair_is_its_64(void **state)
{
    struct fixture *f = *state;
    struct guess who = guess_of((struct addr){.family = ADDR_IPV6,
                                    .ip = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, [15] = 1}},
                     "alice"),
                 other = who;
    assert_int_equal(keep_failing(f, &who, 1000, NOW), 10);
    memset(other.client.ip + 8, 0xab, 8);
    assert_false(may(f, &other, NOW));
    other.client.ip[7] = 8;
    assert_true(may(f, &other, NOW));
}

/* An IPv4 address is not its bytes in an IPv6 one. */
static void test_guesses_families_kept_apart(void **state)
{
    struct fixture *f = *state;
    struct guess four = guess_of(addr_ipv4(32, 1, 13, 184, 0), "alice"), six = four;
    six.client.family = ADDR_IPV6;
    assert_int_equal(keep_failing(f, &four, 1000, NOW), 10);
    assert_true(may(f, &six, NOW));
}

static void test_guesses_of_a_prefix_end_after_300_whoever_is_named(void **state)
{
    struct fixture *f = *state;
    char name[16];
    unsigned n = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "user-%d", i);
        struct guess who = guess_of(addr_ipv4(192, 0, 2, (uint8_t)i, 4000), name);
        n += keep_failing(f, &who, 1000, NOW);
    }
    assert_int_equal(n, 300);
    struct guess beside = guess_of(addr_ipv4(192, 0, 3, 1, 4000), "user-1");
    assert_true(may(f, &beside, NOW));
}

/* Whoever shares a prefix with a guesser: who was in from his address comes in still. */
static void test_guesses_of_a_prefix_spare_who_was_in_within_a_day(void **state)
{
    struct fixture *f = *state;
    const struct guess home = guess_of(addr_ipv4(192, 0, 2, 200, 4000), "alice"),
                       bob = guess_of(home.client, "bob"),
                       beside = guess_of(addr_ipv4(192, 0, 2, 201, 4000), "alice");
    char name[16];
    unsigned n = 0;
    guesses_succeeded(f->guesses, &home, NOW);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "user-%d", i);
        struct guess who = guess_of(addr_ipv4(192, 0, 2, 1, 4000), name);
        n += keep_failing(f, &who, 1000, NOW + US_PER_S);
    }
    assert_in_range(n, 300, 301);
    assert_true(may(f, &home, NOW + US_PER_S));
    assert_false(may(f, &bob, NOW + US_PER_S));
    assert_false(may(f, &beside, NOW + US_PER_S));
    /* Their own limit holds nevertheless. */
    assert_int_equal(keep_failing(f, &home, 1000, NOW + US_PER_S), 10);
    assert_false(may(f, &home, NOW + US_PER_S));
}

/* The n-th /64 of a /48. */
static struct addr within(uint8_t network, uint16_t n)
{
    return (struct addr){.family = ADDR_IPV6,
        .ip = {0x20, 1, 0xd, 0xb8, 0, network, (uint8_t)(n >> 8), (uint8_t)n, [15] = 1}};
}

/* Whoever has a /48 has 65 536 /64s: none of them reaches its own limit. */
static void test_guesses_of_a_network_end_after_3000_and_spare_who_was_in(void **state)
{
    struct fixture *f = *state;
    const struct guess home = guess_of(within(1, 60000), "alice"),
                       bob = guess_of(home.client, "bob"),
                       beside = guess_of(within(1, 60001), "alice"),
                       other = guess_of(within(2, 60000), "bob"),
                       four = guess_of(addr_ipv4(32, 1, 13, 184, 0), "bob");
    char name[16];
    unsigned n = 0;
    guesses_succeeded(f->guesses, &home, NOW);
    for (uint16_t i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "user-%u", i);
        const struct guess who = guess_of(within(1, i), name);
        n += keep_failing(f, &who, 2, NOW);
    }
    assert_int_equal(n, 3000);
    assert_false(may(f, &bob, NOW));
    assert_false(may(f, &beside, NOW));
    assert_true(may(f, &home, NOW));
    assert_true(may(f, &other, NOW));
    assert_true(may(f, &four, NOW));
    assert_true(may(f, &bob, NOW + 20 * US_PER_MS));
    assert_int_equal(keep_failing(f, &home, 1000, NOW), 10);
}

/* What IPv4 has for wider than a /24 is nothing. */
static void test_guesses_of_ipv4_know_no_network(void **state)
{
    struct fixture *f = *state;
    struct guess_level levels[GUESSES_LEVELS];
    const struct guess four = guess_of(place(1), "alice"), six = guess_of(within(1, 2), "alice");
    guesses_levels(f->guesses, &limits, &four, levels);
    assert_int_equal(levels[2].limit.count, 0);
    guesses_levels(f->guesses, &limits, &six, levels);
    for (unsigned i = 0; i < GUESSES_LEVELS; i++)
        assert_true(rate_scope_begins_full(levels[i].key.scope));
    assert_int_equal(levels[2].limit.count, 3000);
    assert_int_equal(levels[2].key.scope, RATE_GUESS_NETWORK);
    assert_int_equal(levels[2].key.bits, 48);
    assert_int_equal(levels[2].key.prefix.ip[5], 1);
    assert_int_equal(levels[2].key.prefix.ip[7], 0);
}

/* 1 000 a minute from everywhere together, and who was in within a day comes in still. */
static void test_guesses_of_a_user_spare_who_was_in_within_a_day(void **state)
{
    struct fixture *f = *state;
    struct guess home = guess_of(place(5000), "alice"), late = guess_of(place(5001), "alice"),
                 other = guess_of(place(5000), "bob"), next = home;
    unsigned n = 0;
    guesses_succeeded(f->guesses, &late, NOW);
    guesses_succeeded(f->guesses, &home, NOW + US_PER_S);
    uint64_t now = NOW + DAY + US_PER_S;
    for (uint32_t i = 0; i < 200; i++) {
        struct guess who = guess_of(place(i), "alice");
        n += keep_failing(f, &who, 1000, now);
    }
    assert_int_equal(n, 1000);
    next.client.ip[3] = 2; /* the address beside it has not been in */
    assert_false(may(f, &next, now));
    assert_false(may(f, &late, now));
    assert_true(may(f, &home, now));
    assert_true(may(f, &other, now));
    /* Its own limit holds nevertheless. */
    assert_int_equal(keep_failing(f, &home, 1000, now), 10);
    assert_false(may(f, &home, now));
}

static void test_guesses_zero_means_no_limit(void **state)
{
    struct fixture *f = *state;
    const struct ratelimit_settings none = {0};
    struct guess who = guess_of(place(1), "alice");
    bool report = false;
    for (int i = 0; i < 5000; i++) {
        assert_true(guesses_may_try(f->guesses, &none, &who, NOW));
        guesses_failed(f->guesses, &none, &who, NOW, &report);
    }
    assert_int_equal(keep_failing(f, &who, 1000, NOW), 10);
}

/* Pairs of 30 000 prefixes and as many accounts ask for 90 000 places of 65 536: what is locked
 * stays locked. */
static void test_guesses_flood_of_pairs_unlocks_nobody(void **state)
{
    struct fixture *f = *state;
    char name[16];
    struct guess locked[50];
    for (uint32_t i = 0; i < 50; i++) {
        locked[i] = guess_of(place(i), "alice");
        assert_int_equal(keep_failing(f, &locked[i], 1000, NOW), 10);
    }
    for (uint32_t i = 0; i < 30000; i++) {
        snprintf(name, sizeof(name), "user-%u", i);
        struct guess who = guess_of(place(1000 + i), name);
        keep_failing(f, &who, 3, NOW + 1);
    }
    for (uint32_t i = 0; i < 50; i++)
        assert_false(may(f, &locked[i], NOW + 2));
}

/* One IPv6 network's owner takes every place with its /64s. Whoever comes from elsewhere, and has
 * guessed nothing, gets in. */
static void test_guesses_flood_of_one_network_locks_no_other(void **state)
{
    struct fixture *f = *state;
    struct addr from = {.family = ADDR_IPV6, .ip = {0x20, 1, 0xd, 0xb8}};
    unsigned locked = 0;
    char name[16];
    for (uint32_t i = 0; i < 200000; i++) {
        from.ip[4] = (uint8_t)(i >> 16);
        from.ip[5] = (uint8_t)(i >> 8);
        from.ip[6] = (uint8_t)i;
        snprintf(name, sizeof(name), "user-%u", i % 100);
        struct guess who = guess_of(from, name);
        keep_failing(f, &who, 2, NOW);
    }
    for (uint32_t i = 0; i < 2000; i++) {
        struct guess who = guess_of(place(i), "carol");
        locked += !may(f, &who, NOW);
        from = (struct addr){.family = ADDR_IPV6, .ip = {0x2a, 1, (uint8_t)(i >> 8), (uint8_t)i}};
        who = guess_of(from, "carol");
        locked += !may(f, &who, NOW);
    }
    /* One of the 16 384 buckets for what finds no place is that network's. */
    assert_true(locked <= 4);
}

static struct fixture *shared;
static _Atomic unsigned tried;

static void *guess_on(void *arg)
{
    struct guess who = guess_of(place(1), "alice"), other = guess_of(place(2), "alice");
    bool report = false;
    for (int i = 0; i < 20000; i++) {
        if (guesses_may_try(shared->guesses, &limits, &who, NOW)) {
            guesses_failed(shared->guesses, &limits, &who, NOW, &report);
            atomic_fetch_add(&tried, 1);
        }
        guesses_succeeded(shared->guesses, &other, NOW + (uint64_t)i * 1000);
        if (!guesses_may_try(shared->guesses, &limits, &other, NOW))
            atomic_fetch_add(&tried, 1000);
    }
    return NULL;
}

static void test_guesses_four_threads_few_over_the_limit(void **state)
{
    pthread_t threads[4];
    shared = *state;
    atomic_store(&tried, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, guess_on, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(atomic_load(&tried), 10, 13);
}

/* All that is to be reported is answered so, of one scope otherwise. How much it was. */
static unsigned hear(struct fixture *f, enum rate_scope scope, uint64_t deny_us, uint64_t now)
{
    unsigned way, sum = 0;
    struct rate_taken taken;
    rate_table_heed(f->rates);
    for (uint32_t index; rate_table_next(f->rates, &index);) {
        struct rate_set *s = rate_table_set_of(f->rates, index, &way);
        const bool this = rate_table_owner(f->rates, index).scope == scope;
        assert_true(rate_entry_take(s, way, &taken));
        rate_entry_answered(s, way, &taken, this ? deny_us : 0, now);
        sum += taken.unreported + taken.owed;
    }
    return sum;
}

static void test_guesses_shared_are_reported_and_denied(void **state)
{
    struct fixture *f = *state;
    const struct guess home = guess_of(place(1), "alice");
    struct guess beside = home, other = home, kid = home;
    bool report = false;
    beside.client.ip[3]++;
    other.account = slice_of_string("bob");
    kid.account = slice_of(NULL, 0);
    rate_table_share(f->rates, key);
    guesses_succeeded(f->guesses, &home, NOW);
    guesses_failed(f->guesses, &limits, &beside, NOW, &report);
    assert_true(report);
    assert_int_equal(hear(f, RATE_GUESS_SOURCE, MIN, NOW), 3); /* pair, prefix, account */
    assert_false(may(f, &beside, NOW + MIN - 1));
    assert_true(may(f, &beside, NOW + MIN));
    assert_true(may(f, &home, NOW));
    guesses_failed(f->guesses, &limits, &kid, NOW, &report);
    assert_int_equal(hear(f, RATE_GUESS_SOURCE, 0, NOW), 1);
    /* Denied by others' guesses: who was in is spared. */
    guesses_failed(f->guesses, &limits, &other, NOW, &report);
    hear(f, RATE_GUESS_PREFIX, MIN, NOW);
    assert_false(may(f, &other, NOW));
    assert_true(may(f, &home, NOW));
    guesses_failed(f->guesses, &limits, &home, NOW + MIN, &report);
    hear(f, RATE_GUESS_USER, MIN, NOW + MIN);
    other = beside;
    assert_false(may(f, &other, NOW + MIN));
    assert_true(may(f, &home, NOW + MIN));
    const struct guess six = guess_of(within(1, 2), "carol"), next = guess_of(within(1, 3), "dora");
    guesses_failed(f->guesses, &limits, &six, NOW + MIN, &report);
    assert_int_equal(hear(f, RATE_GUESS_NETWORK, MIN, NOW + MIN), 4);
    assert_false(may(f, &next, NOW + MIN));
}

/* Nobody answers: a pair has its share of ten, whatever on_failure says of allocations. */
static void test_guesses_shared_in_silence_have_their_share(void **state)
{
    struct fixture *f = *state;
    const struct guess who = guess_of(place(1), "alice");
    rate_table_share(f->rates, key);
    rate_table_set_fleet(f->rates, 2);
    assert_int_equal(keep_failing(f, &who, 1000, NOW), 2);
    assert_int_equal(keep_failing(f, &who, 1000, NOW + 100 * US_PER_MS), 3);
    rate_table_set_reachable(f->rates, false);
    assert_int_equal(keep_failing(f, &who, 1000, NOW + MIN), 5);
}

static void test_guesses_names_are_those_of_other_instances(void **state)
{
    struct fixture *f = *state;
    const struct guess who = guess_of(place(1), "alice");
    const uint8_t secret[16] = "another process";
    struct rate_table *rates = rate_table_new(1024, secret);
    struct guesses *guesses = guesses_new(rates, secret);
    struct rate_table *both[] = {f->rates, rates};
    uint64_t names[2][3];
    bool report = false;
    rate_table_share(f->rates, key);
    rate_table_share(rates, key);
    guesses_failed(f->guesses, &limits, &who, NOW, &report);
    guesses_failed(guesses, &limits, &who, NOW, &report);
    for (int i = 0; i < 2; i++) {
        uint32_t index;
        for (int j = 0; j < 3; j++) {
            assert_true(rate_table_next(both[i], &index));
            names[i][j] = rate_table_owner(both[i], index).name;
        }
    }
    assert_memory_equal(names[0], names[1], sizeof(names[0]));
    guesses_free(guesses);
    rate_table_free(rates);
}

#define GUESSES(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUESSES(test_guesses_of_a_pair_end_after_ten_and_come_back),
        GUESSES(test_guesses_asking_and_success_take_nothing),
        GUESSES(test_guesses_neighbours_of_a_locked_pair_do_not_notice),
        GUESSES(test_guesses_ipv6_pair_is_its_64),
        GUESSES(test_guesses_families_kept_apart),
        GUESSES(test_guesses_of_a_prefix_end_after_300_whoever_is_named),
        GUESSES(test_guesses_of_a_prefix_spare_who_was_in_within_a_day),
        GUESSES(test_guesses_of_a_network_end_after_3000_and_spare_who_was_in),
        GUESSES(test_guesses_of_ipv4_know_no_network),
        GUESSES(test_guesses_of_a_user_spare_who_was_in_within_a_day),
        GUESSES(test_guesses_zero_means_no_limit),
        GUESSES(test_guesses_flood_of_pairs_unlocks_nobody),
        GUESSES(test_guesses_flood_of_one_network_locks_no_other),
        GUESSES(test_guesses_four_threads_few_over_the_limit),
        GUESSES(test_guesses_shared_are_reported_and_denied),
        GUESSES(test_guesses_shared_in_silence_have_their_share),
        GUESSES(test_guesses_names_are_those_of_other_instances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
