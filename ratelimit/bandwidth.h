/*
 * How many bytes a second pass, each direction apart: of an allocation, a user, a realm and the
 * instance. What is over is dropped, never queued; a burst passes. The allocation's meter and what
 * a worker has leased are of one thread; the meters of users, realms and the instance are shared by
 * the workers: atomics, no lock. Called by relay for every packet of media that may pass otherwise.
 */
#ifndef RATELIMIT_BANDWIDTH_H
#define RATELIMIT_BANDWIDTH_H

#include "base/counters.h"
#include "ratelimit/quota.h"

enum bandwidth_direction { BANDWIDTH_TO_PEER, BANDWIDTH_TO_CLIENT, BANDWIDTH_DIRECTIONS };

/* Of one allocation. Zero-initialised: at rest. */
struct bandwidth_meter {
    uint64_t tat_ns[BANDWIDTH_DIRECTIONS];
};

/* What may pass, ready for the packet path. */
struct bandwidth_rates {
    bool any; /* false: nothing is limited, and nothing else is looked at */
    struct bandwidth_rate {
        uint64_t bytes_per_s; /* 0: no limit */
        uint64_t tau_ns;      /* burst */
    } allocation, user, realm, instance;
};
struct bandwidth_rates bandwidth_rates_of(
    const struct ratelimit_settings *limits, const struct realm_rates *rates);

struct bandwidth_table; /* of the process */
struct bandwidth_lease; /* of a worker: 10 ms of realms and of the instance at a time */

/* Room for the users of `quotas`, by the entries of its charges; borrowed for life. `realms`: ids
 * are below this. NULL: out of memory. */
struct bandwidth_table *bandwidth_table_new(const struct quota_table *quotas, unsigned realms);
void bandwidth_table_free(struct bandwidth_table *t);                   /* NULL: nothing happens */
struct bandwidth_lease *bandwidth_lease_new(struct bandwidth_table *t); /* NULL: out of memory */
void bandwidth_lease_free(struct bandwidth_lease *l);                   /* NULL: nothing happens */

/* Whose packet it is. */
struct bandwidth_owner {
    struct bandwidth_meter *meter;
    uint32_t user; /* quota_charge.user */
    uint32_t realm;
};

/*
 * `bytes` of payload pass, or REASON_BANDWIDTH_ALLOCATION, _USER, _REALM or _INSTANCE. All levels
 * admit, or it is dropped; what a narrower level has taken by then stays taken.
 */
enum reason bandwidth_take(struct bandwidth_lease *l, const struct bandwidth_rates *rates,
    const struct bandwidth_owner *owner, enum bandwidth_direction direction, size_t bytes,
    uint64_t now_us);
/* Bytes that could pass at once now; UINT64_MAX: no limit. For people; any thread. */
uint64_t bandwidth_left(const struct bandwidth_meter *meter, const struct bandwidth_rate *rate,
    enum bandwidth_direction direction, uint64_t now_us);

#endif
