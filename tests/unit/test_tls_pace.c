/* admin/tls_pace: what one network may, what all may, and that a crowd of networks is no way out.
 */
#include "admin/tls_pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/clock.h"

enum { OF_NETWORK = ADMIN_TLS_PACE_OF_NETWORK, BURST = ADMIN_TLS_PACE_OF_NETWORK_BURST };

static bool admit_from(struct admin_tls_pace *p, struct addr from, uint64_t now_us)
{
    const struct addr network = addr_masked(&from, from.family == ADDR_IPV4 ? 24 : 64);
    return admin_tls_pace_admit(p, &from, &network, now_us);
}

static bool admit(struct admin_tls_pace *p, unsigned network, uint64_t now_us)
{
    return admit_from(p, addr_ipv4(10, (uint8_t)(network >> 8), (uint8_t)network, 7, 5000), now_us);
}

static void test_tls_pace_of_one_network_is_bounded_and_leaves_others_alone(void **state)
{
    struct admin_tls_pace p;
    unsigned let_in = 0;
    admin_tls_pace_init(&p);
    for (unsigned i = 0; i < 1000; i++)
        let_in += admit(&p, 1, US_PER_S);
    assert_int_equal(let_in, BURST);
    assert_true(admit(&p, 2, US_PER_S));
    /* Ten seconds of as many as it likes. */
    for (unsigned ms = 1; ms <= 10000; ms++)
        let_in += admit(&p, 1, US_PER_S + ms * 1000);
    assert_int_equal(let_in, BURST + 10 * OF_NETWORK);
    assert_true(admit(&p, 1, 20 * US_PER_S));
}

static void test_tls_pace_of_all_networks_is_bounded_and_none_is_forgotten(void **state)
{
    struct admin_tls_pace p;
    unsigned let_in = 0;
    admin_tls_pace_init(&p);
    for (unsigned i = 0; i < 5000; i++)
        let_in += admit(&p, i, US_PER_S);
    assert_int_equal(let_in, ADMIN_TLS_PACE_BURST);
    for (unsigned ms = 1; ms <= 10000; ms++)
        let_in += admit(&p, ms, US_PER_S + ms * 1000);
    assert_int_equal(let_in, ADMIN_TLS_PACE_BURST + 10 * ADMIN_TLS_PACE);
}

/* Who has spent what is his gets it back at his own pace, however many others come meanwhile. */
static void test_tls_pace_is_not_renewed_by_a_crowd_of_others(void **state)
{
    struct admin_tls_pace p;
    unsigned let_in = 0, others = 0;
    admin_tls_pace_init(&p);
    for (unsigned i = 0; i < BURST; i++)
        assert_true(admit(&p, 0xffff, US_PER_S));
    for (unsigned ms = 1; ms <= 2000; ms++) {
        others += admit(&p, ms, US_PER_S + ms * 1000);
        let_in += admit(&p, 0xffff, US_PER_S + ms * 1000);
    }
    assert_in_range(let_in, 1, 2 * OF_NETWORK);
    assert_true(others >= 2 * (ADMIN_TLS_PACE - OF_NETWORK));
}

/* Refused ones of one network take nothing from the others. */
static void test_tls_pace_charges_nothing_for_who_is_refused(void **state)
{
    struct admin_tls_pace p;
    unsigned let_in = 0;
    admin_tls_pace_init(&p);
    for (unsigned i = 0; i < 10000; i++)
        admit(&p, 1, US_PER_S);
    for (unsigned i = 2; i < 1000; i++)
        let_in += admit(&p, i, US_PER_S);
    assert_int_equal(let_in, ADMIN_TLS_PACE_BURST - BURST);
}

static void test_tls_pace_knows_a_64_as_one_network(void **state)
{
    struct admin_tls_pace p;
    unsigned let_in = 0;
    struct addr from = {.family = ADDR_IPV6, .ip = {0x20, 1, 0xd, 0xb8}};
    admin_tls_pace_init(&p);
    for (unsigned i = 0; i < 100; i++) {
        from.ip[15] = (uint8_t)i;
        let_in += admit_from(&p, from, US_PER_S);
    }
    assert_int_equal(let_in, BURST);
    from.ip[7] = 1;
    assert_true(admit_from(&p, from, US_PER_S));
}

/* A proxy of this machine brings everybody's. */
static void test_tls_pace_of_this_machine_is_that_of_all(void **state)
{
    struct admin_tls_pace p;
    unsigned let_in = 0;
    admin_tls_pace_init(&p);
    for (unsigned i = 0; i < 1000; i++)
        let_in += admit_from(&p, addr_ipv4(127, 0, 0, 1, 5000), US_PER_S);
    assert_int_equal(let_in, ADMIN_TLS_PACE_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_pace_of_one_network_is_bounded_and_leaves_others_alone),
        cmocka_unit_test(test_tls_pace_of_all_networks_is_bounded_and_none_is_forgotten),
        cmocka_unit_test(test_tls_pace_is_not_renewed_by_a_crowd_of_others),
        cmocka_unit_test(test_tls_pace_charges_nothing_for_who_is_refused),
        cmocka_unit_test(test_tls_pace_knows_a_64_as_one_network),
        cmocka_unit_test(test_tls_pace_of_this_machine_is_that_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
