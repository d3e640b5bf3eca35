/*
 * What has been revoked, here or on another instance, on its way to the workers. Each hears of each
 * once; one whose mailbox is full hears of it when there is room again. Control thread.
 */
#ifndef DAEMON_REVOKER_H
#define DAEMON_REVOKER_H

#include <uv.h>

#include "auth/revocation.h"
#include "base/counters.h"
#include "net/worker.h"

struct revoker;

/* `workers` and `counters` are borrowed for life. NULL: out of memory. */
struct revoker *revoker_new(
    uv_loop_t *loop, const struct worker_list *workers, struct counters *counters);
/* Frees its memory as the loop runs on. NULL: nothing happens. */
void revoker_free(struct revoker *r);

/*
 * 0: it is known already, and nothing is done. 1: it is new, and under way to the workers. -ENOSPC:
 * REVOCATIONS_MAX are in force. -ENOMEM.
 */
int revoker_put(struct revoker *r, const struct revocation *v, int64_t now_s);
/* Forgets those that have ended. Once a second or so. */
void revoker_tick(struct revoker *r, int64_t now_s);

#endif
