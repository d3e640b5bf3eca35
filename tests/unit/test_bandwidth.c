/* Bytes a second: exact over long runs whatever the packets' sizes, bursts, directions, users who
 * follow each other, reloads, clocks, and threads that lease. THREATS row 18. */
#include "ratelimit/bandwidth.h"

#include "base/clock.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW        (1000 * US_PER_S)
#define BURST_MS   500
#define REALMS     4
#define REALM      2
#define USER       5
#define PAYLOAD    65507u /* the largest */
#define MEGA       1000000ull
#define LEVELS     4
#define IMPOSSIBLE 6000000u /* packets that no test sends */

static const uint8_t key[16] = "bandwidth's key";

struct fixture {
    struct quota_table *quotas;
    struct bandwidth_table *table;
    struct bandwidth_lease *lease;
    struct bandwidth_meter meter;
    struct bandwidth_rates rates;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f)
        return -1;
    f->quotas = quota_new(100, key);
    f->table = f->quotas ? bandwidth_table_new(f->quotas, REALMS, key) : NULL;
    f->lease = f->table ? bandwidth_lease_new(f->table) : NULL;
    *state = f;
    return f->lease ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    bandwidth_lease_free(f->lease);
    bandwidth_table_free(f->table);
    quota_free(f->quotas);
    free(f);
    return 0;
}

static struct fixture *renew(void **state)
{
    tear_down(state);
    if (set_up(state) != 0)
        abort();
    return *state;
}

static const enum reason reasons[LEVELS] = {REASON_BANDWIDTH_ALLOCATION, REASON_BANDWIDTH_USER,
    REASON_BANDWIDTH_REALM, REASON_BANDWIDTH_INSTANCE};

static struct bandwidth_rates all_rates(const uint64_t bytes_per_s[LEVELS], uint32_t burst_ms)
{
    const struct ratelimit_settings limits = {
        .bandwidth_per_instance = bytes_per_s[3], .bandwidth_burst_ms = burst_ms};
    const struct realm_rates rates = {.bandwidth_per_allocation = bytes_per_s[0],
        .bandwidth_per_user = bytes_per_s[1],
        .bandwidth_per_realm = bytes_per_s[2]};
    return bandwidth_rates_of(&limits, &rates);
}

/* Limits one level alone. */
static void limit(struct fixture *f, unsigned level, uint64_t bytes_per_s, uint32_t burst_ms)
{
    uint64_t rates[LEVELS] = {0};
    rates[level] = bytes_per_s;
    f->rates = all_rates(rates, burst_ms);
}

static enum reason take(
    struct fixture *f, enum bandwidth_direction direction, size_t bytes, uint64_t now_us)
{
    const struct bandwidth_owner owner = {&f->meter, USER, REALM};
    const struct bandwidth_packet packet = {direction, bytes, now_us};
    return bandwidth_take(f->lease, &f->rates, &owner, &packet);
}

/* Bytes that pass in packets of one size until one does not. */
static uint64_t drain(
    struct fixture *f, enum bandwidth_direction direction, size_t size, uint64_t now_us)
{
    uint64_t passed = 0;
    for (unsigned i = 0; i < IMPOSSIBLE; i++) {
        if (take(f, direction, size, now_us))
            return passed;
        passed += size;
    }
    return UINT64_MAX;
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*state >> 33);
}

static void test_bandwidth_nothing_limited_looks_at_nothing(void **state)
{
    struct fixture *f = *state;
    const uint64_t none[LEVELS] = {0};
    f->rates = all_rates(none, BURST_MS);
    assert_false(f->rates.any);
    assert_int_equal(take(f, BANDWIDTH_TO_PEER, SIZE_MAX, NOW), REASON_NONE);
    for (unsigned level = 0; level < LEVELS; level++) {
        limit(f, level, 1, BURST_MS);
        assert_true(f->rates.any);
    }
}

static void test_bandwidth_burst_passes_at_once_and_no_byte_more(void **state)
{
    struct fixture *f = *state;
    for (unsigned level = 0; level < LEVELS; level++) {
        limit(f, level, MEGA, BURST_MS); /* 8 mbit */
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500000);
        assert_int_equal(take(f, BANDWIDTH_TO_PEER, 1, NOW), reasons[level]);
        /* And as much again from rest. */
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1, NOW + 2 * US_PER_S), 500000);
    }
}

static void test_bandwidth_burst_is_never_less_than_two_datagrams(void **state)
{
    struct fixture *f = *state;
    for (unsigned level = 0; level < LEVELS; level++) {
        limit(f, level, 1000, 1);
        assert_int_equal(drain(f, BANDWIDTH_TO_CLIENT, 65536, NOW), BANDWIDTH_BURST_MIN);
        limit(f, level, 0, 1);
    }
}

static void test_bandwidth_directions_do_not_touch_each_other(void **state)
{
    struct fixture *f = *state;
    for (unsigned level = 0; level < LEVELS; level++) {
        limit(f, level, MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500000);
        assert_int_equal(drain(f, BANDWIDTH_TO_CLIENT, 1000, NOW), 500000);
        assert_int_equal(take(f, BANDWIDTH_TO_PEER, 1, NOW), reasons[level]);
    }
}

/* Offers twice the rate for `us` in packets of up to `size` bytes; what has passed. */
static uint64_t offer(struct fixture *f, uint64_t bytes_per_s, uint32_t size, uint64_t us)
{
    uint64_t passed = 0, offered = 0, random = size;
    for (uint64_t at = 0; at < us;) {
        const uint32_t bytes = 1 + next_random(&random) % size;
        passed += take(f, BANDWIDTH_TO_PEER, bytes, NOW + at) ? 0 : bytes;
        offered += bytes;
        at = (uint64_t)((double)offered / (2 * (double)bytes_per_s) * 1e6);
    }
    return passed;
}

static void exact(struct fixture *f, unsigned level, uint64_t bytes_per_s, uint32_t size)
{
    /* 200,000 packets and more, and a burst of the least size. */
    const double rate = (double)bytes_per_s, burst = BANDWIDTH_BURST_MIN;
    const uint64_t us = (uint64_t)((50000.0 * size + 2 * burst) / rate * 1e6);
    limit(f, level, bytes_per_s, 0);
    const double passed = (double)offer(f, bytes_per_s, size, us);
    const double most = burst + rate * (double)us / 1e6;
    /* The clock counts microseconds, and what a byte costs is rounded up to 2^-16 ns. */
    assert_true(passed <= most + 1);
    assert_true(passed >= most * (1 - rate / 65536e9) - size - 2 * rate / 1e6);
}

static void test_bandwidth_rate_is_exact_for_packets_of_all_sizes(void **state)
{
    /* 80 kbit, an odd one, 8 mbit, 1 gbit, 100 gbit, 400 gbit */
    static const uint64_t rates[] = {10000, 333333, MEGA, 125 * MEGA, 12500 * MEGA, 50000 * MEGA};
    static const uint32_t sizes[] = {20, 160, 1200, PAYLOAD};
    for (unsigned level = 0; level < LEVELS; level++) {
        for (unsigned r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
            for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                struct fixture *f = renew(state);
                exact(f, level, rates[r], sizes[s]);
            }
        }
    }
}

static void test_bandwidth_each_level_names_itself_and_spares_the_wider(void **state)
{
    for (unsigned level = 0; level < LEVELS; level++) {
        uint64_t rates[LEVELS] = {4 * MEGA, 4 * MEGA, 4 * MEGA, 4 * MEGA};
        struct fixture *f = renew(state);
        rates[level] = MEGA;
        f->rates = all_rates(rates, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500000);
        for (unsigned i = 0; i < 1000; i++)
            assert_int_equal(take(f, BANDWIDTH_TO_PEER, 1000, NOW), reasons[level]);
        /* What was dropped there took nothing of the wider ones. */
        for (unsigned wider = level + 1; wider < LEVELS; wider++) {
            limit(f, wider, 4 * MEGA, BURST_MS);
            assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 1500000);
        }
    }
}

static void test_bandwidth_of_others_is_untouched(void **state)
{
    struct fixture *f = *state;
    struct bandwidth_meter meter = {{0}};
    const struct bandwidth_owner others[] = {
        {&meter, USER, REALM}, {&f->meter, USER + 1, REALM}, {&f->meter, USER, REALM + 1}};
    const struct bandwidth_packet packet = {BANDWIDTH_TO_PEER, 1000, NOW};
    for (unsigned level = 0; level < 3; level++) {
        limit(f, level, MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500000);
        for (unsigned i = 0; i < 500; i++)
            assert_int_equal(bandwidth_take(f->lease, &f->rates, &others[level], &packet), 0);
        assert_int_equal(
            bandwidth_take(f->lease, &f->rates, &others[level], &packet), reasons[level]);
    }
}

static void test_bandwidth_of_a_user_goes_with_the_account(void **state)
{
    struct fixture *f = *state;
    const struct slice alice = slice_of_string("alice"), bob = slice_of_string("bob");
    limit(f, 1, MEGA, BURST_MS);
    bandwidth_begin(f->table, USER, REALM, alice);
    assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500000);
    /* A second allocation of the same user gives nothing. */
    bandwidth_begin(f->table, USER, REALM, alice);
    assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 0);
    /* Who has the entry after alice does not pay for her. */
    bandwidth_begin(f->table, USER, REALM, bob);
    assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500000);
    assert_int_equal(drain(f, BANDWIDTH_TO_CLIENT, 1000, NOW), 500000);
    bandwidth_begin(f->table, USER, REALM + 1, bob);
    assert_int_equal(drain(f, BANDWIDTH_TO_CLIENT, 1000, NOW), 500000);
}

static void test_bandwidth_reload_holds_at_once_and_forgets_nothing(void **state)
{
    struct fixture *f = *state;
    for (unsigned level = 0; level < LEVELS; level++) {
        const uint64_t now = NOW + level * 60 * US_PER_S;
        limit(f, level, MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now), 500000);
        /* Raised: nothing at once, but from here on as fast. */
        limit(f, level, 10 * MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now), 0);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now + 100000), MEGA);
        /* Lowered. */
        limit(f, level, MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now + 100000), 0);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now + 200000), 100000);
        /* Half full stays half full. */
        limit(f, level, 2 * MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now + 450000), 500000);
        /* Taken away and set again within the time of a burst. */
        limit(f, level, 0, BURST_MS);
        assert_int_equal(take(f, BANDWIDTH_TO_PEER, PAYLOAD, now + 450000), REASON_NONE);
        limit(f, level, MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now + 550000), 100000);
    }
}

static void test_bandwidth_reload_to_a_faster_rate_does_not_wait_for_the_slow_one(void **state)
{
    struct fixture *f = *state;
    for (unsigned level = 0; level < LEVELS; level++) {
        const uint64_t now = NOW + level * 3600 * US_PER_S;
        /* Two datagrams at 8 kbit are 131 s. */
        limit(f, level, 1000, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1024, now), BANDWIDTH_BURST_MIN);
        limit(f, level, MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now), 0);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, now + 100000), 100000);
    }
}

static void test_bandwidth_lease_is_worth_its_time_after_a_reload(void **state)
{
    struct fixture *f = *state;
    for (unsigned level = 2; level < LEVELS; level++) {
        limit(f, level, 1000 * MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500 * MEGA);
        /* The next packet leases 10 ms, ten million bytes, of which it uses one. */
        assert_int_equal(take(f, BANDWIDTH_TO_PEER, 1, NOW + 10000), REASON_NONE);
        limit(f, level, MEGA, BURST_MS);
        const uint64_t passed = drain(f, BANDWIDTH_TO_PEER, 10, NOW + 10000);
        assert_in_range(passed, 9980, 10000);
    }
}

static void test_bandwidth_after_years_of_silence_is_a_burst(void **state)
{
    struct fixture *f = *state;
    const uint64_t years = 100ull * 365 * 86400 * US_PER_S;
    for (unsigned level = 0; level < LEVELS; level++) {
        limit(f, level, 50000 * MEGA, 1);
        /* A byte of 0.02 ns is 1310.72 parts of 2^16, and costs 1311. */
        assert_in_range(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 49989000, 50 * MEGA);
        assert_in_range(drain(f, BANDWIDTH_TO_PEER, 1000, NOW + years), 49989000, 50 * MEGA);
    }
}

static void test_bandwidth_clock_that_steps_back_finds_it_empty_not_shut(void **state)
{
    struct fixture *f = *state;
    const uint64_t back = NOW - 900 * US_PER_S;
    for (unsigned level = 0; level < LEVELS; level++) {
        limit(f, level, MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500000);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, back), 0);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, back + 100000), 100000);
    }
}

/* Workers take the time once a batch. */
static void test_bandwidth_worker_that_is_behind_gives_nothing_back(void **state)
{
    struct fixture *f = *state;
    for (unsigned level = 0; level < LEVELS; level++) {
        limit(f, level, MEGA, BURST_MS);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 500000);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW - 50 * US_PER_MS), 0);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW), 0);
        assert_int_equal(drain(f, BANDWIDTH_TO_PEER, 1000, NOW + 50 * US_PER_MS), 50000);
    }
}

static void test_bandwidth_extremes_stay_within_the_arithmetic(void **state)
{
    struct fixture *f = *state;
    static const uint64_t rates[] = {1, 2, UINT32_MAX, UINT64_MAX / 2, UINT64_MAX};
    static const uint32_t bursts[] = {0, 1, UINT32_MAX};
    for (unsigned i = 0; i < 5 * 3 * LEVELS; i++) {
        limit(f, i % LEVELS, rates[i / LEVELS % 5], bursts[i / LEVELS / 5]);
        assert_int_equal(take(f, BANDWIDTH_TO_PEER, 0, 0), REASON_NONE);
        assert_int_equal(take(f, BANDWIDTH_TO_PEER, PAYLOAD, NOW), REASON_NONE);
        /* What cannot be charged is refused; of the fastest it costs nothing. */
        const enum reason end = take(f, BANDWIDTH_TO_CLIENT, PAYLOAD, UINT64_MAX);
        assert_true(end == reasons[i % LEVELS] || (end == 0 && rates[i / LEVELS % 5] > UINT32_MAX));
        assert_int_equal(take(f, BANDWIDTH_TO_PEER, 0, UINT64_MAX), REASON_NONE);
        f = renew(state);
    }
    limit(f, 3, 1, 0);
    assert_int_equal(take(f, BANDWIDTH_TO_PEER, SIZE_MAX, NOW), REASON_BANDWIDTH_INSTANCE);
}

/* Workers, each with its own lease, that send what they can at the same moments. */
#define WORKERS    4
#define STEPS      1500u
#define STEP_US    1000
#define PER_STEP   60
#define SHARE_RATE (20 * MEGA)

struct crowd {
    struct fixture *f;
    unsigned level;
    pthread_barrier_t barrier;
    _Atomic uint64_t passed[STEPS];
};

static void *send_steps(void *ctx)
{
    struct crowd *c = ctx;
    struct bandwidth_lease *lease = bandwidth_lease_new(c->f->table);
    struct bandwidth_meter meter = {{0}};
    const struct bandwidth_owner owner = {&meter, USER, REALM};
    uint64_t random = (uint64_t)(uintptr_t)&meter;
    for (unsigned step = 0; lease && step < STEPS; step++) {
        pthread_barrier_wait(&c->barrier);
        uint64_t passed = 0;
        for (unsigned i = 0; i < PER_STEP; i++) {
            const struct bandwidth_packet packet = {
                BANDWIDTH_TO_CLIENT, 1 + next_random(&random) % 1400, NOW + step * STEP_US};
            passed += bandwidth_take(lease, &c->f->rates, &owner, &packet) ? 0 : packet.bytes;
        }
        atomic_fetch_add(&c->passed[step], passed);
    }
    bandwidth_lease_free(lease);
    return NULL;
}

/* No window holds more than the bound says, and all of them together hold all that may pass. */
static void check_windows(const struct crowd *c, double slack)
{
    static uint64_t sum[STEPS + 1];
    const double a_step = (double)SHARE_RATE * STEP_US / 1e6;
    const double burst = (double)SHARE_RATE * BURST_MS / 1000;
    for (unsigned i = 0; i < STEPS; i++)
        sum[i + 1] = sum[i] + c->passed[i];
    for (unsigned from = 0; from < STEPS; from++) {
        for (unsigned to = from + 1; to <= STEPS; to++) {
            const double most = burst + a_step * (to - from - 1) + slack;
            assert_true((double)(sum[to] - sum[from]) <= most);
        }
    }
    assert_true((double)sum[STEPS] >= burst + a_step * (STEPS - 1) - slack - 1500);
}

static void test_bandwidth_threads_together_stay_within_the_bound(void **state)
{
    const double slack[LEVELS] = {0, 1, WORKERS * (double)SHARE_RATE * BANDWIDTH_LEASE_MS / 1000,
        WORKERS * (double)SHARE_RATE * BANDWIDTH_LEASE_MS / 1000};
    for (unsigned level = 1; level < LEVELS; level++) {
        struct crowd *c = calloc(1, sizeof(*c));
        pthread_t thread[WORKERS];
        assert_non_null(c);
        c->f = renew(state);
        c->level = level;
        limit(c->f, level, SHARE_RATE, BURST_MS);
        assert_int_equal(pthread_barrier_init(&c->barrier, NULL, WORKERS), 0);
        for (unsigned i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, send_steps, c), 0);
        for (unsigned i = 0; i < WORKERS; i++)
            pthread_join(thread[i], NULL);
        check_windows(c, slack[level]);
        pthread_barrier_destroy(&c->barrier);
        free(c);
    }
}

/* All of them at one moment, as fast as they can: one burst passes between
 * them, to the byte. */
struct rush {
    struct fixture *f;
    pthread_barrier_t barrier;
    _Atomic uint64_t passed;
};

static void *send_burst(void *ctx)
{
    struct rush *r = ctx;
    struct bandwidth_lease *lease = bandwidth_lease_new(r->f->table);
    struct bandwidth_meter meter = {{0}};
    const struct bandwidth_owner owner = {&meter, USER, REALM};
    const struct bandwidth_packet packet = {BANDWIDTH_TO_PEER, 100, NOW};
    uint64_t passed = 0;
    pthread_barrier_wait(&r->barrier);
    while (lease && passed < IMPOSSIBLE && !bandwidth_take(lease, &r->f->rates, &owner, &packet))
        passed++;
    atomic_fetch_add(&r->passed, passed * packet.bytes);
    bandwidth_lease_free(lease);
    return NULL;
}

static void test_bandwidth_threads_that_rush_share_one_burst(void **state)
{
    for (unsigned level = 1; level < LEVELS; level++) {
        struct rush r = {.f = *state};
        pthread_t thread[WORKERS];
        limit(r.f, level, 1000 * MEGA, BURST_MS);
        assert_int_equal(pthread_barrier_init(&r.barrier, NULL, WORKERS), 0);
        for (unsigned i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, send_burst, &r), 0);
        for (unsigned i = 0; i < WORKERS; i++)
            pthread_join(thread[i], NULL);
        pthread_barrier_destroy(&r.barrier);
        assert_in_range(r.passed, 500 * MEGA - (level > 1) * WORKERS * 100, 500 * MEGA);
    }
}

static void test_bandwidth_unspent_leases_are_what_the_bound_adds(void **state)
{
    struct fixture *f = *state;
    struct bandwidth_lease *lease[WORKERS];
    struct bandwidth_meter meter = {{0}};
    const struct bandwidth_owner owner = {&meter, USER, REALM};
    struct bandwidth_packet packet = {BANDWIDTH_TO_PEER, 1, NOW};
    limit(f, 3, MEGA, BURST_MS);
    for (unsigned i = 0; i < WORKERS; i++) {
        lease[i] = bandwidth_lease_new(f->table);
        assert_non_null(lease[i]);
        assert_int_equal(bandwidth_take(lease[i], &f->rates, &owner, &packet), REASON_NONE);
    }
    /* The meter is at rest again: the burst passes, and beside it what is leased. */
    packet.now_us += US_PER_S;
    uint64_t passed = drain(f, BANDWIDTH_TO_PEER, 1, packet.now_us);
    assert_int_equal(passed, 500000);
    for (unsigned i = 0; i < WORKERS; i++) {
        for (passed = 0; !bandwidth_take(lease[i], &f->rates, &owner, &packet);)
            passed++;
        assert_int_equal(passed, 10 * MEGA / 1000 - 1);
        bandwidth_lease_free(lease[i]);
    }
}

static void test_bandwidth_free_of_nothing_does_nothing(void **state)
{
    (void)state;
    bandwidth_table_free(NULL);
    bandwidth_lease_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bandwidth_nothing_limited_looks_at_nothing),
        TEST(test_bandwidth_burst_passes_at_once_and_no_byte_more),
        TEST(test_bandwidth_burst_is_never_less_than_two_datagrams),
        TEST(test_bandwidth_directions_do_not_touch_each_other),
        TEST(test_bandwidth_rate_is_exact_for_packets_of_all_sizes),
        TEST(test_bandwidth_each_level_names_itself_and_spares_the_wider),
        TEST(test_bandwidth_of_others_is_untouched),
        TEST(test_bandwidth_of_a_user_goes_with_the_account),
        TEST(test_bandwidth_reload_holds_at_once_and_forgets_nothing),
        TEST(test_bandwidth_reload_to_a_faster_rate_does_not_wait_for_the_slow_one),
        TEST(test_bandwidth_lease_is_worth_its_time_after_a_reload),
        TEST(test_bandwidth_after_years_of_silence_is_a_burst),
        TEST(test_bandwidth_clock_that_steps_back_finds_it_empty_not_shut),
        TEST(test_bandwidth_worker_that_is_behind_gives_nothing_back),
        TEST(test_bandwidth_extremes_stay_within_the_arithmetic),
        TEST(test_bandwidth_threads_together_stay_within_the_bound),
        TEST(test_bandwidth_threads_that_rush_share_one_burst),
        TEST(test_bandwidth_unspent_leases_are_what_the_bound_adds),
        cmocka_unit_test(test_bandwidth_free_of_nothing_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
