/* The shared table: keys apart, eviction of drained entries only, overflow into the parent, four
 * threads at once. */
#include "ratelimit/rate_table.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t key[16] = "rate table key!";
static const struct gcra slow = {.cost_us = 10000, .tau_us = 90000}; /* 100/s, 10 at once */

static struct addr v4(uint32_t n)
{
    return addr_ipv4((uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 0);
}

static bool admit_prefix(struct rate_table *t, enum rate_scope scope, const struct addr *prefix,
    unsigned bits, uint64_t now)
{
    struct rate_key k = {.scope = scope, .prefix = *prefix, .bits = bits};
    return rate_table_admit(t, &k, &slow, now);
}

static bool admit(struct rate_table *t, uint32_t n, uint64_t now)
{
    struct addr a = v4(n);
    return admit_prefix(t, RATE_ANSWER_OTHER, &a, 32, now);
}

static unsigned drain(struct rate_table *t, uint32_t n, uint64_t now)
{
    unsigned admitted = 0;
    while (admitted < 1000 && admit(t, n, now))
        admitted++;
    return admitted;
}

static void test_rate_table_admit_one_key_burst_then_rate(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    assert_int_equal(drain(t, 1, 1000000), 10);
    assert_int_equal(drain(t, 1, 1009999), 0);
    assert_int_equal(drain(t, 1, 1010000), 1);
    assert_int_equal(drain(t, 1, 2000000), 10);
    rate_table_free(t);
    rate_table_free(NULL);
}

static void test_rate_table_admit_other_address_length_scope_counted_apart(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    struct addr a = v4(0xc0000200), six = {.family = ADDR_IPV6};
    memcpy(six.ip, a.ip, 16);
    assert_int_equal(drain(t, 0xc0000200, 1), 10);
    assert_false(admit_prefix(t, RATE_ANSWER_OTHER, &a, 32, 1));
    assert_true(admit_prefix(t, RATE_ANSWER_OTHER, &a, 24, 1));
    assert_true(admit_prefix(t, RATE_ANSWER_BINDING, &a, 32, 1));
    assert_true(admit_prefix(t, RATE_ANSWER_OTHER, &six, 32, 1));
    assert_int_equal(drain(t, 0xc0000201, 1), 10);
    rate_table_free(t);
}

static void test_rate_table_admit_unlimited_takes_no_place(void **state)
{
    struct rate_table *t = rate_table_new(0, key);
    const struct gcra unlimited = {0, 0};
    for (uint32_t n = 0; n < 100000; n++) {
        struct rate_key k = {.scope = RATE_ANSWER_OTHER, .prefix = v4(n), .bits = 32};
        assert_true(rate_table_admit(t, &k, &unlimited, 1));
    }
    /* Every key still finds its own place. */
    for (uint32_t n = 0; n < 100; n++)
        assert_int_equal(drain(t, n << 8, 1), 10);
    rate_table_free(t);
}

static void test_rate_table_flood_of_keys_never_refills_a_bucket(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    for (uint32_t n = 0; n < 50; n++)
        assert_int_equal(drain(t, 0x0a000000 + n * 256, 1000000), 10);
    for (uint32_t n = 0; n < 100000; n++)
        admit(t, 0x14000000 + n, 1000001);
    for (uint32_t n = 0; n < 50; n++)
        assert_int_equal(drain(t, 0x0a000000 + n * 256, 1000002), 0);
    rate_table_free(t);
}

static void test_rate_table_full_share_bounded_by_sets(void **state)
{
    /* 100 000 fresh keys in 10 000 prefixes into 1024 entries at one moment: each entry, each
     * prefix's shared bucket that found a place, and each set's last bucket give one burst; all of
     * them are at most entries + sets. */
    struct rate_table *t = rate_table_new(1024, key);
    unsigned admitted = 0;
    for (uint32_t n = 0; n < 100000; n++)
        for (int i = 0; i < 20; i++)
            admitted += admit(t, 0x0a000000 + n * 26, 1000000);
    assert_true(admitted <= (1024 + 256) * 10);
    assert_true(admitted >= 1024 * 9);
    /* Later all of it is at rest and may be forgotten. */
    assert_int_equal(drain(t, 0x0b000000, 1000000 + 100000), 10);
    rate_table_free(t);
}

static void test_rate_table_overflow_shared_with_own_parent_only(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    /* Give one prefix its shared bucket, by filling the table from within it. */
    unsigned first = 0;
    for (uint32_t n = 0; n < 1u << 16; n++)
        first += admit(t, 0x0a000000 + n, 1000000);
    /* Each of the 256 prefixes overflowed; what they shared is theirs. Another prefix finds no
     * place, and gets what is left of a set's last bucket: at most one burst. */
    assert_true(first < (1u << 16) / 4);
    assert_true(drain(t, 0x0b000001, 1000000) <= 10);
    rate_table_free(t);
}

static void test_rate_table_ipv6_overflow_climbs_to_48(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    struct addr a = {.family = ADDR_IPV6, .ip = {0x20, 0x01, 0x0d, 0xb8}};
    unsigned admitted = 0;
    for (uint32_t n = 0; n < 200000; n++) {
        a.ip[6] = (uint8_t)(n >> 16); /* the /64 */
        a.ip[7] = (uint8_t)(n >> 8);
        a.ip[15] = (uint8_t)n;
        admitted += admit_prefix(t, RATE_ANSWER_OTHER, &a, 128, 1000000);
    }
    assert_true(admitted >= 1024);
    assert_true(admitted <= (1024 + 256) * 10);
    rate_table_free(t);
}

static struct rate_key id_key(uint64_t id, uint32_t address)
{
    return (struct rate_key){
        .scope = RATE_GUESS_SOURCE, .prefix = v4(address), .bits = 32, .id = id};
}

static void test_rate_table_admit_ids_counted_apart(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    struct rate_key one = id_key(1, 0x0a000001), other = one, plain = {.scope = one.scope, .id = 1};
    for (int i = 0; i < 10; i++)
        assert_true(rate_table_admit(t, &one, &slow, 1));
    assert_false(rate_table_admit(t, &one, &slow, 1));
    other.id = 2;
    assert_true(rate_table_admit(t, &other, &slow, 1));
    other.id = 0; /* the address alone */
    assert_true(rate_table_admit(t, &other, &slow, 1));
    other = id_key(1, 0x0a000002);
    assert_true(rate_table_admit(t, &other, &slow, 1));
    assert_true(rate_table_admit(t, &plain, &slow, 1));
    plain.scope = RATE_GUESS_USER;
    assert_true(rate_table_admit(t, &plain, &slow, 1));
    rate_table_free(t);
}

static void test_rate_table_peek_says_what_admit_would_and_takes_nothing(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    const struct gcra unlimited = {0, 0};
    struct rate_key k = id_key(1, 0x0a000001);
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < 20; j++)
            assert_true(rate_table_peek(t, &k, &slow, 1000000));
        assert_true(rate_table_admit(t, &k, &slow, 1000000));
    }
    assert_false(rate_table_peek(t, &k, &slow, 1000000));
    assert_true(rate_table_peek(t, &k, &unlimited, 1000000));
    assert_false(rate_table_peek(t, &k, &slow, 1009999));
    assert_true(rate_table_peek(t, &k, &slow, 1010000));
    assert_true(rate_table_admit(t, &k, &slow, 1010000));
    assert_false(rate_table_peek(t, &k, &slow, 1010000));
    rate_table_free(t);
}

/* A full table: ids of one address share a bucket, and their flood locks nobody of another. */
static void test_rate_table_ids_without_place_share_with_their_address(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    struct rate_key full = {.scope = RATE_ANSWER_OTHER, .bits = 32};
    for (uint32_t n = 0; n < 100000; n++) {
        full.prefix = v4(0x14000000 + n * 256);
        rate_table_admit(t, &full, &slow, 1000000);
    }
    for (uint64_t id = 1; id < 1000; id++) {
        struct rate_key k = id_key(id, 0x0a000101);
        assert_int_equal(rate_table_peek(t, &k, &slow, 1000000), id <= 10);
        assert_int_equal(rate_table_admit(t, &k, &slow, 1000000), id <= 10);
    }
    unsigned locked = 0;
    for (uint32_t n = 0; n < 200; n++) {
        struct rate_key k = id_key(1, 0x0b000001 + n * 256);
        locked += !rate_table_peek(t, &k, &slow, 1000000);
    }
    assert_true(locked <= 5); /* whose /24 hashes to the bucket of that one, of 256 */
    rate_table_free(t);
}

enum { THREADS = 4, KEYS = 40, ROUNDS = 400 };
static struct rate_table *shared;
static _Atomic uint32_t admitted_of[KEYS];
static _Atomic uint32_t too_many, none; /* rounds of a key; a thread cannot assert */
static _Atomic uint64_t shared_now;
static pthread_barrier_t barrier;

static void test_rate_table_overflow_leaves_parents_own_bucket(void **state)
{
    struct rate_table *t = rate_table_new(1024, key);
    struct addr prefix = v4(0x0a000000);
    /* The prefix's own bucket has its place before the flood of its addresses. */
    assert_true(admit_prefix(t, RATE_ANSWER_OTHER, &prefix, 24, 1000000));
    for (uint32_t n = 1; n < 100000; n++)
        admit(t, 0x14000000 + n * 256, 1000000); /* every place is taken */
    for (uint32_t n = 0; n < 256; n++)
        drain(t, 0x0a000000 + n, 1000000);
    unsigned left = 0;
    while (left < 100 && admit_prefix(t, RATE_ANSWER_OTHER, &prefix, 24, 1000000))
        left++;
    assert_int_equal(left, 9);
    rate_table_free(t);
}

/* Two threads meet at a new key, again and again: it must not get a bucket from each of them. */
enum { MEETINGS = 100000 };
static _Atomic uint32_t arrived;

static void meet(uint32_t target)
{
    atomic_fetch_add(&arrived, 1);
    for (unsigned i = 1; atomic_load(&arrived) < target; i++)
        if (i % 4096 == 0)
            sched_yield();
}

static void *ask_new_key(void *arg)
{
    for (uint32_t i = 0; i < MEETINGS; i++) {
        uint64_t now = 1000000 + i * 1000000ull;
        meet(4 * i + 2);
        for (int j = 0; j < 6; j++)
            atomic_fetch_add(&admitted_of[0], admit(shared, i << 8, now));
        meet(4 * i + 4);
        if (arg)
            atomic_fetch_add(&too_many, atomic_exchange(&admitted_of[0], 0) > 10);
    }
    return NULL;
}

static void test_rate_table_new_key_two_threads_one_bucket(void **state)
{
    shared = rate_table_new(1024, key);
    atomic_store(&arrived, 0);
    atomic_store(&too_many, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_new_key, NULL), 0);
    ask_new_key(&thread);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&too_many), 0);
    rate_table_free(shared);
}

/* Four threads, few keys, a clock that only the test moves: what is admitted in all is the same as
 * for one thread. */

static void *ask_all(void *arg)
{
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t now = atomic_load(&shared_now);
        for (uint32_t i = 0; i < KEYS * 16; i++) {
            uint32_t k = (i * 7 + (uint32_t)(uintptr_t)arg * 13) % KEYS;
            if (admit(shared, 0x0a000000 + k * 256, now))
                atomic_fetch_add(&admitted_of[k], 1);
        }
        /* Everything is at rest again for the next round: all entries change hands at once. */
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
            for (int k = 0; k < KEYS; k++) {
                uint32_t n = atomic_exchange(&admitted_of[k], 0);
                atomic_fetch_add(&too_many, n > 10);
                atomic_fetch_add(&none, n == 0);
            }
            for (uint32_t n = 0; n < 3000;
                 n++) /* others take the places meanwhile, and drain again */
                admit(shared, 0x40000000 + n * 256, now + 500000);
            atomic_store(&shared_now, now + 1000000);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void test_rate_table_four_threads_never_more_than_burst(void **state)
{
    shared = rate_table_new(1024, key);
    atomic_store(&shared_now, 1000000);
    pthread_barrier_init(&barrier, NULL, THREADS);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_all, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    assert_int_equal(atomic_load(&too_many), 0);
    assert_int_equal(atomic_load(&none), 0);
    rate_table_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_table_admit_one_key_burst_then_rate),
        cmocka_unit_test(test_rate_table_admit_other_address_length_scope_counted_apart),
        cmocka_unit_test(test_rate_table_admit_unlimited_takes_no_place),
        cmocka_unit_test(test_rate_table_flood_of_keys_never_refills_a_bucket),
        cmocka_unit_test(test_rate_table_full_share_bounded_by_sets),
        cmocka_unit_test(test_rate_table_overflow_shared_with_own_parent_only),
        cmocka_unit_test(test_rate_table_ipv6_overflow_climbs_to_48),
        cmocka_unit_test(test_rate_table_overflow_leaves_parents_own_bucket),
        cmocka_unit_test(test_rate_table_admit_ids_counted_apart),
        cmocka_unit_test(test_rate_table_peek_says_what_admit_would_and_takes_nothing),
        cmocka_unit_test(test_rate_table_ids_without_place_share_with_their_address),
        cmocka_unit_test(test_rate_table_new_key_two_threads_one_bucket),
        cmocka_unit_test(test_rate_table_four_threads_never_more_than_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
