/* Any bytes as a ChannelData datagram: the payload lies inside, and the header is what we write. */
#include "tests/fuzz/fuzz.h"
#include "wire/channel_data.h"
#include "wire/demux.h"

static const enum reason expected[] = {
    REASON_NONE, REASON_CHANNEL_TRUNCATED, REASON_CHANNEL_RESERVED};

struct fuzz_reasons fuzz_reasons = {
    .expected = expected, .count = sizeof(expected) / sizeof(expected[0])};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel_data message = {.number = 7};
    const enum reason reason = channel_data_parse(&message, slice_of(data, size));
    fuzz_note(reason);
    if (reason != REASON_NONE) {
        FUZZ_REQUIRE(message.number == 7 && message.payload.data == NULL);
        return 0;
    }
    FUZZ_REQUIRE(demux(slice_of(data, size)) == DEMUX_CHANNEL);
    FUZZ_REQUIRE(message.number >= CHANNEL_MIN && message.number <= CHANNEL_MAX);
    FUZZ_REQUIRE(message.payload.data == data + CHANNEL_HEADER_LEN);
    FUZZ_REQUIRE(message.payload.len <= size - CHANNEL_HEADER_LEN);
    uint8_t header[CHANNEL_HEADER_LEN];
    channel_data_header(header, message.number, (uint16_t)message.payload.len);
    FUZZ_REQUIRE(memcmp(header, data, sizeof(header)) == 0);
    return 0;
}
