/* ratelimit/parking_counts: 1000 in all, 8 of a prefix, 64 of an IPv6 network; all comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ratelimit/parking_counts.h"

static const uint8_t key[16] = {7};

static struct addr client(unsigned prefix, uint8_t host)
{
    return addr_ipv4(81, (uint8_t)(prefix >> 8), (uint8_t)prefix, host, 1000);
}

static void test_parking_counts_prefix_has_eight(void **state)
{
    struct parking_counts *c = parking_counts_new(key);
    struct parking_charge charges[PARKING_PREFIX + 2] = {0};
    for (uint8_t i = 0; i < PARKING_PREFIX; i++) {
        const struct addr from = client(1, i);
        assert_int_equal(parking_counts_open(c, &charges[i], &from), REASON_NONE);
    }
    const struct addr one_more = client(1, 200), neighbour = client(2, 1);
    struct parking_charge *over = &charges[PARKING_PREFIX];
    assert_int_equal(parking_counts_open(c, over, &one_more), REASON_PARKING_FULL);
    assert_false(over->open);
    assert_int_equal(parking_counts_total(c), PARKING_PREFIX);
    assert_int_equal(parking_counts_open(c, over + 1, &neighbour), REASON_NONE);
    parking_counts_close(c, &charges[3]);
    parking_counts_close(c, &charges[3]); /* nothing happens */
    assert_int_equal(parking_counts_open(c, over, &one_more), REASON_NONE);
    for (unsigned i = 0; i < PARKING_PREFIX + 2; i++)
        parking_counts_close(c, &charges[i]);
    assert_int_equal(parking_counts_total(c), 0);
    parking_counts_free(c);
}

static void test_parking_counts_prefix_of_ipv6_is_a_64(void **state)
{
    struct parking_counts *c = parking_counts_new(key);
    struct parking_charge charges[PARKING_PREFIX + 2] = {0};
    struct addr from, other;
    assert_int_equal(addr_parse_ip(&from, "2001:db8:0:1::"), 0);
    assert_int_equal(addr_parse_ip(&other, "2001:db8:0:2::"), 0);
    for (uint8_t i = 0; i <= PARKING_PREFIX; i++) {
        from.ip[8] = i;
        assert_int_equal(parking_counts_open(c, &charges[i], &from),
            i < PARKING_PREFIX ? REASON_NONE : REASON_PARKING_FULL);
    }
    assert_int_equal(parking_counts_open(c, &charges[PARKING_PREFIX + 1], &other), REASON_NONE);
    for (unsigned i = 0; i < PARKING_PREFIX + 2; i++)
        parking_counts_close(c, &charges[i]);
    parking_counts_free(c);
}

/* Who has a /48 has 65,536 prefixes. */
static void test_parking_counts_network_of_ipv6_has_a_limit_too(void **state)
{
    struct parking_counts *c = parking_counts_new(key);
    struct parking_charge charges[PARKING_NETWORK + 1] = {0}, other = {0};
    struct addr from, elsewhere;
    assert_int_equal(addr_parse_ip(&from, "2001:db8:7::1"), 0);
    assert_int_equal(addr_parse_ip(&elsewhere, "2001:db8:8::1"), 0);
    for (unsigned i = 0; i <= PARKING_NETWORK; i++) {
        from.ip[7] = (uint8_t)i; /* a /64 each, the first of them as the /48 itself is written */
        assert_int_equal(parking_counts_open(c, &charges[i], &from),
            i < PARKING_NETWORK ? REASON_NONE : REASON_PARKING_FULL);
    }
    assert_int_equal(parking_counts_total(c), PARKING_NETWORK);
    assert_int_equal(parking_counts_open(c, &other, &elsewhere), REASON_NONE);
    parking_counts_close(c, &charges[0]);
    assert_int_equal(parking_counts_open(c, &charges[PARKING_NETWORK], &from), REASON_NONE);
    for (unsigned i = 0; i <= PARKING_NETWORK; i++)
        parking_counts_close(c, &charges[i]);
    parking_counts_close(c, &other);
    parking_counts_free(c);
}

static void test_parking_counts_all_have_a_thousand(void **state)
{
    static struct parking_charge charges[PARKING_TOTAL];
    struct parking_counts *c = parking_counts_new(key);
    for (unsigned i = 0; i < PARKING_TOTAL; i++) {
        const struct addr from = client(i / 2, 1);
        assert_int_equal(parking_counts_open(c, &charges[i], &from), REASON_NONE);
    }
    struct parking_charge over = {0};
    const struct addr stranger = addr_ipv4(93, 184, 1, 1, 1000);
    assert_int_equal(parking_counts_open(c, &over, &stranger), REASON_PARKING_FULL);
    assert_false(over.open);
    parking_counts_close(c, &charges[0]);
    assert_int_equal(parking_counts_open(c, &over, &stranger), REASON_NONE);
    parking_counts_close(c, &over);
    for (unsigned i = 0; i < PARKING_TOTAL; i++)
        parking_counts_close(c, &charges[i]);
    parking_counts_free(c);
}

#define THREADS 4
#define ROUNDS  20000

static struct parking_counts *shared;
static _Atomic uint32_t held, most;

static void *churn(void *arg)
{
    const struct addr from = client(1, (uint8_t)(uintptr_t)arg);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct parking_charge charges[3] = {0};
        for (unsigned k = 0; k < 3; k++) {
            if (parking_counts_open(shared, &charges[k], &from) != REASON_NONE)
                continue;
            const uint32_t now = atomic_fetch_add(&held, 1) + 1;
            uint32_t seen = atomic_load(&most);
            while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
            }
        }
        for (unsigned k = 0; k < 3; k++) {
            if (charges[k].open)
                atomic_fetch_sub(&held, 1);
            parking_counts_close(shared, &charges[k]);
        }
    }
    return NULL;
}

/* free asserts that every count is back at zero. */
static void test_parking_counts_threads_leave_nothing_behind(void **state)
{
    pthread_t threads[THREADS];
    shared = parking_counts_new(key);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(atomic_load(&most), 1, PARKING_PREFIX);
    parking_counts_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parking_counts_prefix_has_eight),
        cmocka_unit_test(test_parking_counts_prefix_of_ipv6_is_a_64),
        cmocka_unit_test(test_parking_counts_network_of_ipv6_has_a_limit_too),
        cmocka_unit_test(test_parking_counts_all_have_a_thousand),
        cmocka_unit_test(test_parking_counts_threads_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
