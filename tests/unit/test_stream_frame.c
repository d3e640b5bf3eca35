/* Framing in a stream against RFC 8489 sections 5 and 6.2.2, RFC 8656 sections 12.4 and 12.5. Each
 * look is at a copy of exactly the bytes that have come, so that a sanitizer sees one too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/channel_data.h"
#include "wire/stream_frame.h"
#include "wire/stun.h"

#define STREAM_MAX (2 * STREAM_FRAME_MAX)

struct look {
    enum stream_frame_kind kind;
    size_t offset, message_len, len; /* with STREAM_FRAME_MESSAGE */
};

static struct look look_at(const uint8_t *bytes, size_t len)
{
    static const uint8_t untouched;
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    struct stream_frame frame = {.message = slice_of(&untouched, 77), .len = 78};
    struct look look = {.kind = stream_frame_next(&frame, slice_of(copy, len))};
    if (look.kind == STREAM_FRAME_MESSAGE) {
        look.offset = (size_t)(frame.message.data - copy);
        look.message_len = frame.message.len;
        look.len = frame.len;
    } else {
        assert_ptr_equal(frame.message.data, &untouched);
        assert_int_equal(frame.message.len, 77);
        assert_int_equal(frame.len, 78);
    }
    free(copy);
    return look;
}

/* Appends a STUN header that announces `len` bytes, and the bytes. */
static size_t put_stun(uint8_t *out, uint16_t type, uint16_t len)
{
    const uint8_t header[8] = {(uint8_t)(type >> 8), (uint8_t)type, (uint8_t)(len >> 8),
        (uint8_t)len, 0x21, 0x12, 0xa4, 0x42};
    memcpy(out, header, sizeof(header));
    memset(out + sizeof(header), 0x5a, STUN_HEADER_LEN - sizeof(header) + len);
    return STUN_HEADER_LEN + (size_t)len;
}

/* The same for ChannelData, padded with bytes that are not zero. */
static size_t put_channel_data(uint8_t *out, uint16_t number, uint16_t len)
{
    const size_t padded = ((size_t)len + 3) / 4 * 4;
    channel_data_header(out, number, len);
    memset(out + CHANNEL_HEADER_LEN, 0xc3, padded);
    return CHANNEL_HEADER_LEN + padded;
}

/* MORE for each part of the frame; the frame with all of it, and with other bytes behind. */
static void assert_frame(const uint8_t *bytes, size_t message_len, size_t len)
{
    static uint8_t longer[STREAM_MAX];
    for (size_t part = 0; part < len; part += part < 64 || len < 2000 ? 1 : 4093)
        assert_int_equal(look_at(bytes, part).kind, STREAM_FRAME_MORE);
    assert_int_equal(look_at(bytes, len - 1).kind, STREAM_FRAME_MORE);
    memcpy(longer, bytes, len);
    memset(longer + len, 0xff, 8);
    for (size_t behind = 0; behind <= 8; behind++) {
        const struct look look = look_at(longer, len + behind);
        assert_int_equal(look.kind, STREAM_FRAME_MESSAGE);
        assert_int_equal(look.offset, 0);
        assert_int_equal(look.message_len, message_len);
        assert_int_equal(look.len, len);
    }
}

static void test_stream_frame_nothing_asks_for_more(void **state)
{
    struct stream_frame frame;
    assert_int_equal(stream_frame_next(&frame, slice_of(NULL, 0)), STREAM_FRAME_MORE);
}

static void test_stream_frame_stun_split_at_every_byte_is_found_whole(void **state)
{
    static uint8_t bytes[STREAM_FRAME_MAX];
    const uint16_t lengths[] = {0, 4, 8, 252, 256, 1300};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const size_t len = put_stun(bytes, 0x0003, lengths[i]);
        assert_frame(bytes, len, len);
    }
}

static void test_stream_frame_channel_data_of_every_padding_is_found_without_it(void **state)
{
    static uint8_t bytes[STREAM_FRAME_MAX];
    const uint16_t lengths[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 253, 254, 255, 256, 1300};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const size_t len = put_channel_data(bytes, 0x4001, lengths[i]);
        assert_int_equal(len % 4, 0);
        assert_frame(bytes, CHANNEL_HEADER_LEN + (size_t)lengths[i], len);
    }
}

static void test_stream_frame_longest_are_found(void **state)
{
    static uint8_t bytes[STREAM_MAX];
    size_t len = put_stun(bytes, 0x0016, 65532);
    assert_int_equal(len, STREAM_FRAME_MAX);
    assert_frame(bytes, len, len);
    len = put_channel_data(bytes, 0x4fff, 65535);
    assert_true(len <= STREAM_FRAME_MAX);
    assert_frame(bytes, 4 + 65535, len);
}

static void test_stream_frame_first_byte_decides(void **state)
{
    for (unsigned first = 0; first <= 255; first++) {
        const uint8_t byte = (uint8_t)first;
        const enum stream_frame_kind expected = first < 0x80 ? STREAM_FRAME_MORE : STREAM_FRAME_BAD;
        assert_int_equal(look_at(&byte, 1).kind, expected);
        uint8_t bytes[STUN_HEADER_LEN + 4];
        put_stun(bytes, (uint16_t)(first << 8), 0);
        const struct look look = look_at(bytes, STUN_HEADER_LEN);
        if (first < 0x80)
            assert_int_equal(look.kind, STREAM_FRAME_MESSAGE);
        else
            assert_int_equal(look.kind, STREAM_FRAME_BAD);
        if (first < 0x40)
            assert_int_equal(look.len, STUN_HEADER_LEN);
        else if (first < 0x80)
            assert_int_equal(look.len, CHANNEL_HEADER_LEN);
    }
}

static void test_stream_frame_stun_length_not_of_four_is_bad_at_the_fourth_byte(void **state)
{
    for (unsigned len = 0; len <= 0xffff; len++) {
        const uint8_t bytes[] = {0, 1, (uint8_t)(len >> 8), (uint8_t)len};
        assert_int_equal(look_at(bytes, 3).kind, STREAM_FRAME_MORE);
        assert_int_equal(
            look_at(bytes, 4).kind, len % 4 == 0 ? STREAM_FRAME_MORE : STREAM_FRAME_BAD);
    }
}

static void test_stream_frame_each_wrong_cookie_bit_is_bad_at_its_byte(void **state)
{
    uint8_t bytes[STUN_HEADER_LEN + 8];
    for (size_t bit = 0; bit < 32; bit++) {
        const size_t at = 4 + bit / 8, len = put_stun(bytes, 0x0001, 8);
        bytes[at] ^= (uint8_t)(1u << bit % 8);
        for (size_t part = 0; part <= len; part++)
            assert_int_equal(
                look_at(bytes, part).kind, part <= at ? STREAM_FRAME_MORE : STREAM_FRAME_BAD);
    }
}

static void test_stream_frame_channel_number_is_not_judged(void **state)
{
    for (unsigned number = 0x4000; number <= 0x7fff; number++) {
        uint8_t bytes[8];
        const size_t len = put_channel_data(bytes, (uint16_t)number, 1);
        const struct look look = look_at(bytes, len);
        assert_int_equal(look.kind, STREAM_FRAME_MESSAGE);
        assert_int_equal(look.message_len, 5);
    }
}

/* Feeds `stream` cut in two at `cut` and compares what is found with `messages` and `lens`. */
static void assert_found(
    struct slice stream, size_t cut, const size_t *messages, const size_t *lens)
{
    const size_t ends[] = {cut, stream.len};
    size_t at = 0, count = 0;
    for (size_t i = 0; i < 2; i++) {
        struct look look = look_at(stream.data + at, ends[i] - at);
        while (look.kind == STREAM_FRAME_MESSAGE) {
            assert_int_equal(look.message_len, messages[count]);
            assert_int_equal(look.len, lens[count]);
            at += look.len;
            count++;
            look = look_at(stream.data + at, ends[i] - at);
        }
        assert_int_equal(look.kind, STREAM_FRAME_MORE);
    }
    assert_int_equal(at, stream.len);
}

static void test_stream_frame_several_back_to_back_are_found_wherever_they_are_cut(void **state)
{
    uint8_t bytes[400];
    size_t messages[8], lens[8], len = 0;
    for (uint16_t i = 0; i < 8; i++) {
        if (i % 3 == 0) {
            lens[i] = put_stun(bytes + len, 0x0101, (uint16_t)(i * 4));
            messages[i] = lens[i];
        } else {
            lens[i] = put_channel_data(bytes + len, 0x4000, (uint16_t)(i - 1));
            messages[i] = CHANNEL_HEADER_LEN + i - 1u;
        }
        len += lens[i];
    }
    for (size_t cut = 0; cut <= len; cut++)
        assert_found(slice_of(bytes, len), cut, messages, lens);
}

static void test_stream_frame_bad_behind_a_good_one_is_told_after_it(void **state)
{
    uint8_t bytes[64];
    const size_t len = put_channel_data(bytes, 0x4000, 3);
    bytes[len] = 0x16; /* a TLS record: the first bits of STUN, but no length and no cookie */
    bytes[len + 1] = 3;
    bytes[len + 2] = 1;
    bytes[len + 3] = 2;
    assert_int_equal(look_at(bytes, len + 4).kind, STREAM_FRAME_MESSAGE);
    assert_int_equal(look_at(bytes + len, 4).kind, STREAM_FRAME_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_frame_nothing_asks_for_more),
        cmocka_unit_test(test_stream_frame_stun_split_at_every_byte_is_found_whole),
        cmocka_unit_test(test_stream_frame_channel_data_of_every_padding_is_found_without_it),
        cmocka_unit_test(test_stream_frame_longest_are_found),
        cmocka_unit_test(test_stream_frame_first_byte_decides),
        cmocka_unit_test(test_stream_frame_stun_length_not_of_four_is_bad_at_the_fourth_byte),
        cmocka_unit_test(test_stream_frame_each_wrong_cookie_bit_is_bad_at_its_byte),
        cmocka_unit_test(test_stream_frame_channel_number_is_not_judged),
        cmocka_unit_test(test_stream_frame_several_back_to_back_are_found_wherever_they_are_cut),
        cmocka_unit_test(test_stream_frame_bad_behind_a_good_one_is_told_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
