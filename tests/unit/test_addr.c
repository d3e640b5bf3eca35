/* base/addr: conversion, strict text forms, classification and masks. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/addr.h"

static struct addr parsed(const char *text)
{
    struct addr addr = {0};
    assert_int_equal(addr_parse(&addr, text), 0);
    return addr;
}

static struct addr parsed_ip(const char *text)
{
    struct addr addr = {0};
    assert_int_equal(addr_parse_ip(&addr, text), 0);
    return addr;
}

static void test_addr_ipv4_has_network_order_and_zeros(void **state)
{
    struct addr a = addr_ipv4(192, 0, 2, 1, 3478);
    const struct addr expected = {.family = ADDR_IPV4, .port = 3478, .ip = {192, 0, 2, 1}};
    assert_memory_equal(&a, &expected, sizeof(a));
}

static void test_addr_sockaddr_ipv4_round_trips(void **state)
{
    struct addr a = addr_ipv4(192, 0, 2, 1, 0x1234), back;
    struct sockaddr_storage storage;
    assert_int_equal(addr_to_sockaddr(&a, &storage), sizeof(struct sockaddr_in));
    struct sockaddr_in in;
    memcpy(&in, &storage, sizeof(in));
    assert_int_equal(in.sin_family, AF_INET);
    assert_int_equal(in.sin_port, htons(0x1234));
    assert_int_equal(in.sin_addr.s_addr, inet_addr("192.0.2.1"));
    assert_int_equal(addr_from_sockaddr(&back, (struct sockaddr *)&storage), 0);
    assert_memory_equal(&a, &back, sizeof(a));
}

static void test_addr_sockaddr_ipv6_round_trips_with_scope(void **state)
{
    struct addr a = parsed("[fe80::1]:80"), back;
    a.scope = 7;
    struct sockaddr_storage storage;
    assert_int_equal(addr_to_sockaddr(&a, &storage), sizeof(struct sockaddr_in6));
    assert_int_equal(addr_from_sockaddr(&back, (struct sockaddr *)&storage), 0);
    assert_memory_equal(&a, &back, sizeof(a));
}

static void test_addr_sockaddr_mapped_becomes_ipv4(void **state)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(99), .sin6_scope_id = 3};
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr), 1);
    struct addr got, expected = addr_ipv4(192, 0, 2, 1, 99);
    assert_int_equal(addr_from_sockaddr(&got, (struct sockaddr *)&in6), 0);
    assert_memory_equal(&got, &expected, sizeof(got));
}

static void test_addr_sockaddr_other_family_is_refused_and_leaves_output(void **state)
{
    struct sockaddr_storage storage = {.ss_family = AF_UNIX};
    struct addr a = addr_ipv4(1, 2, 3, 4, 5), before = a;
    assert_int_equal(addr_from_sockaddr(&a, (struct sockaddr *)&storage), -EAFNOSUPPORT);
    assert_memory_equal(&a, &before, sizeof(a));
}

static void test_addr_sockaddr_none_is_unspecified_family(void **state)
{
    struct addr none = {0};
    struct sockaddr_storage storage;
    memset(&storage, 0xff, sizeof(storage));
    assert_int_equal(addr_to_sockaddr(&none, &storage), sizeof(sa_family_t));
    assert_int_equal(storage.ss_family, AF_UNSPEC);
}

static void test_addr_parse_valid_text_formats_back(void **state)
{
    static const char *const texts[] = {"192.0.2.1:80", "0.0.0.0:0", "255.255.255.255:65535",
        "[2001:db8::1]:80", "[::]:0", "[::1]:65535", "[2001:db8:1:2:3:4:5:6]:3478"};
    char out[ADDR_TEXT_MAX];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct addr a = parsed(texts[i]);
        assert_string_equal(addr_format(&a, out, sizeof(out)), texts[i]);
    }
}

static void test_addr_parse_invalid_text_is_refused_and_leaves_output(void **state)
{
    static const char *const texts[] = {"", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536",
        "192.0.2.1:080", "192.0.2.1:+80", "192.0.2.1: 80", "192.0.2.1:80 ", " 192.0.2.1:80",
        "192.0.2:80", "192.0.2.256:80", "192.0.2.01:80", "2001:db8::1", "2001:db8::1:80",
        "[2001:db8::1]", "[2001:db8::1]80", "[2001:db8::1]:", "[2001:db8::1:80", "[192.0.2.1]:80",
        "[fe80::1%1]:80", "[]:80", ":80", "host:80", "192.0.2.1:4294967376", "[::1]]:80",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee]:1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct addr a = addr_ipv4(1, 2, 3, 4, 5), before = a;
        if (addr_parse(&a, texts[i]) != -EINVAL)
            fail_msg("accepted: %s", texts[i]);
        assert_memory_equal(&a, &before, sizeof(a));
    }
}

static void test_addr_parse_ip_takes_whole_text_only(void **state)
{
    static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4 ", "1.2.3.4:5",
        "[::1]", "fe80::1%lo", ":::", "1::2::3", "0x1.2.3.4", "12345::"};
    struct addr a = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (addr_parse_ip(&a, bad[i]) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
    }
    a = parsed_ip("2001:db8::1");
    assert_int_equal(a.family, ADDR_IPV6);
    assert_int_equal(a.port, 0);
    assert_int_equal(a.ip[0], 0x20);
    assert_int_equal(a.ip[15], 1);
}

static void test_addr_format_shows_scope_and_none(void **state)
{
    char out[ADDR_TEXT_MAX];
    struct addr a = parsed("[fe80::1]:80"), none = {0};
    a.scope = 4294967295u;
    assert_string_equal(addr_format(&a, out, sizeof(out)), "[fe80::1%4294967295]:80");
    assert_string_equal(addr_format_ip(&a, out, sizeof(out)), "fe80::1%4294967295");
    assert_string_equal(addr_format(&none, out, sizeof(out)), "none");
    a = addr_ipv4(192, 0, 2, 1, 80);
    assert_string_equal(addr_format_ip(&a, out, sizeof(out)), "192.0.2.1");
}

static void test_addr_format_short_buffer_truncates_within_it(void **state)
{
    char out[8];
    memset(out, '#', sizeof(out));
    struct addr a = addr_ipv4(192, 0, 2, 1, 80);
    addr_format(&a, out, 5);
    assert_memory_equal(out, "192.\0###", 8);
}

static void test_addr_equal_looks_at_each_part(void **state)
{
    struct addr a = parsed("[2001:db8::1]:80"), b = a;
    assert_true(addr_equal(&a, &b));
    b.port = 81;
    assert_false(addr_equal(&a, &b));
    assert_true(addr_equal_ip(&a, &b));
    b = a;
    b.scope = 1;
    assert_false(addr_equal(&a, &b));
    assert_true(addr_equal_ip(&a, &b));
    b = a;
    b.ip[15] = 2;
    assert_false(addr_equal(&a, &b));
    assert_false(addr_equal_ip(&a, &b));
    struct addr v4 = addr_ipv4(0, 0, 0, 0, 0), v6 = parsed_ip("::");
    assert_false(addr_equal_ip(&v4, &v6));
}

static void test_addr_classes_have_exact_edges(void **state)
{
    struct addr none = {0}, any4 = parsed_ip("0.0.0.0"), any6 = parsed_ip("::");
    assert_true(addr_is_unspecified(&none));
    assert_true(addr_is_unspecified(&any4));
    assert_true(addr_is_unspecified(&any6));
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {{"126.255.255.255", false}, {"127.0.0.0", true}, {"127.255.255.255", true},
        {"128.0.0.0", false}, {"::1", true}, {"::2", false}, {"::", false}, {"7f00::", false},
        {"1::1", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr a = parsed_ip(cases[i].text);
        assert_int_equal(addr_is_loopback(&a), cases[i].loopback);
        assert_int_equal(addr_is_unspecified(&a), strcmp(cases[i].text, "::") == 0);
    }
    assert_int_equal(addr_ip_len(&none), 0);
    assert_int_equal(addr_ip_len(&any4), 4);
    assert_int_equal(addr_ip_len(&any6), 16);
}

static void test_addr_masked_clears_exactly_the_bits_behind(void **state)
{
    static const char *const families[] = {
        "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
    for (size_t f = 0; f < 2; f++) {
        struct addr ones = parsed_ip(families[f]);
        ones.port = 80;
        unsigned width = (unsigned)addr_ip_len(&ones) * 8;
        for (unsigned bits = 0; bits <= width + 8; bits++) {
            struct addr masked = addr_masked(&ones, bits);
            assert_int_equal(masked.port, 0);
            for (unsigned bit = 0; bit < 128; bit++) {
                unsigned got = masked.ip[bit / 8] >> (7 - bit % 8) & 1;
                assert_int_equal(got, bit < bits && bit < width);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addr_ipv4_has_network_order_and_zeros),
        cmocka_unit_test(test_addr_sockaddr_ipv4_round_trips),
        cmocka_unit_test(test_addr_sockaddr_ipv6_round_trips_with_scope),
        cmocka_unit_test(test_addr_sockaddr_mapped_becomes_ipv4),
        cmocka_unit_test(test_addr_sockaddr_other_family_is_refused_and_leaves_output),
        cmocka_unit_test(test_addr_sockaddr_none_is_unspecified_family),
        cmocka_unit_test(test_addr_parse_valid_text_formats_back),
        cmocka_unit_test(test_addr_parse_invalid_text_is_refused_and_leaves_output),
        cmocka_unit_test(test_addr_parse_ip_takes_whole_text_only),
        cmocka_unit_test(test_addr_format_shows_scope_and_none),
        cmocka_unit_test(test_addr_format_short_buffer_truncates_within_it),
        cmocka_unit_test(test_addr_equal_looks_at_each_part),
        cmocka_unit_test(test_addr_classes_have_exact_edges),
        cmocka_unit_test(test_addr_masked_clears_exactly_the_bits_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
