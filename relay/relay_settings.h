/* What the configuration says about relaying. Plain data; owned by the configuration. */
#ifndef RELAY_RELAY_SETTINGS_H
#define RELAY_RELAY_SETTINGS_H

#include "base/prefix.h"

#define RELAY_ADDRESSES_MAX 8

/* One relayed address: what clients are told, and what sockets are bound to; they differ behind 1:1
 * NAT. Ports 0. */
struct relay_address {
    struct addr public, local;
};

struct peer_policy_settings {
    bool deny_recommended;    /* every IANA special-purpose block and multicast */
    struct prefix_rule *deny; /* deny_peers */
    size_t deny_count;
    struct prefix_rule *allow; /* allow_peers: exceptions to deny */
    size_t allow_count;
    struct prefix *nat64; /* nat64_prefixes besides the well-known ones: /32 /40 /48 /56 /64 /96 */
    size_t nat64_count;
    struct addr *own_addresses; /* addresses of this host's interfaces, port 0: denied; filled in by
                                   the daemon */
    size_t own_address_count;
    struct addr *never; /* our listeners, Redis, admin endpoints: address and port; an unspecified
                           address means every own address of that family */
    size_t never_count;
};

struct relay_settings {
    struct relay_address addresses[RELAY_ADDRESSES_MAX];
    size_t address_count;                /* 0: filled in by the daemon from the routing table */
    uint16_t port_min, port_max;         /* inclusive; default 49152–65535 */
    uint32_t default_lifetime_s;         /* 600 */
    uint32_t max_lifetime_s;             /* 3600 */
    uint32_t max_allocation_age_s;       /* 48 h */
    bool end_on_expiry;                  /* refuse Refresh once the credential has expired */
    uint32_t max_allocations;            /* of the instance; default 100000 */
    uint32_t permissions_per_allocation; /* 256 */
    uint32_t channels_per_allocation;    /* 64 */
    bool rfc5766_channels; /* accept channels 0x5000–0x7FFF as well; default false */
    bool software;         /* send SOFTWARE to authenticated clients; default false */
    struct peer_policy_settings policy;
};

#endif
