/*
 * The order of the rules of the peer policy, the difference between a permission and a send, our
 * own listeners behind wildcards and 1:1 NAT, and what nothing can allow. Block edges and
 * encodings: tests/threats/test_threat_01_peer_policy_oracle.c.
 */
#include "relay/peer_policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RULES_MAX = 8 };

/* One relay: 10.0.0.5 behind 198.51.100.5, port 50000 live, 50001 claimed; and 2a02:db8:5::1 with
 * port 50002 live. */
struct fixture {
    struct peer_policy_settings settings;
    struct prefix_rule deny[RULES_MAX], allow[RULES_MAX];
    struct prefix nat64[RULES_MAX];
    struct addr own[RULES_MAX], never[RULES_MAX];
    struct port_maps *maps;
    struct port_map *four, *six;
    struct peer_policy *policy;
};

static struct addr at(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(&addr, text), 0);
    return addr;
}

static struct addr ip(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse_ip(&addr, text), 0);
    return addr;
}

static void claim(struct port_map *map, uint16_t port, bool live)
{
    uint16_t got;

    assert_int_equal(port_map_claim(map, port, port, random_system(), &got), 0);
    port_map_set_live(map, port, live);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct addr local = ip("10.0.0.5"), public = ip("198.51.100.5"), six = ip("2a02:db8:5::1");

    f->settings = (struct peer_policy_settings){.deny_recommended = true,
        .deny = f->deny,
        .allow = f->allow,
        .nat64 = f->nat64,
        .own_addresses = f->own,
        .never = f->never};
    f->own[f->settings.own_address_count++] = local;
    f->own[f->settings.own_address_count++] = six;
    f->own[f->settings.own_address_count++] = ip("93.184.216.99");
    f->maps = port_maps_new();
    f->four = port_maps_add(f->maps, &local, &public);
    f->six = port_maps_add(f->maps, &six, &six);
    claim(f->four, 50000, true);
    claim(f->four, 50001, false);
    claim(f->six, 50002, true);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    peer_policy_free(f->policy);
    port_map_release(f->four, 50000);
    port_map_release(f->four, 50001);
    port_map_release(f->six, 50002);
    port_maps_free(f->maps);
    free(f);
    return 0;
}

static void deny(struct fixture *f, const char *text)
{
    const char *why;

    assert_int_equal(prefix_rule_parse(&f->deny[f->settings.deny_count++], text, &why), 0);
}

static void allow(struct fixture *f, const char *text)
{
    const char *why;

    assert_int_equal(prefix_rule_parse(&f->allow[f->settings.allow_count++], text, &why), 0);
}

static void nat64(struct fixture *f, const char *text)
{
    assert_int_equal(prefix_parse(&f->nat64[f->settings.nat64_count++], text), 0);
}

static void never(struct fixture *f, const char *text)
{
    f->never[f->settings.never_count++] = at(text);
}

static void build(struct fixture *f)
{
    f->policy = peer_policy_new(&f->settings, f->maps);
    assert_non_null(f->policy);
    /* The settings are copied: what happens to them later must not matter. */
    memset(f->deny, 0xff, sizeof f->deny);
    memset(f->allow, 0xff, sizeof f->allow);
    memset(f->nat64, 0xff, sizeof f->nat64);
    memset(f->own, 0xff, sizeof f->own);
    memset(f->never, 0xff, sizeof f->never);
}

static enum reason send_to(struct fixture *f, const char *text)
{
    struct addr addr = at(text);

    return peer_policy_send(f->policy, &addr);
}

static enum reason permission(struct fixture *f, const char *text)
{
    struct addr addr = ip(text);

    return peer_policy_permission(f->policy, &addr);
}

static bool is_ours(struct fixture *f, const char *text)
{
    struct addr addr = at(text);

    return peer_policy_is_ours(f->policy, &addr);
}

static void test_policy_global_addresses_are_allowed(void **state)
{
    static const char *const peers[] = {"93.184.216.34", "8.8.8.8", "2606:4700::1111",
        "2606:4700:4700::1111", "2001:4860:4860::8888", "::ffff:93.184.216.34", "64:ff9b::8.8.8.8"};
    struct fixture *f = *state;

    build(f);
    for (unsigned i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        struct addr addr = ip(peers[i]);
        assert_int_equal(peer_policy_permission(f->policy, &addr), REASON_NONE);
        addr.port = 40000;
        assert_int_equal(peer_policy_send(f->policy, &addr), REASON_NONE);
        assert_false(peer_policy_is_ours(f->policy, &addr));
    }
}

static void test_policy_never_beats_everything(void **state)
{
    struct fixture *f = *state;

    never(f, "198.51.100.5:50000"); /* also a live relayed port */
    never(f, "93.184.216.34:6379");
    allow(f, "93.184.216.34");
    allow(f, "198.51.100.5");
    build(f);
    assert_int_equal(send_to(f, "198.51.100.5:50000"), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "10.0.0.5:50000"), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "93.184.216.34:6379"), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "[64:ff9b::5db8:d822]:6379"), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "93.184.216.34:6380"), REASON_NONE);
    assert_int_equal(permission(f, "93.184.216.34"), REASON_NONE);
}

static void test_policy_never_without_port_closes_the_address(void **state)
{
    struct fixture *f = *state;

    f->never[f->settings.never_count++] = ip("93.184.216.34");
    build(f);
    assert_int_equal(permission(f, "93.184.216.34"), REASON_PEER_FORBIDDEN);
    assert_int_equal(send_to(f, "93.184.216.34:1"), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "93.184.216.34:65535"), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "93.184.216.35:1"), REASON_NONE);
}

static void test_policy_live_port_beats_deny(void **state)
{
    struct fixture *f = *state;

    deny(f, "198.51.100.5");
    deny(f, "10.0.0.5:50000");
    deny(f, "2a02:db8:5::/48");
    build(f);
    assert_int_equal(send_to(f, "198.51.100.5:50000"), REASON_NONE);
    assert_int_equal(send_to(f, "10.0.0.5:50000"), REASON_NONE);
    assert_int_equal(send_to(f, "[::ffff:10.0.0.5]:50000"), REASON_NONE);
    assert_int_equal(send_to(f, "[2a02:db8:5::1]:50002"), REASON_NONE);
    assert_int_equal(permission(f, "198.51.100.5"), REASON_NONE);
    assert_int_equal(permission(f, "10.0.0.5"), REASON_NONE);
    assert_int_equal(permission(f, "2a02:db8:5::1"), REASON_NONE);
    assert_int_equal(permission(f, "2a02:db8:5::2"), REASON_PEER_FORBIDDEN);
}

static void test_policy_port_not_live_is_refused_at_the_send(void **state)
{
    struct fixture *f = *state;

    build(f);
    assert_int_equal(send_to(f, "198.51.100.5:50001"), REASON_PEER_PORT_NOT_LIVE);
    assert_int_equal(send_to(f, "10.0.0.5:22"), REASON_PEER_PORT_NOT_LIVE);
    assert_int_equal(send_to(f, "[64:ff9b::10.0.0.5]:22"), REASON_PEER_PORT_NOT_LIVE);
    assert_int_equal(send_to(f, "[2a02:db8:5::1]:50000"), REASON_PEER_PORT_NOT_LIVE);
    port_map_set_live(f->four, 50001, true);
    assert_int_equal(send_to(f, "198.51.100.5:50001"), REASON_NONE);
    port_map_set_live(f->four, 50001, false);
    assert_int_equal(send_to(f, "198.51.100.5:50001"), REASON_PEER_PORT_NOT_LIVE);
}

static void test_policy_allow_opens_a_port_that_is_not_live(void **state)
{
    struct fixture *f = *state;

    allow(f, "10.0.0.5:7000");
    build(f);
    assert_int_equal(send_to(f, "10.0.0.5:7000"), REASON_NONE);
    assert_int_equal(send_to(f, "10.0.0.5:7001"), REASON_PEER_PORT_NOT_LIVE);
    assert_int_equal(send_to(f, "198.51.100.5:7000"), REASON_NONE); /* the same place */
}

/* Behind 1:1 NAT the public address leads to the private host: a range that holds it opens nothing.
 */
static void test_policy_allow_of_the_public_range_does_not_open_the_private_host(void **state)
{
    struct fixture *f = *state;

    allow(f, "198.51.100.0/24");
    build(f);
    assert_int_equal(send_to(f, "198.51.100.5:53"), REASON_PEER_PORT_NOT_LIVE);
    assert_int_equal(send_to(f, "10.0.0.5:53"), REASON_PEER_PORT_NOT_LIVE);
    assert_int_equal(send_to(f, "198.51.100.6:53"), REASON_NONE);
}

static void test_policy_allow_beats_deny_and_special(void **state)
{
    struct fixture *f = *state;

    allow(f, "10.1.0.0/16");
    allow(f, "fd00::/8");
    deny(f, "10.0.0.0/8");
    build(f);
    assert_int_equal(permission(f, "10.1.2.3"), REASON_NONE);
    assert_int_equal(send_to(f, "10.1.2.3:9"), REASON_NONE);
    assert_int_equal(send_to(f, "[::ffff:10.1.2.3]:9"), REASON_NONE);
    assert_int_equal(send_to(f, "[fd00::1]:9"), REASON_NONE);
    assert_int_equal(permission(f, "10.2.2.3"), REASON_PEER_FORBIDDEN);
    assert_int_equal(send_to(f, "10.2.2.3:9"), REASON_PEER_DENIED);
}

static void test_policy_ports_are_judged_at_the_send(void **state)
{
    struct fixture *f = *state;

    deny(f, "93.184.216.34:53");
    allow(f, "10.0.0.9:80");
    build(f);
    assert_int_equal(permission(f, "93.184.216.34"), REASON_NONE);
    assert_int_equal(send_to(f, "93.184.216.34:53"), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "93.184.216.34:54"), REASON_NONE);
    assert_int_equal(permission(f, "10.0.0.9"), REASON_NONE);
    assert_int_equal(send_to(f, "10.0.0.9:80"), REASON_NONE);
    assert_int_equal(send_to(f, "10.0.0.9:81"), REASON_PEER_DENIED);
}

static void test_policy_own_interfaces_and_loopback_are_denied(void **state)
{
    struct fixture *f = *state;

    f->settings.deny_recommended = false;
    build(f);
    assert_int_equal(permission(f, "93.184.216.99"), REASON_PEER_FORBIDDEN);
    assert_int_equal(send_to(f, "93.184.216.99:9"), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "[64:ff9b::5db8:d863]:9"), REASON_PEER_DENIED);
    assert_int_equal(permission(f, "127.0.0.1"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "127.255.255.255"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "::1"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "::ffff:127.0.0.2"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "10.9.9.9"), REASON_NONE);
}

static void test_policy_embedded_needs_both_forms(void **state)
{
    struct fixture *f = *state;

    allow(f, "64:ff9b::/96");
    deny(f, "2a02:26f0::/32");
    build(f);
    assert_int_equal(permission(f, "64:ff9b::10.0.0.1"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "2a02:26f0::5efe:8.8.8.8"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "2a02:26f1::5efe:8.8.8.8"), REASON_NONE);
    assert_int_equal(permission(f, "2a02:26f1::5efe:10.0.0.1"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "fe80::5efe:8.8.8.8"), REASON_PEER_FORBIDDEN);
}

static void test_policy_deny_rule_on_the_outer_prefix_refuses(void **state)
{
    struct fixture *f = *state;

    deny(f, "64:ff9b::/96");
    deny(f, "::ffff:0:0/96");
    build(f);
    assert_int_equal(permission(f, "64:ff9b::8.8.8.8"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "::ffff:8.8.8.8"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "8.8.8.8"), REASON_NONE);
}

static void test_policy_configured_nat64_is_judged_by_the_ipv4_inside(void **state)
{
    struct fixture *f = *state;

    nat64(f, "fd64::/96");
    nat64(f, "64:ff9b:1:1::/64");
    deny(f, "fd64::9.0.0.0/104");
    build(f);
    assert_int_equal(permission(f, "fd64::8.8.8.8"), REASON_NONE);
    assert_int_equal(permission(f, "fd64::9.8.8.8"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "fd64::10.0.0.1"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "fd64:0:0:0:0:1:808:808"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "64:ff9b:1:1:8:808:800::"), REASON_NONE);
    assert_int_equal(permission(f, "64:ff9b:1:1:a:0:100::"), REASON_PEER_FORBIDDEN);
    assert_int_equal(permission(f, "64:ff9b:1:2:8:808:800::"), REASON_PEER_FORBIDDEN);
}

static void test_policy_tunnels_zones_and_nothing_are_never_allowed(void **state)
{
    static const char *const peers[] = {
        "2002:808:808::1", "2001::1", "::", "0.0.0.0", "::ffff:0.0.0.0", "64:ff9b::0.0.0.0"};
    struct fixture *f = *state;

    f->settings.deny_recommended = false;
    allow(f, "::/0");
    allow(f, "0.0.0.0/0");
    build(f);
    for (unsigned i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        struct addr addr = ip(peers[i]);
        assert_int_equal(peer_policy_permission(f->policy, &addr), REASON_PEER_FORBIDDEN);
        addr.port = 9;
        assert_int_equal(peer_policy_send(f->policy, &addr), REASON_PEER_DENIED);
    }
    struct addr none = {.family = ADDR_NONE, .port = 9}, zone = at("[fe80::1]:9");
    assert_int_equal(peer_policy_permission(f->policy, &none), REASON_PEER_FORBIDDEN);
    assert_int_equal(peer_policy_send(f->policy, &none), REASON_PEER_DENIED);
    assert_int_equal(peer_policy_send(f->policy, &zone), REASON_NONE);
    zone.scope = 2;
    assert_int_equal(peer_policy_permission(f->policy, &zone), REASON_PEER_FORBIDDEN);
    assert_int_equal(peer_policy_send(f->policy, &zone), REASON_PEER_DENIED);
    assert_int_equal(send_to(f, "8.8.8.8:1"), REASON_NONE);
    struct addr no_port = ip("8.8.8.8");
    assert_int_equal(peer_policy_send(f->policy, &no_port), REASON_PEER_DENIED);
}

static void test_policy_wildcard_listener_covers_every_own_address(void **state)
{
    static const char *const yes[] = {"10.0.0.5:3478", "198.51.100.5:3478", "93.184.216.99:3478",
        "127.0.0.1:3478", "127.9.9.9:3478", "[2a02:db8:5::1]:3479", "[::1]:3479",
        "[::ffff:127.0.0.1]:3478"};
    static const char *const no[] = {"10.0.0.6:3478", "[2a02:db8:5::1]:3478", "[::1]:3478",
        "10.0.0.5:3479", "8.8.8.8:3478", "[2a02:db8:5::2]:3479", "127.0.0.1:3477"};
    struct fixture *f = *state;

    never(f, "0.0.0.0:3478");
    never(f, "[::]:3479");
    allow(f, "0.0.0.0/0");
    allow(f, "::/0");
    build(f);
    for (unsigned i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(is_ours(f, yes[i]));
        assert_int_equal(send_to(f, yes[i]), REASON_PEER_DENIED);
    }
    for (unsigned i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_false(is_ours(f, no[i]));
        assert_int_equal(send_to(f, no[i]), REASON_NONE);
    }
}

static void test_policy_wildcard_covers_an_address_added_later(void **state)
{
    struct fixture *f = *state;
    struct addr later = ip("93.184.216.50");

    never(f, "0.0.0.0:3478");
    build(f);
    assert_false(is_ours(f, "93.184.216.50:3478"));
    assert_non_null(port_maps_add(f->maps, &later, &later));
    assert_true(is_ours(f, "93.184.216.50:3478"));
    assert_int_equal(send_to(f, "93.184.216.50:3478"), REASON_PEER_DENIED);
}

static void test_policy_is_ours_knows_listeners_and_live_ports(void **state)
{
    struct fixture *f = *state;

    never(f, "10.0.0.5:3478");
    build(f);
    assert_true(is_ours(f, "10.0.0.5:3478"));
    assert_true(is_ours(f, "198.51.100.5:3478")); /* the other face of the same listener */
    assert_true(is_ours(f, "10.0.0.5:50000"));
    assert_true(is_ours(f, "198.51.100.5:50000"));
    assert_true(is_ours(f, "[::ffff:198.51.100.5]:50000"));
    assert_true(is_ours(f, "[2a02:db8:5::1]:50002"));
    assert_false(is_ours(f, "10.0.0.5:50001"));
    assert_false(is_ours(f, "10.0.0.5:3479"));
    assert_false(is_ours(f, "10.0.0.6:50000"));
    assert_false(is_ours(f, "10.0.0.6:3478"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_policy_global_addresses_are_allowed),
        TEST(test_policy_never_beats_everything),
        TEST(test_policy_never_without_port_closes_the_address),
        TEST(test_policy_live_port_beats_deny),
        TEST(test_policy_port_not_live_is_refused_at_the_send),
        TEST(test_policy_allow_opens_a_port_that_is_not_live),
        TEST(test_policy_allow_of_the_public_range_does_not_open_the_private_host),
        TEST(test_policy_allow_beats_deny_and_special),
        TEST(test_policy_ports_are_judged_at_the_send),
        TEST(test_policy_own_interfaces_and_loopback_are_denied),
        TEST(test_policy_embedded_needs_both_forms),
        TEST(test_policy_deny_rule_on_the_outer_prefix_refuses),
        TEST(test_policy_configured_nat64_is_judged_by_the_ipv4_inside),
        TEST(test_policy_tunnels_zones_and_nothing_are_never_allowed),
        TEST(test_policy_wildcard_listener_covers_every_own_address),
        TEST(test_policy_wildcard_covers_an_address_added_later),
        TEST(test_policy_is_ours_knows_listeners_and_live_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
