/*
 * How the streams of an allocation are doing, from what their RTP headers say in clear: one entry
 * an SSRC and direction, of RTP and of RTCP alike. Entries come from a pool that is made once: a
 * packet never waits for memory. One thread.
 *
 * Where the pool or the cap of an allocation's direction is used up, a new SSRC takes the entry of
 * the same allocation and direction that was asked for longest ago, if that has been silent for
 * STREAM_SILENT_S; else it is counted and not kept. So strangers' SSRCs displace no stream that
 * runs, and a long conference does not run out.
 */
#ifndef SRTP_STREAMS_H
#define SRTP_STREAMS_H

#include "srtp/keys.h"
#include "wire/rtp.h"

#define STREAM_SILENT_S 60

/*
 * RFC 3550 appendix A.1, A.3 and A.8. The first packet counts: there is no probation. Sequence
 * numbers before the first are not counted as lost. A packet whose number is 3000 or more ahead, or
 * 512 or more behind, counts for itself alone; when its successor comes next, the sequence
 * began anew.
 */
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
    uint64_t first_us, last_us; /* monotonic: when the entry was made, when a packet last passed */
};

struct srtp_streams; /* the pool of a worker */
struct srtp_stream_list {
    uint32_t first[SRTP_DIRECTIONS]; /* private */
    uint16_t count[SRTP_DIRECTIONS];
    uint32_t untracked; /* packets of SSRCs that found no place; stays at 2^32-1 */
};

/* `max`: entries, at most 2^24; resident memory is that of entries in use. `cap`: SSRCs of one
 * direction of a list, 1 to SRTP_STREAMS_MAX. NULL: out of memory. */
struct srtp_streams *srtp_streams_new(uint32_t max, uint32_t cap);
/* After all lists have been released. */
void srtp_streams_free(struct srtp_streams *s);
/* Lists that have more keep what they have. */
void srtp_streams_set_cap(struct srtp_streams *s, uint32_t cap);

/*
 * The entry, made if there is none. The one asked for last is found by one comparison, a new SSRC
 * by as many as the direction has entries. NULL: the SSRC has no entry, and there is no room for
 * one: counted in list->untracked. Good until the next srtp_streams_get of the list.
 */
struct srtp_stream *srtp_streams_get(struct srtp_streams *s, struct srtp_stream_list *list,
    enum srtp_direction direction, uint32_t ssrc, uint64_t now_us);
/* The entry, or NULL: a packet that the guard drops makes none, displaces none and keeps none
 * alive.
 */
struct srtp_stream *srtp_streams_find(struct srtp_streams *s, const struct srtp_stream_list *list,
    enum srtp_direction direction, uint32_t ssrc);
/* One RTP packet that passes, `len` bytes as a whole. Any header is fine. */
void srtp_stream_rtp(
    struct srtp_stream *stream, const struct rtp_header *rtp, size_t len, uint64_t now_us);
void srtp_stream_rtcp(struct srtp_stream *stream, uint64_t now_us);
/* Packets that never came. Also of a copy. */
uint64_t srtp_stream_lost(const struct srtp_stream *stream);

/* Visits a list, in each direction the one asked for last first: NULL at the end; `after` NULL: the
 * first. */
const struct srtp_stream *srtp_streams_next(const struct srtp_streams *s,
    const struct srtp_stream_list *list, const struct srtp_stream *after);
/* Gives all back; the list is empty then, its `untracked` too. An empty list is {0}. */
void srtp_streams_release(struct srtp_streams *s, struct srtp_stream_list *list);

#endif
