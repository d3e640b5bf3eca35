/*
 * The DTLS sessions of one worker (RFC 7350): made behind the cookie exchange, found by 5-tuple,
 * opened into packets for relay/, sealed from the outbox, and closed for one reason each. They have
 * no sockets: datagrams come and go through the listener. Handles (flow.connection) are
 * worker:slot:generation, of a number space of their own beside those of streams: flow.transport
 * tells them apart. One thread; only the counts are shared.
 *
 * What is counted: a datagram of a client is received once, whatever it holds. Each message in it
 * is relayed, consumed or dropped; one with n > 1 messages counts as n datagrams. One without a
 * message is consumed where it moved a handshake on or ended a session, else dropped.
 */
#ifndef NET_DTLS_SESSIONS_H
#define NET_DTLS_SESSIONS_H

#include "base/random.h"
#include "net/snapshot.h"
#include "ratelimit/connection_counts.h"

/* Of a worker without DTLS it is NULL, with which free, set_snapshot, tick, reap and end_all do
 * nothing. */
struct dtls_sessions;

struct dtls_sessions_options {
    struct io *io; /* handlers from_client, judge_source, charge_answer, charge_handshake,
                      connection_closed and flow_in_use are called */
    struct connection_counts *counts;   /* of DTLS sessions alone; shared by the workers */
    const struct random_source *random; /* for the key of the table; used within the call only */
    unsigned worker;
    uint32_t max; /* of this worker, ≤ 2^24-1 */
};

/* Pointers are borrowed for life. NULL: out of memory, or no randomness. */
struct dtls_sessions *dtls_sessions_new(const struct dtls_sessions_options *options);
void dtls_sessions_free(struct dtls_sessions *set); /* after end_all */

/* Borrowed until the next one is set. Sessions keep the context that they were made with. */
void dtls_sessions_set_snapshot(struct dtls_sessions *set, const struct net_snapshot *snapshot);

/*
 * A datagram that `l` has received and counted; p->flow is that of UDP. True: it was DTLS, or may
 * not be plain here, and is dealt with. False: nothing happened, it is relay's.
 */
bool dtls_sessions_take(
    struct dtls_sessions *set, const struct udp_listener *l, const struct packet *p);

/* Outbox: one entry for a client over DTLS, one record in one datagram, at once. It is counted as
 * sent or failed. Closes nothing: what must end is marked. */
void dtls_sessions_send(struct dtls_sessions *set, const struct outbox_entry *e);

/* Fires deadlines and retransmissions; call it every 100 ms or so. */
void dtls_sessions_tick(struct dtls_sessions *set, const struct instant *now);
/* Closes what is marked: after a flush, never within one. */
void dtls_sessions_reap(struct dtls_sessions *set);
/* Closes all, with REASON_CONNECTION_STOPPING: clients are told as far as the sockets take it. */
void dtls_sessions_end_all(struct dtls_sessions *set);

uint32_t dtls_sessions_count(const struct dtls_sessions *set); /* pending ones included */

#endif
