/*
 * THREATS row 23: who may ask the admin server for what. Over TCP only /metrics, /live and /ready
 * are free; over the unix socket the process on the other side decides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "admin/route.h"

#define TOKEN "0123456789abcdef-._~+/="

static const struct secret token = {(uint8_t *)TOKEN, sizeof(TOKEN) - 1};
static const struct secret none = {0};
static char name[] = "relay.example.com", ipv6[] = "2001:db8::7", ipv4[] = "198.51.100.7";
static char *const hosts[] = {name, ipv6, ipv4};
static const struct admin_access access = {
    .token = &token, .hosts = hosts, .host_count = sizeof(hosts) / sizeof(hosts[0])};

static struct admin_question ask(const char *path)
{
    return (struct admin_question){.path = slice_of_string(path),
        .host = slice_of_string("localhost:9641"),
        .authorization = slice_of_string("Bearer " TOKEN)};
}

static unsigned judge(const struct admin_question *q)
{
    const struct admin_route *route = NULL;
    unsigned status = admin_route_judge(q, &access, &route);
    assert_true((status == 200) == (route != NULL));
    return status;
}

/* A new resource is closed unless its row says otherwise, and only these may. */
static void threat_23_only_three_resources_are_free(void **state)
{
    static const char *const free_ones[] = {"/metrics", "/live", "/ready"};
    size_t found = 0;
    for (size_t i = 0; i < admin_route_count; i++) {
        bool is_free = false;
        for (size_t k = 0; k < 3; k++)
            is_free |= strcmp(admin_routes[i].path, free_ones[k]) == 0;
        assert_int_equal(admin_routes[i].needs_token, !is_free);
        struct admin_question q = ask(admin_routes[i].path);
        q.method = admin_routes[i].method;
        if (admin_routes[i].takes_body) {
            q.has_body = true;
            q.body_len = 1;
            q.content_type = slice_of_string("application/json");
        }
        q.peer.secure = true;
        q.authorization = (struct slice){0};
        assert_int_equal(judge(&q), is_free ? 200 : 401);
        q.host = slice_of_string("attacker.example");
        assert_int_equal(judge(&q), is_free ? 200 : 403);
        found += is_free;
    }
    assert_int_equal(found, 3);
}

/* "The credential endpoint refuses plain text beyond loopback", whatever token comes with it. */
static void threat_23_credentials_are_made_for_secure_peers_only(void **state)
{
    struct admin_question q = ask("/api/v1/credentials");
    q.method = ADMIN_POST;
    q.has_body = true;
    q.body_len = 1;
    q.content_type = slice_of_string("application/json");
    assert_int_equal(judge(&q), 403);
    q.peer.secure = true;
    assert_int_equal(judge(&q), 200);
}

static void threat_23_wrong_tokens_refused(void **state)
{
    static const char *const wrong[] = {"", "Bearer", "Bearer ", "Bearer  ", TOKEN,
        "Bearer 0123456789abcdef", "Bearer " TOKEN "x", "Bearer 0" TOKEN, "Bearer " TOKEN " ",
        "Basic " TOKEN, "Bearer\t" TOKEN, "Bearer " TOKEN ", Bearer " TOKEN,
        "Bearer 0123456789ABCDEF-._~+/="};
    struct admin_question q = ask("/api/v1/status");
    assert_int_equal(judge(&q), 200);
    q.authorization = slice_of_string("bearer  " TOKEN);
    assert_int_equal(judge(&q), 200);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        q.authorization = slice_of_string(wrong[i]);
        if (judge(&q) != 401)
            fail_msg("'%s' is let in", wrong[i]);
    }
}

/* Where no token is configured there is none to guess. */
static void threat_23_no_token_configured_lets_nobody_in(void **state)
{
    static const char *const tries[] = {"", "Bearer", "Bearer ", "Bearer  ", "Bearer x"};
    const struct admin_access closed = {.token = &none};
    const struct admin_route *route;
    struct admin_question q = ask("/api/v1/status");
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        q.authorization = slice_of_string(tries[i]);
        assert_int_equal(admin_route_judge(&q, &closed, &route), 401);
    }
}

static void threat_23_foreign_hosts_refused(void **state)
{
    static const char *const ours[] = {"localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9641",
        "127.9.9.9:80", "[::1]", "[::1]:9641", "localhost:"};
    static const char *const foreign[] = {"", ":", ":9641", "attacker.example",
        "attacker.example:9641", "localhost.attacker.example", "127.0.0.1.attacker.example",
        "attacker.example#localhost", "localhost@attacker.example", "localhost:x",
        "localhost localhost", "0.0.0.0", "192.0.2.1:9641", "[::]", "[::ffff:127.0.0.1]", "::1",
        "127.1", "2130706433", "[::1"};
    struct admin_question q = ask("/api/v1/status");
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        q.host = slice_of_string(ours[i]);
        if (judge(&q) != 200)
            fail_msg("Host '%s' is refused", ours[i]);
    }
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        q.host = slice_of_string(foreign[i]);
        if (judge(&q) != 403)
            fail_msg("Host '%s' is let in", foreign[i]);
    }
    q.host = slice_of("localhost\0x", 11);
    assert_int_equal(judge(&q), 403);
    q.host = slice_of("127.0.0.1\0", 10);
    assert_int_equal(judge(&q), 403);
}

/* Names of the configuration, and the address that was connected to, which no name can be made to
 * say. */
static void threat_23_only_configured_hosts_and_our_own_address_pass(void **state)
{
    static const char *const ours[] = {"relay.example.com", "Relay.Example.COM:9641",
        "[2001:db8::7]", "[2001:DB8:0::7]:443", "198.51.100.7:9641", "192.0.2.1", "192.0.2.1:9641"};
    static const char *const foreign[] = {"relay.example.com.", "relay.example.com.evil.example",
        "evil.relay.example.com", "relay.example.co", "2001:db8::7", "[2001:db8::8]",
        "198.51.100.8", "192.0.2.2", "[::ffff:192.0.2.1]", "[198.51.100.7]", "[relay.example.com]"};
    struct admin_question q = ask("/api/v1/status");
    q.peer.at = addr_ipv4(192, 0, 2, 1, 9641);
    for (int certified = 0; certified < 2; certified++) {
        q.peer.certified = certified;
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
            q.host = slice_of_string(ours[i]);
            if (judge(&q) != 200)
                fail_msg("Host '%s' is refused", ours[i]);
        }
        for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
            q.host = slice_of_string(foreign[i]);
            if (judge(&q) != 403)
                fail_msg("Host '%s' is let in", foreign[i]);
        }
    }
}

/* In place of the token, and of nothing else. */
static void threat_23_client_certificate_stands_for_the_token(void **state)
{
    const struct admin_access closed = {.token = &none};
    const struct admin_route *route;
    struct admin_question q = ask("/api/v1/status");
    q.authorization = (struct slice){0};
    q.peer.secure = true;
    assert_int_equal(judge(&q), 401);
    q.peer.certified = true;
    assert_int_equal(judge(&q), 200);
    assert_int_equal(admin_route_judge(&q, &closed, &route), 200);
    q.authorization = slice_of_string("Bearer wrong");
    assert_int_equal(judge(&q), 200);
    q.host = slice_of_string("attacker.example");
    assert_int_equal(judge(&q), 403);
}

/* What holds credentials is not sent where others may read along, token or not. */
static void threat_23_credentials_only_where_nobody_reads_along(void **state)
{
    const struct admin_route row = {.needs_token = true, .secrets = true};
    struct admin_question q = ask("/");
    assert_int_equal(admin_route_judge_peer(&q, &access, &row), 403);
    q.peer.certified = true;
    assert_int_equal(admin_route_judge_peer(&q, &access, &row), 403);
    q.peer.secure = true;
    assert_int_equal(admin_route_judge_peer(&q, &access, &row), 200);
    q.peer = (struct admin_peer){.local = true, .trusted = true};
    assert_int_equal(admin_route_judge_peer(&q, &access, &row), 200);
}

static void threat_23_socket_asks_who_is_there_and_nothing_else(void **state)
{
    struct admin_question q = {.path = slice_of_string("/api/v1/status"), .peer = {.local = true}};
    assert_int_equal(judge(&q), 403);
    q.path = slice_of_string("/metrics");
    assert_int_equal(judge(&q), 403);
    q.authorization = slice_of_string("Bearer " TOKEN);
    assert_int_equal(judge(&q), 403);
    q.peer.trusted = true;
    q.authorization = (struct slice){0};
    assert_int_equal(judge(&q), 200);
    q.path = slice_of_string("/api/v1/status");
    assert_int_equal(judge(&q), 200);
    /* Over TCP nobody is trusted for what a process is. */
    q.peer.local = false;
    assert_int_equal(judge(&q), 403);
}

static void threat_23_other_paths_methods_and_bodies_refused(void **state)
{
    static const char *const paths[] = {"", "/", "/metric", "/metrics/", "/metricsx", "/METRICS",
        "/api/v1", "/etc/passwd", "//metrics"};
    struct admin_question q;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        q = ask(paths[i]);
        assert_int_equal(judge(&q), 404);
    }
    q = ask("/live");
    q.path = slice_of("/live\0", 6);
    assert_int_equal(judge(&q), 404);
    q = ask("/live");
    q.method = ADMIN_POST;
    assert_int_equal(judge(&q), 405);
    q.method = ADMIN_OTHER_METHOD;
    assert_int_equal(judge(&q), 405);
    q.method = ADMIN_HEAD;
    assert_int_equal(judge(&q), 200);
    q.has_body = true;
    assert_int_equal(judge(&q), 413);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threat_23_only_three_resources_are_free),
        cmocka_unit_test(threat_23_credentials_are_made_for_secure_peers_only),
        cmocka_unit_test(threat_23_wrong_tokens_refused),
        cmocka_unit_test(threat_23_no_token_configured_lets_nobody_in),
        cmocka_unit_test(threat_23_foreign_hosts_refused),
        cmocka_unit_test(threat_23_only_configured_hosts_and_our_own_address_pass),
        cmocka_unit_test(threat_23_client_certificate_stands_for_the_token),
        cmocka_unit_test(threat_23_credentials_only_where_nobody_reads_along),
        cmocka_unit_test(threat_23_socket_asks_who_is_there_and_nothing_else),
        cmocka_unit_test(threat_23_other_paths_methods_and_bodies_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
