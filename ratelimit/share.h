/*
 * What instances share of their limits, as ratelimit/ needs it and fleet/ does it through Redis;
 * tests fake it. Control thread. A call returns 0, and then `done` is called exactly once, never
 * from within the call; or -errno (-EAGAIN: it cannot be reached now), and `done` is not called.
 */
#ifndef RATELIMIT_SHARE_H
#define RATELIMIT_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names of one call have these low bits in common, so that Redis Cluster could hold them. */
#define SHARE_SHARDS    16u
#define SHARE_BATCH_MAX 64u

static inline unsigned share_shard(uint64_t name)
{
    return (unsigned)(name & (SHARE_SHARDS - 1));
}

/* So many admissions, debited after the fact. Times in microseconds, below 2^53. */
struct rate_debit {
    uint64_t name;
    uint32_t count;
    uint64_t cost_us; /* one admission, at the fleet's rate */
    uint64_t tau_us;  /* burst * cost_us */
    uint64_t cap_us;  /* debt beyond tau_us that is remembered: (instances * u + burst) * cost_us */
    bool warm;        /* where Redis has lost what it knew, the bucket is full, not empty */
};

/* How a bucket stands. */
struct rate_found {
    uint64_t tat_us;  /* from now until it is as full as at rest */
    uint64_t deny_us; /* 0: one would be admitted */
};

/* So many this instance holds of the name; 0: none any more. */
struct quota_lease {
    uint64_t name;
    uint32_t held;
};

/* `deny_us` and `others` have as many elements as there were items, in their order, and are what
 * Redis says, whatever that is; borrowed for the call. Not `answered`: it may have happened or not,
 * and they are NULL. `now_us`: when the answer came, or was given up, on the clock of the run that
 * asked. */
typedef void rate_debited_fn(void *ctx, bool answered, const uint64_t *deny_us, uint64_t now_us);
typedef void rate_found_fn(void *ctx, bool answered, const struct rate_found *found);
/* What living instances hold of each beside this one. NULL although it was answered: Redis has
 * refused it, and it has certainly not happened. */
typedef void quota_leased_fn(void *ctx, bool answered, const uint32_t *others, uint64_t now_us);

struct share {
    void *ctx;
    int (*debit)(void *ctx, const struct rate_debit *items, size_t count, rate_debited_fn *done,
        void *done_ctx);
    int (*lease)(void *ctx, const struct quota_lease *items, size_t count, quota_leased_fn *done,
        void *done_ctx);
    /* Changes nothing: for people. `count` of the items is not looked at. */
    int (*look)(void *ctx, const struct rate_debit *items, size_t count, rate_found_fn *done,
        void *done_ctx);
};

#endif
