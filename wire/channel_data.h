/* The ChannelData message, RFC 8656 section 12.4. All integers on the wire are big-endian. */
#ifndef WIRE_CHANNEL_DATA_H
#define WIRE_CHANNEL_DATA_H

#include "base/counters.h"
#include "base/slice.h"

#define CHANNEL_HEADER_LEN 4
#define CHANNEL_MIN        0x4000
#define CHANNEL_MAX        0x4fff
/* RFC 5766 allowed more; RFC 8656 reserves them ("not backwards compatible with [RFC5766]"). */
#define CHANNEL_MAX_RFC5766 0x7fff

struct channel_data {
    uint16_t number;      /* CHANNEL_MIN..CHANNEL_MAX */
    struct slice payload; /* borrowed from the datagram; may be empty */
};

/* REASON_NONE, or REASON_CHANNEL_TRUNCATED / REASON_CHANNEL_RESERVED with *out untouched. Bytes
 * behind the payload (padding "MAY be included" over UDP) are ignored. */
enum reason channel_data_parse(struct channel_data *out, struct slice datagram);

/* The same for the range of RFC 5766, for operators who still serve such clients. */
enum reason channel_data_parse_rfc5766(struct channel_data *out, struct slice datagram);

/* Writes the 4-byte header for a payload of `len` bytes (0–65535). */
void channel_data_header(uint8_t out[CHANNEL_HEADER_LEN], uint16_t number, uint16_t len);

#endif
