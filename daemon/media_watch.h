/*
 * Keys of media in Redis: read when an allocation asks, and whenever somebody deposits for one that
 * has asked; opened here and nowhere else, and handed to the workers that asked. Control thread.
 */
#ifndef DAEMON_MEDIA_WATCH_H
#define DAEMON_MEDIA_WATCH_H

#include "config/config.h"
#include "daemon/media_post.h"
#include "fleet/fleet.h"

struct media_watch;

/* Everything borrowed for life. */
struct media_watch_deps {
    uv_loop_t *loop;
    const struct config *config; /* the running one, once there is one */
    struct counters *counters;
    struct media_post *post; /* until media_watch_stop */
};

/* NULL: out of memory, or no randomness. */
struct media_watch *media_watch_new(const struct media_watch_deps *deps);
/* There is a fleet from now on, until media_watch_stop. Keys are read where there is a key to open
 * them by. */
void media_watch_start(struct media_watch *m, struct fleet *fleet);
void media_watch_stop(struct media_watch *m);
/* Frees its memory as the loop runs on. NULL: nothing happens. */
void media_watch_free(struct media_watch *m);

/* An allocation of a worker asks. */
void media_watch_want(struct media_watch *m, const struct srtp_wanted *wanted, unsigned worker);
/* It has ended. */
void media_watch_unwant(struct media_watch *m, uint64_t allocation);

/* What the fleet says; see fleet_hooks. */
void media_watch_link(struct media_watch *m, bool up);
void media_watch_deposited(struct media_watch *m, struct slice place);
void media_watch_found(struct media_watch *m, const struct fleet_srtp_found *found);

/* There is another running configuration: maybe with other keys to open by. */
void media_watch_reloaded(struct media_watch *m);
/* Once a second: forgets allocations that cannot live any more. */
void media_watch_tick(struct media_watch *m, uint64_t now_us);

#endif
