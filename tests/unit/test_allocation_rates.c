/* Allocations a second: which levels there are, in which order, and that a refusal takes nothing
 * from the others. */
#include "ratelimit/allocation_rates.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW (1000 * US_PER_S)

static const uint8_t key[16] = "allocation rate";
static const struct rate five = {1, 3600, 5}, many = {1, 3600, 1000};

struct fixture {
    struct rate_table *rates;
    struct ratelimit_settings limits;
    struct realm_rates realm;
    struct allocation_level pending;
    bool report;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.rates = rate_table_new(1024, key)};
    *state = &f;
    return f.rates ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    rate_table_free(f->rates);
    return 0;
}

static struct allocation_asked asked_by(const struct fixture *f, const char *user, struct addr from)
{
    return (struct allocation_asked){.limits = &f->limits,
        .rates = &f->realm,
        .realm = 2,
        .realm_name = slice_of_string("example.org"),
        .account = slice_of_string(user),
        .client = from,
        .now_us = NOW};
}

static enum reason charge_as(struct fixture *f, const struct allocation_asked *asked)
{
    return allocation_rates_charge(f->rates, asked, &f->pending, &f->report);
}

static enum reason charge(struct fixture *f, const char *user, struct addr from)
{
    const struct allocation_asked asked = asked_by(f, user, from);
    return charge_as(f, &asked);
}

static struct addr v4(uint8_t c, uint8_t d)
{
    return addr_ipv4(192, 0, c, d, 4000);
}

static struct addr v6(uint8_t network, uint8_t prefix, uint8_t host)
{
    return (struct addr){.family = ADDR_IPV6,
        .port = 4000,
        .ip = {0x20, 1, 0xd, 0xb8, 0, network, 0, prefix, [15] = host}};
}

static void unlimit_nothing(struct fixture *f)
{
    f->realm = (struct realm_rates){.allocations_per_user = many, .allocations_per_realm = many};
    f->limits = (struct ratelimit_settings){.allocations_per_address = many,
        .allocations_per_prefix = many,
        .allocations_per_network = many,
        .allocations_per_instance = many};
}

static void test_allocation_rates_without_limits_charge_nothing(void **state)
{
    struct fixture *f = *state;
    struct allocation_level levels[ALLOCATION_RATES_MAX];
    const struct allocation_asked asked = asked_by(f, "alice", v4(2, 1));
    assert_int_equal(allocation_rates_levels(f->rates, &asked, levels), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(charge(f, "alice", v4(2, 1)), REASON_NONE);
}

static void test_allocation_rates_levels_in_their_order(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum rate_scope scope;
        enum reason reason;
        unsigned bits4, bits6;
        bool has_id;
        uint8_t realm;
    } expected[ALLOCATION_RATES_MAX] = {
        {RATE_ALLOCATION_USER, REASON_RATE_USER, 0, 0, true, 2},
        {RATE_ALLOCATION_ADDRESS, REASON_RATE_ADDRESS, 32, 128, false, 0},
        {RATE_ALLOCATION_PREFIX, REASON_RATE_PREFIX, 24, 64, false, 0},
        {RATE_ALLOCATION_NETWORK, REASON_RATE_NETWORK, 0, 48, false, 0},
        {RATE_ALLOCATION_REALM, REASON_RATE_REALM, 0, 0, true, 2},
        {RATE_ALLOCATION_INSTANCE, REASON_RATE_INSTANCE, 0, 0, false, 0},
    };
    unlimit_nothing(f);
    for (int six = 0; six < 2; six++) {
        struct allocation_level levels[ALLOCATION_RATES_MAX];
        const struct allocation_asked asked = asked_by(f, "alice", six ? v6(1, 2, 3) : v4(2, 1));
        const unsigned count = allocation_rates_levels(f->rates, &asked, levels);
        unsigned n = 0;
        for (unsigned i = 0; i < ALLOCATION_RATES_MAX; i++) {
            if (!six && expected[i].scope == RATE_ALLOCATION_NETWORK)
                continue;
            const struct rate_key *k = &levels[n].key;
            const unsigned bits = six ? expected[i].bits6 : expected[i].bits4;
            assert_int_equal(k->scope, expected[i].scope);
            assert_int_equal(levels[n].reason, expected[i].reason);
            assert_int_equal(levels[n].limit.burst, 1000);
            assert_int_equal(k->bits, bits);
            assert_int_equal(k->id != 0, expected[i].has_id);
            assert_int_equal(k->realm, expected[i].realm);
            const struct addr masked = addr_masked(&asked.client, bits);
            assert_true(
                bits == 0 ? k->prefix.family == ADDR_NONE : addr_equal(&k->prefix, &masked));
            n++;
        }
        assert_int_equal(count, n);
    }
}

/* Each level alone: who is within it is refused, who is not is not. */
static void test_allocation_rates_each_level_saturated_alone(void **state)
{
    struct fixture *f = *state;
    const struct {
        struct rate *limit;
        enum reason reason;
        struct addr within, without;
        const char *user, *other;
    } cases[] = {
        {&f->realm.allocations_per_user, REASON_RATE_USER, v4(9, 9), v4(2, 1), "alice", "bob"},
        {&f->limits.allocations_per_address, REASON_RATE_ADDRESS, v4(2, 1), v4(2, 2), "b", "b"},
        {&f->limits.allocations_per_address, REASON_RATE_ADDRESS, v6(1, 1, 1), v6(1, 1, 2), "b",
            "b"},
        {&f->limits.allocations_per_prefix, REASON_RATE_PREFIX, v4(2, 9), v4(3, 1), "b", "b"},
        {&f->limits.allocations_per_prefix, REASON_RATE_PREFIX, v6(1, 1, 9), v6(1, 2, 1), "b", "b"},
        {&f->limits.allocations_per_network, REASON_RATE_NETWORK, v6(1, 9, 9), v6(2, 1, 1), "b",
            "b"},
        {&f->realm.allocations_per_realm, REASON_RATE_REALM, v4(9, 9), v4(9, 9), "b", NULL},
        {&f->limits.allocations_per_instance, REASON_RATE_INSTANCE, v4(9, 9), v4(9, 9), "b", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        rate_table_free(f->rates);
        f->rates = rate_table_new(1024, key);
        unlimit_nothing(f);
        *cases[i].limit = five;
        const struct addr from = cases[i].within.family == ADDR_IPV4 ? v4(2, 1) : v6(1, 1, 1);
        for (int n = 0; n < 5; n++)
            assert_int_equal(charge(f, "alice", from), REASON_NONE);
        assert_int_equal(charge(f, cases[i].user, cases[i].within), cases[i].reason);
        if (cases[i].other)
            assert_int_equal(charge(f, cases[i].other, cases[i].without), REASON_NONE);
    }
}

/* A user who is over its limit takes nothing from its address, its realm and the instance. */
static void test_allocation_rates_refused_at_one_takes_nothing_from_others(void **state)
{
    struct fixture *f = *state;
    unlimit_nothing(f);
    f->realm.allocations_per_user = five;
    f->limits.allocations_per_address = f->limits.allocations_per_prefix =
        f->realm.allocations_per_realm = f->limits.allocations_per_instance =
            (struct rate){1, 3600, 10};
    for (int n = 0; n < 1000; n++)
        assert_int_equal(charge(f, "alice", v4(2, 1)), n < 5 ? REASON_NONE : REASON_RATE_USER);
    for (int n = 0; n < 5; n++)
        assert_int_equal(charge(f, "bob", v4(2, 1)), REASON_NONE);
    assert_int_equal(charge(f, "carol", v4(2, 1)), REASON_RATE_ADDRESS);
    /* The last level refuses, and the first keeps what it has. */
    f->limits.allocations_per_address = f->limits.allocations_per_prefix =
        f->realm.allocations_per_realm = (struct rate){0};
    for (int n = 0; n < 1000; n++)
        assert_int_equal(charge(f, "dave", v4(2, 1)), REASON_RATE_INSTANCE);
    f->limits.allocations_per_instance = (struct rate){0};
    for (int n = 0; n < 6; n++)
        assert_int_equal(charge(f, "dave", v4(2, 1)), n < 5 ? REASON_NONE : REASON_RATE_USER);
}

static void test_allocation_rates_users_of_realms_are_apart(void **state)
{
    struct fixture *f = *state;
    f->realm.allocations_per_user = five;
    for (int n = 0; n < 5; n++)
        assert_int_equal(charge(f, "alice", v4(2, 1)), REASON_NONE);
    struct allocation_asked asked = asked_by(f, "alice", v4(2, 1));
    assert_int_equal(charge_as(f, &asked), REASON_RATE_USER);
    asked.realm_name = slice_of_string("example.net");
    assert_int_equal(charge_as(f, &asked), REASON_NONE);
}

/* Shared: all levels but the instance are the fleet's, and wait for its word. */
static void test_allocation_rates_shared_and_alone(void **state)
{
    struct fixture *f = *state;
    rate_table_share(f->rates, key);
    f->limits.allocations_per_instance = five;
    f->limits.deny_alone = true;
    rate_table_set_reachable(f->rates, false);
    for (int n = 0; n < 4; n++) /* no limit here is the fleet's */
        assert_int_equal(charge(f, "alice", v4(2, 1)), REASON_NONE);
    assert_false(f->report);
    f->limits.allocations_per_prefix = many;
    assert_int_equal(charge(f, "alice", v4(2, 1)), REASON_LIMITS_UNREACHABLE);
    rate_table_set_reachable(f->rates, true);
    assert_int_equal(charge(f, "alice", v4(2, 1)), REASON_NONE);
    assert_true(f->report);
    assert_int_equal(charge(f, "alice", v4(2, 1)), REASON_RATE_INSTANCE);
    f->limits.allocations_per_instance = (struct rate){0};
    assert_int_equal(charge(f, "alice", v4(2, 1)), REASON_NONE); /* the second of u */
    assert_int_equal(charge(f, "alice", v4(2, 1)), REASON_RATE_PREFIX);
    struct allocation_asked asked = asked_by(f, "alice", v4(2, 1));
    asked.now_us += 60 * US_PER_MS;
    assert_int_equal(charge_as(f, &asked), REASON_LIMITS_UNREACHABLE);
    f->limits.deny_alone = false;
    assert_int_equal(charge_as(f, &asked), REASON_NONE);
}

/* Two of a user are not reported yet; a third may wait for them, and is charged nothing meanwhile.
 */
static void test_allocation_rates_pending_names_its_level_and_charges_nothing(void **state)
{
    struct fixture *f = *state;
    const struct rate_ask now = {.now_us = NOW}, later = {.now_us = NOW + 60 * US_PER_MS};
    rate_table_share(f->rates, key);
    f->limits.allocations_per_address = f->limits.allocations_per_instance = many;
    f->realm.allocations_per_user = many;
    struct allocation_asked asked = asked_by(f, "alice", v4(2, 1));
    asked.waits = true;
    for (int n = 0; n < 2; n++)
        assert_int_equal(charge_as(f, &asked), REASON_NONE);
    for (int n = 0; n < 10; n++) {
        assert_int_equal(charge_as(f, &asked), REASON_LIMITS_PENDING);
        assert_int_equal(f->pending.key.scope, RATE_ALLOCATION_USER); /* the first of both */
        assert_int_equal(f->pending.reason, REASON_RATE_USER);
        asked.client = v4(2, 2); /* of which nothing is unreported, and is not afterwards */
    }
    assert_true(allocation_rates_pending(f->rates, &f->pending, &now));
    assert_false(allocation_rates_pending(f->rates, &f->pending, &later));
    asked.account = slice_of_string("bob");
    for (int n = 0; n < 2; n++)
        assert_int_equal(charge_as(f, &asked), REASON_NONE);
    asked.waits = false;
    assert_int_equal(charge_as(f, &asked), REASON_RATE_USER);
}

/* Who is over a limit is over it, whatever is to be heard of others. */
static void test_allocation_rates_over_a_limit_does_not_wait(void **state)
{
    struct fixture *f = *state;
    rate_table_share(f->rates, key);
    f->realm.allocations_per_user = many;
    f->limits.allocations_per_instance = (struct rate){1, 3600, 2};
    struct allocation_asked asked = asked_by(f, "alice", v4(2, 1));
    asked.waits = true;
    for (int n = 0; n < 2; n++)
        assert_int_equal(charge_as(f, &asked), REASON_NONE);
    assert_int_equal(charge_as(f, &asked), REASON_RATE_INSTANCE);
    f->limits.allocations_per_instance = (struct rate){0};
    assert_int_equal(charge_as(f, &asked), REASON_LIMITS_PENDING);
}

#define RATES(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RATES(test_allocation_rates_without_limits_charge_nothing),
        RATES(test_allocation_rates_levels_in_their_order),
        RATES(test_allocation_rates_each_level_saturated_alone),
        RATES(test_allocation_rates_refused_at_one_takes_nothing_from_others),
        RATES(test_allocation_rates_users_of_realms_are_apart),
        RATES(test_allocation_rates_shared_and_alone),
        RATES(test_allocation_rates_pending_names_its_level_and_charges_nothing),
        RATES(test_allocation_rates_over_a_limit_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
