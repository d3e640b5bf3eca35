/*
 * THREATS row 3, the part of peer rules: fifty mistyped rules are fifty refusals with a reason, and
 * the trie agrees with a list of rules that is walked one by one. That a refusal stops the start
 * with file and line is the configuration's part.
 */
#include "base/prefix.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const bad_rules[] = {
    /* no address */
    "",
    " ",
    "localhost",
    "10",
    "10.0.0",
    "10.0.0.0.0",
    "10.0.0.256",
    "010.0.0.1",
    "0x0a.0.0.1",
    "10.0.0.1 ",
    " 10.0.0.1",
    "10.0.0.1\n",
    "10.0.0.1,10.0.0.2",
    "any",
    "*",
    "10.0.0.*",
    "2001:db8:::1",
    "2001:db8::g",
    "1:2:3:4:5:6:7:8:9",
    "fe80::1%eth0",
    "::ffff:10.0.0.256",
    /* no prefix */
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/8x",
    "10.0.0.0/08",
    "10.0.0.0/ 8",
    "10.0.0.0/255.0.0.0",
    "10.0.0.0/8/8",
    "/8",
    "2001:db8::/129",
    "2001:db8::/",
    "10.0.0.0/4294967304",
    /* bits behind the prefix */
    "10.0.0.1/8",
    "192.168.1.0/16",
    "2001:db8::1/32",
    "128.0.0.0/0",
    "8000::/0",
    /* no range */
    "10.0.0.9-10.0.0.1",
    "10.0.0.1-",
    "-10.0.0.1",
    "10.0.0.1-10.0.0.2-10.0.0.3",
    "10.0.0.1-9",
    "10.0.0.1-2001:db8::1",
    "2001:db8::2-2001:db8::1",
    "10.0.0.0/24-10.0.1.0/24",
    "10.0.0.1 - 10.0.0.9",
    /* no ports */
    "10.0.0.1:",
    "10.0.0.1:0",
    "10.0.0.1:65536",
    "10.0.0.1:-1",
    "10.0.0.1:80-",
    "10.0.0.1:-80",
    "10.0.0.1:90-80",
    "10.0.0.1:80-90-100",
    "10.0.0.1:http",
    "10.0.0.1:80,81",
    "10.0.0.1:080",
    "10.0.0.1:0-80",
    "10.0.0.1:80-65536",
    "[2001:db8::1]",
    "[2001:db8::1]80",
    "[2001:db8::1]:",
    "[2001:db8::1",
    "2001:db8::1]:80",
    "[10.0.0.1]:80",
    "[2001:db8::1]:80x",
};

static void test_bad_rules_are_all_refused_with_a_reason(void **state)
{
    assert_true(COUNT(bad_rules) >= 50);
    for (size_t i = 0; i < COUNT(bad_rules); i++) {
        struct prefix_rule rule, before;
        const char *why = NULL;
        memset(&rule, 0x5a, sizeof rule);
        before = rule;
        if (prefix_rule_parse(&rule, bad_rules[i], &why) != -EINVAL)
            fail_msg("\"%s\" was taken for a rule", bad_rules[i]);
        assert_non_null(why);
        assert_true(strlen(why) > 8);
        assert_memory_equal(&rule, &before, sizeof rule);
    }
}

static void test_overlong_rule_is_refused(void **state)
{
    char text[4096];
    struct prefix_rule rule;
    const char *why = NULL;

    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(prefix_rule_parse(&rule, text, &why), -EINVAL);
    assert_non_null(why);
}

static void test_good_rules_cover_what_they_say(void **state)
{
    static const struct {
        const char *text, *first, *last;
        uint16_t port_min, port_max;
    } good[] = {
        {"10.0.0.1", "10.0.0.1", "10.0.0.1", 0, 65535},
        {"10.0.0.0/8", "10.0.0.0", "10.255.255.255", 0, 65535},
        {"0.0.0.0/0", "0.0.0.0", "255.255.255.255", 0, 65535},
        {"10.0.0.1/32", "10.0.0.1", "10.0.0.1", 0, 65535},
        {"10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.9", 0, 65535},
        {"10.0.0.1:80", "10.0.0.1", "10.0.0.1", 80, 80},
        {"10.0.0.0/8:1024-65535", "10.0.0.0", "10.255.255.255", 1024, 65535},
        {"10.0.0.1-10.0.0.9:1-2", "10.0.0.1", "10.0.0.9", 1, 2},
        {"2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 0, 65535},
        {"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0, 65535},
        {"2001:db8::1-2001:db8::9", "2001:db8::1", "2001:db8::9", 0, 65535},
        {"[2001:db8::/32]:53", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 53, 53},
        {"[2001:db8::1]:65535", "2001:db8::1", "2001:db8::1", 65535, 65535},
    };

    for (size_t i = 0; i < COUNT(good); i++) {
        struct prefix_rule rule;
        struct addr first, last;
        const char *why;
        assert_int_equal(addr_parse_ip(&first, good[i].first), 0);
        assert_int_equal(addr_parse_ip(&last, good[i].last), 0);
        if (prefix_rule_parse(&rule, good[i].text, &why) != 0)
            fail_msg("\"%s\": %s", good[i].text, why);
        assert_true(addr_equal_ip(&rule.first, &first) && addr_equal_ip(&rule.last, &last));
        assert_int_equal(rule.port_min, good[i].port_min);
        assert_int_equal(rule.port_max, good[i].port_max);
    }
}

static uint32_t draw_state = 1;

/* xorshift: the same rules in every run. */
static uint32_t draw(void)
{
    draw_state ^= draw_state << 13;
    draw_state ^= draw_state >> 17;
    draw_state ^= draw_state << 5;
    return draw_state;
}

/* Few distinct bytes, so that rules overlap and addresses hit. */
static struct addr draw_addr(void)
{
    struct addr addr = {
        .family = draw() & 1 ? ADDR_IPV4 : ADDR_IPV6, .port = (uint16_t)(draw() & 15)};

    for (size_t i = 0; i < addr_ip_len(&addr); i++)
        addr.ip[i] = (draw() & 3) ? 10 : (uint8_t)(draw() % 3 * 127);
    return addr;
}

static struct prefix_rule draw_rule(void)
{
    struct prefix_rule rule = {.first = draw_addr(), .port_max = UINT16_MAX};

    rule.last = rule.first;
    for (size_t i = draw() % (addr_ip_len(&rule.first) + 1); i < addr_ip_len(&rule.first); i++)
        rule.last.ip[i] = (uint8_t)(rule.last.ip[i] + draw() % (256u - rule.last.ip[i]));
    if (draw() & 1) {
        rule.port_min = (uint16_t)(1 + (draw() & 7));
        rule.port_max = (uint16_t)(rule.port_min + (draw() & 3));
    }
    return rule;
}

static bool covers_ip(const struct prefix_rule *rule, const struct addr *addr)
{
    size_t len = addr_ip_len(addr);

    return rule->first.family == addr->family && memcmp(addr->ip, rule->first.ip, len) >= 0 &&
           memcmp(addr->ip, rule->last.ip, len) <= 0;
}

static void check_against_list(
    const struct prefix_set *set, const struct prefix_rule *rules, size_t count)
{
    struct addr addr = draw_addr();
    enum prefix_match ip = PREFIX_NONE;
    bool match = false;

    if (draw() & 1) { /* an edge of a rule */
        const struct prefix_rule *rule = &rules[draw() % count];
        uint16_t port = addr.port;
        addr = draw() & 1 ? rule->first : rule->last;
        addr.port = port;
        addr.ip[addr_ip_len(&addr) - 1] += (uint8_t)(draw() % 3 - 1);
    }
    for (size_t i = 0; i < count; i++) {
        if (!covers_ip(&rules[i], &addr))
            continue;
        bool all = rules[i].port_min == 0;
        ip = all ? PREFIX_ALL_PORTS : ip == PREFIX_NONE ? PREFIX_SOME_PORTS : ip;
        match |= addr.port >= rules[i].port_min && addr.port <= rules[i].port_max;
    }
    assert_int_equal(prefix_set_match_ip(set, &addr), ip);
    assert_int_equal(prefix_set_match(set, &addr), match);
}

static void test_trie_agrees_with_a_list_of_rules(void **state)
{
    for (unsigned round = 0; round < 200; round++) {
        struct prefix_rule rules[12];
        struct prefix_set *set = prefix_set_new();
        size_t count = 1 + draw() % COUNT(rules);
        assert_non_null(set);
        for (size_t i = 0; i < count; i++) {
            rules[i] = draw_rule();
            assert_int_equal(prefix_set_add_rule(set, &rules[i]), 0);
        }
        for (unsigned i = 0; i < 2000; i++)
            check_against_list(set, rules, count);
        prefix_set_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_rules_are_all_refused_with_a_reason),
        cmocka_unit_test(test_overlong_rule_is_refused),
        cmocka_unit_test(test_good_rules_cover_what_they_say),
        cmocka_unit_test(test_trie_agrees_with_a_list_of_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
