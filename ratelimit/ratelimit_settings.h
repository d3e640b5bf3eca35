/* Limits as the configuration says them. 0 means unlimited, everywhere. */
#ifndef RATELIMIT_RATELIMIT_SETTINGS_H
#define RATELIMIT_RATELIMIT_SETTINGS_H

#include <stdint.h>

struct rate {
    uint32_t count;    /* this many … */
    uint32_t period_s; /* … in so many seconds (1, 60 or 3600) */
    uint32_t burst;    /* ≥ 1 when count is not 0 */
};

struct quota_limits {
    uint32_t allocations_per_user, allocations_per_realm, allocations_total;
    uint32_t permissions_per_user, permissions_per_prefix; /* a client's /24 or /64 */
    uint32_t channels_per_user, channels_per_prefix;
};

struct ratelimit_settings {
    /* Answers to sources that have not proven their address; Binding and all others are counted
     * apart. */
    struct rate unauthenticated_per_address; /* /32 or /128; default 100/s */
    struct rate unauthenticated_per_prefix;  /* /24 or /64; default 1000/s */
    struct rate unauthenticated_per_network; /* /48, IPv6 only; default 10000/s */
    /* Failed authentications under a verified nonce; 0 of count: no limit. */
    struct rate guesses_per_source; /* an address (/64) and a user together; default 10/min */
    struct rate guesses_per_prefix; /* /24 or /64; default 300/min */
    struct rate guesses_per_user;   /* default 1000/min */
    struct quota_limits quota;
};

#endif
