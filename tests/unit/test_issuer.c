/* Credentials that the daemon makes: the relay lets them in, by its own judgement of the password,
 * and the places they name are those where clients reach it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "auth/rest.h"
#include "daemon/issuer.h"

/* In place of daemon/sharing.c. */
static const char *in_redis;

struct slice sharing_secret(const struct sharing *s, uint32_t realm)
{
    return in_redis && realm == 1 ? slice_of_string(in_redis) : (struct slice){0};
}

#define LISTENERS 8

static struct auth_secret_settings secrets[3];
static struct auth_realm_settings realms[2];
static struct endpoint list[LISTENERS];
static struct endpoints endpoints;
static struct config config;
static struct issuer issuer;
static struct admin_credential_made made;
static struct instant now;

static struct secret secret_of(const char *text)
{
    return (struct secret){(uint8_t *)(uintptr_t)text, strlen(text)};
}

static int setup(void **state)
{
    static char first[] = "example.org", second[] = "tenant.example", ids[3][4] = {"old", "a", "b"};
    in_redis = NULL;
    secrets[0] =
        (struct auth_secret_settings){.id = ids[0], .secret = secret_of("north"), .retired = true};
    secrets[1] = (struct auth_secret_settings){.id = ids[1], .secret = secret_of("south")};
    secrets[2] = (struct auth_secret_settings){.id = ids[2], .secret = secret_of("east")};
    realms[0] = (struct auth_realm_settings){.name = first, .secrets = secrets, .secret_count = 3};
    realms[1] = (struct auth_realm_settings){.name = second};
    memset(&config, 0, sizeof(config));
    memset(list, 0, sizeof(list));
    config.auth =
        (struct auth_settings){.realms = realms, .realm_count = 2, .max_ttl_s = 48 * 3600};
    config.relay.addresses[0] = (struct relay_address){
        .public = addr_ipv4(203, 0, 113, 4, 0), .local = addr_ipv4(10, 0, 0, 4, 0)};
    config.relay.address_count = 1;
    endpoints = (struct endpoints){.list = list};
    issuer = (struct issuer){
        .config = &config, .endpoints = &endpoints, .sharing = (const struct sharing *)&in_redis};
    now = (struct instant){.mono_us = 1000 * US_PER_S, .wall_s = 1800000000};
    memset(&made, 0, sizeof(made));
    return 0;
}

static void listen_on(enum transport transport, struct addr addr, uint64_t served)
{
    list[endpoints.count++] = (struct endpoint){.addr = addr,
        .role = {.settings = {.transport = (uint8_t)transport, .addr = addr, .realms = served},
            .configured = true}};
}

static int ask(const char *user, uint32_t ttl_s)
{
    const struct admin_credential what = {.user = slice_of_string(user), .ttl_s = ttl_s};
    return issuer_make(&issuer, &what, &now, &made);
}

/* As another program would make it. */
static void assert_signed_by(const char *secret, enum auth_rest_hash hash)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    struct crypto *crypto = crypto_new();
    assert_int_equal(auth_rest_password(crypto, hash, slice_of_string(secret),
                         slice_of_string(made.username), password),
        0);
    crypto_free(crypto);
    assert_string_equal(made.password, password);
}

static void test_issuer_signs_with_the_first_secret_in_use(void **state)
{
    assert_int_equal(ask("alice", 3600), 0);
    assert_string_equal(made.username, "1800003600:alice");
    assert_int_equal(made.ttl_s, 3600);
    assert_int_equal(made.expires_at, 1800003600);
    assert_int_equal(made.realm, 0);
    assert_signed_by("south", AUTH_REST_SHA1);
    secrets[1].hash = AUTH_REST_SHA256;
    assert_int_equal(ask("alice", 3600), 0);
    assert_signed_by("south", AUTH_REST_SHA256);
    secrets[1].retired = true;
    assert_int_equal(ask("alice", 3600), 0);
    assert_signed_by("east", AUTH_REST_SHA1);
}

static void test_issuer_realm_without_secret_takes_one_of_redis(void **state)
{
    const struct admin_credential what = {
        .realm = slice_of_string("tenant.example"), .user = slice_of_string("alice")};
    assert_int_equal(issuer_make(&issuer, &what, &now, &made), -ENOKEY);
    in_redis = "west";
    assert_int_equal(issuer_make(&issuer, &what, &now, &made), 0);
    assert_int_equal(made.realm, 1);
    assert_signed_by("west", AUTH_REST_SHA1);
    const struct admin_credential nowhere = {
        .realm = slice_of_string("nowhere"), .user = slice_of_string("alice")};
    assert_int_equal(issuer_make(&issuer, &nowhere, &now, &made), -ENOENT);
}

static void test_issuer_lifetime_is_at_most_that_of_the_realm(void **state)
{
    assert_int_equal(ask("alice", 0), 0);
    assert_int_equal(made.ttl_s, 86400);
    assert_int_equal(ask("alice", 48 * 3600), 0);
    made.ttl_s = 7;
    assert_int_equal(ask("alice", 48 * 3600 + 1), -ERANGE);
    assert_int_equal(made.ttl_s, 7);
    config.auth.max_ttl_s = 600;
    assert_int_equal(ask("alice", 0), 0);
    assert_int_equal(made.ttl_s, 600);
}

static void test_issuer_names_that_nobody_can_have_are_refused(void **state)
{
    static const char *const bad[] = {"", "a\x01", "\xff", "a\xe2\x80\x8b"};
    char longest[510];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ask(bad[i], 60), -EINVAL);
    const struct admin_credential nul = {.user = slice_of("a\0b", 3), .ttl_s = 60};
    assert_int_equal(issuer_make(&issuer, &nul, &now, &made), -EINVAL);
    memset(longest, 'n', sizeof(longest));
    longest[508 - 11] = '\0';
    assert_int_equal(ask(longest, 60), 0);
    assert_int_equal(strlen(made.username), 508);
    longest[508 - 11] = 'n';
    longest[508 - 10] = '\0';
    assert_int_equal(ask(longest, 60), -EINVAL);
    assert_int_equal(ask("zo\xc3\xab", 60), 0);
}

static void test_issuer_makes_so_many_a_second(void **state)
{
    for (unsigned i = 0; i < ISSUER_RATE_PER_S; i++)
        assert_int_equal(ask("alice", 60), 0);
    assert_int_equal(ask("alice", 60), -EAGAIN);
    /* What is refused for another reason costs none. */
    now.mono_us += US_PER_S / ISSUER_RATE_PER_S;
    assert_int_equal(ask("", 60), -EINVAL);
    assert_int_equal(ask("alice", 60), 0);
    assert_int_equal(ask("alice", 60), -EAGAIN);
}

static void assert_uris(uint32_t realm, const char *const *expected)
{
    char uri[ADMIN_URI_MAX];
    size_t n = 0;
    for (; expected[n]; n++) {
        assert_true(issuer_uri(&issuer, realm, n, uri));
        assert_string_equal(uri, expected[n]);
    }
    assert_false(issuer_uri(&issuer, realm, n, uri));
}

static void test_issuer_uris_are_one_for_each_transport_and_address(void **state)
{
    const struct addr any = addr_ipv4(0, 0, 0, 0, 3478);
    struct addr port = any, any6 = {.family = ADDR_IPV6, .port = 3478};
    listen_on(TRANSPORT_DTLS, any, 1);
    listen_on(TRANSPORT_TCP, any, 1);
    port.port = 5349;
    listen_on(TRANSPORT_TLS, port, 1);
    port.port = 443;
    listen_on(TRANSPORT_TLS, port, 1);
    listen_on(TRANSPORT_UDP, any, 1);
    port.port = 3479;
    listen_on(TRANSPORT_UDP, port, 3);
    listen_on(TRANSPORT_UDP, any6, 1);
    assert_uris(
        0, (const char *const[]){"turn:203.0.113.4:3478?transport=udp",
               "turn:203.0.113.4:3478?transport=tcp", "turns:203.0.113.4:443?transport=tcp", NULL});
    assert_uris(1, (const char *const[]){"turn:203.0.113.4:3479?transport=udp", NULL});
    struct relay_address *second = &config.relay.addresses[config.relay.address_count++];
    assert_int_equal(addr_parse_ip(&second->public, "2001:db8::4"), 0);
    second->local = second->public;
    assert_uris(
        0, (const char *const[]){"turn:203.0.113.4:3478?transport=udp",
               "turn:[2001:db8::4]:3478?transport=udp", "turn:203.0.113.4:3478?transport=tcp",
               "turns:203.0.113.4:443?transport=tcp", NULL});
}

static void test_issuer_uris_leave_out_where_clients_do_not_come_in(void **state)
{
    listen_on(TRANSPORT_UDP, addr_ipv4(10, 0, 0, 5, 3478), 1);
    listen_on(TRANSPORT_TCP, addr_ipv4(10, 0, 0, 4, 3478), 1);
    listen_on(TRANSPORT_TLS, addr_ipv4(203, 0, 113, 4, 443), 1);
    assert_uris(0, (const char *const[]){"turn:203.0.113.4:3478?transport=tcp",
                       "turns:203.0.113.4:443?transport=tcp", NULL});
    list[1].role.settings.proxy_from_count = 1;
    list[2].role.configured = false;
    assert_uris(0, (const char *const[]){NULL});
}

static void test_issuer_uris_of_the_configuration_stand_for_all(void **state)
{
    static char first[] = "turns:turn.example.com:443?transport=tcp", second[] = "stun:a.example";
    static char *uris[] = {first, second};
    listen_on(TRANSPORT_UDP, addr_ipv4(0, 0, 0, 0, 3478), 3);
    config.admin.uris = uris;
    config.admin.uri_count = 2;
    assert_uris(1, (const char *const[]){first, second, NULL});
}

#define ISSUER(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ISSUER(test_issuer_signs_with_the_first_secret_in_use),
        ISSUER(test_issuer_realm_without_secret_takes_one_of_redis),
        ISSUER(test_issuer_lifetime_is_at_most_that_of_the_realm),
        ISSUER(test_issuer_names_that_nobody_can_have_are_refused),
        ISSUER(test_issuer_makes_so_many_a_second),
        ISSUER(test_issuer_uris_are_one_for_each_transport_and_address),
        ISSUER(test_issuer_uris_leave_out_where_clients_do_not_come_in),
        ISSUER(test_issuer_uris_of_the_configuration_stand_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
