/*
 * The calls of the scripts of shared limits as argument vectors, and what their replies mean. No
 * I/O, no clock: the simulation of tests/scenario/ makes and reads them with the same functions.
 */
#ifndef FLEET_REDIS_LIMITS_CALLS_H
#define FLEET_REDIS_LIMITS_CALLS_H

#include "fleet/redis_reply.h"
#include "ratelimit/share.h"

#define REDIS_LIMITS_PREFIX_MAX   64
#define REDIS_LIMITS_INSTANCE_LEN 16 /* hexadecimal digits */

/* Larger times are sent as this: 71 years. Sums of a few stay below 2^53. */
#define REDIS_LIMITS_TIME_MAX_US (1ull << 51)

#define REDIS_LIMITS_ARGV_MAX (1 + SHARE_BATCH_MAX + 2 + SHARE_BATCH_MAX)
#define REDIS_LIMITS_TEXT_MAX                                                                      \
    ((1 + SHARE_BATCH_MAX) * (REDIS_LIMITS_PREFIX_MAX + 40) + SHARE_BATCH_MAX * 96 + 128)

/* What stands behind EVALSHA, the SHA-1 and the number of keys. Points into itself: not copied. */
struct redis_limits_call {
    struct slice argv[REDIS_LIMITS_ARGV_MAX];
    size_t argc;
    uint32_t key_count;
    size_t text_len;
    char text[REDIS_LIMITS_TEXT_MAX];
};

/* Whether keys may begin so: 1 to 64 printable characters without blanks and braces, which would be
 * another hash tag. */
bool redis_limits_is_prefix(const char *prefix);

/* Of the server as it is known now: its run id, and redis_clock's floor. */
struct redis_limits_server {
    const char *run_id;
    uint64_t floor_us;
};
/* Strings are borrowed as long as `out` is used. All: 0, or -EINVAL: no items or more than
 * SHARE_BATCH_MAX, names of several shards, no run id, or an instance that is none. */
/* Of a debit and of a look alike. */
int redis_limits_call_rates(struct redis_limits_call *out, const char *prefix,
    const struct redis_limits_server *server, const struct rate_debit *items, size_t count);
/* A debit of nothing: the shard's epoch begins, if it has to. */
int redis_limits_call_epoch(struct redis_limits_call *out, const char *prefix,
    const struct redis_limits_server *server, unsigned shard);

/* Who calls, and for how long it counts as alive from then on; 0: it leaves. */
struct redis_limits_instance {
    char id[REDIS_LIMITS_INSTANCE_LEN + 1];
    uint32_t alive_ms;
};
int redis_limits_call_lease(struct redis_limits_call *out, const char *prefix,
    const struct redis_limits_instance *who, const struct quota_lease *items, size_t count);
int redis_limits_call_heartbeat(struct redis_limits_call *out, const char *prefix,
    const struct redis_limits_instance *who, unsigned shard);

/* Replies. All: 0, or -EBADMSG: it is no such reply to so many items (an error of the server's is
 * none), and nothing is written. `now_us`: Redis's clock, µs since 1970, below 2^53. */
int redis_limits_reply_debit(
    uint64_t *now_us, uint64_t *deny_us, size_t count, const struct redis_reply *reply);
int redis_limits_reply_look(
    uint64_t *now_us, struct rate_found *found, size_t count, const struct redis_reply *reply);

struct redis_limits_alive {
    uint64_t now_us;
    bool known;     /* it counted as alive before */
    uint32_t count; /* that count as alive now; of a heartbeat */
};
/* What the others hold is UINT32_MAX at most. */
int redis_limits_reply_lease(struct redis_limits_alive *alive, uint32_t *others, size_t count,
    const struct redis_reply *reply);
int redis_limits_reply_heartbeat(struct redis_limits_alive *alive, const struct redis_reply *reply);

#endif
