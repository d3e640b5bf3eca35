/* The readers of attribute values: each at every length, and that a refusal writes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/stun_raw.h"

#define LONGEST 40

/* A value of `len` bytes 1, 2, 3 ... at the end of its memory; free() it. */
static uint8_t *exact(size_t len)
{
    uint8_t *bytes = malloc(len == 0 ? 1 : len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i + 1);
    return bytes;
}

static void test_stun_read_u32_takes_four_bytes(void **state)
{
    for (size_t len = 0; len < LONGEST; len++) {
        uint8_t *bytes = exact(len);
        uint32_t out = 7;
        assert_int_equal(stun_read_u32(slice_of(bytes, len), &out), len == 4);
        assert_int_equal(out, len == 4 ? 0x01020304 : 7);
        free(bytes);
    }
}

static void test_stun_read_channel_takes_four_bytes_and_ignores_two(void **state)
{
    for (size_t len = 0; len < LONGEST; len++) {
        uint8_t *bytes = exact(len);
        uint16_t out = 7;
        assert_int_equal(stun_read_channel(slice_of(bytes, len), &out), len == 4);
        assert_int_equal(out, len == 4 ? 0x0102 : 7);
        free(bytes);
    }
}

static void test_stun_read_transport_takes_four_bytes_and_ignores_three(void **state)
{
    for (size_t len = 0; len < LONGEST; len++) {
        uint8_t *bytes = exact(len);
        uint8_t out = 7;
        assert_int_equal(stun_read_transport(slice_of(bytes, len), &out), len == 4);
        assert_int_equal(out, len == 4 ? 1 : 7);
        free(bytes);
    }
}

static void test_stun_read_family_tells_every_value(void **state)
{
    for (unsigned family = 0; family < 256; family++) {
        const uint8_t bytes[] = {(uint8_t)family, 9, 9, 9};
        const enum addr_family expected = family == 1   ? ADDR_IPV4
                                          : family == 2 ? ADDR_IPV6
                                                        : ADDR_NONE;
        enum addr_family out = (enum addr_family)77;
        assert_true(stun_read_family(slice_of(bytes, 4), &out));
        assert_int_equal(out, expected);
    }
}

static void test_stun_read_family_takes_four_bytes(void **state)
{
    for (size_t len = 0; len < LONGEST; len++) {
        uint8_t *bytes = exact(len);
        enum addr_family out = (enum addr_family)77;
        assert_int_equal(stun_read_family(slice_of(bytes, len), &out), len == 4);
        assert_int_equal(out, len == 4 ? ADDR_IPV4 : 77);
        free(bytes);
    }
}

static void test_stun_read_even_port_takes_one_byte_and_one_bit(void **state)
{
    for (unsigned value = 0; value < 256; value++) {
        const uint8_t byte = (uint8_t)value;
        bool reserve = value < 0x80;
        assert_true(stun_read_even_port(slice_of(&byte, 1), &reserve));
        assert_int_equal(reserve, value >= 0x80);
    }
    for (size_t len = 0; len < LONGEST; len++) {
        uint8_t *bytes = exact(len);
        bool reserve = true;
        assert_int_equal(stun_read_even_port(slice_of(bytes, len), &reserve), len == 1);
        assert_int_equal(reserve, len != 1);
        free(bytes);
    }
}

static void test_stun_read_token_takes_eight_bytes(void **state)
{
    const uint8_t token[] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t len = 0; len < LONGEST; len++) {
        uint8_t *bytes = exact(len), out[8] = {0};
        const uint8_t none[8] = {0};
        assert_int_equal(stun_read_token(slice_of(bytes, len), out), len == 8);
        assert_memory_equal(out, len == 8 ? token : none, 8);
        free(bytes);
    }
}

/* --- addresses --- */

static void test_stun_read_addr_takes_the_length_of_its_family(void **state)
{
    for (unsigned family = 0; family < 256; family++) {
        for (size_t len = 0; len < LONGEST; len++) {
            uint8_t *bytes = exact(len);
            if (len >= 2)
                bytes[1] = (uint8_t)family;
            struct addr out = {.family = 77};
            const bool right = (family == 1 && len == 8) || (family == 2 && len == 20);
            assert_int_equal(stun_read_addr(slice_of(bytes, len), &out), right);
            assert_int_equal(out.family, !right ? 77 : family == 1 ? ADDR_IPV4 : ADDR_IPV6);
            free(bytes);
        }
    }
}

static void test_stun_read_addr_gives_a_comparable_value(void **state)
{
    const uint8_t ipv4[] = {0xff, 1, 0x12, 0x34, 192, 0, 2, 1};
    const struct addr expected = addr_ipv4(192, 0, 2, 1, 0x1234);
    struct addr out;
    memset(&out, 0xa5, sizeof(out));
    assert_true(stun_read_addr(slice_of(ipv4, sizeof(ipv4)), &out));
    assert_memory_equal(&out, &expected, sizeof(out));
}

static void parse_header(struct stun_msg *msg, struct raw *r)
{
    raw_begin(r, 0x0003);
    assert_int_equal(raw_parse(msg, r), REASON_NONE);
}

static void test_stun_read_xor_addr_takes_the_length_of_its_family(void **state)
{
    struct raw r;
    struct stun_msg msg;
    parse_header(&msg, &r);
    for (unsigned family = 0; family < 256; family++) {
        for (size_t len = 0; len < LONGEST; len++) {
            uint8_t *bytes = exact(len);
            if (len >= 2)
                bytes[1] = (uint8_t)family;
            struct addr out = {.family = 77};
            const bool right = (family == 1 && len == 8) || (family == 2 && len == 20);
            assert_int_equal(stun_read_xor_addr(&msg, slice_of(bytes, len), &out), right);
            assert_int_equal(out.family, !right ? 77 : family == 1 ? ADDR_IPV4 : ADDR_IPV6);
            free(bytes);
        }
    }
}

static void test_stun_read_xor_addr_ipv4_uses_the_cookie(void **state)
{
    struct raw r;
    struct stun_msg msg;
    struct addr out;
    parse_header(&msg, &r);
    /* The example bytes of RFC 5769 section 2.2. */
    const uint8_t value[] = {0xff, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43};
    const struct addr expected = addr_ipv4(192, 0, 2, 1, 32853);
    assert_true(stun_read_xor_addr(&msg, slice_of(value, sizeof(value)), &out));
    assert_memory_equal(&out, &expected, sizeof(out));
}

static void test_stun_read_xor_addr_never_unmaps(void **state)
{
    struct raw r;
    struct stun_msg msg;
    struct addr out;
    uint8_t value[20] = {0, 2};
    const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    parse_header(&msg, &r);
    for (unsigned i = 0; i < 16; i++)
        value[4 + i] = mapped[i] ^ r.bytes[4 + i];
    assert_true(stun_read_xor_addr(&msg, slice_of(value, sizeof(value)), &out));
    assert_int_equal(out.family, ADDR_IPV6);
    assert_int_equal(out.port, 0x2112);
    assert_int_equal(out.scope, 0);
    assert_memory_equal(out.ip, mapped, 16);
}

/* --- PASSWORD-ALGORITHM --- */

static void test_stun_read_password_algorithm_takes_exactly_one(void **state)
{
    for (unsigned params = 0; params < 20; params++) {
        for (size_t len = 0; len < LONGEST; len++) {
            uint8_t *bytes = exact(len);
            if (len >= 4)
                raw_u16(bytes + 2, params);
            uint16_t out = 7;
            const bool right = len == 4 + (params + 3) / 4 * 4;
            assert_int_equal(stun_read_password_algorithm(slice_of(bytes, len), &out), right);
            assert_int_equal(out, right ? 0x0102 : 7);
            free(bytes);
        }
    }
    const uint8_t huge[] = {0, 2, 0xff, 0xff};
    uint16_t out = 7;
    assert_false(stun_read_password_algorithm(slice_of(huge, sizeof(huge)), &out));
    assert_int_equal(out, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_read_u32_takes_four_bytes),
        cmocka_unit_test(test_stun_read_channel_takes_four_bytes_and_ignores_two),
        cmocka_unit_test(test_stun_read_transport_takes_four_bytes_and_ignores_three),
        cmocka_unit_test(test_stun_read_family_tells_every_value),
        cmocka_unit_test(test_stun_read_family_takes_four_bytes),
        cmocka_unit_test(test_stun_read_even_port_takes_one_byte_and_one_bit),
        cmocka_unit_test(test_stun_read_token_takes_eight_bytes),
        cmocka_unit_test(test_stun_read_addr_takes_the_length_of_its_family),
        cmocka_unit_test(test_stun_read_addr_gives_a_comparable_value),
        cmocka_unit_test(test_stun_read_xor_addr_takes_the_length_of_its_family),
        cmocka_unit_test(test_stun_read_xor_addr_ipv4_uses_the_cookie),
        cmocka_unit_test(test_stun_read_xor_addr_never_unmaps),
        cmocka_unit_test(test_stun_read_password_algorithm_takes_exactly_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
