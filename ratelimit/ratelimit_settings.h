/* Limits as the configuration says them. 0 means unlimited, everywhere. */
#ifndef RATELIMIT_RATELIMIT_SETTINGS_H
#define RATELIMIT_RATELIMIT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

/* Of a limit that instances share: what its counters hold. */
#define RATE_SHARED_MAX 1000000u

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

/* What a user of a realm and the whole realm may ask, beside quota_limits. Bandwidth is in bytes a
 * second, each direction apart. */
struct realm_rates {
    struct rate allocations_per_user, allocations_per_realm; /* successful or not; the fleet's */
    uint64_t bandwidth_per_allocation, bandwidth_per_user, bandwidth_per_realm; /* the instance's */
};

struct ratelimit_settings {
    /* Answers to sources that have not proven their address; Binding and all others are counted
     * apart. */
    struct rate unauthenticated_per_address; /* /32 or /128; default 100/s */
    struct rate unauthenticated_per_prefix;  /* /24 or /64; default 1000/s */
    struct rate unauthenticated_per_network; /* /48, IPv6 only; default 10000/s */
    /* Handshakes of TLS and DTLS, whoever begins them: a signature each. Of this instance alone;
     * `limits.handshakes_per_instance`, default unlimited. */
    struct rate handshakes_per_instance;
    /* Failed authentications under a verified nonce; 0 of count: no limit. */
    struct rate guesses_per_source;  /* an address (/64) and a user together; default 10/min */
    struct rate guesses_per_prefix;  /* /24 or /64; default 300/min */
    struct rate guesses_per_network; /* /48, IPv6 only; default 3000/min */
    struct rate guesses_per_user;    /* default 1000/min */
    /* Allocations a second, whoever asks: of an address (/32, /128), a prefix (/24, /64), a /48,
     * and the instance. All but the last are the fleet's, where Redis is shared. Count and burst at
     * most RATE_SHARED_MAX. */
    struct rate allocations_per_address, allocations_per_prefix, allocations_per_network;
    struct rate allocations_per_instance;
    struct realm_rates rates; /* of the first realm */
    struct quota_limits quota;
    uint64_t bandwidth_per_instance; /* bytes a second, each direction apart */
    uint32_t bandwidth_burst_ms;     /* so much of a bandwidth passes at once; default 500 */
    bool deny_alone; /* while Redis does not answer, allocations are refused: on_failure: deny */
};

#endif
