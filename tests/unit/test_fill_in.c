/* The nonce secret that the daemon makes where none is named, and whether somebody is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "daemon/fill_in.h"

#define WARNING " warn nonce_secret_not_shared key=auth.nonce_secret_file why=\"none is named: "

struct fixture {
    struct config config;
    struct secret kept;
    int log[2];
    char lines[4096];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    return f && pipe(f->log) == 0 && log_init(f->log[1], LOG_INFO, LOG_TEXT) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close(f->log[0]);
    close(f->log[1]);
    secret_wipe(&f->kept);
    secret_wipe(&f->config.auth.nonce_secret);
    free(f);
    return 0;
}

/* As at a start and at each reload: a configuration in which no secret is named. */
static void fill_in(struct fixture *f, const char *url)
{
    secret_wipe(&f->config.auth.nonce_secret);
    f->config.redis.url = (char *)(uintptr_t)url;
    assert_int_equal(fill_in_nonce_secret(&f->config, &f->kept), 0);
}

/* Ends the log. How often the warning stands in it, which holds nothing else. */
static unsigned warnings(struct fixture *f)
{
    unsigned count = 0, lines = 0;
    log_deinit();
    close(f->log[1]);
    f->log[1] = -1;
    assert_true(read(f->log[0], f->lines, sizeof(f->lines) - 1) >= 0);
    for (const char *p = f->lines; (p = strchr(p, '\n')); p++) {
        lines++;
    }
    for (const char *p = f->lines; (p = strstr(p, WARNING)); p++) {
        count++;
    }
    assert_int_equal(lines, count);
    return count;
}

/* Its socket of "::" is reached by IPv4 too. */
static void test_fill_in_policy_admin_on_all_addresses_is_never_a_peer(void **state)
{
    static const struct {
        struct addr addr;
        unsigned count;
    } rows[] = {{{.family = ADDR_IPV6, .port = 9641}, 2}, {{.family = ADDR_IPV4, .port = 9641}, 1}};
    struct fixture *f = *state;
    struct endpoints endpoints = {0};
    struct peer_policy_settings *policy = &f->config.relay.policy;
    char error[256];
    f->config.admin.listen = ADMIN_PLACE_SET;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f->config.admin.addr = rows[i].addr;
        policy->never_count = 0;
        assert_int_equal(fill_in_policy(&f->config, &endpoints, error, sizeof(error)), 0);
        assert_int_equal(policy->never_count, rows[i].count);
        const struct addr *last = &policy->never[rows[i].count - 1];
        assert_true(last->family == ADDR_IPV4 && addr_is_unspecified(last) && last->port == 9641);
    }
    free(policy->never);
    free(policy->own_addresses);
    policy->never = NULL;
    policy->own_addresses = NULL;
    assert_int_equal(warnings(f), 0);
}

static void test_fill_in_nonce_secret_with_redis_warns_once_a_process(void **state)
{
    struct fixture *f = *state;
    fill_in(f, "redis://127.0.0.1");
    assert_true(secret_equal(secret_slice(&f->config.auth.nonce_secret), secret_slice(&f->kept)));
    assert_int_equal(f->kept.len, 32);
    fill_in(f, "redis://127.0.0.1");
    assert_true(secret_equal(secret_slice(&f->config.auth.nonce_secret), secret_slice(&f->kept)));
    assert_int_equal(warnings(f), 1);
}

static void test_fill_in_nonce_secret_without_redis_is_silent(void **state)
{
    struct fixture *f = *state;
    fill_in(f, NULL);
    assert_int_equal(f->config.auth.nonce_secret.len, 32);
    assert_int_equal(warnings(f), 0);
}

static void test_fill_in_nonce_secret_that_is_named_stays_and_is_silent(void **state)
{
    static const char named[] = "the same on all instances";
    struct fixture *f = *state;
    const struct slice bytes = slice_of(named, sizeof(named) - 1);
    f->config.redis.url = (char *)(uintptr_t) "redis://127.0.0.1";
    assert_int_equal(secret_set(&f->config.auth.nonce_secret, bytes), 0);
    assert_int_equal(fill_in_nonce_secret(&f->config, &f->kept), 0);
    assert_true(secret_equal(secret_slice(&f->config.auth.nonce_secret), bytes));
    assert_int_equal(f->kept.len, 0);
    assert_int_equal(warnings(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_fill_in_policy_admin_on_all_addresses_is_never_a_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_fill_in_nonce_secret_with_redis_warns_once_a_process, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_fill_in_nonce_secret_without_redis_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_fill_in_nonce_secret_that_is_named_stays_and_is_silent, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
