/*
 * FINGERPRINT, MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256: what the parser accepts of them,
 * what lies outside of what they cover, and the check itself. THREATS row 7.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/stun_key.h"

#define ALLOCATE_REQUEST 0x0003

static const uint16_t known_types[] = {0x0001, 0x0006, 0x0008, 0x0009, 0x000a, 0x000c, 0x000d,
    0x0012, 0x0013, 0x0014, 0x0015, 0x0016, 0x0017, 0x0018, 0x0019, 0x001a, 0x001c, 0x001d, 0x001e,
    0x0020, 0x0022, 0x8000, 0x8001, 0x8002, 0x8003, 0x8004, 0x8022, 0x8023};
#define KNOWN_COUNT (sizeof(known_types) / sizeof(known_types[0]))

static void begin_with_lifetime(struct raw *r)
{
    raw_begin(r, ALLOCATE_REQUEST);
    raw_attr(r, STUN_ATTR_LIFETIME, "\0\0\x02\x58", 4);
}

static void parse(struct stun_msg *msg, const struct raw *r)
{
    memset(msg, 0xa5, sizeof(*msg));
    assert_int_equal(raw_parse(msg, r), REASON_NONE);
}

/* --- FINGERPRINT --- */

static void test_stun_fingerprint_right_is_noted(void **state)
{
    struct raw r;
    struct stun_msg msg;
    begin_with_lifetime(&r);
    raw_fingerprint(&r);
    parse(&msg, &r);
    assert_true(msg.has_fingerprint);
    assert_true(stun_has(&msg, STUN_ATTR_FINGERPRINT));
    assert_true(stun_has(&msg, STUN_ATTR_LIFETIME));
}

static void test_stun_fingerprint_every_wrong_bit_is_refused(void **state)
{
    struct raw r;
    begin_with_lifetime(&r);
    raw_fingerprint(&r);
    for (unsigned bit = 0; bit < 32; bit++) {
        struct stun_msg msg;
        struct raw wrong = r;
        wrong.bytes[r.len - 4 + bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(raw_parse(&msg, &wrong), REASON_STUN_BAD_FINGERPRINT);
    }
    struct stun_msg msg;
    r.bytes[24] ^= 1; /* the value of LIFETIME */
    assert_int_equal(raw_parse(&msg, &r), REASON_STUN_BAD_FINGERPRINT);
}

static void test_stun_fingerprint_of_wrong_length_is_refused(void **state)
{
    for (unsigned len = 0; len <= 20; len++) {
        if (len == 4)
            continue;
        struct raw r;
        struct stun_msg msg;
        raw_begin(&r, ALLOCATE_REQUEST);
        raw_attr(&r, STUN_ATTR_FINGERPRINT, NULL, len);
        const uint32_t crc = crypto_crc32(r.bytes, STUN_HEADER_LEN) ^ 0x5354554eu;
        raw_u16(r.bytes + 24, crc >> 16);
        raw_u16(r.bytes + 26, crc & 0xffff);
        assert_int_equal(raw_parse_exact(&msg, r.bytes, r.len), REASON_STUN_BAD_FINGERPRINT);
    }
}

static void test_stun_fingerprint_not_last_is_refused(void **state)
{
    struct raw r;
    struct stun_msg msg;
    begin_with_lifetime(&r);
    const size_t at = r.len;
    raw_fingerprint(&r);
    raw_attr(&r, STUN_ATTR_SOFTWARE, NULL, 0);
    /* Right over the bytes before it, with the length that the message has now. */
    const uint32_t crc = crypto_crc32(r.bytes, at) ^ 0x5354554eu;
    raw_u16(r.bytes + at + 4, crc >> 16);
    raw_u16(r.bytes + at + 6, crc & 0xffff);
    assert_int_equal(raw_parse(&msg, &r), REASON_STUN_BAD_FINGERPRINT);
}

static void test_stun_fingerprint_twice_is_refused(void **state)
{
    struct raw r;
    struct stun_msg msg;
    begin_with_lifetime(&r);
    raw_fingerprint(&r);
    raw_fingerprint(&r);
    assert_int_equal(raw_parse(&msg, &r), REASON_STUN_BAD_FINGERPRINT);
}

static void test_stun_fingerprint_behind_integrity_is_checked(void **state)
{
    for (unsigned sha256 = 0; sha256 < 2; sha256++) {
        struct raw r;
        struct stun_msg msg;
        begin_with_lifetime(&r);
        raw_integrity(&r, crypto, key, sha256 == 1, sha256 == 1 ? 32 : 20);
        raw_fingerprint(&r);
        parse(&msg, &r);
        assert_true(msg.has_fingerprint);
        r.bytes[r.len - 1] ^= 1;
        assert_int_equal(raw_parse(&msg, &r), REASON_STUN_BAD_FINGERPRINT);
    }
}

/* --- lengths of the integrity attributes --- */

static void test_stun_integrity_of_wrong_length_is_refused(void **state)
{
    for (unsigned len = 0; len <= 64; len++) {
        struct raw r;
        struct stun_msg msg;
        begin_with_lifetime(&r);
        raw_attr(&r, STUN_ATTR_MESSAGE_INTEGRITY, NULL, len);
        const enum reason expected = len == 20 ? REASON_NONE : REASON_STUN_BAD_ATTRIBUTE;
        assert_int_equal(raw_parse(&msg, &r), expected);
    }
}

static void test_stun_integrity256_of_wrong_length_is_refused(void **state)
{
    for (unsigned len = 0; len <= 64; len++) {
        struct raw r;
        struct stun_msg msg;
        begin_with_lifetime(&r);
        raw_attr(&r, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, NULL, len);
        const bool right = len == 16 || len == 20 || len == 24 || len == 28 || len == 32;
        const enum reason expected = right ? REASON_NONE : REASON_STUN_BAD_ATTRIBUTE;
        assert_int_equal(raw_parse(&msg, &r), expected);
    }
}

/* --- what is not covered does not exist --- */

/* Appends each known attribute (not FINGERPRINT) to `covered` and compares what a reader sees. */
static void assert_appended_is_invisible(const struct raw *covered, uint16_t except)
{
    struct stun_msg before, after;
    struct slice a, b;
    parse(&before, covered);
    for (size_t i = 0; i <= KNOWN_COUNT; i++) {
        const uint16_t type = i < KNOWN_COUNT ? known_types[i] : 0x7777;
        if (type == except)
            continue;
        for (size_t len = 0; len <= 36; len += 3) {
            struct raw r = *covered;
            raw_attr(&r, type, NULL, len);
            parse(&after, &r);
            assert_int_equal(after.attr_count, before.attr_count);
            assert_int_equal(after.unknown_count, 0);
            assert_int_equal(after.integrity_offset, before.integrity_offset);
            assert_int_equal(after.integrity256_offset, before.integrity256_offset);
            assert_int_equal(stun_find(&after, type, &a), stun_find(&before, type, &b));
            assert_int_equal(stun_verify_integrity(&after, crypto, key), 0);
        }
    }
}

static void test_stun_attributes_behind_integrity_do_not_exist(void **state)
{
    struct raw r;
    begin_with_lifetime(&r);
    raw_integrity(&r, crypto, key, false, 20);
    assert_appended_is_invisible(&r, STUN_ATTR_MESSAGE_INTEGRITY_SHA256);
}

static void test_stun_attributes_behind_integrity256_do_not_exist(void **state)
{
    struct raw r;
    begin_with_lifetime(&r);
    raw_integrity(&r, crypto, key, true, 32);
    assert_appended_is_invisible(&r, 0xffff);
}

static void test_stun_attributes_behind_both_integrities_do_not_exist(void **state)
{
    struct raw r;
    begin_with_lifetime(&r);
    raw_integrity(&r, crypto, key, false, 20);
    raw_integrity(&r, crypto, key, true, 32);
    assert_appended_is_invisible(&r, 0xffff);
}

static void test_stun_attribute_between_integrities_does_not_exist(void **state)
{
    struct raw r;
    struct stun_msg msg;
    begin_with_lifetime(&r);
    raw_integrity(&r, crypto, key, false, 20);
    raw_attr(&r, STUN_ATTR_RESERVATION_TOKEN, "01234567", 8);
    raw_attr(&r, 0x7777, NULL, 4);
    const size_t at = r.len;
    raw_integrity(&r, crypto, key, true, 32);
    parse(&msg, &r);
    assert_false(stun_has(&msg, STUN_ATTR_RESERVATION_TOKEN));
    assert_int_equal(msg.unknown_count, 0);
    assert_int_equal(msg.integrity_offset, 28);
    assert_int_equal(msg.integrity256_offset, at);
    assert_int_equal(stun_verify_integrity(&msg, crypto, key), 0);
}

static void test_stun_second_integrity_does_not_count(void **state)
{
    struct raw r;
    struct stun_msg msg;
    begin_with_lifetime(&r);
    raw_attr(&r, STUN_ATTR_MESSAGE_INTEGRITY, NULL, 20); /* wrong */
    raw_integrity(&r, crypto, key, false, 20);           /* right, and too late */
    parse(&msg, &r);
    assert_int_equal(msg.integrity_offset, 28);
    assert_int_equal(stun_verify_integrity(&msg, crypto, key), 1);
}

/* --- the check --- */

static int verify_counted(const struct stun_msg *msg, struct slice with, uint64_t *hmacs)
{
    const uint64_t before = crypto_hmac_count(crypto);
    const int result = stun_verify_integrity(msg, crypto, with);
    *hmacs = crypto_hmac_count(crypto) - before;
    return result;
}

static void test_stun_verify_absent_is_refused_without_hmac(void **state)
{
    struct raw r;
    struct stun_msg msg;
    uint64_t hmacs;
    begin_with_lifetime(&r);
    parse(&msg, &r);
    assert_int_equal(verify_counted(&msg, key, &hmacs), 1);
    assert_int_equal(hmacs, 0);
}

static void test_stun_verify_right_and_wrong_cost_one_hmac(void **state)
{
    for (unsigned sha256 = 0; sha256 < 2; sha256++) {
        struct raw r;
        struct stun_msg msg;
        uint64_t hmacs;
        begin_with_lifetime(&r);
        raw_integrity(&r, crypto, key, sha256 == 1, sha256 == 1 ? 32 : 20);
        raw_fingerprint(&r);
        parse(&msg, &r);
        assert_int_equal(verify_counted(&msg, key, &hmacs), 0);
        assert_int_equal(hmacs, 1);
        assert_int_equal(verify_counted(&msg, slice_of_string("another"), &hmacs), 1);
        assert_int_equal(hmacs, 1);
    }
}

static void test_stun_verify_every_flipped_bit_is_noticed(void **state)
{
    for (unsigned sha256 = 0; sha256 < 2; sha256++) {
        struct raw r;
        begin_with_lifetime(&r);
        const size_t at = r.len;
        raw_integrity(&r, crypto, key, sha256 == 1, sha256 == 1 ? 32 : 20);
        for (size_t bit = 0; bit < r.len * 8; bit++) {
            struct stun_msg msg;
            struct raw wrong = r;
            if (bit / 8 >= at && bit / 8 < at + 4)
                continue; /* then it is another attribute, or none at all */
            wrong.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (raw_parse(&msg, &wrong) == REASON_NONE)
                assert_int_equal(stun_verify_integrity(&msg, crypto, key), 1);
        }
    }
}

static void test_stun_verify_truncated_sha256_compares_what_is_there(void **state)
{
    for (unsigned len = 16; len <= 32; len += 4) {
        struct raw r;
        struct stun_msg msg;
        begin_with_lifetime(&r);
        raw_integrity(&r, crypto, key, true, len);
        parse(&msg, &r);
        assert_int_equal(stun_verify_integrity(&msg, crypto, key), 0);
        r.bytes[r.len - 1] ^= 0x80;
        assert_int_equal(stun_verify_integrity(&msg, crypto, key), 1);
    }
}

/* The stronger of the two decides, whatever the other says. */
static void test_stun_verify_sha256_is_preferred(void **state)
{
    struct raw r;
    struct stun_msg msg;
    begin_with_lifetime(&r);
    raw_attr(&r, STUN_ATTR_MESSAGE_INTEGRITY, NULL, 20);
    raw_integrity(&r, crypto, key, true, 32);
    parse(&msg, &r);
    assert_int_equal(stun_verify_integrity(&msg, crypto, key), 0);
    begin_with_lifetime(&r);
    raw_integrity(&r, crypto, key, false, 20);
    raw_attr(&r, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, NULL, 32);
    parse(&msg, &r);
    assert_int_equal(stun_verify_integrity(&msg, crypto, key), 1);
}

/* One HMAC cannot be moved to the attribute of the other kind. */
static void test_stun_verify_sha1_value_in_sha256_attribute_is_refused(void **state)
{
    struct raw r;
    struct stun_msg msg;
    begin_with_lifetime(&r);
    raw_integrity(&r, crypto, key, false, 20);
    raw_u16(r.bytes + 28, STUN_ATTR_MESSAGE_INTEGRITY_SHA256);
    parse(&msg, &r);
    assert_int_equal(msg.integrity256_offset, 28);
    assert_int_equal(stun_verify_integrity(&msg, crypto, key), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_fingerprint_right_is_noted),
        cmocka_unit_test(test_stun_fingerprint_every_wrong_bit_is_refused),
        cmocka_unit_test(test_stun_fingerprint_of_wrong_length_is_refused),
        cmocka_unit_test(test_stun_fingerprint_not_last_is_refused),
        cmocka_unit_test(test_stun_fingerprint_twice_is_refused),
        cmocka_unit_test(test_stun_fingerprint_behind_integrity_is_checked),
        cmocka_unit_test(test_stun_integrity_of_wrong_length_is_refused),
        cmocka_unit_test(test_stun_integrity256_of_wrong_length_is_refused),
        cmocka_unit_test(test_stun_attributes_behind_integrity_do_not_exist),
        cmocka_unit_test(test_stun_attributes_behind_integrity256_do_not_exist),
        cmocka_unit_test(test_stun_attributes_behind_both_integrities_do_not_exist),
        cmocka_unit_test(test_stun_attribute_between_integrities_does_not_exist),
        cmocka_unit_test(test_stun_second_integrity_does_not_count),
        cmocka_unit_test(test_stun_verify_absent_is_refused_without_hmac),
        cmocka_unit_test(test_stun_verify_right_and_wrong_cost_one_hmac),
        cmocka_unit_test(test_stun_verify_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_stun_verify_truncated_sha256_compares_what_is_there),
        cmocka_unit_test(test_stun_verify_sha256_is_preferred),
        cmocka_unit_test(test_stun_verify_sha1_value_in_sha256_attribute_is_refused),
    };
    return cmocka_run_group_tests(tests, stun_key_set_up, stun_key_tear_down);
}
