/*
 * daemon/inspector over real tables, with a limiter that the test plays: which limits hold for
 * whom, that the numbers are those by which is admitted, and that each question is answered once
 * whatever Redis does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "daemon/inspector.h"
#include "ratelimit/allocation_rates.h"

static const uint8_t key[16] = {1};

static struct config config;
static struct auth_realm_settings realms[3];
static struct inspector inspector;
static struct admin_limits_found seen;
static unsigned answers, unknown_realms;

/* In place of daemon/limiter.c. */
static struct {
    rate_found_fn *done;
    void *ctx;
    struct rate_debit item;
} looks[ADMIN_RATES_MAX];
static unsigned look_count, refused_looks;

int limiter_look(struct limiter *l, const struct rate_debit *items, size_t count,
    rate_found_fn *done, void *done_ctx)
{
    assert_int_equal(count, 1);
    if (refused_looks > 0) {
        refused_looks--;
        return -EAGAIN;
    }
    looks[look_count].done = done;
    looks[look_count].ctx = done_ctx;
    looks[look_count++].item = items[0];
    return 0;
}

enum limiter_mode limiter_mode(const struct limiter *l)
{
    return rate_table_is_shared(inspector.rates) ? LIMITER_SHARED : LIMITER_OWN;
}

uint32_t limiter_fleet(const struct limiter *l)
{
    return rate_table_fleet(inspector.rates);
}

static void begin(bool shared)
{
    static char first[] = "example.org", second[] = "tenant.example", gone[] = "gone.example";
    memset(&config, 0, sizeof(config));
    realms[0] = (struct auth_realm_settings){.name = first};
    realms[1] = (struct auth_realm_settings){.name = second};
    realms[2] = (struct auth_realm_settings){.name = gone, .removed = true};
    config.auth.realms = realms;
    config.auth.realm_count = 3;
    config.limits.rates.allocations_per_user = (struct rate){10, 1, 30};
    config.limits.allocations_per_address = (struct rate){100, 1, 100};
    config.limits.allocations_per_network = (struct rate){400, 1, 400};
    config.limits.allocations_per_instance = (struct rate){1000, 1, 1000};
    config.limits.guesses_per_user = (struct rate){1000, 60, 1000};
    config.limits.guesses_per_source = (struct rate){10, 60, 10};
    config.limits.guesses_per_network = (struct rate){3000, 60, 3000};
    config.limits.quota.allocations_per_user = 5;
    config.realm_rates[1].allocations_per_realm = (struct rate){7, 60, 7};
    config.realm_rates[1].bandwidth_per_user = 1000;
    config.realm_quotas[1].allocations_per_realm = 9;
    inspector.config = &config;
    inspector.rates = rate_table_new(1024, key);
    inspector.quotas = quota_new(16, key);
    inspector.guesses = guesses_new(inspector.rates, key);
    assert_non_null(inspector.guesses);
    if (shared) {
        rate_table_share(inspector.rates, key);
        rate_table_set_fleet(inspector.rates, 3);
        quota_share(inspector.quotas, key);
    }
    answers = unknown_realms = look_count = refused_looks = 0;
}

static int teardown(void **state)
{
    guesses_free((struct guesses *)(uintptr_t)inspector.guesses);
    rate_table_free(inspector.rates);
    quota_free(inspector.quotas);
    return 0;
}

static void found(void *ctx, const struct admin_limits_found *what)
{
    assert_ptr_equal(ctx, &seen);
    answers++;
    unknown_realms += what == NULL;
    if (what)
        seen = *what;
}

static void ask(const char *realm, const char *user, const char *address)
{
    struct admin_limits what = {.scoped = realm || user || address,
        .realm = slice_of_string(realm ? realm : ""),
        .user = slice_of_string(user ? user : ""),
        .found = found,
        .ctx = &seen};
    if (address)
        assert_int_equal(addr_parse_ip(&what.address, address), 0);
    inspector_ask(&inspector, "up", &what);
}

/* Scopes in their order, separated by spaces. */
static const char *scopes(void)
{
    static char text[512];
    text[0] = '\0';
    for (size_t i = 0; i < seen.rate_count; i++) {
        strncat(text, i ? " " : "", sizeof(text) - strlen(text) - 1);
        strncat(text, seen.rates[i].scope, sizeof(text) - strlen(text) - 1);
    }
    return text;
}

static void test_inspector_names_the_limits_that_hold_for_whom(void **state)
{
    static const struct {
        const char *realm, *user, *address, *scopes;
        size_t quotas;
    } rows[] = {
        {NULL, NULL, NULL, "", 0},
        {"", "ann", NULL, "allocation_rate_user allocation_rate_instance guesses_user", 3},
        {"", NULL, "192.0.2.1", "allocation_rate_address allocation_rate_instance", 2},
        {"", NULL, "2001:db8::1",
            "allocation_rate_address allocation_rate_network allocation_rate_instance "
            "guesses_network",
            2},
        {"example.org", "ann", "192.0.2.1",
            "allocation_rate_user allocation_rate_address allocation_rate_instance "
            "guesses_source guesses_user",
            3},
        {"tenant.example", NULL, NULL, "allocation_rate_realm allocation_rate_instance", 2},
    };
    begin(false);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ask(rows[i].realm, rows[i].user, rows[i].address);
        assert_int_equal(answers, i + 1);
        assert_string_equal(scopes(), rows[i].scopes);
        assert_int_equal(seen.quota_count, rows[i].quotas);
        assert_int_equal(seen.sharing, ADMIN_LIMITS_OWN);
        assert_string_equal(seen.redis, "up");
    }
    assert_int_equal(seen.bandwidth.user, 1000);
    assert_int_equal(seen.quotas[0].limit, 9);
    ask("nowhere", NULL, NULL);
    ask("gone.example", "ann", NULL);
    assert_int_equal(unknown_realms, 2);
    assert_int_equal(look_count, 0);
}

static const struct admin_rate *rate_of(const char *scope)
{
    for (size_t i = 0; i < seen.rate_count; i++) {
        if (strcmp(seen.rates[i].scope, scope) == 0)
            return &seen.rates[i];
    }
    fail_msg("no %s", scope);
    return NULL;
}

/* Redis does not answer. */
static void say_nothing(void)
{
    for (unsigned i = 0; i < look_count; i++)
        looks[i].done(looks[i].ctx, false, NULL);
    look_count = 0;
}

static enum reason charge(const char *user)
{
    bool report = false;
    const struct allocation_asked asked = {.limits = &config.limits,
        .rates = &config.limits.rates,
        .realm_name = slice_of_string("example.org"),
        .account = slice_of_string(user),
        .client = addr_ipv4(192, 0, 2, 1, 0),
        .now_us = clock_now().mono_us};
    return allocation_rates_charge(inspector.rates, &asked, NULL, &report);
}

static void test_inspector_left_is_what_is_admitted(void **state)
{
    for (int shared = 0; shared < 2; shared++) {
        begin(shared);
        assert_int_equal(charge("ann"), REASON_NONE);
        ask("", "ann", NULL);
        say_nothing();
        const struct admin_rate *r = rate_of("allocation_rate_user");
        assert_int_equal(r->shared, shared);
        assert_false(r->found);
        assert_int_equal(r->here.unreported, shared);
        /* 30, or 10 of 30, and one is taken; by now some of it may be back. */
        assert_in_range(r->here.left, shared ? 9 : 29, shared ? 9 : 29);
        assert_int_equal(rate_of("allocation_rate_instance")->here.left, 999);
        assert_false(rate_of("allocation_rate_instance")->shared);
        unsigned admitted = 0;
        while (!shared && charge("ann") == REASON_NONE)
            admitted++;
        assert_true(shared || admitted == 29);
        ask("", "bob", NULL);
        say_nothing();
        if (!shared) {
            assert_int_equal(rate_of("allocation_rate_user")->here.left, 30);
            teardown(NULL);
        }
    }
}

static void test_inspector_says_what_redis_says(void **state)
{
    begin(true);
    ask("", "ann", "192.0.2.1");
    assert_int_equal(answers, 0);
    assert_int_equal(look_count, 4); /* user, address, source and user of guesses */
    const struct rate_found half = {.tat_us = 1500 * US_PER_MS, .deny_us = 0},
                            over = {.tat_us = 5 * US_PER_S, .deny_us = 2345};
    assert_int_equal(looks[0].item.count, 0);
    assert_int_equal(looks[0].item.cost_us, 100 * US_PER_MS);
    assert_int_equal(looks[0].item.tau_us, 3 * US_PER_S);
    looks[3].done(looks[3].ctx, false, NULL);
    looks[0].done(looks[0].ctx, true, &half);
    looks[1].done(looks[1].ctx, true, &over);
    assert_int_equal(answers, 0);
    looks[2].done(looks[2].ctx, true, &half);
    assert_int_equal(answers, 1);
    assert_int_equal(rate_of("allocation_rate_user")->fleet.left, 15);
    assert_int_equal(rate_of("allocation_rate_address")->fleet.left, 0);
    assert_int_equal(rate_of("allocation_rate_address")->fleet.denied_us, 2345);
    assert_true(rate_of("guesses_source")->found);
    assert_false(rate_of("guesses_user")->found);
}

static void test_inspector_does_not_wait_for_whom_it_cannot_ask(void **state)
{
    begin(true);
    refused_looks = 4;
    ask("", "ann", "192.0.2.1");
    assert_int_equal(answers, 1);
    refused_looks = 3;
    ask("", "ann", "192.0.2.1");
    assert_int_equal(answers, 1);
    const struct rate_found rest = {0};
    looks[0].done(looks[0].ctx, true, &rest);
    assert_int_equal(answers, 2);
    assert_true(rate_of("guesses_user")->found);
    assert_false(rate_of("guesses_source")->found);
    assert_int_equal(rate_of("guesses_user")->fleet.left, 1000);
}

static void test_inspector_counts_what_is_held(void **state)
{
    bool report = false;
    begin(true);
    struct quota_charge charges[2] = {0};
    const struct quota_asked asked = {.limits = &config.limits.quota,
        .realm_name = slice_of_string("example.org"),
        .user = slice_of_string("ann"),
        .client = addr_ipv4(192, 0, 2, 1, 0),
        .now_us = clock_now().mono_us};
    for (int i = 0; i < 2; i++)
        assert_int_equal(quota_open(inspector.quotas, &charges[i], &asked, &report), REASON_NONE);
    refused_looks = 9;
    ask("", "ann", NULL);
    assert_int_equal(seen.quotas[0].limit, 5);
    assert_int_equal(seen.quotas[0].here, 2);
    assert_int_equal(seen.quotas[0].unreported, 2);
    assert_int_equal(seen.quotas[0].elsewhere, 0);
    assert_true(seen.quotas[0].shared);
    assert_int_equal(seen.quotas[1].here, 2);
    assert_int_equal(seen.quotas[1].limit, 0);
    assert_string_equal(seen.quotas[2].scope, "instance");
    assert_int_equal(seen.quotas[2].here, 2);
    ask("", "bob", NULL);
    assert_int_equal(seen.quotas[0].here, 0);
    for (int i = 0; i < 2; i++)
        quota_close(inspector.quotas, &charges[i]);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_inspector_names_the_limits_that_hold_for_whom),
        CASE(test_inspector_left_is_what_is_admitted),
        CASE(test_inspector_says_what_redis_says),
        CASE(test_inspector_does_not_wait_for_whom_it_cannot_ask),
        CASE(test_inspector_counts_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
