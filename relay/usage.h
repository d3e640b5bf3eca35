/*
 * Usage records: what each allocation has passed on, told while it lives and when it ends. A worker
 * puts them into a bounded ring; one other thread takes them out and writes them down. Plain
 * values.
 *
 *  - Each record has the totals and what has come since the record before: the deltas of all
 *    records of an allocation are its totals, and so are those of the last one.
 *  - A ring that is full loses nothing: a live allocation's deltas go into its next record, and
 *    records of ends wait in the worker, as many as it may have allocations. Of more than that the
 *    traffic is told by realm in a record of kind USAGE_LOST.
 */
#ifndef RELAY_USAGE_H
#define RELAY_USAGE_H

#include "base/addr.h"
#include "base/counters.h"

#define USAGE_USER_MAX 508

/* Payload alone; what was let through is handed over for sending. */
struct usage_traffic {
    uint64_t packets_to_peer, bytes_to_peer;
    uint64_t packets_to_client, bytes_to_client;
    /* Packets of its client and of its peers that went no further, whatever for. */
    uint64_t dropped_to_peer, dropped_to_client;
};

enum usage_kind {
    USAGE_LIVE, /* it goes on */
    USAGE_END,
    USAGE_LOST /* so many ends of a realm for which there was no room; no allocation is named */
};

struct usage_record {
    uint8_t kind;          /* enum usage_kind */
    uint8_t reason;        /* enum end_reason, of an end */
    uint8_t transport;     /* enum transport */
    uint8_t source;        /* enum auth_source */
    uint8_t relayed_count; /* 0 to 2 */
    uint16_t user_len;
    uint32_t realm;      /* id */
    uint32_t sequence;   /* 1 with the first record of the allocation, or of lost ones */
    uint64_t allocation; /* its id; of USAGE_LOST the worker's number */
    uint64_t lost;       /* ends, of USAGE_LOST */
    int64_t started_ms;  /* wall clock, since 1970 */
    int64_t at_ms;       /* likewise: when the record was made */
    uint64_t age_ms;     /* by a clock that nobody sets */
    char credential[32]; /* as in struct identity */
    struct addr client, relayed[2];
    struct usage_traffic total, delta;
    uint8_t user[USAGE_USER_MAX]; /* as on the wire, user_len bytes; what is behind is not set */
};

/* One worker's. One thread puts, one takes. */
struct usage_ring;

/* `capacity`: a power of two. NULL: out of memory. */
struct usage_ring *usage_ring_new(uint32_t capacity);
/* NULL: nothing happens. */
void usage_ring_free(struct usage_ring *ring);
/* Free places. The thread that puts. */
uint32_t usage_ring_room(const struct usage_ring *ring);
/* Copied. False: it is full. The thread that puts. */
bool usage_ring_put(struct usage_ring *ring, const struct usage_record *record);
/* The oldest, valid until usage_ring_pass; NULL: none now. The thread that takes. */
const struct usage_record *usage_ring_peek(struct usage_ring *ring);
/* Done with it. */
void usage_ring_pass(struct usage_ring *ring);

#endif
