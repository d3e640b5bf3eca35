/*
 * ChannelData messages in datagrams. The payload is a slice of the datagram: nothing is copied.
 * Called by relay/ on both media paths, once a datagram.
 */
#include "wire/channel_data.h"

static enum reason parse(struct channel_data *out, struct slice datagram, uint16_t max)
{
    if (datagram.len < CHANNEL_HEADER_LEN)
        return REASON_CHANNEL_TRUNCATED;
    const uint8_t *p = datagram.data;
    const uint16_t number = (uint16_t)(p[0] << 8 | p[1]);
    /* RFC 8656 section 12.6: "If the message uses a value in the reserved range (0x5000 through
     * 0xFFFF), then the message is silently discarded." */
    if (number < CHANNEL_MIN || number > max)
        return REASON_CHANNEL_RESERVED;
    /* "if the UDP datagram is too short to contain the claimed length of the ChannelData message
     * [...] then the message is silently discarded." Section 12.4: "Note that 0 is a valid length."
     * */
    const size_t len = (size_t)p[2] << 8 | p[3];
    if (len > datagram.len - CHANNEL_HEADER_LEN)
        return REASON_CHANNEL_TRUNCATED;
    out->number = number;
    out->payload = slice_of(p + CHANNEL_HEADER_LEN, len);
    return REASON_NONE;
}

enum reason channel_data_parse(struct channel_data *out, struct slice datagram)
{
    return parse(out, datagram, CHANNEL_MAX);
}

enum reason channel_data_parse_rfc5766(struct channel_data *out, struct slice datagram)
{
    return parse(out, datagram, CHANNEL_MAX_RFC5766);
}

void channel_data_header(uint8_t out[CHANNEL_HEADER_LEN], uint16_t number, uint16_t len)
{
    out[0] = (uint8_t)(number >> 8);
    out[1] = (uint8_t)number;
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
}
