/*
 * How many bytes a second pass, each direction apart: of an allocation, a user, a realm and the
 * instance. What is over is dropped, never queued; a burst passes. The allocation's meter and what
 * a worker has leased are of one thread; the meters of users, realms and the instance are shared by
 * the workers: atomics, no lock. Called by relay for every packet of media that may pass otherwise.
 *
 * Over any time, of one direction: an allocation and a user pass their burst + rate * time; a realm
 * and the instance as much and what workers have leased and not used, at most
 * BANDWIDTH_LEASE_MS * rate each.
 */
#ifndef RATELIMIT_BANDWIDTH_H
#define RATELIMIT_BANDWIDTH_H

#include "base/counters.h"
#include "ratelimit/quota.h"

/* A burst is never less, so that a datagram of any size passes. */
#define BANDWIDTH_BURST_MIN (2u * 65536u) /* bytes */
/* So much of a realm's and of the instance's rate a worker takes at a time. */
#define BANDWIDTH_LEASE_MS 10u

enum bandwidth_direction { BANDWIDTH_TO_PEER, BANDWIDTH_TO_CLIENT, BANDWIDTH_DIRECTIONS };

/* Of one allocation. Zero-initialised: at rest. Time, not bytes, so that it stays as full as it is
 * when a reload changes the rate. */
struct bandwidth_meter {
    uint64_t tat_ns[BANDWIDTH_DIRECTIONS]; /* when it will be at rest */
};

/* What may pass, ready for the packet path. */
struct bandwidth_rates {
    bool any; /* false: nothing is limited, and nothing else is looked at */
    struct bandwidth_rate {
        uint64_t bytes_per_s; /* 0: no limit */
        uint64_t tau_ns;      /* burst */
        uint64_t cost;        /* of a byte, in 2^-16 ns, rounded up */
    } allocation, user, realm, instance;
};
struct bandwidth_rates bandwidth_rates_of(
    const struct ratelimit_settings *limits, const struct realm_rates *rates);

struct bandwidth_table; /* of the process */
struct bandwidth_lease; /* of a worker: what it has taken of realms and of the instance */

/* Room for the users of `quotas`, by the entries of its charges; not kept. `realms`: ids are below
 * this. `key`: 16 random bytes. NULL: out of memory. */
struct bandwidth_table *bandwidth_table_new(
    const struct quota_table *quotas, unsigned realms, const uint8_t key[16]);
void bandwidth_table_free(struct bandwidth_table *t);                   /* NULL: nothing happens */
struct bandwidth_lease *bandwidth_lease_new(struct bandwidth_table *t); /* NULL: out of memory */
void bandwidth_lease_free(struct bandwidth_lease *l);                   /* NULL: nothing happens */

/*
 * An allocation of this account (auth/identity.h) begins, charged to the entry `user`
 * (quota_charge.user): if the entry had another's meter, it is at rest; else it goes on. Before the
 * allocation's first packet; any worker.
 */
void bandwidth_begin(
    struct bandwidth_table *t, uint32_t user, uint32_t realm, struct slice account);

/* Whose packet it is. */
struct bandwidth_owner {
    struct bandwidth_meter *meter;
    uint32_t user; /* quota_charge.user */
    uint32_t realm;
};

/* What comes: payload alone, without the headers of TURN, UDP and IP. */
struct bandwidth_packet {
    enum bandwidth_direction direction;
    size_t bytes; /* at most 65535 */
    uint64_t now_us;
};

/*
 * It passes, or REASON_BANDWIDTH_ALLOCATION, _USER, _REALM or _INSTANCE. All levels admit, or it is
 * dropped; what a narrower level has taken by then stays taken. The lease's thread, which is the
 * meter's. A packet without payload always passes.
 */
enum reason bandwidth_take(struct bandwidth_lease *l, const struct bandwidth_rates *rates,
    const struct bandwidth_owner *owner, const struct bandwidth_packet *packet);

#endif
