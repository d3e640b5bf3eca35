/*
 * Usually a piece is whole messages: those are handed over from where they arrived, and only the
 * front of one whose rest is missing is copied. Never holds more than one message and one piece.
 *
 * Called by connections.c for what TCP and TLS connections receive.
 */
#include "bench/reassembly.h"

#include "wire/stream_frame.h"

#include <errno.h>
#include <stdlib.h>

void reassembly_deinit(struct reassembly *r)
{
    free(r->bytes);
    *r = (struct reassembly){0};
}

/* Bytes taken off the front, or -EPROTO. */
static ssize_t hand_over(
    struct slice stream, uint64_t arrived_ns, const struct endpoint_reader *reader)
{
    struct stream_frame frame;
    size_t taken = 0;

    for (;;) {
        struct slice rest = slice_of(stream.data + taken, stream.len - taken);
        switch (rest.len == 0 ? STREAM_FRAME_MORE : stream_frame_next(&frame, rest)) {
        case STREAM_FRAME_MESSAGE:
            reader->datagram(reader->ctx, frame.message, arrived_ns);
            taken += frame.len;
            break;
        case STREAM_FRAME_MORE:
            return (ssize_t)taken;
        default:
            return -EPROTO;
        }
    }
}

static int append(struct reassembly *r, struct slice bytes)
{
    if (r->len + bytes.len > r->cap) {
        size_t cap = 2 * (r->len + bytes.len);
        uint8_t *grown = realloc(r->bytes, cap);
        if (grown == NULL) {
            return -ENOMEM;
        }
        r->bytes = grown;
        r->cap = cap;
    }
    memcpy(r->bytes + r->len, bytes.data, bytes.len);
    r->len += bytes.len;
    return 0;
}

int reassembly_feed(struct reassembly *r, struct slice bytes, uint64_t arrived_ns,
    const struct endpoint_reader *reader)
{
    ssize_t taken;

    if (bytes.len == 0) {
        return 0;
    }
    if (r->len == 0) {
        taken = hand_over(bytes, arrived_ns, reader);
        if (taken < 0 || (size_t)taken == bytes.len) {
            return taken < 0 ? (int)taken : 0;
        }
        return append(r, slice_of(bytes.data + taken, bytes.len - (size_t)taken));
    }
    int rc = append(r, bytes);
    if (rc < 0) {
        return rc;
    }
    taken = hand_over(slice_of(r->bytes, r->len), arrived_ns, reader);
    if (taken < 0) {
        return (int)taken;
    }
    r->len -= (size_t)taken;
    memmove(r->bytes, r->bytes + taken, r->len);
    return 0;
}
