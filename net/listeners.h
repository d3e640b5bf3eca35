/*
 * The listeners of one worker, of every transport, in the order of the snapshot: flow.listener is
 * the place. One thread.
 */
#ifndef NET_LISTENERS_H
#define NET_LISTENERS_H

#include "net/snapshot.h"
#include "net/stream_listener.h"
#include "net/udp_out.h"

/* What they poll with; borrowed for life. */
struct listeners_deps {
    struct io *io;
    struct udp_batch *batch;
    struct connections *connections;
    struct dtls_sessions *dtls;
    unsigned worker;
};

/* Zero-initialised: none. */
struct listeners {
    struct udp_listener_list udp;
    struct stream_listener **streams; /* udp.count places; NULL: it is no stream listener */
};

/* Polls the listeners that a snapshot adds, and gives all of them its realms and transports. 0 or
 * -errno: those before the one that failed are polled. */
int listeners_take(
    struct listeners *l, const struct listeners_deps *deps, const struct net_snapshot *snapshot);
/* Those that paused accept again. */
void listeners_resume(struct listeners *l);
void listeners_stop(struct listeners *l);
void listeners_free(struct listeners *l); /* after stop and a run of the loop */

#endif
