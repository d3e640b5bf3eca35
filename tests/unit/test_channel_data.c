/* ChannelData against RFC 8656 sections 12.4 to 12.6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/channel_data.h"

/* Parses a copy of exactly `len` bytes; *offset and *payload say where the payload lay. */
static enum reason parse_exact(
    const uint8_t *bytes, size_t len, struct channel_data *out, size_t *offset)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    const enum reason reason = channel_data_parse(out, slice_of(copy, len));
    if (reason == REASON_NONE)
        *offset = (size_t)(out->payload.data - copy);
    free(copy);
    return reason;
}

static void test_channel_data_parse_reads_number_and_payload(void **state)
{
    const uint8_t datagram[] = {0x40, 0x01, 0x00, 0x03, 'a', 'b', 'c'};
    struct channel_data message;
    assert_int_equal(channel_data_parse(&message, slice_of(datagram, 7)), REASON_NONE);
    assert_int_equal(message.number, 0x4001);
    assert_ptr_equal(message.payload.data, datagram + 4);
    assert_int_equal(message.payload.len, 3);
}

static void test_channel_data_parse_padding_is_ignored(void **state)
{
    const uint8_t datagram[] = {0x4f, 0xff, 0x00, 0x01, 'a', 0, 0, 0, 9, 9};
    struct channel_data message;
    assert_int_equal(channel_data_parse(&message, slice_of(datagram, 10)), REASON_NONE);
    assert_int_equal(message.number, 0x4fff);
    assert_int_equal(message.payload.len, 1);
}

static void test_channel_data_parse_empty_payload_is_valid(void **state)
{
    const uint8_t datagram[] = {0x40, 0x00, 0x00, 0x00};
    struct channel_data message;
    size_t offset = 0;
    assert_int_equal(parse_exact(datagram, 4, &message, &offset), REASON_NONE);
    assert_int_equal(offset, 4);
    assert_int_equal(message.payload.len, 0);
}

static void test_channel_data_parse_every_truncation_is_refused(void **state)
{
    uint8_t datagram[4 + 300] = {0x40, 0x00, 0x01, 0x2c};
    size_t offset = 0;
    for (size_t len = 0; len < sizeof(datagram); len++) {
        struct channel_data message = {.number = 7};
        assert_int_equal(parse_exact(datagram, len, &message, &offset), REASON_CHANNEL_TRUNCATED);
        assert_int_equal(message.number, 7);
        assert_null(message.payload.data);
    }
    struct channel_data message;
    assert_int_equal(parse_exact(datagram, sizeof(datagram), &message, &offset), REASON_NONE);
    assert_int_equal(message.payload.len, 300);
    assert_int_equal(channel_data_parse(&message, slice_of(NULL, 0)), REASON_CHANNEL_TRUNCATED);
}

static void test_channel_data_parse_largest_length_is_refused_without_bytes(void **state)
{
    const uint8_t datagram[] = {0x40, 0x00, 0xff, 0xff, 0, 0, 0, 0};
    struct channel_data message;
    size_t offset = 0;
    assert_int_equal(parse_exact(datagram, 8, &message, &offset), REASON_CHANNEL_TRUNCATED);
}

static void test_channel_data_parse_every_number_outside_is_refused(void **state)
{
    for (unsigned number = 0; number <= 0xffff; number++) {
        const uint8_t datagram[] = {(uint8_t)(number >> 8), (uint8_t)number, 0, 0};
        struct channel_data message = {.number = 7};
        const enum reason reason = channel_data_parse(&message, slice_of(datagram, 4));
        if (number >= 0x4000 && number <= 0x4fff) {
            assert_int_equal(reason, REASON_NONE);
            assert_int_equal(message.number, number);
        } else {
            assert_int_equal(reason, REASON_CHANNEL_RESERVED);
            assert_int_equal(message.number, 7);
        }
    }
}

static void test_channel_data_header_is_what_parse_reads(void **state)
{
    static uint8_t datagram[4 + 65535];
    const uint16_t lengths[] = {0, 1, 255, 256, 1200, 65535};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct channel_data message;
        channel_data_header(datagram, 0x4abc, lengths[i]);
        const struct slice all = slice_of(datagram, 4u + lengths[i]);
        assert_int_equal(channel_data_parse(&message, all), REASON_NONE);
        assert_int_equal(message.number, 0x4abc);
        assert_int_equal(message.payload.len, lengths[i]);
    }
    const uint8_t expected[] = {0x4a, 0xbc, 0x01, 0x02};
    channel_data_header(datagram, 0x4abc, 0x0102);
    assert_memory_equal(datagram, expected, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_data_parse_reads_number_and_payload),
        cmocka_unit_test(test_channel_data_parse_padding_is_ignored),
        cmocka_unit_test(test_channel_data_parse_empty_payload_is_valid),
        cmocka_unit_test(test_channel_data_parse_every_truncation_is_refused),
        cmocka_unit_test(test_channel_data_parse_largest_length_is_refused_without_bytes),
        cmocka_unit_test(test_channel_data_parse_every_number_outside_is_refused),
        cmocka_unit_test(test_channel_data_header_is_what_parse_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
