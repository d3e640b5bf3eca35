/* The STUN writer: exact bytes, padding, limits, and that an error latches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/stun_raw.h"
#include "wire/stun_writer.h"

static const uint8_t transaction[STUN_TRANSACTION_LEN] = {
    0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static struct crypto *crypto;
static struct slice key;

static int setup(void **state)
{
    crypto = crypto_new();
    key = slice_of_string("a key of no importance");
    return crypto == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    crypto_free(crypto);
    return 0;
}

/* The buffer is poisoned: what the writer does not write shows. */
static void begin(struct stun_writer *s, uint8_t *buffer, size_t cap)
{
    memset(s, 0xa5, sizeof(*s));
    memset(buffer, 0xa5, cap);
    stun_write_begin(s, buffer, cap, STUN_REQUEST, STUN_ALLOCATE, transaction);
}

/* Ends the message, and compares what follows the header. */
static void assert_written(
    struct stun_writer *s, const uint8_t *buffer, const void *attrs, size_t len)
{
    assert_int_equal(stun_write_end(s), STUN_HEADER_LEN + len);
    assert_int_equal(buffer[2] << 8 | buffer[3], len);
    assert_memory_equal(buffer + STUN_HEADER_LEN, attrs, len);
}

static void test_stun_write_begin_writes_the_header(void **state)
{
    const uint8_t expected[] = {
        0x01, 0x13, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    struct stun_writer s;
    uint8_t buffer[STUN_HEADER_LEN];
    memset(buffer, 0xa5, sizeof(buffer));
    stun_write_begin(&s, buffer, sizeof(buffer), STUN_ERROR, STUN_ALLOCATE, transaction);
    assert_int_equal(stun_write_end(&s), sizeof(expected));
    assert_memory_equal(buffer, expected, sizeof(expected));
}

static void test_stun_write_attr_pads_with_zeros(void **state)
{
    const char text[] = "abcdefgh";
    for (size_t len = 0; len <= 8; len++) {
        uint8_t expected[12] = {0x80, 0x22, 0, (uint8_t)len};
        struct stun_writer s;
        uint8_t buffer[64];
        memcpy(expected + 4, text, len);
        begin(&s, buffer, sizeof(buffer));
        stun_write_attr(&s, STUN_ATTR_SOFTWARE, slice_of(len == 0 ? NULL : text, len));
        assert_written(&s, buffer, expected, 4 + (len + 3) / 4 * 4);
    }
}

static void test_stun_write_u32_is_big_endian(void **state)
{
    const uint8_t expected[] = {0, 0x0d, 0, 4, 1, 2, 3, 4};
    struct stun_writer s;
    uint8_t buffer[64];
    begin(&s, buffer, sizeof(buffer));
    stun_write_u32(&s, STUN_ATTR_LIFETIME, 0x01020304);
    assert_written(&s, buffer, expected, sizeof(expected));
}

static void test_stun_write_addr_ipv4_is_plain_or_masked(void **state)
{
    const uint8_t expected[] = {0, 0x01, 0, 8, 0, 1, 0x80, 0x55, 192, 0, 2, 1, 0, 0x20, 0, 8, 0, 1,
        0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43};
    const struct addr addr = addr_ipv4(192, 0, 2, 1, 32853);
    struct stun_writer s;
    uint8_t buffer[64];
    begin(&s, buffer, sizeof(buffer));
    stun_write_addr(&s, STUN_ATTR_MAPPED_ADDRESS, &addr);
    stun_write_xor_addr(&s, STUN_ATTR_XOR_MAPPED_ADDRESS, &addr);
    assert_written(&s, buffer, expected, sizeof(expected));
}

static void test_stun_write_addr_ipv6_is_read_back(void **state)
{
    struct addr addr, read;
    struct stun_writer s;
    struct stun_msg msg;
    struct slice value;
    uint8_t buffer[128];
    assert_int_equal(addr_parse(&addr, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"), 0);
    begin(&s, buffer, sizeof(buffer));
    stun_write_addr(&s, STUN_ATTR_MAPPED_ADDRESS, &addr);
    stun_write_xor_addr(&s, STUN_ATTR_XOR_PEER_ADDRESS, &addr);
    const size_t len = stun_write_end(&s);
    assert_int_equal(stun_parse(&msg, slice_of(buffer, len)), REASON_NONE);
    assert_true(stun_find(&msg, STUN_ATTR_MAPPED_ADDRESS, &value));
    assert_memory_equal(value.data + 4, addr.ip, 16);
    assert_true(stun_read_addr(value, &read));
    assert_true(addr_equal(&read, &addr));
    assert_true(stun_find(&msg, STUN_ATTR_XOR_PEER_ADDRESS, &value));
    assert_true(stun_read_xor_addr(&msg, value, &read));
    assert_true(addr_equal(&read, &addr));
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(value.data[4 + i], addr.ip[i] ^ transaction[i]);
}

static void test_stun_write_addr_without_family_fails(void **state)
{
    const struct addr none = {.family = ADDR_NONE};
    for (unsigned masked = 0; masked < 2; masked++) {
        struct stun_writer s;
        uint8_t buffer[64];
        begin(&s, buffer, sizeof(buffer));
        if (masked == 0)
            stun_write_addr(&s, STUN_ATTR_MAPPED_ADDRESS, &none);
        else
            stun_write_xor_addr(&s, STUN_ATTR_XOR_MAPPED_ADDRESS, &none);
        assert_int_equal(stun_write_end(&s), 0);
    }
}

static void test_stun_write_error_takes_300_to_699(void **state)
{
    for (unsigned code = 0; code <= 0xffff; code += code < 1000 ? 1 : 251) {
        const uint8_t expected[] = {0, 9, 0, 4, 0, 0, (uint8_t)(code / 100), (uint8_t)(code % 100)};
        struct stun_writer s;
        uint8_t buffer[64];
        begin(&s, buffer, sizeof(buffer));
        stun_write_error(&s, (uint16_t)code);
        if (code >= 300 && code <= 699)
            assert_written(&s, buffer, expected, sizeof(expected));
        else
            assert_int_equal(stun_write_end(&s), 0);
    }
}

static void test_stun_write_password_algorithms_lists_sha256_and_md5(void **state)
{
    const uint8_t expected[] = {0x80, 0x02, 0, 8, 0, 2, 0, 0, 0, 1, 0, 0};
    struct stun_writer s;
    uint8_t buffer[64];
    begin(&s, buffer, sizeof(buffer));
    stun_write_password_algorithms(&s);
    assert_written(&s, buffer, expected, sizeof(expected));
}

static void test_stun_write_attr_header_counts_what_is_sent_elsewhere(void **state)
{
    for (unsigned len = 0; len <= 9; len++) {
        const uint8_t expected[] = {0, 0x13, 0, (uint8_t)len};
        struct stun_writer s;
        struct stun_msg msg;
        struct slice value;
        uint8_t buffer[64];
        begin(&s, buffer, sizeof(buffer));
        stun_write_attr_header(&s, STUN_ATTR_DATA, (uint16_t)len);
        assert_int_equal(stun_write_end(&s), 24);
        assert_memory_equal(buffer + 20, expected, 4);
        const size_t total = 24 + (len + 3) / 4 * 4;
        assert_int_equal(stun_parse(&msg, slice_of(buffer, total)), REASON_NONE);
        assert_true(stun_find(&msg, STUN_ATTR_DATA, &value));
        assert_int_equal(value.len, len);
    }
}

static void test_stun_write_after_attr_header_fails(void **state)
{
    const struct addr addr = addr_ipv4(192, 0, 2, 1, 1);
    for (unsigned call = 0; call < 8; call++) {
        struct stun_writer s;
        uint8_t buffer[128];
        begin(&s, buffer, sizeof(buffer));
        stun_write_attr_header(&s, STUN_ATTR_DATA, call % 2 == 0 ? 0 : 5);
        switch (call) {
        case 0:
            stun_write_attr(&s, STUN_ATTR_SOFTWARE, slice_of(NULL, 0));
            break;
        case 1:
            stun_write_u32(&s, STUN_ATTR_LIFETIME, 1);
            break;
        case 2:
            stun_write_xor_addr(&s, STUN_ATTR_XOR_PEER_ADDRESS, &addr);
            break;
        case 3:
            stun_write_error(&s, 400);
            break;
        case 4:
            stun_write_attr_header(&s, STUN_ATTR_DATA, 0);
            break;
        case 5:
            stun_write_integrity(&s, crypto, key, false);
            break;
        case 6:
            stun_write_fingerprint(&s);
            break;
        default:
            stun_write_password_algorithms(&s);
            break;
        }
        assert_int_equal(stun_write_end(&s), 0);
    }
}

/* A message with everything in it; returns its length, 0 when it does not fit. */
static size_t write_all(uint8_t *buffer, size_t cap)
{
    const struct addr addr = addr_ipv4(192, 0, 2, 1, 1);
    struct stun_writer s;
    stun_write_begin(&s, buffer, cap, STUN_SUCCESS, STUN_ALLOCATE, transaction);
    stun_write_xor_addr(&s, STUN_ATTR_XOR_MAPPED_ADDRESS, &addr);
    stun_write_attr(&s, STUN_ATTR_NONCE, slice_of_string("12345"));
    stun_write_error(&s, 438);
    stun_write_password_algorithms(&s);
    stun_write_integrity(&s, crypto, key, false);
    stun_write_integrity(&s, crypto, key, true);
    stun_write_fingerprint(&s);
    return stun_write_end(&s);
}

static void test_stun_write_every_capacity_too_small_fails(void **state)
{
    uint8_t buffer[512];
    const size_t full = write_all(buffer, sizeof(buffer));
    assert_int_equal(full, 20 + 12 + 12 + 8 + 12 + 24 + 36 + 8);
    for (size_t cap = 0; cap < full; cap++) {
        memset(buffer, 0xa5, sizeof(buffer));
        assert_int_equal(write_all(buffer, cap), 0);
        for (size_t i = cap; i < sizeof(buffer); i++)
            assert_int_equal(buffer[i], 0xa5);
    }
    assert_int_equal(write_all(buffer, full), full);
}

static void test_stun_write_is_the_same_in_any_buffer(void **state)
{
    uint8_t zeros[512], ones[512];
    memset(zeros, 0, sizeof(zeros));
    memset(ones, 0xff, sizeof(ones));
    const size_t len = write_all(zeros, sizeof(zeros));
    assert_int_not_equal(len, 0);
    assert_int_equal(write_all(ones, sizeof(ones)), len);
    assert_memory_equal(zeros, ones, len);
}

static void test_stun_write_integrity_is_what_the_parser_verifies(void **state)
{
    struct stun_msg msg;
    uint8_t buffer[512];
    const size_t len = write_all(buffer, sizeof(buffer));
    assert_int_equal(stun_parse(&msg, slice_of(buffer, len)), REASON_NONE);
    assert_true(msg.has_fingerprint);
    assert_int_equal(msg.integrity_offset, 64);
    assert_int_equal(msg.integrity256_offset, 88);
    assert_int_equal(stun_verify_integrity(&msg, crypto, key), 0);
    msg.integrity256_offset = 0; /* the other one */
    assert_int_equal(stun_verify_integrity(&msg, crypto, key), 0);
}

static void test_stun_write_value_too_long_fails(void **state)
{
    static uint8_t value[65536], buffer[200000];
    struct stun_writer s;
    begin(&s, buffer, sizeof(buffer));
    stun_write_attr(&s, STUN_ATTR_DATA, slice_of(value, 65536));
    assert_int_equal(stun_write_end(&s), 0);
    /* The largest message that 65535 bytes hold, and one attribute more. */
    begin(&s, buffer, sizeof(buffer));
    stun_write_attr(&s, STUN_ATTR_DATA, slice_of(value, 65508));
    assert_int_equal(stun_write_end(&s), 65532);
    for (unsigned call = 0; call < 4; call++) {
        begin(&s, buffer, sizeof(buffer));
        stun_write_attr(&s, STUN_ATTR_DATA, slice_of(value, 65508));
        if (call == 0)
            stun_write_attr(&s, STUN_ATTR_SOFTWARE, slice_of(NULL, 0));
        else if (call == 1)
            stun_write_integrity(&s, crypto, key, true);
        else if (call == 2)
            stun_write_fingerprint(&s);
        else
            stun_write_attr_header(&s, STUN_ATTR_DATA, 65535);
        assert_int_equal(stun_write_end(&s), 0);
    }
}

static void test_stun_write_error_latches(void **state)
{
    struct stun_writer s;
    uint8_t buffer[128];
    begin(&s, buffer, sizeof(buffer));
    stun_write_error(&s, 0);
    stun_write_u32(&s, STUN_ATTR_LIFETIME, 1);
    stun_write_integrity(&s, crypto, key, true);
    stun_write_fingerprint(&s);
    assert_int_equal(stun_write_end(&s), 0);
    assert_int_equal(stun_write_end(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_write_begin_writes_the_header),
        cmocka_unit_test(test_stun_write_attr_pads_with_zeros),
        cmocka_unit_test(test_stun_write_u32_is_big_endian),
        cmocka_unit_test(test_stun_write_addr_ipv4_is_plain_or_masked),
        cmocka_unit_test(test_stun_write_addr_ipv6_is_read_back),
        cmocka_unit_test(test_stun_write_addr_without_family_fails),
        cmocka_unit_test(test_stun_write_error_takes_300_to_699),
        cmocka_unit_test(test_stun_write_password_algorithms_lists_sha256_and_md5),
        cmocka_unit_test(test_stun_write_attr_header_counts_what_is_sent_elsewhere),
        cmocka_unit_test(test_stun_write_after_attr_header_fails),
        cmocka_unit_test(test_stun_write_every_capacity_too_small_fails),
        cmocka_unit_test(test_stun_write_is_the_same_in_any_buffer),
        cmocka_unit_test(test_stun_write_integrity_is_what_the_parser_verifies),
        cmocka_unit_test(test_stun_write_value_too_long_fails),
        cmocka_unit_test(test_stun_write_error_latches),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
