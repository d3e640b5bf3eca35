/*
 * One worker: a thread, its loop, and everything that only it touches: relay, listeners, relay
 * sockets, outbox, counters. Made and freed by control; between worker_start and worker_join only
 * its mailbox, its counters and its beats may be touched from outside.
 */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include "net/mailbox.h"
#include "net/snapshot.h"
#include "relay/relay.h"

#define WORKERS_MAX 64

struct worker;
struct connection_counts;
struct socket_budget;

/* All workers of the process; filled in by control before the first starts. */
struct worker_list {
    struct worker *items[WORKERS_MAX];
    unsigned count;
};

struct worker_options {
    unsigned index;
    const struct worker_list *workers;     /* borrowed for life */
    struct mailbox *control;               /* borrowed for life: acknowledgements go there */
    struct relay_shared *shared;           /* borrowed for life */
    const struct random_source *random;    /* borrowed for life */
    struct socket_budget *sockets;         /* borrowed for life; shared by the workers */
    struct connection_counts *connections; /* borrowed for life; shared by the workers */
    struct connection_counts *dtls;        /* of DTLS sessions; likewise; NULL: no DTLS */
    struct usage_ring *usage;              /* borrowed for life; as relay_deps.usage */
    uint32_t max_allocations;              /* of this worker */
    /* As relay_deps.report: called on the worker's thread, and on the caller's by worker_settle. */
    void (*report)(void *ctx);
    void *report_ctx;
};

/* 0, -ENOMEM, or another -errno. Nothing is polled yet. */
int worker_new(struct worker **out, const struct worker_options *options);
/*
 * Starts the thread, which polls the listeners of `snapshot` (borrowed until a later one is taken).
 * 0 or -errno.
 */
int worker_start(struct worker *w, const struct net_snapshot *snapshot);
struct mailbox *worker_mailbox(struct worker *w);
const struct counters *worker_counters(const struct worker *w);
/* How often the loop has ticked, ten times a second: one that no longer changes hangs. */
uint32_t worker_beats(const struct worker *w);
/* Waits for a thread that was told to stop by MAILBOX_STOP. Not started: nothing happens. */
void worker_join(struct worker *w);
/*
 * After all workers have been joined: delivers what is still in the mailbox, on the caller's
 * thread, so that a socket on its way between two workers finds its owner. Returns how many
 * messages there were; repeat over all workers until there are none.
 */
uint32_t worker_settle(struct worker *w);
/* After all have been joined: ends every allocation for a shutdown. True: their usage records wait
 * for room still; call it again. Who does not care leaves it to worker_free. */
bool worker_end_allocations(struct worker *w);
/* After all are settled: ends every allocation and frees everything. NULL: nothing happens. */
void worker_free(struct worker *w);

#endif
