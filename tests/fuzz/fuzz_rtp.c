/*
 * Any bytes as a datagram between a client and a peer: what srtp_classify calls plausible is, by
 * checks of our own, and headers end where they say. Then the same bytes as a row of RTP packets of
 * a few streams: the books of srtp/streams.h stay right.
 */
#include "base/clock.h"
#include "srtp/classify.h"
#include "srtp/streams.h"
#include "tests/fuzz/fuzz.h"
#include "wire/channel_data.h"

#define CAP        3
#define STEP_LEN   12 /* bytes that one packet is made of */
#define JITTER_MAX (5 * 90000)

static const enum reason expected[] = {REASON_NONE, REASON_GUARD_NOT_MEDIA,
    REASON_GUARD_STUN_MALFORMED, REASON_GUARD_DTLS_MALFORMED, REASON_GUARD_CHANNEL_MALFORMED,
    REASON_GUARD_RTP_MALFORMED, REASON_GUARD_RTCP_MALFORMED};

struct fuzz_reasons fuzz_reasons = {
    .expected = expected, .count = sizeof(expected) / sizeof(expected[0])};

static uint32_t number_at(const uint8_t *p, unsigned len)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < len; i++)
        n = n << 8 | p[i];
    return n;
}

static void check_rtp(const struct rtp_header *h, const uint8_t *data, size_t size)
{
    FUZZ_REQUIRE(data[0] >> 6 == 2 && (data[1] < 192 || data[1] > 223));
    FUZZ_REQUIRE(h->header_len >= RTP_HEADER_LEN && h->header_len <= size);
    FUZZ_REQUIRE(h->header_len % 4 == 0 && h->header_len >= 12 + 4 * (data[0] & 15));
    FUZZ_REQUIRE(h->payload_type + 128 * h->marker == data[1]);
    FUZZ_REQUIRE(h->sequence == number_at(data + 2, 2) && h->timestamp == number_at(data + 4, 4));
    FUZZ_REQUIRE(h->ssrc == number_at(data + 8, 4));
    /* The header alone is the same header, and less is none. */
    struct rtp_header again = {0};
    FUZZ_REQUIRE(rtp_parse(&again, slice_of(data, h->header_len)) == REASON_NONE);
    FUZZ_REQUIRE(again.header_len == h->header_len);
    FUZZ_REQUIRE(
        rtp_parse(&again, slice_of(data, h->header_len - 1u)) == REASON_GUARD_RTP_MALFORMED);
}

static void check_rtcp(const struct rtcp_header *h, const uint8_t *data, size_t size)
{
    const size_t first = 4 * (number_at(data + 2, 2) + 1);
    FUZZ_REQUIRE(data[0] >> 6 == 2 && data[1] >= 192 && data[1] <= 223);
    FUZZ_REQUIRE(first >= RTCP_HEADER_LEN && first <= size);
    FUZZ_REQUIRE(h->packet_type == data[1] && h->ssrc == number_at(data + 4, 4));
    struct rtcp_header again;
    FUZZ_REQUIRE(rtcp_parse(&again, slice_of(data, first)) == REASON_NONE);
    FUZZ_REQUIRE(rtcp_parse(&again, slice_of(data, first - 1)) == REASON_GUARD_RTCP_MALFORMED);
}

static void check_plausible(const struct srtp_class *c, const uint8_t *data, size_t size)
{
    struct channel_data channel;
    switch (c->kind) {
    case SRTP_KIND_STUN:
        FUZZ_REQUIRE(data[0] <= 3 && size % 4 == 0 && number_at(data + 2, 2) + 20 == size);
        FUZZ_REQUIRE(number_at(data + 4, 4) == 0x2112a442);
        break;
    case SRTP_KIND_DTLS:
        FUZZ_REQUIRE(data[0] >= 20 && data[0] <= 63 && size >= 14);
        FUZZ_REQUIRE(data[0] <= 26 || data[0] >= 32);
        break;
    case SRTP_KIND_CHANNEL:
        FUZZ_REQUIRE(channel_data_parse(&channel, slice_of(data, size)) == REASON_NONE);
        FUZZ_REQUIRE(size - CHANNEL_HEADER_LEN <= (channel.payload.len + 3) / 4 * 4);
        break;
    case SRTP_KIND_RTP:
        check_rtp(&c->u.rtp, data, size);
        break;
    case SRTP_KIND_RTCP:
        check_rtcp(&c->u.rtcp, data, size);
        break;
    default:
        FUZZ_REQUIRE(false);
    }
}

static void check_stream(const struct srtp_stream *stream)
{
    FUZZ_REQUIRE(stream->packets >= stream->duplicates + stream->late);
    FUZZ_REQUIRE(srtp_stream_lost(stream) <= stream->expected);
    FUZZ_REQUIRE(stream->jitter <= JITTER_MAX && (stream->clock_rate > 0 || stream->jitter == 0));
    FUZZ_REQUIRE(stream->first_us <= stream->last_us);
}

static void check_list(const struct srtp_streams *pool, const struct srtp_stream_list *list)
{
    unsigned seen[SRTP_DIRECTIONS] = {0};
    for (const struct srtp_stream *stream = NULL;
         (stream = srtp_streams_next(pool, list, stream)) != NULL;)
        seen[stream->direction]++;
    for (unsigned i = 0; i < SRTP_DIRECTIONS; i++)
        FUZZ_REQUIRE(seen[i] == list->count[i] && seen[i] <= CAP);
}

/* One packet of STEP_LEN bytes: whose, of which type, with which numbers, and how much later. */
static void step(
    struct srtp_streams *pool, struct srtp_stream_list *list, const uint8_t *p, uint64_t *now_us)
{
    const struct rtp_header h = {.ssrc = p[0] & 7,
        .payload_type = p[1] & 127,
        .sequence = (uint16_t)number_at(p + 2, 2),
        .timestamp = number_at(p + 4, 4)};
    *now_us += (uint64_t)number_at(p + 8, 3) << p[11] % 32;
    const enum srtp_direction direction = (enum srtp_direction)(p[0] >> 7);
    const struct srtp_stream *before = srtp_streams_find(pool, list, direction, h.ssrc);
    struct srtp_stream *stream = srtp_streams_get(pool, list, direction, h.ssrc, *now_us);
    if (stream == NULL) {
        FUZZ_REQUIRE(before == NULL && list->untracked > 0);
        return;
    }
    FUZZ_REQUIRE(before == NULL || before == stream);
    FUZZ_REQUIRE(srtp_streams_find(pool, list, direction, h.ssrc) == stream);
    FUZZ_REQUIRE(stream->ssrc == h.ssrc && stream->direction == p[0] >> 7);
    if ((p[0] & 8) != 0)
        srtp_stream_rtcp(stream, *now_us);
    else
        srtp_stream_rtp(stream, &h, STEP_LEN, *now_us);
    check_stream(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct srtp_class c;
    memset(&c, 0xa5, sizeof(c)); /* it must not count on zeros */
    srtp_classify(&c, slice_of(data, size));
    fuzz_note(c.bad);
    if (c.bad == REASON_NONE)
        check_plausible(&c, data, size);
    struct srtp_streams *pool = srtp_streams_new(2 * CAP - 1, CAP);
    FUZZ_REQUIRE(pool != NULL);
    struct srtp_stream_list list = {0};
    uint64_t now_us = US_PER_S;
    for (; size >= STEP_LEN; data += STEP_LEN, size -= STEP_LEN)
        step(pool, &list, data, &now_us);
    check_list(pool, &list);
    srtp_streams_release(pool, &list);
    srtp_streams_free(pool);
    return 0;
}
