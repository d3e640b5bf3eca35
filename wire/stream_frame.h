/*
 * Messages in a stream: STUN (RFC 8489 section 6.2.2) and ChannelData padded to four bytes (RFC
 * 8656 section 12.5), back to back. All integers on the wire are big-endian.
 */
#ifndef WIRE_STREAM_FRAME_H
#define WIRE_STREAM_FRAME_H

#include "base/slice.h"

/* The longest frame: a STUN message of 65532 bytes behind its header of 20. ChannelData of 65535
 * with header and padding is 12 bytes shorter. */
#define STREAM_FRAME_MAX (20 + 65532)

enum stream_frame_kind {
    STREAM_FRAME_MORE,    /* a frame has begun, or nothing is there: more bytes must come */
    STREAM_FRAME_MESSAGE, /* a whole message stands in front */
    STREAM_FRAME_BAD      /* neither STUN nor ChannelData, or a STUN header that cannot be (length
                             not a multiple of 4, no magic cookie): the stream cannot go on */
};

struct stream_frame {
    struct slice message; /* borrowed: without the padding of ChannelData */
    size_t len;           /* bytes to take off the stream: with the padding */
};

/* Looks at the front of what has arrived. *out is written with STREAM_FRAME_MESSAGE only. Bad is
 * said as early as the bytes show it. Channel numbers are not judged beyond the first two bits. */
enum stream_frame_kind stream_frame_next(struct stream_frame *out, struct slice stream);

#endif
