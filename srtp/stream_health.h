/*
 * What the RTP headers of one stream tell of its way here: loss, duplicates, reordering and jitter
 * (RFC 3550 appendix A.1, A.3 and A.8). Private to srtp/streams.c, which embeds it; {0} at first.
 */
#ifndef SRTP_STREAM_HEALTH_H
#define SRTP_STREAM_HEALTH_H

#include "srtp/streams.h"

#define HEALTH_SEEN_BITS 512 /* sequence numbers up to the highest that duplicates are known of */

struct health_sequence {
    uint64_t first, highest; /* extended by the cycles of 16 bits */
    uint32_t after_stray;    /* the number behind one that was far off; over 16 bits: none */
    uint64_t seen[HEALTH_SEEN_BITS / 64]; /* a ring: bit n of sequence number n modulo its size */
};

struct health_timing {
    uint64_t arrival_us; /* of the latest packet */
    uint32_t timestamp;  /* of the same */
    uint32_t jitter_16;  /* RFC 3550's estimate, scaled by 16 */
    /* Where the clock rate is being found out from, and over how long; 0: no need to. */
    uint32_t anchor_timestamp;
    uint64_t anchor_us, span_us;
};

struct stream_health {
    struct health_sequence sequence;
    struct health_timing timing;
};

/* Brings `stream` up to date but for `packets`, which is the number before this one. */
void stream_health_rtp(struct stream_health *h, struct srtp_stream *stream,
    const struct rtp_header *rtp, uint64_t now_us);

#endif
