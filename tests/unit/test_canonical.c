/* The IPv4 addresses inside IPv6 addresses: RFC 6052's own table, every other form, and what only
 * looks like one. */
#include "relay/canonical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct addr ip(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse_ip(&addr, text), 0);
    addr.port = 4242;
    return addr;
}

/* What must be found behind `text` besides itself: `expected`, up to four, NULL ends them. */
static void assert_forms(const char *text, const char *nat64, const char *const expected[])
{
    struct prefix prefix;
    struct addr out[CANONICAL_MAX], addr = ip(text);
    unsigned n = 0;

    if (nat64)
        assert_int_equal(prefix_parse(&prefix, nat64), 0);
    unsigned count = canonical_addresses(&addr, nat64 ? &prefix : NULL, nat64 ? 1 : 0, out);
    assert_true(addr_equal(&out[0], &addr));
    for (; expected[n]; n++) {
        struct addr want = ip(expected[n]);
        assert_true(n + 1 < count);
        assert_memory_equal(&out[n + 1], &want, sizeof want);
    }
    assert_int_equal(count, n + 1);
}

#define ASSERT_FORMS(text, nat64, ...)                                                             \
    assert_forms(text, nat64, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void test_canonical_rfc6052_table_finds_ipv4(void **state)
{
    /* RFC 6052 section 2.4, tables 1 and 2. */
    ASSERT_FORMS("2001:db8:c000:221::", "2001:db8::/32", "192.0.2.33");
    ASSERT_FORMS("2001:db8:1c0:2:21::", "2001:db8:100::/40", "192.0.2.33");
    ASSERT_FORMS("2001:db8:122:c000:2:2100::", "2001:db8:122::/48", "192.0.2.33");
    ASSERT_FORMS("2001:db8:122:3c0:0:221::", "2001:db8:122:300::/56", "192.0.2.33");
    ASSERT_FORMS("2001:db8:122:344:c0:2:2100::", "2001:db8:122:344::/64", "192.0.2.33");
    ASSERT_FORMS("2001:db8:122:344::192.0.2.33", "2001:db8:122:344::/96", "192.0.2.33");
    ASSERT_FORMS("64:ff9b::192.0.2.33", NULL, "192.0.2.33");
}

static void test_canonical_suffix_and_u_octet_are_ignored(void **state)
{
    ASSERT_FORMS("2001:db8:c000:221:ff12:3456:789a:bcde", "2001:db8::/32", "192.0.2.33");
    ASSERT_FORMS("2001:db8:122:344:ffc0:2:21ff:ffff", "2001:db8:122:344::/64", "192.0.2.33");
}

static void test_canonical_low_forms_find_ipv4(void **state)
{
    ASSERT_FORMS("::ffff:10.1.2.3", NULL, "10.1.2.3");
    ASSERT_FORMS("::10.1.2.3", NULL, "10.1.2.3");
    ASSERT_FORMS("::ffff:0:10.1.2.3", NULL, "10.1.2.3");
    ASSERT_FORMS("::0.0.0.2", NULL, "0.0.0.2");
}

static void test_canonical_unspecified_and_loopback_embed_nothing(void **state)
{
    ASSERT_FORMS("::", NULL);
    ASSERT_FORMS("::1", NULL);
}

static void test_canonical_isatap_finds_ipv4(void **state)
{
    ASSERT_FORMS("2a02:26f0::5efe:10.1.2.3", NULL, "10.1.2.3");
    ASSERT_FORMS("2a02:26f0::200:5efe:10.1.2.3", NULL, "10.1.2.3");
    ASSERT_FORMS("2a02:26f0::400:5efe:10.1.2.3", NULL);
    ASSERT_FORMS("2a02:26f0::1:5efe:10.1.2.3", NULL);
}

static void test_canonical_local_use_prefix_tries_every_length(void **state)
{
    /* Octets 6 to 15: 01 02 03 04 05 06 07 08 09 0a. */
    ASSERT_FORMS(
        "64:ff9b:1:102:304:506:708:90a", NULL, "1.2.4.5", "2.4.5.6", "4.5.6.7", "7.8.9.10");
}

static void test_canonical_local_use_prefix_configured_uses_its_length(void **state)
{
    ASSERT_FORMS("64:ff9b:1::10.1.2.3", "64:ff9b:1::/96", "10.1.2.3");
    ASSERT_FORMS("64:ff9b:1:102:304:506:708:90a", "64:ff9b:1:102::/64", "4.5.6.7");
}

static void test_canonical_isatap_in_nat64_prefix_finds_both(void **state)
{
    ASSERT_FORMS("2a01:1:0808:0808:0:5efe:10.1.2.3", "2a01:1::/32", "8.8.8.8", "10.1.2.3");
}

static void test_canonical_overlapping_prefixes_fit_the_output(void **state)
{
    static const char *const texts[] = {"2a01:1::/32", "2a01:1::/40", "2a01:1::/48", "2a01:1::/56",
        "2a01:1::/64", "2a01:1::/96", "2a01:1::/96"};
    struct prefix nat64[7];
    struct addr out[CANONICAL_MAX], addr = ip("2a01:1::5efe:10.1.2.3");

    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(prefix_parse(&nat64[i], texts[i]), 0);
    addr.ip[8] = addr.ip[9] = addr.ip[10] = addr.ip[11] = 0;
    assert_int_equal(canonical_addresses(&addr, nat64, 7, out), CANONICAL_MAX);
}

static void test_canonical_ordinary_addresses_embed_nothing(void **state)
{
    ASSERT_FORMS("2606:4700::1111", NULL);
    ASSERT_FORMS("2606:4700::1111", "2606:4701::/32");
    ASSERT_FORMS("2a02:26f0::10.1.2.3", NULL);
    ASSERT_FORMS("64:ff9b::1:10.1.2.3", NULL);
    ASSERT_FORMS("::1:ffff:10.1.2.3", NULL);
    ASSERT_FORMS("::fffe:10.1.2.3", NULL);
    ASSERT_FORMS("::ffff:1:10.1.2.3", NULL);
    ASSERT_FORMS("192.0.2.1", "::/96");
}

static void test_canonical_tunnels_are_named(void **state)
{
    static const char *const yes[] = {"2002::", "2002:808:808::1", "2001::", "2001:0:ffff::1",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"};
    static const char *const no[] = {"2001:1::", "2003::", "2001:db8::1", "32.2.0.0", "32.1.0.0",
        "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
    struct addr addr;

    for (unsigned i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        addr = ip(yes[i]);
        assert_true(canonical_is_tunnel(&addr));
    }
    for (unsigned i = 0; i < sizeof no / sizeof no[0]; i++) {
        addr = ip(no[i]);
        assert_false(canonical_is_tunnel(&addr));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_rfc6052_table_finds_ipv4),
        cmocka_unit_test(test_canonical_suffix_and_u_octet_are_ignored),
        cmocka_unit_test(test_canonical_low_forms_find_ipv4),
        cmocka_unit_test(test_canonical_unspecified_and_loopback_embed_nothing),
        cmocka_unit_test(test_canonical_isatap_finds_ipv4),
        cmocka_unit_test(test_canonical_local_use_prefix_tries_every_length),
        cmocka_unit_test(test_canonical_local_use_prefix_configured_uses_its_length),
        cmocka_unit_test(test_canonical_isatap_in_nat64_prefix_finds_both),
        cmocka_unit_test(test_canonical_overlapping_prefixes_fit_the_output),
        cmocka_unit_test(test_canonical_ordinary_addresses_embed_nothing),
        cmocka_unit_test(test_canonical_tunnels_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
