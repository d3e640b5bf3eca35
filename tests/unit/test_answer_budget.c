/* Answers to sources that have proven nothing. THREATS row 4. */
#include "ratelimit/answer_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const uint8_t key[16] = "answer budgetkey";
static const struct ratelimit_settings limits = {
    .unauthenticated_per_address = {.count = 100, .period_s = 1, .burst = 100},
    .unauthenticated_per_prefix = {.count = 1000, .period_s = 1, .burst = 1000},
    .unauthenticated_per_network = {.count = 10000, .period_s = 1, .burst = 10000}};

static struct rate_table *table;

static int setup(void **state)
{
    table = rate_table_new(1 << 16, key);
    return table ? 0 : -1;
}

static int teardown(void **state)
{
    rate_table_free(table);
    return 0;
}

/* The network is 2001:db8:N::/48. */
static struct addr v6(uint8_t network, uint8_t subnet, uint16_t host)
{
    return (struct addr){.family = ADDR_IPV6,
        .port = 4000,
        .ip = {0x20, 0x01, 0x0d, 0xb8, 0, network, 0, subnet, 0, 0, 0, 0, 0, 0,
            (uint8_t)(host >> 8), (uint8_t)host}};
}

static unsigned flood(
    const struct addr *source, enum rate_scope scope, unsigned times, uint64_t now)
{
    unsigned answers = 0;
    struct addr a = *source;
    for (unsigned i = 0; i < times; i++) {
        a.port = (uint16_t)(1 + i); /* the port buys nothing */
        answers += answer_budget_charge(table, &limits, scope, &a, now);
    }
    return answers;
}

static void test_answer_budget_one_address_its_burst_whatever_the_port(void **state)
{
    struct addr a = addr_ipv4(198, 51, 100, 1, 1), b = addr_ipv4(198, 51, 100, 2, 1),
                c = v6(1, 1, 1);
    assert_int_equal(flood(&a, RATE_ANSWER_OTHER, 5000, 1000000), 100);
    assert_int_equal(flood(&a, RATE_ANSWER_OTHER, 5000, 1010000), 1);
    assert_int_equal(flood(&b, RATE_ANSWER_OTHER, 5000, 1000000), 100);
    assert_int_equal(flood(&c, RATE_ANSWER_OTHER, 5000, 1000000), 100);
}

static void test_answer_budget_binding_counted_apart(void **state)
{
    struct addr a = addr_ipv4(198, 51, 100, 1, 1);
    assert_int_equal(flood(&a, RATE_ANSWER_OTHER, 5000, 1000000), 100);
    assert_int_equal(flood(&a, RATE_ANSWER_BINDING, 5000, 1000000), 100);
}

static void test_answer_budget_prefix_24_and_64_bound_all_their_addresses(void **state)
{
    unsigned four = 0, six = 0;
    for (unsigned host = 0; host < 256; host++) {
        struct addr a = addr_ipv4(198, 51, 100, (uint8_t)host, 1), b = v6(1, 1, (uint16_t)host);
        four += flood(&a, RATE_ANSWER_OTHER, 50, 1000000);
        six += flood(&b, RATE_ANSWER_OTHER, 50, 1000000);
    }
    assert_int_equal(four, 1000);
    assert_int_equal(six, 1000);
    struct addr neighbour = addr_ipv4(198, 51, 101, 0, 1), beside = v6(1, 2, 1);
    assert_int_equal(flood(&neighbour, RATE_ANSWER_OTHER, 500, 1000000), 100);
    assert_int_equal(flood(&beside, RATE_ANSWER_OTHER, 500, 1000000), 100);
}

static void test_answer_budget_network_48_bounds_all_its_prefixes(void **state)
{
    unsigned answers = 0;
    for (unsigned subnet = 0; subnet < 256; subnet++)
        for (uint16_t host = 0; host < 20; host++) {
            struct addr a = v6(1, (uint8_t)subnet, host);
            answers += flood(&a, RATE_ANSWER_OTHER, 100, 1000000);
        }
    assert_int_equal(answers, 10000);
    struct addr other = v6(0, 0, 0); /* the other half of the /47 */
    assert_int_equal(flood(&other, RATE_ANSWER_OTHER, 500, 1000000), 100);
}

static void test_answer_budget_spoofed_flood_second_bounded_by_victims_budget(void **state)
{
    /* 100 000 requests within a second, in the name of 4 victims of one /24, then of a whole /24.
     */
    unsigned answers[4] = {0}, all = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        struct addr a = addr_ipv4(203, 0, 113, (uint8_t)(i % 4), 1),
                    b = addr_ipv4(203, 0, 114, (uint8_t)i, 1);
        answers[i % 4] +=
            answer_budget_charge(table, &limits, RATE_ANSWER_OTHER, &a, 1000000 + i * 10);
        all += answer_budget_charge(table, &limits, RATE_ANSWER_OTHER, &b, 1000000 + i * 10);
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(answers[i], 190, 200); /* burst + rate */
    assert_in_range(all, 1900, 2000);
}

static void test_answer_budget_zero_is_unlimited(void **state)
{
    const struct ratelimit_settings none = {0};
    struct addr a = addr_ipv4(198, 51, 100, 1, 1), b = v6(1, 1, 1);
    for (int i = 0; i < 20000; i++) {
        assert_true(answer_budget_charge(table, &none, RATE_ANSWER_OTHER, &a, 1));
        assert_true(answer_budget_charge(table, &none, RATE_ANSWER_OTHER, &b, 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_answer_budget_one_address_its_burst_whatever_the_port, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer_budget_binding_counted_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_answer_budget_prefix_24_and_64_bound_all_their_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_answer_budget_network_48_bounds_all_its_prefixes, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_answer_budget_spoofed_flood_second_bounded_by_victims_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer_budget_zero_is_unlimited, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
