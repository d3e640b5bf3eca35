/* ratelimit/connection_counts: the caps, when the half-open one bites, and that all comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ratelimit/connection_counts.h"

static const uint8_t key[16] = {7};

static struct addr client(uint8_t prefix, uint8_t host)
{
    return addr_ipv4(192, 0, prefix, host, 1000);
}

static enum reason come(struct connection_counts *c, struct connection_charge *charge,
    const struct connection_limits *limits, struct addr from)
{
    enum reason why = connection_counts_open(c, charge, limits);
    return why ? why : connection_counts_place(c, charge, limits, &from);
}

static void test_connection_counts_all_are_capped_together(void **state)
{
    struct connection_counts *c = connection_counts_new(100, key);
    struct connection_charge charges[4] = {0};
    const struct connection_limits limits = {.total = 3};
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(come(c, &charges[i], &limits, client(i, 1)), REASON_NONE);
    assert_int_equal(come(c, &charges[3], &limits, client(9, 1)), REASON_CONNECTION_CAP);
    assert_false(charges[3].counted);
    connection_counts_close(c, &charges[1]);
    assert_int_equal(come(c, &charges[3], &limits, client(9, 1)), REASON_NONE);
    assert_int_equal(connection_counts_total(c), 3);
    for (int i = 0; i < 4; i++)
        connection_counts_close(c, &charges[i]);
    connection_counts_free(c);
}

/* The table's own size is the limit where the configuration names none, or a later one more. */
static void test_connection_counts_never_more_than_the_table_was_made_for(void **state)
{
    struct connection_counts *c = connection_counts_new(2, key);
    struct connection_charge charges[3] = {0};
    const struct connection_limits none = {0}, more = {.total = 50};
    assert_int_equal(come(c, &charges[0], &none, client(0, 1)), REASON_NONE);
    assert_int_equal(come(c, &charges[1], &more, client(0, 1)), REASON_NONE);
    assert_int_equal(come(c, &charges[2], &none, client(0, 1)), REASON_CONNECTION_CAP);
    assert_int_equal(come(c, &charges[2], &more, client(0, 1)), REASON_CONNECTION_CAP);
    for (int i = 0; i < 3; i++)
        connection_counts_close(c, &charges[i]);
    connection_counts_free(c);
}

static void test_connection_counts_prefix_is_a_24_or_a_64(void **state)
{
    struct connection_counts *c = connection_counts_new(100, key);
    struct connection_charge charges[6] = {0};
    const struct connection_limits limits = {.per_prefix = 1};
    struct addr a, b, other;
    assert_int_equal(addr_parse_ip(&a, "2001:db8:0:1::1"), 0);
    assert_int_equal(addr_parse_ip(&b, "2001:db8:0:1:ffff::1"), 0);
    assert_int_equal(addr_parse_ip(&other, "2001:db8:0:2::1"), 0);
    assert_int_equal(come(c, &charges[0], &limits, client(1, 1)), REASON_NONE);
    assert_int_equal(come(c, &charges[1], &limits, client(1, 200)), REASON_CONNECTION_PREFIX_CAP);
    assert_true(charges[1].counted);
    assert_int_equal(come(c, &charges[2], &limits, client(2, 1)), REASON_NONE);
    assert_int_equal(come(c, &charges[3], &limits, a), REASON_NONE);
    assert_int_equal(come(c, &charges[4], &limits, b), REASON_CONNECTION_PREFIX_CAP);
    assert_int_equal(come(c, &charges[5], &limits, other), REASON_NONE);
    for (int i = 0; i < 6; i++)
        connection_counts_close(c, &charges[i]);
    connection_counts_free(c);
}

/* Below half of the cap a prefix may have any number half open; above it, 2 here. */
static void test_connection_counts_half_open_bites_above_half_of_the_cap(void **state)
{
    struct connection_counts *c = connection_counts_new(100, key);
    struct connection_charge charges[12] = {0};
    const struct connection_limits limits = {.total = 10, .half_open_per_prefix = 2};
    for (int i = 0; i < 5; i++)
        assert_int_equal(come(c, &charges[i], &limits, client(1, 1)), REASON_NONE);
    assert_int_equal(come(c, &charges[5], &limits, client(1, 1)), REASON_HALF_OPEN_CAP);
    connection_counts_close(c, &charges[5]);
    /* Its neighbour is served. */
    assert_int_equal(come(c, &charges[6], &limits, client(2, 1)), REASON_NONE);
    /* Proven ones do not count any more: twice is once. */
    for (int i = 0; i < 4; i++) {
        connection_counts_proven(c, &charges[i]);
        connection_counts_proven(c, &charges[i]);
    }
    assert_int_equal(come(c, &charges[7], &limits, client(1, 1)), REASON_NONE);
    assert_int_equal(come(c, &charges[8], &limits, client(1, 1)), REASON_HALF_OPEN_CAP);
    for (int i = 0; i < 12; i++)
        connection_counts_close(c, &charges[i]);
    connection_counts_free(c);
}

/* Where files end before the configured cap: the half is of what they leave, the cap stays. */
static void test_connection_counts_half_open_bites_above_half_of_what_can_be_reached(void **state)
{
    struct connection_counts *c = connection_counts_new(100, key);
    struct connection_charge charges[14] = {0};
    const struct connection_limits limits = {.total = 50, .half_open_per_prefix = 2};
    connection_counts_reach(c, 10);
    connection_counts_reach(c, UINT64_MAX);
    for (int i = 0; i < 5; i++)
        assert_int_equal(come(c, &charges[i], &limits, client(1, 1)), REASON_NONE);
    assert_int_equal(come(c, &charges[5], &limits, client(1, 1)), REASON_HALF_OPEN_CAP);
    for (uint8_t i = 6; i < 14; i++)
        assert_int_equal(come(c, &charges[i], &limits, client(i, 1)), REASON_NONE);
    assert_int_equal(connection_counts_max(c), 100);
    for (int i = 0; i < 14; i++)
        connection_counts_close(c, &charges[i]);
    connection_counts_free(c);
}

#define THREADS 4
#define ROUNDS  20000

static struct connection_counts *shared;
static _Atomic uint32_t most;

static void *churn(void *arg)
{
    const struct connection_limits limits = {.total = 6, .per_prefix = 3};
    struct addr from = client((uint8_t)((uintptr_t)arg % 2), 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct connection_charge charge = {0};
        if (come(shared, &charge, &limits, from) == REASON_NONE) {
            uint32_t total = connection_counts_total(shared), seen = atomic_load(&most);
            while (total > seen && !atomic_compare_exchange_weak(&most, &seen, total)) {
            }
            if (i % 2)
                connection_counts_proven(shared, &charge);
        }
        connection_counts_close(shared, &charge);
    }
    return NULL;
}

/* free asserts that every count is back at zero. */
static void test_connection_counts_threads_leave_nothing_behind(void **state)
{
    pthread_t threads[THREADS];
    shared = connection_counts_new(64, key);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&most) > 0 && atomic_load(&most) <= 6);
    assert_int_equal(connection_counts_total(shared), 0);
    connection_counts_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection_counts_all_are_capped_together),
        cmocka_unit_test(test_connection_counts_never_more_than_the_table_was_made_for),
        cmocka_unit_test(test_connection_counts_prefix_is_a_24_or_a_64),
        cmocka_unit_test(test_connection_counts_half_open_bites_above_half_of_the_cap),
        cmocka_unit_test(test_connection_counts_half_open_bites_above_half_of_what_can_be_reached),
        cmocka_unit_test(test_connection_counts_threads_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
