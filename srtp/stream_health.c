/*
 * The health of one RTP stream, from headers that anyone may have written: no number overflows, and
 * a packet's cost is bounded whatever it says. There are never more packets, duplicates aside, than
 * were expected. Called by streams.c for every RTP packet.
 */
#include "srtp/stream_health.h"

#include "base/clock.h"

enum taken {
    TAKEN_FORWARD, /* ahead of all before */
    TAKEN_BEHIND,  /* late, or a duplicate */
    TAKEN_FAR_OFF, /* counted for itself alone */
    TAKEN_BEGAN    /* the first of a sequence */
};

#define SEQUENCE_CYCLE 0x10000u
#define SEQUENCE_NONE  SEQUENCE_CYCLE
#define MAX_DROPOUT    3000
/* exception: RFC 3550 appendix A.1 has 100 as "typical", for audio of 50 packets a second. Video
 * has ten times as many, and retransmissions come a round trip late. */
#define MAX_MISORDER HEALTH_SEEN_BITS

#define JUMP_S        5 /* a timestamp that is off by so much has jumped */
#define SPAN_FIRST_US (1 * US_PER_S)
#define SPAN_LAST_US  (64 * US_PER_S)
#define SPAN_MAX_US   (600 * US_PER_S) /* over a longer silence timestamps say nothing */

#define STATIC_TYPES 35
/* RFC 3551 section 6, tables 4 and 5; 0: not assigned, or dynamic. */
static const uint32_t static_rates[STATIC_TYPES] = {8000, 0, 0, 8000, 8000, 8000, 16000, 8000, 8000,
    8000, 44100, 44100, 8000, 8000, 90000, 8000, 11025, 22050, 8000, 0, 0, 0, 0, 0, 0, 90000, 90000,
    0, 90000, 0, 0, 90000, 90000, 90000, 90000};

static const uint32_t usual_rates[] = {8000, 16000, 24000, 32000, 44100, 48000, 90000};

/* Says whether the number was in before. */
static bool seen_set(struct health_sequence *q, uint64_t number)
{
    uint64_t *word = &q->seen[number / 64 % (HEALTH_SEEN_BITS / 64)];
    const uint64_t bit = 1ull << number % 64;
    const bool before = (*word & bit) != 0;
    *word |= bit;
    return before;
}

static void seen_clear(struct health_sequence *q, uint64_t from, unsigned count)
{
    if (count >= HEALTH_SEEN_BITS) {
        memset(q->seen, 0, sizeof(q->seen));
        return;
    }
    while (count > 0) {
        const unsigned shift = from % 64;
        const unsigned n = count < 64 - shift ? count : 64 - shift;
        q->seen[from / 64 % (HEALTH_SEEN_BITS / 64)] &= ~(UINT64_MAX >> (64 - n) << shift);
        from += n;
        count -= n;
    }
}

static void sequence_begin(struct health_sequence *q, uint16_t number)
{
    q->first = q->highest = SEQUENCE_CYCLE + number; /* what is behind it has numbers too */
    q->after_stray = SEQUENCE_NONE;
    memset(q->seen, 0, sizeof(q->seen));
    (void)seen_set(q, q->highest);
}

/* RFC 3550 appendix A.1, update_seq, without probation. */
static enum taken sequence_take(
    struct health_sequence *q, struct srtp_stream *stream, uint16_t number)
{
    const uint16_t ahead = (uint16_t)(number - q->highest);
    const uint32_t behind = (uint16_t)(q->highest - number);
    /* "the sequence number is considered valid if it is no more than MAX_DROPOUT ahead of
     * s->max_seq nor more than MAX_MISORDER behind" */
    if (ahead > 0 && ahead < MAX_DROPOUT) {
        seen_clear(q, q->highest + 1, ahead);
        q->highest += ahead;
        q->after_stray = SEQUENCE_NONE;
        (void)seen_set(q, q->highest);
        stream->expected += ahead;
        return TAKEN_FORWARD;
    }
    if (behind < MAX_MISORDER) {
        if (seen_set(q, q->highest - behind)) {
            stream->duplicates++;
            return TAKEN_BEHIND;
        }
        stream->late++;
        /* Appendix A.3 expects none before the first: one that comes all the same is not to make
         * up for a lost one. */
        stream->expected += behind > q->highest - q->first;
        return TAKEN_BEHIND;
    }
    stream->expected++;
    /* "the bad sequence number plus 1 is stored. If the next packet received carries the next
     * higher sequence number, it is considered the valid start of a new packet sequence". */
    if (number != q->after_stray) {
        q->after_stray = (uint16_t)(number + 1);
        return TAKEN_FAR_OFF;
    }
    sequence_begin(q, number);
    (void)seen_set(q, q->highest - 1);
    stream->resets++;
    return TAKEN_BEGAN;
}

static enum taken sequence_first(
    struct health_sequence *q, struct srtp_stream *stream, uint16_t number)
{
    sequence_begin(q, number);
    stream->expected++;
    return TAKEN_BEGAN;
}

/* The usual rate that `ticks` in `us` come nearest to; 0: near none, as after a jump. */
static uint32_t rate_of_span(uint32_t ticks, uint64_t us)
{
    const uint64_t measured = ticks * US_PER_S / us;
    uint64_t nearest = UINT64_MAX;
    uint32_t rate = 0;
    for (size_t i = 0; i < sizeof(usual_rates) / sizeof(usual_rates[0]); i++) {
        const uint64_t usual = usual_rates[i];
        const uint64_t distance = measured > usual ? measured - usual : usual - measured;
        if (distance < nearest) {
            nearest = distance;
            rate = usual_rates[i];
        }
    }
    return nearest <= rate / 8 ? rate : 0;
}

static void rate_set(struct health_timing *t, struct srtp_stream *stream, uint32_t rate)
{
    if (stream->clock_rate == rate)
        return;
    stream->clock_rate = rate;
    stream->jitter = t->jitter_16 = 0;
}

static void anchor_drop(struct health_timing *t, uint32_t timestamp, uint64_t now_us)
{
    t->anchor_timestamp = timestamp;
    t->anchor_us = now_us;
    t->span_us = SPAN_FIRST_US;
}

static void rate_begin(
    struct health_timing *t, struct srtp_stream *stream, const struct rtp_header *rtp, uint64_t now)
{
    const uint8_t type = rtp->payload_type;
    if (type < STATIC_TYPES && static_rates[type] != 0) {
        rate_set(t, stream, static_rates[type]);
        t->span_us = 0;
        return;
    }
    anchor_drop(t, rtp->timestamp, now);
}

/* The longer the span, the less what the network adds to it: measured again at each doubling. */
static void rate_infer(
    struct health_timing *t, struct srtp_stream *stream, uint32_t timestamp, uint64_t now_us)
{
    if (t->span_us == 0 || now_us < t->anchor_us + t->span_us)
        return;
    const uint64_t span = now_us - t->anchor_us;
    const uint32_t rate =
        span > SPAN_MAX_US ? 0 : rate_of_span(timestamp - t->anchor_timestamp, span);
    if (rate == 0) {
        anchor_drop(t, timestamp, now_us);
        return;
    }
    rate_set(t, stream, rate);
    t->span_us = t->span_us < SPAN_LAST_US ? t->span_us * 2 : 0;
}

/* RFC 3550 appendix A.8, with its integer variant. */
static void jitter_add(
    struct health_timing *t, struct srtp_stream *stream, uint32_t timestamp, uint64_t now_us)
{
    const uint64_t gap_us = now_us > t->arrival_us ? now_us - t->arrival_us : 0;
    if (stream->clock_rate == 0 || gap_us > SPAN_MAX_US)
        return;
    const uint64_t rate = stream->clock_rate;
    const int64_t arrived = (int64_t)((gap_us * rate + US_PER_S / 2) / US_PER_S);
    const int64_t sent = (int32_t)(timestamp - t->timestamp);
    const uint64_t d = (uint64_t)(arrived > sent ? arrived - sent : sent - arrived);
    /* exception: section 6.4.1 says that the formula is to be heeded, and it knows no jumps. One,
     * as when a sender changes its camera, would drown what the network does for minutes. */
    if (d > JUMP_S * rate)
        return;
    t->jitter_16 += (uint32_t)d - ((t->jitter_16 + 8) >> 4);
    stream->jitter = t->jitter_16 >> 4;
}

void stream_health_rtp(struct stream_health *h, struct srtp_stream *stream,
    const struct rtp_header *rtp, uint64_t now_us)
{
    struct health_timing *t = &h->timing;
    const enum taken taken = stream->packets == 0
                                 ? sequence_first(&h->sequence, stream, rtp->sequence)
                                 : sequence_take(&h->sequence, stream, rtp->sequence);
    if (taken == TAKEN_FAR_OFF)
        return; /* nor is the rest that it says to be relied upon */
    if (taken == TAKEN_BEGAN || stream->payload_type != rtp->payload_type)
        rate_begin(t, stream, rtp, now_us);
    else if (taken == TAKEN_FORWARD)
        rate_infer(t, stream, rtp->timestamp, now_us);
    if (taken != TAKEN_BEGAN)
        jitter_add(t, stream, rtp->timestamp, now_us);
    stream->payload_type = rtp->payload_type;
    t->timestamp = rtp->timestamp;
    t->arrival_us = now_us;
}
