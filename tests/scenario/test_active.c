/*
 * The gauges of live allocations: each allocation stands in the one of its transport and families,
 * and in none when it has ended, however it ended. And responses by method and code.
 */
#include "tests/scenario/fixture.h"

static uint64_t active(const struct world *w, enum gauge g)
{
    struct counters_sum sum = {0};
    for (unsigned i = 0; i < w->settings.workers; i++)
        counters_sum_add(&sum, &w->worker[i].counters);
    return sum.gauge[g];
}

static void assert_active(const struct world *w, uint64_t ipv4, uint64_t ipv6, uint64_t dual)
{
    assert_int_equal(active(w, GAUGE_ALLOCATIONS_UDP_IPV4), ipv4);
    assert_int_equal(active(w, GAUGE_ALLOCATIONS_UDP_IPV6), ipv6);
    assert_int_equal(active(w, GAUGE_ALLOCATIONS_UDP_DUAL), dual);
    for (int g = GAUGE_ALLOCATIONS_TCP_IPV4; g < GAUGE_COUNT; g++)
        assert_int_equal(active(w, (enum gauge)g), 0);
}

static void test_active_counts_each_family_until_it_ends(void **state)
{
    struct fixture *f = *state;
    assert_active(f->w, 0, 0, 0);
    fixture_allocate(&f->a);
    assert_active(f->w, 1, 0, 0);
    assert_int_equal(client_challenge(&f->b), 401);
    assert_int_equal(CLIENT_ASK(&f->b, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_FAMILY6), 200);
    assert_active(f->w, 1, 1, 0);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_active(f->w, 0, 1, 0);
    world_advance(f->w, 700);
    assert_active(f->w, 0, 0, 0);
}

static void test_active_dual_becomes_single_when_a_family_ends(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(client_challenge(&f->a), 401);
    assert_int_equal(CLIENT_ASK(&f->a, STUN_ALLOCATE, NULL, ATTR_UDP, ATTR_BOTH), 200);
    assert_active(f->w, 0, 0, 1);
    assert_int_equal(
        CLIENT_ASK(&f->a, STUN_REFRESH, NULL, ATTR_FAMILY4, ATTR_LIFETIME("\0\0\0\0")), 200);
    assert_active(f->w, 0, 1, 0);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_active(f->w, 0, 0, 0);
}

static void test_active_retransmitted_or_refused_allocate_counts_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_allocate(&f->a);
    assert_int_equal(client_allocate(&f->a, NULL), 437);
    assert_active(f->w, 1, 0, 0);
    f->b.addr.port += 1;
    client_set_user(&f->b, "bob", "wrong");
    assert_int_equal(client_allocate(&f->b, NULL), 401);
    assert_active(f->w, 1, 0, 0);
}

static void test_requests_are_counted_by_method_and_code(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = world_peer(1, 5000), forbidden = addr_ipv4(10, 0, 0, 1, 1);
    struct counters_sum sum = {0};
    assert_int_equal(client_binding(&f->a, NULL), 200);
    fixture_allocate(&f->a);
    assert_int_equal(client_permit(&f->a, &peer), 200);
    assert_int_equal(client_permit(&f->a, &forbidden), 403);
    assert_int_equal(client_bind(&f->a, 0x4000, &peer), 200);
    assert_int_equal(client_bind(&f->a, 0x3fff, &peer), 400);
    assert_int_equal(client_refresh(&f->a, 0, NULL), 200);
    assert_int_equal(client_refresh(&f->a, 600, NULL), 437);
    counters_sum_add(&sum, &f->w->worker[0].counters);
    static const struct {
        enum request_method method;
        enum request_code code;
    } expected[] = {
        {REQUEST_METHOD_BINDING, REQUEST_CODE_SUCCESS},
        {REQUEST_METHOD_ALLOCATE, REQUEST_CODE_401},
        {REQUEST_METHOD_ALLOCATE, REQUEST_CODE_SUCCESS},
        {REQUEST_METHOD_CREATE_PERMISSION, REQUEST_CODE_SUCCESS},
        {REQUEST_METHOD_CREATE_PERMISSION, REQUEST_CODE_403},
        {REQUEST_METHOD_CHANNEL_BIND, REQUEST_CODE_SUCCESS},
        {REQUEST_METHOD_CHANNEL_BIND, REQUEST_CODE_400},
        {REQUEST_METHOD_REFRESH, REQUEST_CODE_SUCCESS},
        {REQUEST_METHOD_REFRESH, REQUEST_CODE_437},
    };
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(sum.request[expected[i].method][expected[i].code], 1);
    for (int m = 0; m < REQUEST_METHOD_COUNT; m++) {
        for (int c = 0; c < REQUEST_CODE_COUNT; c++)
            all += sum.request[m][c];
    }
    assert_int_equal(all, sizeof(expected) / sizeof(expected[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(test_active_counts_each_family_until_it_ends),
        SCENARIO(test_active_dual_becomes_single_when_a_family_ends),
        SCENARIO(test_active_retransmitted_or_refused_allocate_counts_nothing),
        SCENARIO(test_requests_are_counted_by_method_and_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
