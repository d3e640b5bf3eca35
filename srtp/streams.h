/*
 * How the streams of an allocation are doing, from what their RTP headers say in clear: one entry
 * an SSRC and direction, of RTP and of RTCP alike. Entries come from a pool that is made once: a
 * packet never waits for memory. Where the pool or the allocation's own cap is used up, further
 * SSRCs are counted and not kept. One thread.
 */
#ifndef SRTP_STREAMS_H
#define SRTP_STREAMS_H

#include "srtp/keys.h"
#include "wire/rtp.h"

/* RFC 3550 appendix A.1, A.3 and A.8. Sequence numbers before the first are not counted as lost. */
struct srtp_stream {
    uint32_t ssrc;
    uint8_t direction;       /* enum srtp_direction */
    uint8_t payload_type;    /* of the latest RTP packet */
    uint64_t packets, bytes; /* of RTP that passed, duplicates too; whole datagrams */
    uint64_t rtcp_packets;   /* SRTCP of this sender */
    uint64_t expected;       /* by the highest extended sequence number; lost: expected - unique */
    uint64_t duplicates, late; /* seen before; behind a later one, but not seen before */
    uint64_t resets;     /* times that the sequence jumped too far to be loss, and began anew */
    uint64_t dropped;    /* by the guard: failed, replayed, … */
    uint32_t clock_rate; /* Hz: RFC 3551's, or what the timestamps say; 0: not known yet */
    uint32_t jitter;     /* interarrival jitter, in units of clock_rate */
    uint64_t first_us, last_us; /* monotonic */
};

struct srtp_streams; /* the pool of a worker */
struct srtp_stream_list {
    uint32_t first; /* private */
    uint16_t count[SRTP_DIRECTIONS];
    uint32_t untracked; /* packets of SSRCs that found no place */
};

/* `max`: entries, at most 2^24; resident memory is that of entries in use. NULL: out of memory. */
struct srtp_streams *srtp_streams_new(uint32_t max);
void srtp_streams_free(struct srtp_streams *s);

/* Entries of one list are found in time bounded by `cap` (SSRCs of one direction). NULL: the SSRC
 * has no entry, and there is no room for one: counted in list->untracked. */
struct srtp_stream *srtp_streams_get(struct srtp_streams *s, struct srtp_stream_list *list,
    enum srtp_direction direction, uint32_t ssrc, uint32_t cap);
/* One RTP packet that passes, `len` bytes as a whole. */
void srtp_stream_rtp(
    struct srtp_stream *stream, const struct rtp_header *rtp, size_t len, uint64_t now_us);
void srtp_stream_rtcp(struct srtp_stream *stream, size_t len, uint64_t now_us);
/* Packets that never came: 0 where duplicates hide none. */
uint64_t srtp_stream_lost(const struct srtp_stream *stream);

/* Visits a list in the order of arrival: NULL at the end; `after` NULL: the first. */
const struct srtp_stream *srtp_streams_next(const struct srtp_streams *s,
    const struct srtp_stream_list *list, const struct srtp_stream *after);
/* Gives all back. An empty list is {0}. */
void srtp_streams_release(struct srtp_streams *s, struct srtp_stream_list *list);

#endif
