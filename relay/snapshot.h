/*
 * One whole configuration as the workers use it. Built by control, swapped between batches, freed
 * when all workers have acknowledged the next one. Allocations keep realm ids and copied limits,
 * never pointers into it.
 */
#ifndef RELAY_SNAPSHOT_H
#define RELAY_SNAPSHOT_H

#include "auth/auth.h"
#include "ratelimit/bandwidth.h"
#include "ratelimit/ratelimit_settings.h"
#include "relay/drain.h"
#include "relay/peer_policy.h"
#include "relay/relay_settings.h"
#include "srtp/guard.h"

/* Listeners behind this one have the level of their realms. */
#define GUARD_LISTENERS_MAX 256

struct relay_snapshot {
    uint64_t version; /* grows with each reload */
    const struct auth *auth;
    const struct peer_policy *policy;
    struct ratelimit_settings limits;
    /* By realm id: what a user of it and the realm may have. What counts prefixes and the instance
     * stands in limits.quota, and is not looked at here. */
    struct quota_limits quotas[AUTH_REALMS_MAX];
    struct realm_rates rates[AUTH_REALMS_MAX];         /* by realm id */
    struct bandwidth_rates bandwidth[AUTH_REALMS_MAX]; /* by realm id; made of the limits here */
    struct srtp_policy srtp;
    uint8_t guard_of_realm[AUTH_REALMS_MAX];        /* enum srtp_guard_level, by realm id */
    uint8_t guard_of_listener[GUARD_LISTENERS_MAX]; /* by flow.listener; SRTP_GUARD_INHERIT: what
                                                       the realm says */
    uint32_t usage_every_s; /* how often live allocations are told of; 0: no records are made */
    struct relay_drain drain;
    struct relay_settings relay; /* lists inside `policy` are not used by workers */
    struct {
        struct relay_address address;
        struct port_map *ports;
    } relayed[RELAY_ADDRESSES_MAX];
    size_t relayed_count;
};

#endif
