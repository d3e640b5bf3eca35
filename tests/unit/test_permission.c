/* relay/permission: lifetimes, families, growth; RFC 8656 section 9. */
#include "relay/permission.h"

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

static void install(struct permission_list *l, struct addr addr, uint64_t now)
{
    assert_int_equal(permission_reserve(l, 1), 0);
    permission_install(l, &addr, now);
}

static void test_permission_find_ignores_the_port(void **state)
{
    struct permission_list l = {0};
    install(&l, peer(1, 1000), NOW);
    struct addr other_port = peer(1, 2000), other_ip = peer(2, 1000);
    assert_non_null(permission_find(&l, &other_port, NOW));
    assert_null(permission_find(&l, &other_ip, NOW));
    assert_int_equal(permission_find(&l, &other_port, NOW)->ip.port, 0);
    permission_list_deinit(&l);
}

static void test_permission_lifetime_is_300_seconds_exactly(void **state)
{
    struct permission_list l = {0};
    struct addr a = peer(1, 1);
    install(&l, a, NOW);
    assert_non_null(permission_find(&l, &a, NOW + 300 * US_PER_S - 1));
    assert_null(permission_find(&l, &a, NOW + 300 * US_PER_S));
    assert_int_equal(permission_next_expiry(&l), NOW + 300 * US_PER_S);
    permission_list_deinit(&l);
}

static void test_permission_install_again_resets_the_lifetime_and_is_not_new(void **state)
{
    struct permission_list l = {0};
    struct addr a = peer(1, 1);
    assert_int_equal(permission_reserve(&l, 1), 0);
    assert_true(permission_install(&l, &a, NOW));
    assert_false(permission_install(&l, &a, NOW + 200 * US_PER_S));
    assert_int_equal(l.count, 1);
    assert_non_null(permission_find(&l, &a, NOW + 400 * US_PER_S));
    permission_list_deinit(&l);
}

static void test_permission_purge_removes_only_the_expired(void **state)
{
    struct permission_list l = {0};
    for (uint8_t i = 0; i < 100; i++) {
        install(&l, peer(i, 1), NOW + i * US_PER_S);
    }
    assert_int_equal(permission_purge(&l, NOW + 349 * US_PER_S), 50);
    for (uint8_t i = 0; i < 100; i++) {
        struct addr a = peer(i, 1);
        assert_int_equal(permission_find(&l, &a, NOW + 349 * US_PER_S) != NULL, i >= 50);
    }
    permission_list_deinit(&l);
}

static void test_permission_find_after_the_hinted_one_went_finds_the_right_one(void **state)
{
    struct permission_list l = {0};
    struct addr first = peer(1, 1), last = peer(9, 1);
    install(&l, first, NOW);
    install(&l, peer(5, 1), NOW + US_PER_S);
    install(&l, last, NOW + 2 * US_PER_S);
    assert_non_null(permission_find(&l, &last, NOW));
    assert_int_equal(permission_purge(&l, NOW + 301 * US_PER_S), 2);
    assert_non_null(permission_find(&l, &last, NOW + 301 * US_PER_S));
    assert_null(permission_find(&l, &first, NOW));
    permission_list_deinit(&l);
}

static void test_permission_remove_family_leaves_the_other(void **state)
{
    struct permission_list l = {0};
    struct addr six = {.family = ADDR_IPV6, .ip = {0x26}};
    install(&l, peer(1, 1), NOW);
    install(&l, six, NOW);
    assert_int_equal(permission_remove_family(&l, ADDR_IPV4), 1);
    assert_non_null(permission_find(&l, &six, NOW));
    assert_int_equal(l.count, 1);
    permission_list_deinit(&l);
}

static void test_permission_next_expiry_of_none_is_never(void **state)
{
    struct permission_list l = {0};
    assert_true(permission_next_expiry(&l) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permission_find_ignores_the_port),
        cmocka_unit_test(test_permission_lifetime_is_300_seconds_exactly),
        cmocka_unit_test(test_permission_install_again_resets_the_lifetime_and_is_not_new),
        cmocka_unit_test(test_permission_purge_removes_only_the_expired),
        cmocka_unit_test(test_permission_find_after_the_hinted_one_went_finds_the_right_one),
        cmocka_unit_test(test_permission_remove_family_leaves_the_other),
        cmocka_unit_test(test_permission_next_expiry_of_none_is_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
