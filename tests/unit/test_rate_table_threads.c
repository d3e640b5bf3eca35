/* Limits of the fleet in the rate table under threads: workers against a control thread that
 * reports, with silences, losses and denials, and keys that change hands. */
#include "ratelimit/rate_shared.h"

#include "base/clock.h"
#include "base/crypto.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/rate_flights.h"

#define NOW (1000 * US_PER_S)

static const uint8_t own_key[16] = "of this process";
/* u is 3. Of a smaller burst not all would be owed, while a worker that has admitted waits for a
 * core before it says so. */
static const struct rate deep = {100, 1, RATE_SHARED_MAX};
static const struct rate_key key = {.scope = RATE_ALLOCATION_USER, .id = 7, .realm = 3};

static struct rate_key key_of(uint32_t n)
{
    return (struct rate_key){
        .scope = RATE_ALLOCATION_USER, .id = 0x9e3779b97f4a7c15ull * (n + 1), .realm = 3};
}

static struct rate_state state_of(struct rate_table *t, uint64_t now)
{
    struct rate_state s;
    rate_table_inspect(t, &key, now, &s);
    return s;
}

/* Workers at one key, and a control that reports it, with silences and denials. */
/* At least so many flights; and where workers run beside control, as many as so many turns give. */
enum { WORKERS = 3, FLIGHTS = 150, TURNS = 100000 };
static struct rate_table *common;
static _Atomic uint64_t common_now, admitted_in_all;
static _Atomic bool over;

static void *hammer(void *arg)
{
    bool ignored = false;
    unsigned i = 0;
    (void)arg;
    while (!atomic_load(&over)) {
        const struct rate_ask ask = {.now_us = atomic_load(&common_now)};
        if (rate_table_admit_shared(common, &key, &deep, &ask, &ignored) == RATE_ADMITTED)
            atomic_fetch_add(&admitted_in_all, 1);
        else if (i++ % 1024 == 0)
            sched_yield();
    }
    return NULL;
}

/* The workers may be waiting for a core. */
static void rest(unsigned turn)
{
    if (turn > TURNS)
        sched_yield();
}

/* A moment in which others may do what they should not. */
static void stare(void)
{
    for (unsigned i = 0; i < 300; i++)
        assert_true(state_of(common, 0).unreported <= 3);
}

static void test_rate_table_threads_lose_no_count(void **state)
{
    pthread_t threads[WORKERS];
    struct flight f = {0};
    uint64_t reported = 0;
    unsigned flights = 0, denied = 0, silences = 0;
    common = rate_table_new(1024, own_key);
    rate_table_share(common, own_key);
    atomic_store(&over, false);
    atomic_store(&admitted_in_all, 0);
    /* So that the time of the oldest wraps on the way. */
    atomic_store(&common_now, ((1ull << 22) - 100) * US_PER_MS);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
    for (unsigned i = 0; i < TURNS || flights < FLIGHTS; i++) {
        uint64_t now = atomic_fetch_add(&common_now, 300);
        if (!fly(common, &f)) {
            rest(i);
            continue;
        }
        flights++;
        assert_true(f.taken.unreported <= 3);
        if (flights % 8 == 0) { /* nobody answers */
            now = atomic_fetch_add(&common_now, 60 * US_PER_MS);
            stare();
            silences++;
        }
        assert_true(state_of(common, now).unreported <= 3);
        if (flights % 5 == 0) { /* lost: as rate_reports.c, again at once or from the ring */
            if (!rate_entry_put_back(f.set, f.way, &f.taken, rate_owed_max(&deep)))
                continue;
            assert_true(rate_entry_take(f.set, f.way, &f.taken));
            assert_true(f.taken.unreported <= 3);
        }
        reported += f.taken.unreported + f.taken.owed;
        const bool deny = flights % 7 == 0;
        land(&f, deny ? 3600 * US_PER_S : 0, now);
        if (!deny)
            continue;
        /* Nobody is admitted any more who was not before the answer. */
        denied++;
        const uint32_t left = state_of(common, now).unreported;
        stare();
        assert_int_equal(state_of(common, now).unreported, left);
        rate_table_rescale(common,
            &(struct rate_change){RATE_ALLOCATION_USER, 3, {1, 3600, 1}, {RATE_SHARED_MAX, 1, 1}},
            1, now);
    }
    atomic_store(&over, true);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    while (fly(common, &f)) {
        reported += f.taken.unreported + f.taken.owed;
        land(&f, 0, atomic_load(&common_now));
    }
    assert_int_equal(reported, atomic_load(&admitted_in_all));
    assert_true(denied > 2 && silences > 10);
    rate_table_free(common);
}

/* Workers at more keys than a few sets hold, which drain and change hands all the time: a key's
 * admissions are all reported, under its name; and another's by accident, seldom. */
enum { KEYS = 60 };
static struct rate_key crowd[KEYS];
static _Atomic uint64_t admitted_of[KEYS];

static void *crowd_in(void *arg)
{
    bool ignored = false;
    for (uint32_t i = (uint32_t)(uintptr_t)arg; !atomic_load(&over); i += 7) {
        const struct rate_ask ask = {.now_us = atomic_load(&common_now)};
        if (rate_table_admit_shared(common, &crowd[i % KEYS], &deep, &ask, &ignored) ==
            RATE_ADMITTED)
            atomic_fetch_add(&admitted_of[i % KEYS], 1);
    }
    return NULL;
}

static unsigned index_of(uint64_t name)
{
    unsigned i = 0;
    while (i < KEYS && rate_table_name(common, &crowd[i]) != name)
        i++;
    return i;
}

/* Keys of four sets, as the table finds a name's. */
static void choose_crowd(void)
{
    unsigned count = 0;
    uint64_t odd;
    memcpy(&odd, own_key, sizeof(odd));
    for (uint32_t n = 0; count < KEYS; n++) {
        struct rate_key k = key_of(n);
        k.prefix = addr_ipv4(10, 0, 0, 1, 0); /* who finds no place shares one */
        k.bits = 32;
        const uint64_t name = rate_table_name(common, &k);
        if (name * (odd | 1) >> 56 < 4)
            crowd[count++] = k;
    }
}

static void test_rate_table_threads_and_keys_that_change_hands(void **state)
{
    pthread_t threads[WORKERS];
    struct flight f;
    uint64_t reported[KEYS + 1] = {0}, extra = 0, sum = 0;
    unsigned flights = 0;
    common = rate_table_new(1024, own_key);
    rate_table_share(common, own_key);
    choose_crowd();
    atomic_store(&over, false);
    atomic_store(&common_now, NOW);
    for (uintptr_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_in, (void *)i), 0);
    for (unsigned i = 0; i < TURNS || flights < 8 * FLIGHTS; i++) {
        if (!fly(common, &f)) {
            rest(i); /* time waits for who is about to say that there is something */
            continue;
        }
        atomic_fetch_add(&common_now, 1000);
        flights++;
        assert_true(f.taken.unreported <= 3 + WORKERS);
        reported[index_of(f.owner.name)] += f.taken.unreported + f.taken.owed;
        land(&f, 0, atomic_load(&common_now));
    }
    atomic_store(&over, true);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    while (fly(common, &f)) {
        reported[index_of(f.owner.name)] += f.taken.unreported + f.taken.owed;
        land(&f, 0, atomic_load(&common_now));
    }
    for (int i = 0; i < KEYS; i++)
        sum += atomic_load(&admitted_of[i]);
    for (int i = 0; i <= KEYS; i++)
        extra += reported[i];
    printf("%llu admitted, %llu reported\n", (unsigned long long)sum, (unsigned long long)extra);
    assert_true(reported[KEYS] > 0); /* some shared with their address */
    assert_true(extra >= sum);
    assert_true(extra - sum <= sum / 1000 + 10);
    rate_table_free(common);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_table_threads_lose_no_count),
        cmocka_unit_test(test_rate_table_threads_and_keys_that_change_hands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
