/*
 * The TCP and TLS connections of one worker: accepted, framed into packets for relay/, written from
 * the outbox, and closed for one reason each. Handles (flow.connection) are worker:slot:generation.
 * One thread; only the counts and the socket budget are shared.
 */
#ifndef NET_CONNECTIONS_H
#define NET_CONNECTIONS_H

#include "net/io.h"
#include "net/snapshot.h"
#include "ratelimit/connection_counts.h"

struct connections;
struct socket_budget;

struct connections_options {
    struct io *io; /* handlers from_client, connection_closed, flow_in_use and charge_handshake are
                      called */
    struct connection_counts *counts; /* shared by the workers */
    struct socket_budget *budget;     /* shared by the workers; NULL: no limit */
    unsigned worker;
    uint32_t max; /* of this worker, ≤ 2^24-1 */
};

/* Pointers are borrowed for life. NULL: out of memory. */
struct connections *connections_new(const struct connections_options *options);
/* After connections_end_all and a run of the loop. NULL: nothing happens. */
void connections_free(struct connections *c);

/* Borrowed until the next one is set: listeners and limits are looked up in it at each use. */
void connections_set_snapshot(struct connections *c, const struct net_snapshot *snapshot);

/*
 * A connection that listener `listener` of the snapshot has accepted from `remote`: takes `fd` over
 * (non-blocking), whatever becomes of it.
 */
void connections_accept(
    struct connections *c, int fd, uint16_t listener, const struct addr *remote);

/*
 * Outbox: entry `index` of `entries` is for a stream. It is counted as sent or failed at once or by
 * connections_write, which follows in the same flush and writes each connection once. Neither
 * closes anything: what must end is marked.
 */
void connections_put(struct connections *c, const struct outbox_entry *entries, unsigned index);
void connections_write(struct connections *c, const struct outbox_entry *entries);

/* Fires deadlines; call it every 100 ms or so. */
void connections_tick(struct connections *c, const struct instant *now);
/* Closes what is marked: after a flush, never within one. */
void connections_reap(struct connections *c);
/* Closes all, with REASON_CONNECTION_STOPPING. */
void connections_end_all(struct connections *c);

uint32_t connections_count(const struct connections *c);

#endif
