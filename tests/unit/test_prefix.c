/* base/prefix: strict text, and sets against an oracle that compares each rule as numbers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/prefix.h"

#define RULES     400
#define ADDRESSES 120000

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static struct addr ip(const char *text)
{
    struct addr addr = {0};
    assert_int_equal(addr_parse_ip(&addr, text), 0);
    return addr;
}

static struct prefix_rule rule(const char *text)
{
    struct prefix_rule r = {0};
    const char *why = "";
    if (prefix_rule_parse(&r, text, &why) != 0)
        fail_msg("%s refused: %s", text, why);
    return r;
}

static void test_prefix_parse_valid_gives_network_and_bits(void **state)
{
    struct prefix p;
    assert_int_equal(prefix_parse(&p, "10.0.0.0/8"), 0);
    struct addr ten = ip("10.0.0.0");
    assert_true(addr_equal(&p.ip, &ten));
    assert_int_equal(p.bits, 8);
    struct addr last = prefix_last(&p), expected = ip("10.255.255.255");
    assert_true(addr_equal(&last, &expected));
    assert_int_equal(prefix_parse(&p, "0.0.0.0/0"), 0);
    assert_int_equal(p.bits, 0);
    assert_int_equal(prefix_parse(&p, "2001:db8::1/128"), 0);
    assert_int_equal(p.bits, 128);
    assert_int_equal(prefix_parse(&p, "::/0"), 0);
}

static void test_prefix_parse_invalid_is_refused_and_leaves_output(void **state)
{
    static const char *const bad[] = {"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",
        "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8 ", "10.0.0.0/8/8", "10.0.0.0/4294967304",
        "2001:db8::/129", "2001:db8::1/64", "/8", "x/8", "10.0.0.0/0x8"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct prefix p = {.bits = 77};
        if (prefix_parse(&p, bad[i]) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(p.bits, 77);
    }
}

static void test_prefix_rule_parse_valid_gives_range_and_ports(void **state)
{
    static const struct {
        const char *text, *first, *last;
        uint16_t min, max;
    } cases[] = {
        {"10.0.0.1", "10.0.0.1", "10.0.0.1", 0, 65535},
        {"10.0.0.0/8", "10.0.0.0", "10.255.255.255", 0, 65535},
        {"10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.9", 0, 65535},
        {"10.0.0.1-10.0.0.1", "10.0.0.1", "10.0.0.1", 0, 65535},
        {"2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 0, 65535},
        {"2001:db8::1-2001:db8::9", "2001:db8::1", "2001:db8::9", 0, 65535},
        {"::", "::", "::", 0, 65535},
        {"10.0.0.1:80", "10.0.0.1", "10.0.0.1", 80, 80},
        {"10.0.0.0/8:1024-65535", "10.0.0.0", "10.255.255.255", 1024, 65535},
        {"10.0.0.1-10.0.0.9:1-65535", "10.0.0.1", "10.0.0.9", 1, 65535},
        {"[2001:db8::/32]:53", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 53, 53},
        {"[::1-::2]:7-9", "::1", "::2", 7, 9},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct prefix_rule r = rule(cases[i].text);
        struct addr first = ip(cases[i].first), last = ip(cases[i].last);
        assert_true(addr_equal(&r.first, &first));
        assert_true(addr_equal(&r.last, &last));
        assert_int_equal(r.port_min, cases[i].min);
        assert_int_equal(r.port_max, cases[i].max);
    }
}

static void test_prefix_rule_parse_invalid_is_refused_with_reason(void **state)
{
    static const struct {
        const char *text, *part_of_why;
    } cases[] = {
        {"", "not an IP"},
        {"example.org", "not an IP"},
        {"10.0.0.1/8", "bits behind"},
        {"10.0.0.0/33", "prefix length"},
        {"10.0.0.9-10.0.0.1", "ends before"},
        {"10.0.0.1-2001:db8::1", "two address families"},
        {"10.0.0.0/8-10.0.0.9", "between prefixes"},
        {"10.0.0.0-11.0.0.0/8", "between prefixes"},
        {"10.0.0.1-", "not an IP"},
        {"-10.0.0.1", "not an IP"},
        {"10.0.0.1:", "a port"},
        {"10.0.0.1:0", "a port"},
        {"10.0.0.1:65536", "a port"},
        {"10.0.0.1:080", "a port"},
        {"10.0.0.1:80-", "a port"},
        {"10.0.0.1:0-80", "a port"},
        {"10.0.0.1:80-65536", "a port"},
        {"10.0.0.1:90-80", "ends before"},
        {"10.0.0.1:80 ", "a port"},
        {"10.0.0.1:80,90", "a port"},
        {"10.0.0.1:80:90", "not an IP"},
        {"10.0.0.1 ", "not an IP"},
        {" 10.0.0.1", "not an IP"},
        {"[10.0.0.1]:80", "brackets"},
        {"[2001:db8::1]", "brackets"},
        {"[2001:db8::1", "brackets"},
        {"[2001:db8::1]80", "brackets"},
        {"[]:80", "not an IP"},
        {"10.0.0.1:80-90-99", "a port"},
        {"10.0.0.1-10.0.0.2-10.0.0.3", "not an IP"},
        {"2001:db8::1%1", "not an IP"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct prefix_rule r = {.port_min = 77};
        const char *why = NULL;
        if (prefix_rule_parse(&r, cases[i].text, &why) != -EINVAL)
            fail_msg("accepted: %s", cases[i].text);
        if (!why || !strstr(why, cases[i].part_of_why))
            fail_msg("%s: %s", cases[i].text, why ? why : "no reason");
        assert_int_equal(r.port_min, 77);
    }
}

static void test_prefix_rule_parse_overlong_text_is_refused(void **state)
{
    char text[1000];
    memset(text, '1', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct prefix_rule r;
    const char *why = NULL;
    assert_int_equal(prefix_rule_parse(&r, text, &why), -EINVAL);
    assert_non_null(why);
}

static void test_prefix_set_empty_matches_nothing(void **state)
{
    struct prefix_set *set = prefix_set_new();
    struct addr v4 = ip("0.0.0.0"), v6 = ip("::"), none = {0};
    assert_int_equal(prefix_set_match_ip(set, &v4), PREFIX_NONE);
    assert_int_equal(prefix_set_match_ip(set, &v6), PREFIX_NONE);
    assert_int_equal(prefix_set_match_ip(set, &none), PREFIX_NONE);
    assert_false(prefix_set_match(set, &none));
    prefix_set_free(set);
    prefix_set_free(NULL);
}

static void test_prefix_set_whole_families_stay_apart(void **state)
{
    struct prefix_set *set = prefix_set_new();
    struct prefix all = {.ip = ip("::"), .bits = 0};
    assert_int_equal(prefix_set_add(set, &all), 0);
    struct addr v6 = ip("ffff::"), v4 = ip("255.255.255.255"), none = {0};
    assert_int_equal(prefix_set_match_ip(set, &v6), PREFIX_ALL_PORTS);
    assert_int_equal(prefix_set_match_ip(set, &v4), PREFIX_NONE);
    assert_int_equal(prefix_set_match_ip(set, &none), PREFIX_NONE);
    struct prefix_rule whole = rule("0.0.0.0-255.255.255.255");
    assert_int_equal(prefix_set_add_rule(set, &whole), 0);
    assert_int_equal(prefix_set_match_ip(set, &v4), PREFIX_ALL_PORTS);
    prefix_set_free(set);
}

static void test_prefix_set_wider_rule_behind_narrower_still_matches(void **state)
{
    struct prefix_set *set = prefix_set_new();
    struct prefix_rule wide = rule("10.0.0.0/8"), narrow = rule("10.1.2.3:80");
    assert_int_equal(prefix_set_add_rule(set, &narrow), 0);
    struct addr a = ip("10.1.2.3");
    a.port = 81;
    assert_int_equal(prefix_set_match_ip(set, &a), PREFIX_SOME_PORTS);
    assert_false(prefix_set_match(set, &a));
    assert_int_equal(prefix_set_add_rule(set, &wide), 0);
    assert_int_equal(prefix_set_match_ip(set, &a), PREFIX_ALL_PORTS);
    assert_true(prefix_set_match(set, &a));
    prefix_set_free(set);
}

/* The address before (step −1) or behind (step 1), wrapping within its family. */
static struct addr neighbour(struct addr a, int step)
{
    for (size_t i = addr_ip_len(&a); i-- > 0;) {
        a.ip[i] = (uint8_t)(a.ip[i] + step);
        if (a.ip[i] != (step > 0 ? 0 : 0xff))
            break;
    }
    return a;
}

static bool oracle_covers_ip(const struct prefix_rule *r, const struct addr *a)
{
    return r->first.family == a->family && memcmp(a->ip, r->first.ip, 16) >= 0 &&
           memcmp(a->ip, r->last.ip, 16) <= 0;
}

static enum prefix_match check_against_oracle(
    const struct prefix_set *set, const struct prefix_rule *rules, const struct addr *a)
{
    enum prefix_match match = PREFIX_NONE;
    bool covered = false;
    for (size_t i = 0; i < RULES; i++) {
        if (!oracle_covers_ip(&rules[i], a))
            continue;
        bool all = rules[i].port_min == 0 && rules[i].port_max == UINT16_MAX;
        match = all ? PREFIX_ALL_PORTS : match == PREFIX_NONE ? PREFIX_SOME_PORTS : match;
        covered |= a->port >= rules[i].port_min && a->port <= rules[i].port_max;
    }
    assert_int_equal(prefix_set_match_ip(set, a), match);
    assert_int_equal(prefix_set_match(set, a), covered);
    return match;
}

/* Few distinct bytes, so that rules overlap and addresses hit them. */
static struct addr random_ip(uint8_t family)
{
    static const uint8_t bytes[] = {0, 1, 2, 127, 128, 254, 255, 10};
    struct addr a = {.family = family, .port = (uint16_t)(next_random() % 200)};
    for (size_t i = 0; i < addr_ip_len(&a); i++)
        a.ip[i] = next_random() % 4 ? bytes[next_random() % 8] : (uint8_t)next_random();
    return a;
}

static struct prefix_rule random_rule(void)
{
    struct prefix_rule r = {.port_max = UINT16_MAX};
    struct addr a = random_ip(next_random() % 2 ? ADDR_IPV4 : ADDR_IPV6);
    a.port = 0;
    if (next_random() % 2) {
        /* Short prefixes are rare, else everything is covered. */
        unsigned bits = (unsigned)addr_ip_len(&a) * 8 - next_random() % 25;
        struct prefix p = {.ip = addr_masked(&a, bits), .bits = (uint8_t)bits};
        r.first = p.ip;
        r.last = prefix_last(&p);
    } else {
        r.first = a;
        r.last = a;
        for (size_t i = addr_ip_len(&a) - 3; i < addr_ip_len(&a); i++)
            r.last.ip[i] = (uint8_t)(a.ip[i] + next_random() % (256u - a.ip[i]));
    }
    if (next_random() % 2) {
        r.port_min = (uint16_t)(1 + next_random() % 100);
        r.port_max = (uint16_t)(r.port_min + next_random() % 50);
    }
    return r;
}

static void test_prefix_set_random_rules_agree_with_oracle(void **state)
{
    static struct prefix_rule rules[RULES];
    size_t seen[3] = {0};
    struct prefix_set *set = prefix_set_new();
    for (size_t i = 0; i < RULES; i++) {
        rules[i] = random_rule();
        assert_int_equal(prefix_set_add_rule(set, &rules[i]), 0);
    }
    for (size_t i = 0; i < ADDRESSES; i++) {
        struct addr a = random_ip(i % 2 ? ADDR_IPV4 : ADDR_IPV6);
        /* Half of them near a rule: few random addresses would hit one. */
        if (next_random() % 2) {
            const struct prefix_rule *r = &rules[next_random() % RULES];
            uint16_t port = a.port;
            a = next_random() % 2 ? r->first : r->last;
            a.ip[addr_ip_len(&a) - 1 - next_random() % 2] ^= (uint8_t)(next_random() % 4);
            a.port = port;
        }
        seen[check_against_oracle(set, rules, &a)]++;
    }
    for (size_t i = 0; i < 3; i++)
        assert_true(seen[i] > ADDRESSES / 50);
    prefix_set_free(set);
}

static void test_prefix_set_both_edges_are_exact(void **state)
{
    static struct prefix_rule rules[RULES];
    struct prefix_set *set = prefix_set_new();
    for (size_t i = 0; i < RULES; i++) {
        rules[i] = random_rule();
        assert_int_equal(prefix_set_add_rule(set, &rules[i]), 0);
    }
    for (size_t i = 0; i < RULES; i++) {
        const struct prefix_rule *r = &rules[i];
        const struct addr ends[] = {
            r->first, neighbour(r->first, -1), r->last, neighbour(r->last, 1)};
        const int ports[] = {r->port_min - 1, r->port_min, r->port_max, r->port_max + 1};
        for (size_t e = 0; e < 4; e++) {
            for (size_t p = 0; p < 4; p++) {
                struct addr a = ends[e];
                a.port = (uint16_t)ports[p];
                check_against_oracle(set, rules, &a);
            }
        }
    }
    prefix_set_free(set);
}

static void test_prefix_set_single_range_matches_exactly_its_addresses(void **state)
{
    /* Every range inside a /26 next to the end of a byte, exhaustively. */
    for (unsigned first = 224; first < 288; first += 3) {
        for (unsigned last = first; last < 288; last++) {
            struct prefix_rule r = {.port_max = UINT16_MAX};
            r.first = addr_ipv4(10, 0, (uint8_t)(first >> 8), (uint8_t)first, 0);
            r.last = addr_ipv4(10, 0, (uint8_t)(last >> 8), (uint8_t)last, 0);
            struct prefix_set *set = prefix_set_new();
            assert_int_equal(prefix_set_add_rule(set, &r), 0);
            for (unsigned n = 220; n < 292; n++) {
                struct addr a = addr_ipv4(10, 0, (uint8_t)(n >> 8), (uint8_t)n, 0);
                assert_int_equal(prefix_set_match(set, &a), n >= first && n <= last);
            }
            prefix_set_free(set);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix_parse_valid_gives_network_and_bits),
        cmocka_unit_test(test_prefix_parse_invalid_is_refused_and_leaves_output),
        cmocka_unit_test(test_prefix_rule_parse_valid_gives_range_and_ports),
        cmocka_unit_test(test_prefix_rule_parse_invalid_is_refused_with_reason),
        cmocka_unit_test(test_prefix_rule_parse_overlong_text_is_refused),
        cmocka_unit_test(test_prefix_set_empty_matches_nothing),
        cmocka_unit_test(test_prefix_set_whole_families_stay_apart),
        cmocka_unit_test(test_prefix_set_wider_rule_behind_narrower_still_matches),
        cmocka_unit_test(test_prefix_set_random_rules_agree_with_oracle),
        cmocka_unit_test(test_prefix_set_both_edges_are_exact),
        cmocka_unit_test(test_prefix_set_single_range_matches_exactly_its_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
