/* RTP and RTCP headers against RFC 3550 sections 5.1, 5.3.1 and 6.4.1 and RFC 5761 section 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/rtp.h"

static const uint8_t opus[] = {
    0x80, 0xef, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04, 0xca, 0xfe, 0xba, 0xbe, 0xd1, 0xd2, 0xd3, 0xd4};
/* Two CSRCs, and an extension of one word in the form of RFC 8285. */
static const uint8_t mixed[] = {0x92, 0x60, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00,
    0x07, 1, 1, 1, 1, 2, 2, 2, 2, 0xbe, 0xde, 0x00, 0x01, 0x10, 0x2a, 0, 0, 'x'};
/* A receiver report without blocks, and what SRTCP puts behind it. */
static const uint8_t report[] = {
    0x80, 201, 0x00, 0x01, 0xca, 0xfe, 0xba, 0xbe, 0x80, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

/* Copies of exactly `len` bytes, for a sanitizer to see what is read behind them. */
static uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return copy;
}

static enum reason parse_exact(struct rtp_header *out, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = copy_of(bytes, len);
    const enum reason reason = rtp_parse(out, slice_of(copy, len));
    free(copy);
    return reason;
}

static enum reason parse_rtcp_exact(struct rtcp_header *out, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = copy_of(bytes, len);
    const enum reason reason = rtcp_parse(out, slice_of(copy, len));
    free(copy);
    return reason;
}

static void test_rtp_parse_reads_the_fixed_header(void **state)
{
    struct rtp_header h;
    assert_int_equal(rtp_parse(&h, slice_of(opus, sizeof(opus))), REASON_NONE);
    assert_int_equal(h.payload_type, 111);
    assert_true(h.marker);
    assert_int_equal(h.sequence, 0x1234);
    assert_int_equal(h.timestamp, 0x01020304);
    assert_int_equal(h.ssrc, 0xcafebabe);
    assert_int_equal(h.header_len, 12);
}

static void test_rtp_parse_counts_csrcs_and_extension(void **state)
{
    struct rtp_header h;
    assert_int_equal(rtp_parse(&h, slice_of(mixed, sizeof(mixed))), REASON_NONE);
    assert_int_equal(h.payload_type, 96);
    assert_false(h.marker);
    assert_int_equal(h.sequence, 0xffff);
    assert_int_equal(h.timestamp, 0xffffffff);
    assert_int_equal(h.ssrc, 7);
    assert_int_equal(h.header_len, 12 + 8 + 8);
}

static void test_rtp_parse_every_cut_of_the_header_is_refused(void **state)
{
    for (size_t len = 0; len < 28; len++) {
        struct rtp_header h = {.ssrc = 77};
        assert_int_equal(parse_exact(&h, mixed, len), REASON_GUARD_RTP_MALFORMED);
        assert_int_equal(h.ssrc, 77);
    }
    struct rtp_header h;
    /* An empty payload keeps a path alive. */
    assert_int_equal(parse_exact(&h, mixed, 28), REASON_NONE);
    assert_int_equal(parse_exact(&h, opus, 12), REASON_NONE);
}

static void test_rtp_parse_other_versions_are_refused(void **state)
{
    for (unsigned version = 0; version < 4; version++) {
        uint8_t packet[sizeof(opus)];
        memcpy(packet, opus, sizeof(opus));
        packet[0] = (uint8_t)(version << 6);
        struct rtp_header h;
        assert_int_equal(rtp_parse(&h, slice_of(packet, sizeof(packet))),
            version == 2 ? REASON_NONE : REASON_GUARD_RTP_MALFORMED);
    }
}

static void test_rtp_parse_all_csrc_counts_end_where_they_say(void **state)
{
    uint8_t packet[12 + 60] = {0x80};
    for (unsigned count = 0; count < 16; count++) {
        packet[0] = (uint8_t)(0x80 | count);
        struct rtp_header h;
        assert_int_equal(parse_exact(&h, packet, 12 + 4 * count), REASON_NONE);
        assert_int_equal(h.header_len, 12 + 4 * count);
        assert_int_equal(parse_exact(&h, packet, 12 + 4 * count - 1), REASON_GUARD_RTP_MALFORMED);
    }
}

static void test_rtp_parse_extension_over_the_end_is_refused(void **state)
{
    uint8_t packet[12 + 4 + 4] = {0x90};
    struct rtp_header h;
    assert_int_equal(parse_exact(&h, packet, 16), REASON_NONE); /* "zero is a valid length" */
    assert_int_equal(h.header_len, 16);
    packet[15] = 1;
    assert_int_equal(parse_exact(&h, packet, 20), REASON_NONE);
    assert_int_equal(h.header_len, 20);
    assert_int_equal(parse_exact(&h, packet, 19), REASON_GUARD_RTP_MALFORMED);
    packet[14] = packet[15] = 0xff;
    assert_int_equal(parse_exact(&h, packet, 20), REASON_GUARD_RTP_MALFORMED);
}

static void test_rtp_parse_header_of_64_kilobytes_is_no_short_one(void **state)
{
    /* More than a datagram holds: the length must not come out modulo 2^16. */
    static uint8_t huge[300000] = {0x90};
    huge[14] = 0x3f, huge[15] = 0xfb;
    struct rtp_header h;
    assert_int_equal(rtp_parse(&h, slice_of(huge, sizeof(huge))), REASON_NONE);
    assert_int_equal(h.header_len, 65532);
    huge[14] = 0x3f, huge[15] = 0xfc;
    assert_int_equal(rtp_parse(&h, slice_of(huge, sizeof(huge))), REASON_GUARD_RTP_MALFORMED);
}

static void test_rtp_parse_padding_says_nothing(void **state)
{
    /* Encrypted in SRTP: its last byte is the tag's. */
    uint8_t packet[] = {0xa0, 0x60, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff};
    struct rtp_header h;
    assert_int_equal(rtp_parse(&h, slice_of(packet, sizeof(packet))), REASON_NONE);
    assert_int_equal(h.header_len, 12);
}

static void test_rtp_is_rtcp_by_the_packet_types_of_rfc5761(void **state)
{
    uint8_t packet[2] = {0x80};
    for (unsigned type = 0; type < 256; type++) {
        packet[1] = (uint8_t)type;
        assert_int_equal(rtp_is_rtcp(slice_of(packet, 2)), type >= 192 && type <= 223);
    }
    packet[1] = 200;
    assert_false(rtp_is_rtcp(slice_of(packet, 1)));
    assert_false(rtp_is_rtcp(slice_of(packet, 0)));
}

static void test_rtcp_parse_reads_type_and_sender(void **state)
{
    struct rtcp_header h;
    assert_int_equal(rtcp_parse(&h, slice_of(report, sizeof(report))), REASON_NONE);
    assert_int_equal(h.packet_type, 201);
    assert_int_equal(h.ssrc, 0xcafebabe);
}

static void test_rtcp_parse_every_cut_of_the_first_packet_is_refused(void **state)
{
    uint8_t packet[28] = {0x80, 200, 0, 6}; /* a sender report without blocks */
    for (size_t len = 0; len < 28; len++) {
        struct rtcp_header h = {.ssrc = 77};
        assert_int_equal(parse_rtcp_exact(&h, packet, len), REASON_GUARD_RTCP_MALFORMED);
        assert_int_equal(h.ssrc, 77);
    }
    struct rtcp_header h;
    assert_int_equal(parse_rtcp_exact(&h, packet, 28), REASON_NONE);
    packet[2] = packet[3] = 0xff;
    assert_int_equal(parse_rtcp_exact(&h, packet, 28), REASON_GUARD_RTCP_MALFORMED);
}

static void test_rtcp_parse_without_sender_is_refused(void **state)
{
    uint8_t packet[16] = {0x80, 203, 0, 0};
    struct rtcp_header h;
    assert_int_equal(rtcp_parse(&h, slice_of(packet, 16)), REASON_GUARD_RTCP_MALFORMED);
    packet[3] = 1;
    assert_int_equal(rtcp_parse(&h, slice_of(packet, 16)), REASON_NONE);
}

static void test_rtcp_parse_reduced_size_and_what_follows_passes(void **state)
{
    /* RFC 5506: a PLI alone. What lies behind the first packet may be encrypted. */
    uint8_t packet[40] = {0x81, 206, 0, 2};
    memset(packet + 8, 0xff, 32);
    struct rtcp_header h;
    assert_int_equal(parse_rtcp_exact(&h, packet, 12), REASON_NONE);
    assert_int_equal(parse_rtcp_exact(&h, packet, 39), REASON_NONE);
    assert_int_equal(h.packet_type, 206);
}

static void test_rtcp_parse_other_versions_and_types_are_refused(void **state)
{
    uint8_t packet[8] = {0x80, 0, 0, 1};
    struct rtcp_header h;
    for (unsigned type = 0; type < 256; type++) {
        packet[1] = (uint8_t)type;
        assert_int_equal(rtcp_parse(&h, slice_of(packet, 8)),
            type >= 192 && type <= 223 ? REASON_NONE : REASON_GUARD_RTCP_MALFORMED);
    }
    packet[1] = 200;
    packet[0] = 0x40;
    assert_int_equal(rtcp_parse(&h, slice_of(packet, 8)), REASON_GUARD_RTCP_MALFORMED);
    packet[0] = 0xc0;
    assert_int_equal(rtcp_parse(&h, slice_of(packet, 8)), REASON_GUARD_RTCP_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtp_parse_reads_the_fixed_header),
        cmocka_unit_test(test_rtp_parse_counts_csrcs_and_extension),
        cmocka_unit_test(test_rtp_parse_every_cut_of_the_header_is_refused),
        cmocka_unit_test(test_rtp_parse_other_versions_are_refused),
        cmocka_unit_test(test_rtp_parse_all_csrc_counts_end_where_they_say),
        cmocka_unit_test(test_rtp_parse_extension_over_the_end_is_refused),
        cmocka_unit_test(test_rtp_parse_header_of_64_kilobytes_is_no_short_one),
        cmocka_unit_test(test_rtp_parse_padding_says_nothing),
        cmocka_unit_test(test_rtp_is_rtcp_by_the_packet_types_of_rfc5761),
        cmocka_unit_test(test_rtcp_parse_reads_type_and_sender),
        cmocka_unit_test(test_rtcp_parse_every_cut_of_the_first_packet_is_refused),
        cmocka_unit_test(test_rtcp_parse_without_sender_is_refused),
        cmocka_unit_test(test_rtcp_parse_reduced_size_and_what_follows_passes),
        cmocka_unit_test(test_rtcp_parse_other_versions_and_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
