/*
 * What the admin server is told about a revocation: which realm it is of, and whether this instance
 * has the secret that it names. What puts it in force is the test's own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "auth/rest.h"
#include "daemon/observe.h"

static struct config config;
static struct auth *auth;
static const struct auth *in_force;
static struct lookups lookups;
static struct observe observe;
static struct admin_ops ops;

/* In place of daemon/sharing.c. */
static struct revocation revoked;
static unsigned revocations;
static int revoke_returns;

int sharing_revoke(struct sharing *s, const struct revocation *v)
{
    revoked = *v;
    revocations++;
    return revoke_returns;
}

struct slice sharing_secret(const struct sharing *s, uint32_t realm)
{
    return (struct slice){0};
}

void sharing_measure(struct sharing *s)
{
}

const char *sharing_state(const struct sharing *s)
{
    return NULL;
}

static int setup(void **state)
{
    static char first[] = "example.org", second[] = "tenant.example", main_id[] = "main",
                old_id[] = "old", server_name[] = "turn.example";
    static uint8_t bytes[] = "a secret of sixteen bytes or more";
    const struct secret secret = {bytes, sizeof(bytes) - 1};
    static struct auth_secret_settings secrets[2];
    static struct auth_realm_settings realms[2];
    secrets[0] = (struct auth_secret_settings){.id = main_id, .secret = secret};
    secrets[1] = (struct auth_secret_settings){.id = old_id, .secret = secret, .retired = true};
    realms[0] = (struct auth_realm_settings){
        .name = first, .secrets = secrets, .secret_count = 2, .store_secrets = true};
    realms[1] = (struct auth_realm_settings){
        .name = second, .oauth_server_name = server_name, .store_oauth_keys = true};
    config.auth = (struct auth_settings){.realms = realms,
        .realm_count = 2,
        .max_ttl_s = 3600,
        .nonce_lifetime_s = 600,
        .nonce_secret = secret};
    char error[200];
    in_force = auth = auth_new(&config.auth, error, sizeof(error));
    lookups = (struct lookups){.auth = &config.auth};
    const struct explainer_deps deps = {.lookups = &lookups, .auth = &in_force};
    observe = (struct observe){.config = &config, .explainer = explainer_new(&deps)};
    ops = observe_ops(&observe);
    revocations = 0;
    revoke_returns = 0;
    return auth && observe.explainer ? 0 : -1;
}

static int teardown(void **state)
{
    explainer_free(observe.explainer);
    auth_free(auth);
    return 0;
}

static int ask_to_revoke(
    enum revocation_kind kind, const char *realm, const char *id, enum auth_known *known)
{
    const struct admin_revocation what = {
        .kind = kind, .realm = slice_of_string(realm), .id = slice_of_string(id), .seconds = 60};
    return ops.revoke(ops.ctx, &what, known);
}

static void expect_known(
    enum revocation_kind kind, const char *realm, const char *id, enum auth_known expected)
{
    enum auth_known known = (enum auth_known)99;
    const unsigned before = revocations;
    assert_int_equal(ask_to_revoke(kind, realm, id, &known), 0);
    assert_int_equal(known, expected);
    assert_int_equal(revocations, before + 1);
    assert_int_equal(revoked.kind, kind);
    assert_int_equal(revoked.id_len, strlen(id));
    assert_memory_equal(revoked.id, id, strlen(id));
}

static void test_observe_revoked_secret_is_known_or_not_and_revoked_all_the_same(void **state)
{
    expect_known(REVOKE_SECRET, "", "main", AUTH_KNOWN_YES);
    expect_known(REVOKE_SECRET, "example.org", "old", AUTH_KNOWN_YES);
    expect_known(REVOKE_SECRET, "", "mian", AUTH_KNOWN_NO);
    assert_int_equal(revoked.realm, 0);
    expect_known(REVOKE_SECRET, "tenant.example", "main", AUTH_KNOWN_MAYBE);
    assert_int_equal(revoked.realm, 1);
}

static void test_observe_secret_of_redis_is_known_once_it_has_come(void **state)
{
    struct store_secrets secrets = {.realm = 0, .count = 1};
    struct crypto *crypto = crypto_new();
    char id[REST_ID_MAX + 1];
    assert_int_equal(secret_set(&secrets.list[0], slice_of_string("north")), 0);
    assert_int_equal(rest_store_id(id, crypto, secret_slice(&config.auth.nonce_secret),
                         secret_slice(&secrets.list[0])),
        0);
    expect_known(REVOKE_SECRET, "", id, AUTH_KNOWN_NO);
    explainer_secrets(observe.explainer, &secrets);
    expect_known(REVOKE_SECRET, "", id, AUTH_KNOWN_YES);
    store_secrets_deinit(&secrets);
    crypto_free(crypto);
}

static void test_observe_of_users_and_tokens_nothing_is_known(void **state)
{
    expect_known(REVOKE_USER, "", "main", AUTH_KNOWN_MAYBE);
    expect_known(REVOKE_TOKEN, "", "0123456789abcdef", AUTH_KNOWN_MAYBE);
}

static void test_observe_revocation_that_fails_says_nothing_of_the_id(void **state)
{
    enum auth_known known = (enum auth_known)99;
    assert_int_equal(ask_to_revoke(REVOKE_SECRET, "nowhere", "main", &known), -ENOENT);
    assert_int_equal(ask_to_revoke(REVOKE_SECRET, "", "", &known), -EINVAL);
    assert_int_equal(revocations, 0);
    revoke_returns = -ENOSPC;
    assert_int_equal(ask_to_revoke(REVOKE_SECRET, "", "main", &known), -ENOSPC);
    assert_int_equal(known, 99);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_observe_revoked_secret_is_known_or_not_and_revoked_all_the_same),
        CASE(test_observe_secret_of_redis_is_known_once_it_has_come),
        CASE(test_observe_of_users_and_tokens_nothing_is_known),
        CASE(test_observe_revocation_that_fails_says_nothing_of_the_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
