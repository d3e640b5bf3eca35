/*
 * The STUN parser: framing, what is visible, FINGERPRINT, and integrity. Messages are written byte
 * by byte (stun_raw.h). The readers of attribute values are tested in test_stun_values.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/stun_key.h"

#define BINDING_REQUEST  0x0001
#define ALLOCATE_REQUEST 0x0003
#define SEND_INDICATION  0x0016

static const uint16_t known_types[] = {0x0001, 0x0006, 0x0008, 0x0009, 0x000a, 0x000c, 0x000d,
    0x0012, 0x0013, 0x0014, 0x0015, 0x0016, 0x0017, 0x0018, 0x0019, 0x001a, 0x001b, 0x001c, 0x001d,
    0x001e, 0x0020, 0x0022, 0x8000, 0x8001, 0x8002, 0x8003, 0x8004, 0x8022, 0x8023, 0x8028, 0x802e,
    0x8032};
#define KNOWN_COUNT (sizeof(known_types) / sizeof(known_types[0]))

/* An Allocate request with one attribute of every padding, integrity and FINGERPRINT. */
static void make_rich(struct raw *r, size_t boundaries[], size_t *count)
{
    *count = 0;
    raw_begin(r, ALLOCATE_REQUEST);
    boundaries[(*count)++] = r->len;
    raw_attr(r, STUN_ATTR_REQUESTED_TRANSPORT, "\x11\0\0", 4);
    boundaries[(*count)++] = r->len;
    raw_attr(r, STUN_ATTR_EVEN_PORT, "\x80", 1);
    boundaries[(*count)++] = r->len;
    raw_attr(r, STUN_ATTR_USERNAME, "alice2", 6);
    boundaries[(*count)++] = r->len;
    raw_attr(r, STUN_ATTR_REALM, "example.org", 11);
    boundaries[(*count)++] = r->len;
    raw_attr(r, STUN_ATTR_DONT_FRAGMENT, NULL, 0);
    boundaries[(*count)++] = r->len;
    raw_integrity(r, crypto, key, false, 20);
    boundaries[(*count)++] = r->len;
    raw_integrity(r, crypto, key, true, 32);
    boundaries[(*count)++] = r->len;
    raw_fingerprint(r);
}

static bool is_boundary(const size_t boundaries[], size_t count, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (boundaries[i] == len)
            return true;
    return false;
}

/* --- header --- */

static void test_stun_parse_every_class_and_method_is_decoded(void **state)
{
    for (unsigned type = 0; type < 0x4000; type++) {
        struct raw r;
        struct stun_msg msg;
        raw_begin(&r, type);
        assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
        /* RFC 8489 figure 3: M11-M7 C1 M6-M4 C0 M3-M0, from the most significant bit. */
        unsigned method = 0, class = 0, method_bit = 0;
        for (unsigned bit = 0; bit < 14; bit++) {
            if (bit == 4)
                class |= (type >> 4 & 1) << 0;
            else if (bit == 8)
                class |= (type >> 8 & 1) << 1;
            else
                method |= (type >> bit & 1) << method_bit++;
        }
        assert_int_equal(msg.method, method);
        assert_int_equal(msg.class, class);
        assert_int_equal(stun_type(msg.class, msg.method), type);
    }
}

static void test_stun_parse_first_two_bits_set_is_not_stun(void **state)
{
    for (unsigned bits = 1; bits < 4; bits++) {
        struct raw r;
        struct stun_msg msg;
        raw_begin(&r, bits << 14 | BINDING_REQUEST);
        assert_int_equal(raw_parse(&msg, &r), REASON_NOT_STUN);
    }
}

static void test_stun_parse_header_alone_has_no_attributes(void **state)
{
    struct raw r;
    struct stun_msg msg;
    struct slice value;
    raw_begin(&r, BINDING_REQUEST);
    memset(&msg, 0xa5, sizeof(msg));
    assert_int_equal(raw_parse_exact(&msg, r.bytes, r.len), REASON_NONE);
    assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
    assert_ptr_equal(msg.bytes.data, r.bytes);
    assert_int_equal(msg.bytes.len, 20);
    assert_memory_equal(msg.transaction, r.bytes + 4, STUN_TRANSACTION_LEN);
    assert_false(msg.classic);
    assert_false(msg.has_fingerprint);
    assert_int_equal(msg.attr_count, 0);
    assert_int_equal(msg.unknown_count, 0);
    assert_int_equal(msg.integrity_offset, 0);
    assert_int_equal(msg.integrity256_offset, 0);
    for (unsigned type = 0; type <= 0xffff; type++)
        assert_false(stun_find(&msg, (uint16_t)type, &value));
}

static void test_stun_parse_writes_only_what_is_used(void **state)
{
    struct raw r;
    struct stun_msg msg;
    raw_begin(&r, SEND_INDICATION);
    raw_attr(&r, STUN_ATTR_DATA, "abc", 3);
    memset(&msg, 0xa5, sizeof(msg));
    assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
    assert_int_equal(msg.attr_count, 1);
    for (const uint8_t *p = (uint8_t *)&msg.attrs[1]; p < (uint8_t *)(&msg + 1); p++)
        assert_int_equal(*p, 0xa5);
}

static void test_stun_parse_without_cookie_only_binding_request_is_classic(void **state)
{
    for (unsigned type = 0; type < 0x4000; type++) {
        for (unsigned bit = 0; bit < 32; bit += 31) {
            struct raw r;
            struct stun_msg msg;
            raw_begin(&r, type);
            r.bytes[4 + bit / 8] ^= (uint8_t)(1u << bit % 8);
            const enum reason reason = raw_parse(&msg, &r);
            if (type != BINDING_REQUEST) {
                assert_int_equal(reason, REASON_STUN_NO_COOKIE);
                continue;
            }
            assert_int_equal(reason, REASON_NONE);
            assert_true(msg.classic);
            assert_memory_equal(msg.transaction, r.bytes + 4, STUN_TRANSACTION_LEN);
        }
    }
}

/* --- lengths --- */

static void test_stun_parse_every_truncation_is_refused(void **state)
{
    struct raw r;
    size_t boundaries[16], count;
    make_rich(&r, boundaries, &count);
    for (size_t len = 0; len < r.len; len++) {
        struct stun_msg msg;
        assert_int_equal(raw_parse_exact(&msg, r.bytes, len), REASON_STUN_TRUNCATED);
    }
    struct stun_msg msg;
    assert_int_equal(raw_parse_exact(&msg, r.bytes, r.len), REASON_NONE);
    assert_int_equal(stun_parse(&msg, slice_of(NULL, 0)), REASON_STUN_TRUNCATED);
}

static void test_stun_parse_every_truncation_with_right_length_is_framed(void **state)
{
    struct raw r;
    size_t boundaries[16], count;
    make_rich(&r, boundaries, &count);
    for (size_t len = STUN_HEADER_LEN; len < r.len; len++) {
        struct stun_msg msg;
        struct raw cut = r;
        raw_u16(cut.bytes + 2, (unsigned)(len - STUN_HEADER_LEN));
        const enum reason reason = raw_parse_exact(&msg, cut.bytes, len);
        if (len % 4 != 0)
            assert_int_equal(reason, REASON_STUN_BAD_LENGTH);
        else if (!is_boundary(boundaries, count, len))
            assert_int_equal(reason, REASON_STUN_BAD_ATTRIBUTE);
        else
            assert_int_equal(reason, REASON_NONE);
    }
}

static void test_stun_parse_bytes_left_over_are_refused(void **state)
{
    struct raw r;
    size_t boundaries[16], count;
    make_rich(&r, boundaries, &count);
    for (size_t more = 1; more <= 40; more++) {
        struct stun_msg msg;
        assert_int_equal(raw_parse_exact(&msg, r.bytes, r.len + more), REASON_STUN_BAD_LENGTH);
    }
}

static void test_stun_parse_every_length_field_but_one_is_refused(void **state)
{
    struct raw r;
    raw_begin(&r, BINDING_REQUEST);
    raw_attr(&r, STUN_ATTR_SOFTWARE, "eight by", 8);
    for (unsigned length = 0; length <= 0xffff; length++) {
        struct stun_msg msg;
        raw_u16(r.bytes + 2, length);
        const enum reason expected = length == 12  ? REASON_NONE
                                     : length > 12 ? REASON_STUN_TRUNCATED
                                                   : REASON_STUN_BAD_LENGTH;
        assert_int_equal(raw_parse(&msg, &r), expected);
    }
}

static void test_stun_parse_largest_message_is_named_by_16_bits(void **state)
{
    static uint8_t big[65536];
    struct raw r;
    struct stun_msg msg;
    struct slice value;
    raw_begin(&r, SEND_INDICATION);
    memcpy(big, r.bytes, STUN_HEADER_LEN);
    raw_u16(big + 20, STUN_ATTR_DATA);
    raw_u16(big + 2, 65532 - 20);
    raw_u16(big + 22, 65532 - 24);
    assert_int_equal(raw_parse_exact(&msg, big, 65532), REASON_NONE);
    assert_int_equal(stun_parse(&msg, slice_of(big, 65532)), REASON_NONE);
    assert_true(stun_find(&msg, STUN_ATTR_DATA, &value));
    assert_int_equal(value.len, 65532 - 24);
    assert_ptr_equal(value.data, big + 24);
    raw_u16(big + 2, 65536 - 20);
    raw_u16(big + 22, 65536 - 24);
    assert_int_equal(raw_parse_exact(&msg, big, 65536), REASON_STUN_BAD_LENGTH);
}

/* --- attributes --- */

static void test_stun_parse_attribute_over_the_end_is_refused(void **state)
{
    for (size_t i = 0; i < KNOWN_COUNT + 2; i++) {
        const unsigned type = i < KNOWN_COUNT ? known_types[i] : i == KNOWN_COUNT ? 0x7777 : 0xf777;
        for (unsigned claimed = 41; claimed <= 0xffff; claimed += claimed < 64 ? 1 : 97) {
            struct raw r;
            struct stun_msg msg;
            raw_begin(&r, ALLOCATE_REQUEST);
            raw_attr(&r, STUN_ATTR_LIFETIME, NULL, 4);
            raw_attr(&r, type, NULL, 40);
            raw_u16(r.bytes + 30, claimed);
            assert_int_equal(raw_parse_exact(&msg, r.bytes, r.len), REASON_STUN_BAD_ATTRIBUTE);
        }
    }
}

static void test_stun_parse_every_known_attribute_of_any_size_is_found(void **state)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        const uint16_t type = known_types[i];
        if (type == STUN_ATTR_FINGERPRINT || type == STUN_ATTR_MESSAGE_INTEGRITY ||
            type == STUN_ATTR_MESSAGE_INTEGRITY_SHA256)
            continue;
        for (size_t len = 0; len < 1000; len += len < 40 ? 1 : 131) {
            struct raw r;
            struct stun_msg msg;
            struct slice value;
            raw_begin(&r, ALLOCATE_REQUEST);
            raw_attr(&r, type, NULL, len);
            assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
            assert_true(stun_find(&msg, type, &value));
            assert_ptr_equal(value.data, r.bytes + 24);
            assert_int_equal(value.len, len);
            assert_int_equal(msg.attr_count, 1);
            assert_int_equal(msg.unknown_count, 0);
        }
    }
}

static void test_stun_parse_duplicates_are_kept_in_order(void **state)
{
    struct raw r;
    struct stun_msg msg;
    struct slice value;
    unsigned index = 0;
    raw_begin(&r, stun_type(STUN_REQUEST, STUN_CREATE_PERMISSION));
    raw_attr(&r, STUN_ATTR_XOR_PEER_ADDRESS, "11111111", 8);
    raw_attr(&r, STUN_ATTR_LIFETIME, "aaaa", 4);
    raw_attr(&r, STUN_ATTR_XOR_PEER_ADDRESS, "2222", 4);
    raw_attr(&r, STUN_ATTR_LIFETIME, "bbbb", 4);
    raw_attr(&r, STUN_ATTR_XOR_PEER_ADDRESS, NULL, 0);
    assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
    assert_true(stun_find(&msg, STUN_ATTR_LIFETIME, &value));
    assert_memory_equal(value.data, "aaaa", 4);
    assert_true(stun_next(&msg, STUN_ATTR_XOR_PEER_ADDRESS, &index, &value));
    assert_memory_equal(value.data, "1111", 4);
    assert_true(stun_next(&msg, STUN_ATTR_XOR_PEER_ADDRESS, &index, &value));
    assert_memory_equal(value.data, "2222", 4);
    assert_true(stun_next(&msg, STUN_ATTR_XOR_PEER_ADDRESS, &index, &value));
    assert_int_equal(value.len, 0);
    const struct slice last = value;
    assert_false(stun_next(&msg, STUN_ATTR_XOR_PEER_ADDRESS, &index, &value));
    assert_ptr_equal(value.data, last.data);
    assert_false(stun_has(&msg, STUN_ATTR_DATA));
    assert_true(stun_has(&msg, STUN_ATTR_LIFETIME));
}

static void test_stun_parse_more_attributes_than_the_limit_are_refused(void **state)
{
    const unsigned types[] = {STUN_ATTR_XOR_PEER_ADDRESS, 0x7777, 0xf777};
    for (size_t i = 0; i < 3; i++) {
        struct raw r;
        struct stun_msg msg;
        raw_begin(&r, ALLOCATE_REQUEST);
        for (unsigned n = 0; n < STUN_ATTRIBUTES_MAX; n++)
            raw_attr(&r, types[i], NULL, 8);
        assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
        assert_int_equal(msg.attr_count, i == 0 ? STUN_ATTRIBUTES_MAX : 0);
        raw_attr(&r, types[i], NULL, 0);
        assert_int_equal(raw_parse(&msg, &r), REASON_STUN_TOO_MANY_ATTRIBUTES);
    }
    struct raw r;
    struct stun_msg msg;
    raw_begin(&r, ALLOCATE_REQUEST);
    raw_integrity(&r, crypto, key, false, 20);
    for (unsigned n = 0; n < STUN_ATTRIBUTES_MAX; n++)
        raw_attr(&r, STUN_ATTR_SOFTWARE, NULL, 0);
    assert_int_equal(raw_parse(&msg, &r), REASON_STUN_TOO_MANY_ATTRIBUTES);
}

static void test_stun_parse_unknown_required_types_are_listed_once(void **state)
{
    struct raw r;
    struct stun_msg msg;
    raw_begin(&r, ALLOCATE_REQUEST);
    raw_attr(&r, 0x7fff, NULL, 3);
    raw_attr(&r, 0x8fff, NULL, 3);
    raw_attr(&r, 0x0000, NULL, 0);
    raw_attr(&r, 0x7fff, NULL, 5);
    raw_attr(&r, STUN_ATTR_LIFETIME, NULL, 4);
    raw_attr(&r, 0x0003, NULL, 4);
    assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
    assert_int_equal(msg.unknown_count, 3);
    assert_int_equal(msg.unknown[0], 0x7fff);
    assert_int_equal(msg.unknown[1], 0x0000);
    assert_int_equal(msg.unknown[2], 0x0003);
    assert_int_equal(msg.attr_count, 1);
    assert_false(stun_has(&msg, 0x7fff));
}

static void test_stun_parse_every_type_is_known_or_unknown(void **state)
{
    for (unsigned type = 0; type <= 0xffff; type++) {
        bool known = false;
        for (size_t i = 0; i < KNOWN_COUNT; i++)
            known |= known_types[i] == type;
        if (known)
            continue;
        struct raw r;
        struct stun_msg msg;
        raw_begin(&r, ALLOCATE_REQUEST);
        raw_attr(&r, type, NULL, 4);
        assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
        assert_int_equal(msg.attr_count, 0);
        assert_int_equal(msg.unknown_count, type < 0x8000);
    }
}

static void test_stun_disown_attributes_are_unknown_and_found_no_more(void **state)
{
    struct raw r;
    struct stun_msg msg;
    struct slice value;
    raw_begin(&r, ALLOCATE_REQUEST);
    raw_attr(&r, STUN_ATTR_ACCESS_TOKEN, "11", 2);
    raw_attr(&r, STUN_ATTR_LIFETIME, "aaaa", 4);
    raw_attr(&r, 0x7777, "x", 1);
    raw_attr(&r, STUN_ATTR_ACCESS_TOKEN, "2222", 4);
    raw_attr(&r, STUN_ATTR_THIRD_PARTY_AUTHORIZATION, "here", 4);
    raw_attr(&r, STUN_ATTR_USERNAME, "kid", 3);
    assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
    stun_disown(&msg, STUN_ATTR_DATA); /* not there: nothing changes */
    assert_int_equal(msg.attr_count, 5);
    assert_int_equal(msg.unknown_count, 1);
    stun_disown(&msg, STUN_ATTR_ACCESS_TOKEN);
    stun_disown(&msg, STUN_ATTR_THIRD_PARTY_AUTHORIZATION); /* comprehension-optional */
    assert_false(stun_has(&msg, STUN_ATTR_ACCESS_TOKEN));
    assert_false(stun_has(&msg, STUN_ATTR_THIRD_PARTY_AUTHORIZATION));
    assert_int_equal(msg.attr_count, 2);
    assert_true(stun_find(&msg, STUN_ATTR_LIFETIME, &value));
    assert_memory_equal(value.data, "aaaa", 4);
    assert_true(stun_find(&msg, STUN_ATTR_USERNAME, &value));
    assert_memory_equal(value.data, "kid", 3);
    assert_int_equal(msg.unknown_count, 2);
    assert_int_equal(msg.unknown[0], 0x7777);
    assert_int_equal(msg.unknown[1], STUN_ATTR_ACCESS_TOKEN);
}

static void test_stun_disown_behind_integrity_is_not_unknown(void **state)
{
    struct raw r;
    struct stun_msg msg;
    raw_begin(&r, ALLOCATE_REQUEST);
    raw_integrity(&r, crypto, key, false, 20);
    raw_attr(&r, STUN_ATTR_ACCESS_TOKEN, "1111", 4);
    assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
    assert_false(stun_has(&msg, STUN_ATTR_ACCESS_TOKEN));
    stun_disown(&msg, STUN_ATTR_ACCESS_TOKEN);
    assert_int_equal(msg.unknown_count, 0);
}

static void test_stun_parse_more_unknown_types_than_kept_are_counted(void **state)
{
    struct raw r;
    struct stun_msg msg;
    raw_begin(&r, ALLOCATE_REQUEST);
    for (unsigned i = 0; i < STUN_ATTRIBUTES_MAX; i++)
        raw_attr(&r, 0x7000 + i, NULL, 0);
    memset(&msg, 0xa5, sizeof(msg));
    assert_int_equal(raw_parse(&msg, &r), REASON_NONE);
    assert_int_equal(msg.unknown_count, STUN_ATTRIBUTES_MAX);
    for (unsigned i = 0; i < STUN_UNKNOWN_MAX; i++)
        assert_int_equal(msg.unknown[i], 0x7000 + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_parse_every_class_and_method_is_decoded),
        cmocka_unit_test(test_stun_parse_first_two_bits_set_is_not_stun),
        cmocka_unit_test(test_stun_parse_header_alone_has_no_attributes),
        cmocka_unit_test(test_stun_parse_writes_only_what_is_used),
        cmocka_unit_test(test_stun_parse_without_cookie_only_binding_request_is_classic),
        cmocka_unit_test(test_stun_parse_every_truncation_is_refused),
        cmocka_unit_test(test_stun_parse_every_truncation_with_right_length_is_framed),
        cmocka_unit_test(test_stun_parse_bytes_left_over_are_refused),
        cmocka_unit_test(test_stun_parse_every_length_field_but_one_is_refused),
        cmocka_unit_test(test_stun_parse_largest_message_is_named_by_16_bits),
        cmocka_unit_test(test_stun_parse_attribute_over_the_end_is_refused),
        cmocka_unit_test(test_stun_parse_every_known_attribute_of_any_size_is_found),
        cmocka_unit_test(test_stun_parse_duplicates_are_kept_in_order),
        cmocka_unit_test(test_stun_parse_more_attributes_than_the_limit_are_refused),
        cmocka_unit_test(test_stun_parse_unknown_required_types_are_listed_once),
        cmocka_unit_test(test_stun_parse_every_type_is_known_or_unknown),
        cmocka_unit_test(test_stun_disown_attributes_are_unknown_and_found_no_more),
        cmocka_unit_test(test_stun_disown_behind_integrity_is_not_unknown),
        cmocka_unit_test(test_stun_parse_more_unknown_types_than_kept_are_counted),
    };
    return cmocka_run_group_tests(tests, stun_key_set_up, stun_key_tear_down);
}
