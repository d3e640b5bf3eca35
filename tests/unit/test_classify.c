/* What the guard takes datagrams for, against RFC 7983 section 7 and what each protocol's first
 * bytes must be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "srtp/classify.h"

/* Of a copy of exactly `len` bytes, for a sanitizer to see what is read behind them. */
static struct srtp_class classify_exact(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    struct srtp_class c;
    srtp_classify(&c, slice_of(copy, len));
    free(copy);
    return c;
}

static void check(const uint8_t *bytes, size_t len, enum srtp_kind kind, enum reason bad)
{
    const struct srtp_class c = classify_exact(bytes, len);
    assert_int_equal(c.kind, kind);
    assert_int_equal(c.bad, bad);
}

static void check_text(const char *text, enum srtp_kind kind, enum reason bad)
{
    check((const uint8_t *)text, strlen(text), kind, bad);
}

static void test_classify_kind_is_by_the_first_byte(void **state)
{
    uint8_t packet[64] = {0};
    for (unsigned first = 0; first < 256; first++) {
        enum srtp_kind kind = SRTP_KIND_OTHER;
        if (first <= 3)
            kind = SRTP_KIND_STUN;
        else if (first >= 20 && first <= 63)
            kind = SRTP_KIND_DTLS;
        else if (first >= 64 && first <= 79)
            kind = SRTP_KIND_CHANNEL;
        else if (first >= 128 && first <= 191)
            kind = SRTP_KIND_RTP;
        packet[0] = (uint8_t)first;
        packet[1] = 0x60;
        const struct srtp_class c = classify_exact(packet, sizeof(packet));
        assert_int_equal(c.kind, kind);
        assert_int_equal(c.bad == REASON_GUARD_NOT_MEDIA, kind == SRTP_KIND_OTHER);
    }
    check(packet, 0, SRTP_KIND_OTHER, REASON_GUARD_NOT_MEDIA);
    struct srtp_class c;
    srtp_classify(&c, slice_of(NULL, 0));
    assert_int_equal(c.kind, SRTP_KIND_OTHER);
}

static void test_classify_stun_needs_cookie_and_length(void **state)
{
    /* An ICE check's beginning: a Binding request with one attribute. */
    uint8_t packet[20 + 8] = {0x00, 0x01, 0x00, 0x08, 0x21, 0x12, 0xa4, 0x42};
    check(packet, 28, SRTP_KIND_STUN, REASON_NONE);
    for (size_t len = 1; len < 28; len++)
        check(packet, len, SRTP_KIND_STUN, REASON_GUARD_STUN_MALFORMED);
    for (unsigned at = 4; at < 8; at++) {
        packet[at] ^= 1;
        check(packet, 28, SRTP_KIND_STUN, REASON_GUARD_STUN_MALFORMED);
        packet[at] ^= 1;
    }
    packet[3] = 4;
    check(packet, 28, SRTP_KIND_STUN, REASON_GUARD_STUN_MALFORMED);
    packet[3] = 6; /* "the last 2 bits of this field are always zero" */
    check(packet, 26, SRTP_KIND_STUN, REASON_GUARD_STUN_MALFORMED);
    packet[3] = 0;
    check(packet, 20, SRTP_KIND_STUN, REASON_NONE);
    packet[2] = 1;
    check(packet, 20, SRTP_KIND_STUN, REASON_GUARD_STUN_MALFORMED);
}

/* A record with one byte in it. */
static void record(uint8_t out[14], uint8_t type, uint16_t version)
{
    memset(out, 0, 14);
    out[0] = type;
    out[1] = (uint8_t)(version >> 8);
    out[2] = (uint8_t)version;
    out[12] = 1;
}

static void test_classify_dtls_needs_type_and_version(void **state)
{
    uint8_t packet[14];
    for (uint8_t type = 20; type < 32; type++) {
        record(packet, type, 0xfefd);
        check(packet, 14, SRTP_KIND_DTLS,
            type <= 26 && type != 25 ? REASON_NONE : REASON_GUARD_DTLS_MALFORMED);
    }
    for (unsigned version = 0; version < 0x10000; version++) {
        record(packet, 22, (uint16_t)version);
        const bool known = version == 0xfeff || version == 0xfefd;
        struct srtp_class c;
        srtp_classify(&c, slice_of(packet, 14));
        assert_int_equal(c.bad, known ? REASON_NONE : REASON_GUARD_DTLS_MALFORMED);
    }
}

static void test_classify_dtls_first_record_ends_inside(void **state)
{
    uint8_t packet[40];
    record(packet, 22, 0xfeff);
    packet[12] = 10;
    memset(packet + 13, 0xff, 27);
    for (size_t len = 1; len < 23; len++)
        check(packet, len, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
    check(packet, 23, SRTP_KIND_DTLS, REASON_NONE);
    check(packet, 40, SRTP_KIND_DTLS, REASON_NONE); /* another record, or whatever */
    packet[12] = 0;
    check(packet, 40, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
    packet[11] = 1;
    check(packet, 40, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
}

static void test_classify_dtls_connection_id_hides_the_length(void **state)
{
    uint8_t packet[15];
    record(packet, 25, 0xfefd);
    packet[11] = packet[12] = 0xff; /* the connection ID */
    check(packet, 14, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
    packet[14] = 0;
    check(packet, 15, SRTP_KIND_DTLS, REASON_NONE);
}

static void test_classify_dtls13_has_room_for_header_and_ciphertext(void **state)
{
    uint8_t packet[64];
    for (unsigned first = 32; first < 64; first++) {
        memset(packet, 0xff, sizeof(packet));
        packet[0] = (uint8_t)first;
        const size_t number = (first & 0x08) != 0 ? 2 : 1;
        const bool cid = (first & 0x10) != 0, has_len = (first & 0x04) != 0;
        const size_t shortest = 1 + cid + number + (has_len ? 2 : 0) + 16;
        if (has_len && !cid) {
            packet[1 + number] = 0;
            packet[2 + number] = 16;
        }
        check(packet, shortest - 1, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
        check(packet, shortest, SRTP_KIND_DTLS, REASON_NONE);
        check(packet, 1, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
    }
}

static void test_classify_dtls13_length_is_heeded(void **state)
{
    uint8_t packet[64] = {0x2e, 0, 0, 0, 20}; /* 16-bit number, length */
    check(packet, 24, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
    check(packet, 25, SRTP_KIND_DTLS, REASON_NONE);
    check(packet, 64, SRTP_KIND_DTLS, REASON_NONE);
    packet[4] = 15;
    check(packet, 64, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
    const uint8_t eight_bits[64] = {0x26, 0, 0xff, 0xff};
    check(eight_bits, 64, SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
}

static void test_classify_channel_has_its_length_and_padding(void **state)
{
    uint8_t packet[16] = {0x40, 0x00, 0x00, 0x05};
    for (size_t len = 1; len < 9; len++)
        check(packet, len, SRTP_KIND_CHANNEL, REASON_GUARD_CHANNEL_MALFORMED);
    for (size_t len = 9; len <= 12; len++)
        check(packet, len, SRTP_KIND_CHANNEL, REASON_NONE);
    check(packet, 13, SRTP_KIND_CHANNEL, REASON_GUARD_CHANNEL_MALFORMED);
    packet[3] = 4;
    check(packet, 8, SRTP_KIND_CHANNEL, REASON_NONE);
    check(packet, 9, SRTP_KIND_CHANNEL, REASON_GUARD_CHANNEL_MALFORMED);
    packet[3] = 0;
    check(packet, 4, SRTP_KIND_CHANNEL, REASON_NONE);
}

static void test_classify_rtp_and_rtcp_are_told_apart(void **state)
{
    uint8_t packet[32] = {0x80, 0x60, 0x12, 0x34, 0, 0, 0, 9, 0xca, 0xfe, 0xba, 0xbe};
    struct srtp_class c = classify_exact(packet, 32);
    assert_int_equal(c.kind, SRTP_KIND_RTP);
    assert_int_equal(c.bad, REASON_NONE);
    assert_int_equal(c.u.rtp.ssrc, 0xcafebabe);
    assert_int_equal(c.u.rtp.sequence, 0x1234);
    assert_int_equal(c.u.rtp.header_len, 12);
    const uint8_t feedback[16] = {0x8f, 205, 0, 3, 1, 2, 3, 4};
    c = classify_exact(feedback, 16);
    assert_int_equal(c.kind, SRTP_KIND_RTCP);
    assert_int_equal(c.bad, REASON_NONE);
    assert_int_equal(c.u.rtcp.ssrc, 0x01020304);
    assert_int_equal(c.u.rtcp.packet_type, 205);
    check(packet, 11, SRTP_KIND_RTP, REASON_GUARD_RTP_MALFORMED);
    check(packet, 1, SRTP_KIND_RTP, REASON_GUARD_RTP_MALFORMED);
    check(feedback, 15, SRTP_KIND_RTCP, REASON_GUARD_RTCP_MALFORMED);
    check(feedback, 2, SRTP_KIND_RTCP, REASON_GUARD_RTCP_MALFORMED);
}

static void test_classify_other_protocols_are_refused(void **state)
{
    check_text("SSH-2.0-OpenSSH_9.2p1\r\n", SRTP_KIND_OTHER, REASON_GUARD_NOT_MEDIA);
    check_text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SRTP_KIND_OTHER, REASON_GUARD_NOT_MEDIA);
    check_text("GET / HTTP/1.1\r\n\r\n", SRTP_KIND_CHANNEL, REASON_GUARD_CHANNEL_MALFORMED);
    check_text("HTTP/1.1 200 OK\r\n\r\n", SRTP_KIND_CHANNEL, REASON_GUARD_CHANNEL_MALFORMED);
    check_text("MSEND me a letter", SRTP_KIND_CHANNEL, REASON_GUARD_CHANNEL_MALFORMED);
    check_text("+OK POP3\r\n", SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
    const uint8_t dns[] = {0x1a, 0x2b, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p',
        'l', 'e', 3, 'o', 'r', 'g', 0, 0, 1, 0, 1};
    check(dns, sizeof(dns), SRTP_KIND_DTLS, REASON_GUARD_DTLS_MALFORMED);
    const uint8_t zrtp[] = {0x10, 0, 0, 0, 'Z', 'R', 'T', 'P'};
    check(zrtp, sizeof(zrtp), SRTP_KIND_OTHER, REASON_GUARD_NOT_MEDIA);
    const uint8_t quic[] = {0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8};
    check(quic, sizeof(quic), SRTP_KIND_OTHER, REASON_GUARD_NOT_MEDIA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify_kind_is_by_the_first_byte),
        cmocka_unit_test(test_classify_stun_needs_cookie_and_length),
        cmocka_unit_test(test_classify_dtls_needs_type_and_version),
        cmocka_unit_test(test_classify_dtls_first_record_ends_inside),
        cmocka_unit_test(test_classify_dtls_connection_id_hides_the_length),
        cmocka_unit_test(test_classify_dtls13_has_room_for_header_and_ciphertext),
        cmocka_unit_test(test_classify_dtls13_length_is_heeded),
        cmocka_unit_test(test_classify_channel_has_its_length_and_padding),
        cmocka_unit_test(test_classify_rtp_and_rtcp_are_told_apart),
        cmocka_unit_test(test_classify_other_protocols_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
