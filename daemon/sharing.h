/*
 * What this instance has with Redis: the link, its state as operators see it, REST secrets on their
 * way to the workers, revocations to and from other instances, what the limiter shares. Without
 * `redis.url` there is no link and revocations stay here. Control thread.
 */
#ifndef DAEMON_SHARING_H
#define DAEMON_SHARING_H

#include "config/config.h"
#include "daemon/explainer.h"
#include "daemon/limiter.h"
#include "daemon/lookups.h"
#include "daemon/media_watch.h"
#include "daemon/revoker.h"
#include "fleet/fleet.h"

struct sharing;

/* Everything borrowed for life. */
struct sharing_deps {
    uv_loop_t *loop;
    const struct config *config; /* the running one, once there is one */
    const struct worker_list *workers;
    struct counters *counters;
    struct lookups *lookups; /* its store is filled in */
    struct explainer *explainer;
    struct limiter *limiter;   /* is started and stopped here */
    struct media_watch *media; /* likewise */
    /* Redis is at an address that sharing_addresses did not have before. */
    void (*moved)(void *ctx);
    void *ctx;
};

/* Whether a link could be made of these settings; connects nowhere. 0 or -errno with a line in
 * `error`. */
int sharing_check(const struct redis_settings *settings, char *error, size_t error_cap);

/* NULL: out of memory. */
struct sharing *sharing_new(const struct sharing_deps *deps);
/* Ends the link: questions in flight are answered, and no hook is called any more. NULL: nothing
 * happens. */
void sharing_end(struct sharing *s);
/* After that, once the loop has run out. NULL: nothing happens. */
void sharing_free(struct sharing *s);

/* Addresses that the settings name; once, before the first snapshot. 0 or -errno with a line in
 * `error`. */
int sharing_prepare(
    struct sharing *s, const struct redis_settings *settings, char *error, size_t error_cap);
/* Begins to connect, with the running configuration. 0 or -errno with a line in `error`. */
int sharing_start(struct sharing *s, char *error, size_t error_cap);
/* There is another running configuration; its snapshot is under way to the workers. */
void sharing_reloaded(struct sharing *s);
/* Retries what workers had no room for, and brings metrics up to date. Once a second. */
void sharing_tick(struct sharing *s);
/* Metrics alone, before they are read. */
void sharing_measure(struct sharing *s);

/* In force here, and told to the fleet where there is one. 0, -EINVAL, -ENOSPC or -ENOMEM. */
int sharing_revoke(struct sharing *s, const struct revocation *v);

/* A REST secret of this realm (id) that came from Redis, borrowed until the next turn of the loop;
 * empty: none. */
struct slice sharing_secret(const struct sharing *s, uint32_t realm);
/* As fleet_usage_add; -EAGAIN without Redis. */
int sharing_usage(struct sharing *s, struct slice id, struct slice record, uint32_t max);
uint64_t sharing_usage_sent(const struct sharing *s);
uint32_t sharing_usage_waiting(const struct sharing *s);

/* Where Redis is, or was: never a peer (THREATS row 1). Borrowed until the next turn of the loop.
 */
const struct addr *sharing_addresses(const struct sharing *s, size_t *count);
bool sharing_is_up(const struct sharing *s);
/* NULL: no Redis is configured; else "up" or "down". */
const char *sharing_state(const struct sharing *s);

#endif
