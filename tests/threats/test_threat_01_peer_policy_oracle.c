/*
 * THREATS row 1: no address trick reaches a refused block. Both edges ±1 of every block in every
 * encoding, and 10^6 addresses that lean towards edges, are judged by the policy and by an oracle
 * that shares no code with it: ranges of 128-bit integers, typed in here once more, and the IPv4
 * address cut out with shifts. Then the own addresses: listeners, interfaces, relayed ports.
 */
#include "relay/peer_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef unsigned __int128 u128;

/* A shift by 64 of what may be 0 is taken for one that is not defined. */
#define MIDDLE ((u128)1 << 64)

#define U128(high, low) ((u128)(uint64_t)(high) << 64 | (uint64_t)(low))
#define COUNT(array)    (sizeof(array) / sizeof((array)[0]))

struct range4 {
    uint32_t first, last;
};

struct range6 {
    u128 first, last;
};

static const struct range4 refused4[] = {
    {0x00000000, 0x00ffffff},
    {0x0a000000, 0x0affffff},
    {0x64400000, 0x647fffff},
    {0x7f000000, 0x7fffffff},
    {0xa9fe0000, 0xa9feffff},
    {0xac100000, 0xac1fffff},
    {0xc0000000, 0xc00000ff},
    {0xc0000200, 0xc00002ff},
    {0xc01fc400, 0xc01fc4ff},
    {0xc034c100, 0xc034c1ff},
    {0xc0586300, 0xc05863ff},
    {0xc0a80000, 0xc0a8ffff},
    {0xc0af3000, 0xc0af30ff},
    {0xc6120000, 0xc613ffff},
    {0xc6336400, 0xc63364ff},
    {0xcb007100, 0xcb0071ff},
    {0xe0000000, 0xffffffff},
};

#define TO_END64 0xffffffffffffffff

static const struct range6 refused6[] = {
    {0, 1},
    {U128(0x0064ff9b00010000, 0), U128(0x0064ff9b0001ffff, TO_END64)},
    {U128(0x0100000000000000, 0), U128(0x0100000000000001, TO_END64)},
    {U128(0x2001000000000000, 0), U128(0x200101ffffffffff, TO_END64)},
    {U128(0x20010db800000000, 0), U128(0x20010db8ffffffff, TO_END64)},
    {U128(0x2002000000000000, 0), U128(0x2002ffffffffffff, TO_END64)},
    {U128(0x2620004f80000000, 0), U128(0x2620004f8000ffff, TO_END64)},
    {U128(0x3fff000000000000, 0), U128(0x3fff0fffffffffff, TO_END64)},
    {U128(0x5f00000000000000, 0), U128(0x5f00ffffffffffff, TO_END64)},
    {U128(0xfc00000000000000, 0), U128(0xfdffffffffffffff, TO_END64)},
    {U128(0xfe80000000000000, 0), U128(0xfeffffffffffffff, TO_END64)},
    {U128(0xff00000000000000, 0), U128(0xffffffffffffffff, TO_END64)},
};

static const struct range6 tunnels[] = {
    {U128(0x2001000000000000, 0), U128(0x20010000ffffffff, TO_END64)},
    {U128(0x2002000000000000, 0), U128(0x2002ffffffffffff, TO_END64)},
};

/* Where the IPv4 address lies, by the length of the prefix before it. */
static uint32_t cut_ipv4(u128 a, unsigned length)
{
    switch (length) {
    case 32:
        return (uint32_t)(a >> 64);
    case 40:
        return (uint32_t)((a >> 64) & 0xffffff) << 8 | (uint32_t)((a >> 48) & 0xff);
    case 48:
        return (uint32_t)((a >> 64) & 0xffff) << 16 | (uint32_t)((a >> 40) & 0xffff);
    case 56:
        return (uint32_t)((a >> 64) & 0xff) << 24 | (uint32_t)((a >> 32) & 0xffffff);
    case 64:
        return (uint32_t)(a >> 24);
    default:
        return (uint32_t)a;
    }
}

/* The reverse: `prefix` has zeros behind `length` bits; `noise` fills "u" and the suffix. */
static u128 put_ipv4(u128 prefix, unsigned length, uint32_t v4, u128 noise)
{
    u128 v = v4, used;

    switch (length) {
    case 32:
        v = v * MIDDLE, used = (u128)0xffffffff << 64;
        break;
    case 40:
        v = (v >> 8) * MIDDLE | (v & 0xff) << 48, used = (u128)0xffffff << 64 | (u128)0xff << 48;
        break;
    case 48:
        v = (v >> 16) * MIDDLE | (v & 0xffff) << 40, used = (u128)0xffff << 64 | (u128)0xffff << 40;
        break;
    case 56:
        v = (v >> 24) * MIDDLE | (v & 0xffffff) << 32,
        used = (u128)0xff << 64 | (u128)0xffffff << 32;
        break;
    case 64:
        v = v << 24, used = (u128)0xffffffff << 24;
        break;
    default:
        used = 0xffffffff;
    }
    u128 below = (~(u128)0 >> (length - 1)) >> 1;
    return prefix | v | (noise & below & ~used);
}

struct nat64 {
    const char *text;
    u128 prefix;
    unsigned length;
};

static const struct nat64 configured[] = {
    {"2a01:1::/32", U128(0x2a01000100000000, 0), 32},
    {"2a01:2:100::/40", U128(0x2a01000201000000, 0), 40},
    {"2a01:3:1::/48", U128(0x2a01000300010000, 0), 48},
    {"2a01:4:1:100::/56", U128(0x2a01000400010100, 0), 56},
    {"2a01:5:1:1::/64", U128(0x2a01000500010001, 0), 64},
    {"2a01:6:1:1::/96", U128(0x2a01000600010001, 0), 96},
    {"fd64:1::/96", U128(0xfd64000100000000, 0), 96},
    {"64:ff9b:1:7::/64", U128(0x0064ff9b00010007, 0), 64},
};

/* What a network may turn into IPv4 without being configured here; those of no fixed prefix are
 * ISATAP. */
struct encoding {
    const char *name;
    u128 prefix;
    unsigned length;
};

static const struct encoding encodings[] = {
    {"mapped", U128(0, 0x0000ffff00000000), 96},
    {"compatible", 0, 96},
    {"::ffff:0:v4", U128(0, 0xffff000000000000), 96},
    {"64:ff9b::/96", U128(0x0064ff9b00000000, 0), 96},
    {"64:ff9b:1::/48", U128(0x0064ff9b00010000, 0), 48},
    {"64:ff9b:1::/48 cut at 56", U128(0x0064ff9b00010100, 0), 56},
    {"64:ff9b:1::/48 cut at 64", U128(0x0064ff9b00010101, 0), 64},
    {"64:ff9b:1::/48 cut at 96", U128(0x0064ff9b00010101, 0x0001020300000000), 96},
    {"ISATAP", U128(0x2a0226f000000001, 0x00005efe00000000), 96},
    {"ISATAP, universal", U128(0x2a0226f000000001, 0x02005efe00000000), 96},
    {"ISATAP, link local", U128(0xfe80000000000000, 0x00005efe00000000), 96},
};

struct oracle {
    bool recommended;
    bool nat64;
};

static bool in4(uint32_t v4, const struct range4 *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (v4 >= ranges[i].first && v4 <= ranges[i].last)
            return true;
    }
    return false;
}

static bool in6(u128 a, const struct range6 *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (a >= ranges[i].first && a <= ranges[i].last)
            return true;
    }
    return false;
}

/* Loopback is ours and stays refused without the recommended blocks. */
static bool oracle_allows4(const struct oracle *o, uint32_t v4)
{
    if (v4 == 0 || v4 >> 24 == 127)
        return false;
    return !o->recommended || !in4(v4, refused4, COUNT(refused4));
}

static bool oracle_allows6(const struct oracle *o, u128 a)
{
    bool translated = false;
    uint64_t low = (uint64_t)a;

    if (a <= 1 || in6(a, tunnels, COUNT(tunnels)))
        return false;
    for (size_t i = 0; o->nat64 && i < COUNT(configured); i++) {
        if ((a ^ configured[i].prefix) >> (128 - configured[i].length))
            continue;
        translated = true;
        if (!oracle_allows4(o, cut_ipv4(a, configured[i].length)))
            return false;
    }
    for (unsigned length = 48; !translated && a >> 80 == 0x0064ff9b0001; length += 8) {
        if (length == 72)
            length = 96;
        if (!oracle_allows4(o, cut_ipv4(a, length)))
            return false;
        if (length == 96)
            break;
    }
    bool low_form = a >> 32 == 0 || a >> 32 == 0xffff || a >> 32 == (u128)0xffff0000;
    bool isatap = low >> 32 == 0x00005efe || low >> 32 == 0x02005efe;
    bool well_known = a >> 32 == (u128)0x0064ff9b << 64;
    if ((low_form || isatap || well_known) && !oracle_allows4(o, (uint32_t)a))
        return false;
    return translated || !o->recommended || !in6(a, refused6, COUNT(refused6));
}

static struct addr addr4(uint32_t v4, uint16_t port)
{
    return addr_ipv4(
        (uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16), (uint8_t)(v4 >> 8), (uint8_t)v4, port);
}

static struct addr addr6(u128 a, uint16_t port)
{
    struct addr addr = {.family = ADDR_IPV6, .port = port};

    for (unsigned i = 0; i < 16; i++)
        addr.ip[i] = (uint8_t)(a >> (120 - 8 * i));
    return addr;
}

struct bench {
    struct oracle oracle;
    struct prefix nat64[COUNT(configured)];
    struct port_maps *maps;
    struct peer_policy *policy;
};

static struct bench bench_new(bool recommended, bool nat64)
{
    struct bench b = {.oracle = {recommended, nat64}};
    struct peer_policy_settings settings = {.deny_recommended = recommended, .nat64 = b.nat64};

    for (; nat64 && settings.nat64_count < COUNT(configured); settings.nat64_count++)
        assert_int_equal(
            prefix_parse(&b.nat64[settings.nat64_count], configured[settings.nat64_count].text), 0);
    b.maps = port_maps_new();
    assert_non_null(b.maps);
    b.policy = peer_policy_new(&settings, b.maps);
    assert_non_null(b.policy);
    return b;
}

static void bench_free(struct bench *b)
{
    peer_policy_free(b->policy);
    port_maps_free(b->maps);
}

static unsigned judged[2]; /* how many were refused, how many allowed */

static void assert_judged(const struct bench *b, const struct addr *addr, bool allowed)
{
    char text[ADDR_TEXT_MAX];
    enum reason permission = peer_policy_permission(b->policy, addr);
    enum reason send = peer_policy_send(b->policy, addr);

    judged[allowed]++;
    if (permission != (allowed ? REASON_NONE : REASON_PEER_FORBIDDEN) ||
        send != (allowed ? REASON_NONE : REASON_PEER_DENIED))
        fail_msg("%s: the oracle says %s, permission %d, send %d",
            addr_format(addr, text, sizeof text), allowed ? "allowed" : "refused", (int)permission,
            (int)send);
}

static void check4(const struct bench *b, uint32_t v4)
{
    struct addr addr = addr4(v4, 40000);

    assert_judged(b, &addr, oracle_allows4(&b->oracle, v4));
}

static void check6(const struct bench *b, u128 a)
{
    struct addr addr = addr6(a, 40000);

    assert_judged(b, &addr, oracle_allows6(&b->oracle, a));
}

static uint64_t draw_state;

/* splitmix64: the same addresses in every run. */
static uint64_t draw(void)
{
    uint64_t z = draw_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static u128 draw128(void)
{
    return (u128)draw() << 64 | draw();
}

/* One IPv4 address in every encoding, with and without noise in the bits that translators ignore.
 */
static void check_encodings(const struct bench *b, uint32_t v4)
{
    check4(b, v4);
    for (size_t i = 0; i < COUNT(encodings); i++) {
        check6(b, put_ipv4(encodings[i].prefix, encodings[i].length, v4, 0));
        check6(b, put_ipv4(encodings[i].prefix, encodings[i].length, v4, draw128()));
    }
    for (size_t i = 0; i < COUNT(configured); i++) {
        check6(b, put_ipv4(configured[i].prefix, configured[i].length, v4, 0));
        check6(b, put_ipv4(configured[i].prefix, configured[i].length, v4, draw128()));
    }
}

static void check_edges(const struct bench *b)
{
    for (size_t i = 0; i < COUNT(refused4); i++) {
        for (uint32_t step = 0; step < 3; step++) {
            check_encodings(b, refused4[i].first - 1 + step);
            check_encodings(b, refused4[i].last - 1 + step);
        }
    }
    for (size_t i = 0; i < COUNT(refused6); i++) {
        for (unsigned step = 0; step < 3; step++) {
            check6(b, refused6[i].first - 1 + step);
            check6(b, refused6[i].last - 1 + step);
        }
    }
    for (size_t i = 0; i < COUNT(encodings); i++) {
        u128 past = put_ipv4(encodings[i].prefix, encodings[i].length, UINT32_MAX, ~(u128)0);
        check6(b, encodings[i].prefix - 1);
        check6(b, past);
        check6(b, past + 1);
    }
    for (size_t i = 0; i < COUNT(configured); i++) {
        u128 past = put_ipv4(configured[i].prefix, configured[i].length, 0x08080808, ~(u128)0);
        check6(b, configured[i].prefix - 1);
        check6(b, put_ipv4(configured[i].prefix - 1, 96, 0x08080808, 0));
        check6(b, past);
        check6(b, put_ipv4(configured[i].prefix, configured[i].length, UINT32_MAX, ~(u128)0) + 1);
    }
}

static void check_random(const struct bench *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t pick = draw();
        const struct range4 *r4 = &refused4[(pick >> 8) % COUNT(refused4)];
        const struct range6 *r6 = &refused6[(pick >> 8) % COUNT(refused6)];
        uint32_t near = (pick & 1 ? r4->first : r4->last) + (uint32_t)(pick >> 40 & 7) - 4;
        uint32_t v4 = pick & 2 ? near : (uint32_t)draw();
        const struct encoding *e = &encodings[(pick >> 16) % COUNT(encodings)];
        const struct nat64 *n = &configured[(pick >> 16) % COUNT(configured)];

        switch (pick >> 2 & 7) {
        case 0:
            check4(b, v4);
            break;
        case 1:
        case 2:
            check6(b, put_ipv4(e->prefix, e->length, v4, draw128()));
            break;
        case 3:
            check6(b, put_ipv4(n->prefix, n->length, v4, draw128()));
            break;
        case 4:
            check6(b, draw128());
            break;
        case 5: /* an ordinary prefix, and an interface identifier that may look like something */
            check6(b, U128(0x2400000000000000 | draw() >> 6, (uint64_t)e->prefix | v4));
            break;
        default:
            check6(b, (pick & 1 ? r6->first : r6->last) + (draw128() >> (draw() & 127)) - 1);
        }
    }
}

static void test_oracle_agrees_by_default(void **state)
{
    struct bench b = bench_new(true, false);

    judged[0] = judged[1] = 0;
    check_edges(&b);
    check_random(&b, 500000);
    assert_true(judged[0] > 50000 && judged[1] > 50000); /* the draws reach both sides */
    bench_free(&b);
}

static void test_oracle_agrees_with_nat64_prefixes(void **state)
{
    struct bench b = bench_new(true, true);

    check_edges(&b);
    check_random(&b, 500000);
    bench_free(&b);
}

static void test_oracle_agrees_without_recommended_blocks(void **state)
{
    struct bench b = bench_new(false, true);

    check_edges(&b);
    check_random(&b, 100000);
    bench_free(&b);
}

/* Said without the oracle: what lies inside a refused IPv4 block is refused in every encoding. */
static void test_refused_ipv4_is_refused_in_every_encoding(void **state)
{
    struct bench b = bench_new(true, true);

    for (size_t i = 0; i < COUNT(refused4); i++) {
        for (unsigned last = 0; last < 2; last++) {
            uint32_t v4 = last ? refused4[i].last : refused4[i].first;
            for (size_t k = 0; k < COUNT(encodings); k++) {
                struct addr addr =
                    addr6(put_ipv4(encodings[k].prefix, encodings[k].length, v4, draw128()), 9);
                assert_judged(&b, &addr, false);
            }
            for (size_t k = 0; k < COUNT(configured); k++) {
                struct addr addr =
                    addr6(put_ipv4(configured[k].prefix, configured[k].length, v4, draw128()), 9);
                assert_judged(&b, &addr, false);
            }
        }
    }
    bench_free(&b);
}

static void test_global_addresses_are_allowed(void **state)
{
    static const char *const peers[] = {"2606:4700::1111", "2606:4700:4700::1111", "8.8.8.8",
        "93.184.216.34", "::ffff:93.184.216.34", "::93.184.216.34", "64:ff9b::93.184.216.34",
        "2a02:26f0::5efe:93.184.216.34", "2a02:26f0::10.0.0.1", "2a00:1450:4001:a00::1",
        "2600::7f00:1", "2a01:6:1:1::8.8.8.8", "fd64:1::8.8.8.8", "2a01:1:808:808::"};
    struct bench b = bench_new(true, true);

    for (size_t i = 0; i < COUNT(peers); i++) {
        struct addr addr;
        assert_int_equal(addr_parse_ip(&addr, peers[i]), 0);
        addr.port = 40000;
        assert_judged(&b, &addr, true);
    }
    bench_free(&b);
}

/* Every line of the published list is refused at both ends, whichever table it was typed from. */
static void test_every_listed_block_is_refused(void **state)
{
    static const char *const blocks[] = {
#define SPECIAL_PURPOSE(prefix, name, reference) prefix,
#define SPECIAL_TRANSLATION(prefix, name, reference)
#include "relay/special_purpose.def"
#undef SPECIAL_PURPOSE
#undef SPECIAL_TRANSLATION
    };
    struct bench b = bench_new(true, false);

    assert_true(COUNT(blocks) >= 45);
    for (size_t i = 0; i < COUNT(blocks); i++) {
        struct prefix_rule rule;
        const char *why;
        assert_int_equal(prefix_rule_parse(&rule, blocks[i], &why), 0);
        rule.first.port = rule.last.port = 40000;
        assert_judged(&b, &rule.first, false);
        assert_judged(&b, &rule.last, false);
    }
    bench_free(&b);
}

static struct addr at(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(&addr, text), 0);
    return addr;
}

static enum reason judge_send(const struct peer_policy *policy, const char *text)
{
    struct addr addr = at(text);

    return peer_policy_send(policy, &addr);
}

/* never > live relayed port > allow_peers > deny_peers, with 1:1 NAT (10.0.0.5
 * behind 93.184.216.5). */
static void test_own_addresses_follow_the_precedence(void **state)
{
    struct addr local = at("10.0.0.5:1"), public = at("93.184.216.5:1"),
                own = at("93.184.219.99:1");
    struct addr never[] = {at("0.0.0.0:3478"), at("93.184.216.34:6379"), at("10.0.0.5:50001")};
    struct prefix_rule allow[] = {{.port_max = UINT16_MAX}, {.port_max = UINT16_MAX}};
    struct prefix_rule deny[] = {{.port_max = UINT16_MAX}};
    struct peer_policy_settings settings = {.deny_recommended = true,
        .own_addresses = &own,
        .own_address_count = 1,
        .never = never,
        .never_count = 3,
        .allow = allow,
        .allow_count = 2,
        .deny = deny,
        .deny_count = 1};
    struct port_maps *maps = port_maps_new();
    struct port_map *map = port_maps_add(maps, &local, &public);
    uint16_t port;

    allow[0].first = allow[0].last = at("93.184.216.34:1");
    allow[1].first = allow[1].last = at("10.7.7.7:1");
    deny[0].first = at("93.184.216.0:1");
    deny[0].last = at("93.184.216.255:1");
    struct peer_policy *policy = peer_policy_new(&settings, maps);
    assert_non_null(policy);
    for (uint16_t p = 50000; p <= 50001; p++) {
        assert_int_equal(port_map_claim(map, p, p, random_system(), &port), 0);
        port_map_set_live(map, p, true);
    }
    assert_int_equal(judge_send(policy, "93.184.216.5:50000"), REASON_NONE);
    assert_int_equal(judge_send(policy, "10.0.0.5:50000"), REASON_NONE);
    assert_int_equal(judge_send(policy, "93.184.216.5:50001"), REASON_PEER_DENIED);
    assert_int_equal(judge_send(policy, "93.184.216.5:50002"), REASON_PEER_PORT_NOT_LIVE);
    assert_int_equal(judge_send(policy, "93.184.216.5:3478"), REASON_PEER_DENIED);
    assert_int_equal(judge_send(policy, "93.184.219.99:50000"), REASON_PEER_DENIED);
    assert_int_equal(judge_send(policy, "[64:ff9b::93.184.219.99]:9"), REASON_PEER_DENIED);
    assert_int_equal(judge_send(policy, "93.184.216.34:80"), REASON_NONE);
    assert_int_equal(judge_send(policy, "93.184.216.34:6379"), REASON_PEER_DENIED);
    assert_int_equal(judge_send(policy, "93.184.216.35:80"), REASON_PEER_DENIED);
    assert_int_equal(judge_send(policy, "10.7.7.7:80"), REASON_NONE);
    assert_int_equal(judge_send(policy, "10.7.7.8:80"), REASON_PEER_DENIED);
    port_map_release(map, 50000);
    port_map_release(map, 50001);
    assert_int_equal(judge_send(policy, "93.184.216.5:50000"), REASON_PEER_PORT_NOT_LIVE);
    peer_policy_free(policy);
    port_maps_free(maps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle_agrees_by_default),
        cmocka_unit_test(test_oracle_agrees_with_nat64_prefixes),
        cmocka_unit_test(test_oracle_agrees_without_recommended_blocks),
        cmocka_unit_test(test_refused_ipv4_is_refused_in_every_encoding),
        cmocka_unit_test(test_global_addresses_are_allowed),
        cmocka_unit_test(test_every_listed_block_is_refused),
        cmocka_unit_test(test_own_addresses_follow_the_precedence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
