/*
 * Any bytes as a stream. The first byte of the input chooses the pieces, the rest is what is sent:
 * what is found when it comes piece by piece must be what is found when it comes whole, and nothing
 * may be read that has not come. Each frame is a message that the parsers of datagrams take as far
 * as framing goes.
 */
#include "tests/fuzz/fuzz.h"
#include "wire/channel_data.h"
#include "wire/stream_frame.h"
#include "wire/stun.h"

#define FRAMES_MAX 4096u

enum outcome { MORE, BAD, STUN, CHANNEL_DATA, CHANNEL_DATA_PADDED, OUTCOMES };

static const char *const names[OUTCOMES] = {
    "more", "bad", "stun", "channel_data", "channel_data_padded"};

struct fuzz_reasons fuzz_reasons = {.names = names, .count = OUTCOMES};

/* What was found in a stream. */
struct found {
    size_t count;
    struct {
        size_t message_len, len;
    } frames[FRAMES_MAX];
    size_t taken;
    enum stream_frame_kind end; /* MORE or BAD; MESSAGE: there were FRAMES_MAX */
};

/* Looks at a copy of exactly the bytes that have come. */
static enum stream_frame_kind look_at(struct stream_frame *out, struct slice come)
{
    uint8_t *copy = malloc(come.len == 0 ? 1 : come.len);
    FUZZ_REQUIRE(copy != NULL);
    if (come.len > 0)
        memcpy(copy, come.data, come.len);
    *out = (struct stream_frame){.len = 7};
    const enum stream_frame_kind kind = stream_frame_next(out, slice_of(copy, come.len));
    if (kind == STREAM_FRAME_MESSAGE)
        FUZZ_REQUIRE(out->message.data == copy);
    else
        FUZZ_REQUIRE(out->message.data == NULL && out->message.len == 0 && out->len == 7);
    free(copy);
    return kind;
}

/* Takes off what has come, up to `end`; false when nothing can follow. */
static bool take_frames(struct found *found, struct slice stream, size_t end)
{
    struct stream_frame frame;
    while (found->count < FRAMES_MAX) {
        const struct slice come = slice_of(stream.data + found->taken, end - found->taken);
        found->end = look_at(&frame, come);
        if (found->end != STREAM_FRAME_MESSAGE)
            return found->end == STREAM_FRAME_MORE;
        FUZZ_REQUIRE(frame.len >= 4 && frame.len <= come.len && frame.len <= STREAM_FRAME_MAX);
        FUZZ_REQUIRE(frame.message.len <= frame.len && frame.len - frame.message.len < 4);
        FUZZ_REQUIRE(frame.len % 4 == 0);
        found->frames[found->count].message_len = frame.message.len;
        found->frames[found->count].len = frame.len;
        found->taken += frame.len;
        found->count++;
    }
    return false;
}

static void check_message(struct slice message, size_t len)
{
    if (message.data[0] >= 0x40) {
        struct channel_data data;
        FUZZ_REQUIRE(channel_data_parse_rfc5766(&data, message) == REASON_NONE);
        FUZZ_REQUIRE(data.payload.len + CHANNEL_HEADER_LEN == message.len);
        fuzz_note_outcome(len == message.len ? CHANNEL_DATA : CHANNEL_DATA_PADDED);
        return;
    }
    struct stun_msg msg;
    const enum reason reason = stun_parse(&msg, message);
    FUZZ_REQUIRE(len == message.len && reason != REASON_STUN_TRUNCATED);
    FUZZ_REQUIRE(reason != REASON_NOT_STUN && reason != REASON_STUN_NO_COOKIE);
    FUZZ_REQUIRE(reason != REASON_NONE || !msg.classic);
    FUZZ_REQUIRE(reason != REASON_STUN_BAD_LENGTH || message.len > UINT16_MAX);
    fuzz_note_outcome(STUN);
}

static void check_same(const struct found *whole, const struct found *pieces)
{
    FUZZ_REQUIRE(whole->count == pieces->count && whole->taken == pieces->taken);
    FUZZ_REQUIRE(whole->end == pieces->end);
    for (size_t i = 0; i < whole->count; i++) {
        FUZZ_REQUIRE(whole->frames[i].message_len == pieces->frames[i].message_len);
        FUZZ_REQUIRE(whole->frames[i].len == pieces->frames[i].len);
    }
}

/* Pieces of 1 to 2, 4, ... 256 bytes, drawn from a small generator. */
static void take_pieces(struct found *found, struct slice stream, uint8_t seed)
{
    uint32_t state = seed * 2654435761u + 1;
    bool open = true;
    for (size_t end = 0; open && end < stream.len;) {
        state = state * 1664525u + 1013904223u;
        const size_t piece = 1 + (state >> 24 & ((2u << seed % 8) - 1));
        end = stream.len - end < piece ? stream.len : end + piece;
        open = take_frames(found, stream, end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct found whole, pieces;
    if (size < 2)
        return 0;
    const struct slice stream = slice_of(data + 1, size - 1);
    whole = pieces = (struct found){0};
    take_frames(&whole, stream, stream.len);
    take_pieces(&pieces, stream, data[0]);
    check_same(&whole, &pieces);
    size_t at = 0;
    for (size_t i = 0; i < whole.count; i++) {
        check_message(slice_of(stream.data + at, whole.frames[i].message_len), whole.frames[i].len);
        at += whole.frames[i].len;
    }
    FUZZ_REQUIRE(at == whole.taken && at <= stream.len);
    if (whole.end != STREAM_FRAME_MESSAGE)
        fuzz_note_outcome(whole.end == STREAM_FRAME_MORE ? MORE : BAD);
    return 0;
}
