/*
 * Keys of media between who deposits them and the workers: what comes over the admin server's
 * socket is kept here until it ends (srtp/key_store.h), and what lies in Redis is watched
 * (daemon/media_watch.h). Wiped wherever it has lain. Control thread.
 */
#ifndef DAEMON_MEDIA_KEYS_H
#define DAEMON_MEDIA_KEYS_H

#include "admin/ops.h"
#include "config/config.h"
#include "daemon/media_watch.h"
#include "net/worker.h"

struct media_keys;

/* Everything borrowed for life. */
struct media_keys_deps {
    uv_loop_t *loop;
    const struct config *config; /* the running one, once there is one */
    const struct worker_list *workers;
    struct counters *counters;
};

/* NULL: out of memory, or no randomness. */
struct media_keys *media_keys_new(const struct media_keys_deps *deps);
/* Before the loop ends: nothing is posted any more, and who wants keys gets none. NULL: nothing
 * happens. */
void media_keys_end(struct media_keys *m);
/* After that. NULL: nothing happens. */
void media_keys_free(struct media_keys *m);

/* What reads them from Redis; until media_keys_end. */
struct media_watch *media_keys_watch(const struct media_keys *m);

/* An allocation of a worker asks: it gets what there is, and what comes. Takes it over. */
void media_keys_want(struct media_keys *m, struct srtp_wanted *wanted, unsigned worker);
/* It has ended. */
void media_keys_unwant(struct media_keys *m, uint64_t allocation);
/* admin_ops.srtp_key. */
int media_keys_put(struct media_keys *m, const struct admin_srtp_key *what, const char **why);
/* Once a second: what has ended goes. Not after media_keys_end. */
void media_keys_tick(struct media_keys *m, const struct instant *now);

#endif
