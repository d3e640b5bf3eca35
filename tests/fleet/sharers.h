/* Links with shared limits on the loop of a struct linked, and what they have said: tests wait for
 * it. Instances that are silent for 1.2 s are gone; they say that they live every 0.4 s. */
#ifndef TESTS_FLEET_SHARERS_H
#define TESTS_FLEET_SHARERS_H

#include "fleet/redis_limits.h"
#include "tests/fleet/linked.h"

#define SHARER_ALIVE_MS     1200u
#define SHARER_HEARTBEAT_MS 400u

struct sharer {
    struct linked *linked;
    struct redis_link *link;
    struct redis_limits *limits;
    struct share share;
    uv_timer_t tick;
    unsigned ups, downs;
    enum redis_server server; /* of the last time it came up */
    unsigned told;            /* how many instances there are */
    uint32_t instances;       /* the last of it */
    unsigned forgotten;
};

/* What was answered. */
struct shared {
    unsigned calls; /* must become 1 */
    bool answered;
    size_t count; /* of items */
    uint64_t now_us;
    uint64_t deny_us[SHARE_BATCH_MAX];
    uint32_t others[SHARE_BATCH_MAX];
    struct rate_found found[SHARE_BATCH_MAX];
};

/* Aborts where there is none. Does not wait for Redis. */
void sharer_begin(struct sharer *s, struct linked *l, const char *url, uint32_t fleet_size);
/* The same; what it holds is to be told again so often. */
void sharer_begin_again(struct sharer *s, struct linked *l, const char *url, uint32_t again_ms);
bool sharer_up(struct sharer *s, unsigned ups); /* came up so many times, within 8 s */
void sharer_silence(struct sharer *s);          /* no heartbeats any more */
void sharer_speak(struct sharer *s);
void sharer_end(struct sharer *s);    /* takes its leave */
void sharer_vanish(struct sharer *s); /* does not */

/* For calls that are made without a sharer; ctx is the struct shared, whose count is set. */
void shared_debited(void *ctx, bool answered, const uint64_t *deny_us, uint64_t now_us);
void shared_found(void *ctx, bool answered, const struct rate_found *found);
void shared_leased(void *ctx, bool answered, const uint32_t *others, uint64_t now_us);

/* What the share returns. */
int sharer_debit(
    struct sharer *s, const struct rate_debit *items, size_t count, struct shared *out);
int sharer_look(struct sharer *s, const struct rate_debit *items, size_t count, struct shared *out);
int sharer_lease(
    struct sharer *s, const struct quota_lease *items, size_t count, struct shared *out);
bool sharer_answered(struct sharer *s, struct shared *a, unsigned ms); /* once, within `ms` */

/* Each issues one and waits; aborts unless it was answered. */
uint64_t sharer_deny(struct sharer *s, const struct rate_debit *item);
struct rate_found sharer_find(struct sharer *s, const struct rate_debit *item);
uint32_t sharer_others(struct sharer *s, uint64_t name, uint32_t held);
/* The value reaches at least, or is, so much, within `ms`. */
bool sharer_reaches(struct sharer *s, const unsigned *value, unsigned least, unsigned ms);
bool sharer_instances(struct sharer *s, uint32_t count, unsigned ms);

#endif
