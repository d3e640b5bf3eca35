/*
 * Revocations that all instances share through Redis.
 *
 *  - Every instance asks once a second for what is newer than what it knows, in pages, and tells
 *    each once. So a revocation is everywhere within two seconds.
 *  - The order in which revocations and their taking back count is that of Redis's clock: that of
 *    the instances plays no part in it. `until` is wall clock, on which instances agree within 5 s.
 *  - What could not be sent, because Redis was away, is kept, and sent as what was said then.
 *  - A Redis that has lost its data, or another one, is told everything that is still in force, and
 *    what was taken back: all instances may do so at once, it changes nothing that is there.
 *
 * Control thread.
 */
#ifndef FLEET_REDIS_REVOCATIONS_H
#define FLEET_REDIS_REVOCATIONS_H

#include "fleet/fleet_realms.h"

#define REDIS_REVOCATIONS_WAITING_MAX  8192   /* that could not be sent yet */
#define REDIS_REVOCATIONS_TAKEN_BACK_S 172800 /* for so long it is remembered, at least */

struct redis_revocations;

typedef void redis_revoked_fn(void *ctx, const struct revocation *v);

struct redis_revocations_options {
    struct redis_link *link;            /* outlives it, but for the callbacks of its end */
    const struct fleet_realms *realms;  /* outlive it */
    const struct random_source *random; /* for this call */
    redis_revoked_fn *told;
    void *ctx;
};
/* NULL: out of memory, or no randomness. */
struct redis_revocations *redis_revocations_new(const struct redis_revocations_options *options);
void redis_revocations_free(
    struct redis_revocations *r); /* after the link; NULL: nothing happens */

/* The link has come up. */
void redis_revocations_up(struct redis_revocations *r, enum redis_server server);
/* Once a second. */
void redis_revocations_tick(struct redis_revocations *r);
/* The realms have changed: tells what is known of those that were not there before. */
void redis_revocations_realms(struct redis_revocations *r, const struct fleet_realms *before);
/*
 * 0: it will be sent. -ENOSPC: too many wait; -EINVAL: there is no such realm, or no such
 * revocation; -ENOMEM.
 */
int redis_revocations_put(struct redis_revocations *r, const struct revocation *v);

size_t redis_revocations_waiting(const struct redis_revocations *r); /* to be sent */
size_t redis_revocations_known(const struct redis_revocations *r);

#endif
