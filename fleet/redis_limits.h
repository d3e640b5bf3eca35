/*
 * Limits that all instances share through Redis: what struct share asks for, with the scripts of
 * redis_limits_scripts.h, and which instances are alive.
 *
 *  - An instance has a random id, and says every 5 s in each shard that it lives. Who has not said
 *    so for 30 s holds nothing any more and does not count.
 *  - An answer that was made while Redis's clock was set forward does not count as one.
 *  - What is refused is no answer; the log says so once a minute.
 *
 * Control thread.
 */
#ifndef FLEET_REDIS_LIMITS_H
#define FLEET_REDIS_LIMITS_H

#include "base/random.h"
#include "fleet/redis_link.h"
#include "ratelimit/share.h"

#define REDIS_LIMITS_ALIVE_MS     30000u
#define REDIS_LIMITS_HEARTBEAT_MS 5000u
/* More are not believed, whatever Redis says: redis.fleet_size has the same bound. */
#define REDIS_LIMITS_INSTANCES_MAX 1024u
/* Holdings are told again so often at least; redis_limits_lease keeps them for twice as long. So
 * often epochs are kept, which live for 30 days. */
#define REDIS_LIMITS_AGAIN_MS (24u * 3600 * 1000)

struct redis_limits;

/* Called from the calls below and on the loop; may issue calls, and may not free anything. Each may
 * be NULL. */
struct redis_limits_hooks {
    /* As fleet_hooks. Fewer are told when there have been fewer for alive_ms. */
    void (*instances)(void *ctx, uint32_t count);
    void (*forgotten)(void *ctx); /* as fleet_hooks; at most once a second */
    void *ctx;
};

struct redis_limits_options {
    struct redis_link *link;            /* outlives it, but for the callbacks of its end */
    const struct random_source *random; /* for this call */
    const char *prefix;                 /* redis_limits_is_prefix; copied */
    uint32_t fleet_size;                /* 0: 1 */
    uint32_t alive_ms, heartbeat_ms;    /* 0: as above; the same on all instances */
    uint32_t again_ms;                  /* 0: as above */
    struct redis_limits_hooks hooks;
};
/* NULL: out of memory, or no randomness. */
struct redis_limits *redis_limits_new(const struct redis_limits_options *options);
void redis_limits_free(struct redis_limits *r); /* after the link; NULL: nothing happens */

/* The link has come up; before anything else is asked of it. */
void redis_limits_up(struct redis_limits *r, const struct redis_state *state);
/* Once a second, or more often. */
void redis_limits_tick(struct redis_limits *r);
/*
 * Before the link is freed: tells the others that this instance has gone, so that they need not
 * wait for 30 s. Nothing comes of it where the link is down, or has bytes that wait to be written.
 * No hook is called any more.
 */
void redis_limits_leave(struct redis_limits *r);
/* Valid as long as `r`. NULL: all its functions return -EAGAIN. */
struct share redis_limits_share(struct redis_limits *r);

#endif
