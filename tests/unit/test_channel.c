/* relay/channel: both directions of a binding, lifetimes, families; RFC 8656 section 12. */
#include "relay/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"

#define NOW (1000 * US_PER_S)

static struct addr peer(uint8_t last, uint16_t port)
{
    return addr_ipv4(198, 51, 100, last, port);
}

static void bind_channel(struct channel_list *l, uint16_t number, struct addr addr, uint64_t now)
{
    assert_int_equal(channel_reserve(l, 1), 0);
    channel_bind(l, number, &addr, now);
}

static void test_channel_find_by_number_and_by_peer_with_port(void **state)
{
    struct channel_list l = {0};
    bind_channel(&l, 0x4000, peer(1, 1000), NOW);
    bind_channel(&l, 0x4001, peer(1, 2000), NOW);
    struct addr second = peer(1, 2000), none = peer(1, 3000);
    assert_int_equal(channel_find_peer(&l, &second, NOW)->number, 0x4001);
    assert_null(channel_find_peer(&l, &none, NOW));
    assert_int_equal(channel_find_number(&l, 0x4000, NOW)->peer.port, 1000);
    assert_null(channel_find_number(&l, 0x4002, NOW));
    channel_list_deinit(&l);
}

static void test_channel_lifetime_is_600_seconds_exactly(void **state)
{
    struct channel_list l = {0};
    struct addr a = peer(1, 1);
    bind_channel(&l, 0x4abc, a, NOW);
    assert_non_null(channel_find_number(&l, 0x4abc, NOW + 600 * US_PER_S - 1));
    assert_null(channel_find_number(&l, 0x4abc, NOW + 600 * US_PER_S));
    assert_null(channel_find_peer(&l, &a, NOW + 600 * US_PER_S));
    assert_true(channel_is_kept(&l, 0x4abc, &a));
    assert_int_equal(channel_next_expiry(&l), NOW + 600 * US_PER_S);
    channel_list_deinit(&l);
}

static void test_channel_bind_again_refreshes_and_is_not_new(void **state)
{
    struct channel_list l = {0};
    struct addr a = peer(1, 1);
    assert_int_equal(channel_reserve(&l, 1), 0);
    assert_true(channel_bind(&l, 0x4000, &a, NOW));
    assert_false(channel_bind(&l, 0x4000, &a, NOW + 500 * US_PER_S));
    assert_int_equal(l.count, 1);
    assert_non_null(channel_find_number(&l, 0x4000, NOW + 1000 * US_PER_S));
    channel_list_deinit(&l);
}

static void test_channel_purge_removes_only_the_expired(void **state)
{
    struct channel_list l = {0};
    for (uint8_t i = 0; i < 60; i++) {
        bind_channel(&l, (uint16_t)(0x4000 + i), peer(i, 1), NOW + i * US_PER_S);
    }
    uint64_t later = NOW + 629 * US_PER_S;
    assert_int_equal(channel_purge(&l, later), 30);
    for (uint8_t i = 0; i < 60; i++) {
        struct addr a = peer(i, 1);
        assert_int_equal(channel_find_number(&l, (uint16_t)(0x4000 + i), later) != NULL, i >= 30);
        assert_int_equal(channel_find_peer(&l, &a, later) != NULL, i >= 30);
    }
    channel_list_deinit(&l);
}

static void test_channel_remove_family_leaves_the_other(void **state)
{
    struct channel_list l = {0};
    struct addr six = {.family = ADDR_IPV6, .port = 7, .ip = {0x26}};
    bind_channel(&l, 0x4000, peer(1, 1), NOW);
    bind_channel(&l, 0x4001, six, NOW);
    assert_int_equal(channel_remove_family(&l, ADDR_IPV4), 1);
    assert_null(channel_find_number(&l, 0x4000, NOW));
    assert_int_equal(channel_find_peer(&l, &six, NOW)->number, 0x4001);
    channel_list_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_find_by_number_and_by_peer_with_port),
        cmocka_unit_test(test_channel_lifetime_is_600_seconds_exactly),
        cmocka_unit_test(test_channel_bind_again_refreshes_and_is_not_new),
        cmocka_unit_test(test_channel_purge_removes_only_the_expired),
        cmocka_unit_test(test_channel_remove_family_leaves_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
