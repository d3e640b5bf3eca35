/*
 * One worker's relay: allocations, permissions, channels, reservations, and the two straight paths.
 * It does no I/O and reads no clock: packets and time come in, entries go to the outbox, sockets
 * are opened through relay/sockets.h. One thread; only `struct relay_shared` is shared with other
 * workers.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdatomic.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crypto.h"
#include "base/random.h"
#include "ratelimit/bandwidth.h"
#include "ratelimit/guesses.h"
#include "ratelimit/parking_counts.h"
#include "ratelimit/quota.h"
#include "ratelimit/rate_table.h"
#include "relay/message.h"
#include "relay/outbox.h"
#include "relay/packet.h"
#include "relay/snapshot.h"
#include "relay/sockets.h"
#include "relay/usage.h"
#include "srtp/guard.h"

struct relay;

/* Shared by all workers of the process: atomics inside, borrowed for life. */
struct relay_shared {
    struct rate_table *rates;
    struct quota_table *quotas;
    struct port_maps *ports;
    /* Requests that wait for the store or for limits of the fleet; NULL where nobody does. */
    struct parking_counts *parking;
    /* Workers (one bit each, the 64th for all others) where requests wait for limits of the fleet:
     * who has an answer takes them out, and tells these workers. */
    _Atomic uint64_t limits_awaited;
    struct guesses *guesses;           /* NULL: nobody is locked out */
    struct bandwidth_table *bandwidth; /* NULL: nothing is limited */
    /* Of the lockout's log line: when the last was, and how many requests since. */
    _Atomic uint64_t lockout_logged_us, lockouts_unlogged;
    uint8_t hash_key[16]; /* random; for reservations' user tags, the same in every worker */
};

struct relay_deps {
    unsigned worker, worker_count; /* worker < worker_count ≤ 255 */
    struct relay_shared *shared;
    struct relay_sockets sockets; /* by value; ctx borrowed */
    /* Has the store asked: the answer comes by relay_store_answer. 0, or -EAGAIN: it will not.
     * NULL: there is no store. */
    int (*ask)(void *ctx, const struct store_question *question);
    void *ask_ctx;
    /* Asks for keys of media for an allocation: what there is, and comes later, comes by
     * relay_srtp_deposit. Asked again, the same once more. 0, or -EAGAIN: nobody was asked. NULL:
     * there are none. */
    int (*want_keys)(void *ctx, const struct srtp_wanted *wanted);
    /* An allocation that had asked (want_keys returned 0) has ended; with want_keys_ctx. NULL:
     * nobody needs to know. */
    void (*unwant_keys)(void *ctx, uint64_t allocation);
    void *want_keys_ctx;
    /* Wakes control: instances that share limits are to be told something. NULL: none are. */
    void (*report)(void *ctx);
    void *report_ctx;
    /* Hands a message to another worker. 0: accepted. -EAGAIN: its mailbox is full, the caller
     * keeps the parcel. */
    int (*post)(void *ctx, unsigned worker, const struct relay_message *message);
    void *post_ctx;
    struct usage_ring *usage; /* borrowed; NULL: no records are made */
    struct outbox *outbox;
    struct counters *counters;
    struct crypto *crypto;
    const struct random_source *random;
    uint32_t max_allocations; /* of this worker */
};

/* NULL: out of memory. */
struct relay *relay_new(const struct relay_deps *deps, const struct relay_snapshot *snapshot,
    const struct instant *now);
/* Ends every allocation for a shutdown, before relay_free. True: usage records of ends still wait
 * for room; call it again. */
bool relay_end_allocations(struct relay *r, const struct instant *now);
/* Ends every allocation and reservation: sockets, ports and quotas go back. */
void relay_free(struct relay *r, const struct instant *now);

/* The next packets are judged by this snapshot; the old one is not used after the call. */
void relay_set_snapshot(struct relay *r, const struct relay_snapshot *snapshot);

void relay_from_client(struct relay *r, const struct packet *p, const struct instant *now);
void relay_from_peer(struct relay *r, const struct peer_packet *p, const struct instant *now);
void relay_icmp(struct relay *r, const struct icmp_error *e, const struct instant *now);
void relay_message(struct relay *r, struct relay_message *m, const struct instant *now);
/* What the store has answered: requests that wait for it run again. */
void relay_store_answer(
    struct relay *r, const struct store_answer *answer, const struct instant *now);
/* Other instances were heard of since this worker's bit was set in limits_awaited: requests that
 * wait for it run again. A call that is lost costs them a tick. */
void relay_limits_answered(struct relay *r, const struct instant *now);
/* REST secrets of a realm as the store has them now. Copied. */
void relay_store_secrets(struct relay *r, const struct store_secrets *secrets);
/* Keys of media, for those of this worker's allocations that they are bound to. Returns how many.
 */
unsigned relay_srtp_deposit(
    struct relay *r, const struct srtp_deposit *deposit, const struct instant *now);
/* From now on refused; live allocations that it covers end at once. */
void relay_revoke(struct relay *r, const struct revocation *v, const struct instant *now);
/*
 * The connection of this flow is gone for good, and its 5-tuple with it: what it had allocated
 * ends, and requests of it that wait are forgotten. Sends what the outbox holds.
 */
void relay_connection_closed(struct relay *r, const struct flow *flow, const struct instant *now);
/* A live allocation stands on this flow. */
bool relay_flow_in_use(const struct relay *r, const struct flow *flow);
/*
 * For what net/ answers before there is a message, such as a HelloVerifyRequest of DTLS. Why
 * nothing of this flow is ever answered, or REASON_NONE (THREATS row 5).
 */
enum reason relay_judge_source(const struct relay *r, const struct flow *flow);
/* Charges one answer to a source that has proven nothing, as a challenge is charged (THREATS
 * row 4). False: its budget is used up, and it goes unanswered. */
bool relay_charge_answer(struct relay *r, const struct addr *source, const struct instant *now);
/* Charges one handshake of TLS or DTLS, a signature at the client's bidding, to a source that has
 * proven its address and nothing else (THREATS row 20), and to the instance. False: it is not
 * begun. */
bool relay_charge_handshake(struct relay *r, const struct addr *source, const struct instant *now);
/* Timers; call it every 100 ms or so. */
void relay_tick(struct relay *r, const struct instant *now);

/* Live allocations of this worker. */
uint32_t relay_allocations(const struct relay *r);

#endif
