/*
 * Finds the next message at the front of a byte stream. Nothing is kept between calls: the answer
 * depends on the bytes alone, so it does not matter in which pieces they came, and what is said
 * once other than MORE is said again when more bytes have come. Called by net/ for TCP and TLS
 * connections, before anything is known about the sender.
 */
#include "wire/stream_frame.h"

#include "base/cursor.h"
#include "wire/channel_data.h"
#include "wire/stun.h"

/* All of the `len` bytes have come, and `padding` more that are not of the message. */
static enum stream_frame_kind found(
    struct stream_frame *out, struct slice stream, size_t len, size_t padding)
{
    *out = (struct stream_frame){.message = slice_of(stream.data, len), .len = len + padding};
    return STREAM_FRAME_MESSAGE;
}

/* RFC 8489 section 5: "The Magic Cookie field MUST contain the fixed value 0x2112A442 in network
 * byte order." Classic clients (RFC 3489), which send none, are served over UDP only: a stream
 * needs all the signs that it is in step. False as soon as one byte differs. */
static bool cookie_may_follow(struct cursor *c)
{
    static const uint8_t cookie[] = {0x21, 0x12, 0xa4, 0x42};
    return slice_agree(cursor_bytes(c, cursor_left(c)), slice_of(cookie, sizeof(cookie)));
}

static enum stream_frame_kind next_stun(struct stream_frame *out, struct slice stream)
{
    struct cursor c;
    cursor_init(&c, stream);
    cursor_skip(&c, 2);
    const uint16_t len = cursor_u16(&c);
    if (c.failed)
        return STREAM_FRAME_MORE;
    /* RFC 8489 section 5: "Since all STUN attributes are padded to a multiple of 4 bytes, the last
     * 2 bits of this field are always zero." */
    if (len % 4 != 0 || !cookie_may_follow(&c))
        return STREAM_FRAME_BAD;
    const size_t whole = STUN_HEADER_LEN + (size_t)len;
    return stream.len < whole ? STREAM_FRAME_MORE : found(out, stream, whole, 0);
}

static enum stream_frame_kind next_channel_data(struct stream_frame *out, struct slice stream)
{
    struct cursor c;
    cursor_init(&c, stream);
    cursor_skip(&c, 2);
    const uint16_t len = cursor_u16(&c);
    if (c.failed)
        return STREAM_FRAME_MORE;
    /* RFC 8656 section 12.5: "the actual size of a ChannelData message (including padding) is (4 +
     * Length) rounded up to the nearest multiple of 4". */
    const size_t padding = (4 - len % 4u) % 4;
    cursor_skip(&c, len + padding);
    return c.failed ? STREAM_FRAME_MORE : found(out, stream, CHANNEL_HEADER_LEN + len, padding);
}

enum stream_frame_kind stream_frame_next(struct stream_frame *out, struct slice stream)
{
    struct cursor c;
    cursor_init(&c, stream);
    const uint8_t first = cursor_u8(&c);
    if (c.failed)
        return STREAM_FRAME_MORE;
    switch (first >> 6) {
    case 0:
        return next_stun(out, stream);
    case 1:
        return next_channel_data(out, stream);
    default:
        return STREAM_FRAME_BAD;
    }
}
