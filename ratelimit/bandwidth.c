/*
 * Bytes a second, by the generic cell rate algorithm: a meter is the time at which it would be at
 * rest, and a packet passes while that time, moved by what its bytes cost, is not more than the
 * burst ahead.
 *
 * What always holds:
 * - A meter is never moved further than its burst ahead, by nobody: over any time it gives
 *   burst + rate * time at most. Users' meters are moved by each packet. Realms and the instance
 *   give workers 10 ms at a time, or what they have left; what a worker has not used it keeps.
 * - Everything is counted in time: meters and leases are worth as large a part of the burst after a
 *   reload as before it.
 * - Costs are of 2^-16 ns. What is left over of a nanosecond is charged to the next packet, so that
 *   rates are exact for packets of any size.
 *
 * Called by relay on any worker, for each packet where something is limited.
 */
#include "ratelimit/bandwidth.h"

#include "base/clock.h"
#include "base/crypto.h"
#include <stdlib.h>

#define NS_PER_S      1000000000ull
#define NS_PER_MS     1000000ull
#define NS_PER_US     1000ull
#define FRACTION_BITS 16
#define FRACTION_MASK ((1u << FRACTION_BITS) - 1)
#define COST_MAX      (1ull << 63)
#define LEASE_NS      (BANDWIDTH_LEASE_MS * NS_PER_MS)
/* Workers take the time once a batch, so a meter may be this much further ahead than one of them
 * thinks possible. */
#define SKEW_NS (100 * NS_PER_MS)

/* Levels that charge packet by packet keep the rest of a nanosecond. */
enum { LEVEL_ALLOCATION, LEVEL_USER, LEVELS };

struct user_meter {
    _Atomic uint64_t tag; /* whose; 0: nobody's yet */
    _Atomic uint64_t tat_ns[BANDWIDTH_DIRECTIONS];
};

/* Each in a cache line of its own. */
struct wide_meter {
    _Alignas(64) _Atomic uint64_t tat_ns[BANDWIDTH_DIRECTIONS];
};

struct bandwidth_table {
    struct user_meter *users;
    unsigned realms;
    uint8_t key[16];
    struct wide_meter wide[]; /* by realm id; the last is the instance's */
};

struct bandwidth_lease {
    _Alignas(64) struct bandwidth_table *table;
    uint32_t rest[LEVELS][BANDWIDTH_DIRECTIONS]; /* below 2^16, in 2^-16 ns */
    uint64_t left[][BANDWIDTH_DIRECTIONS];       /* as `wide`, in 2^-16 ns */
};

static struct bandwidth_rate rate_of(uint64_t bytes_per_s, uint32_t burst_ms)
{
    if (bytes_per_s == 0)
        return (struct bandwidth_rate){0};
    const uint64_t second = NS_PER_S << FRACTION_BITS;
    const uint64_t cost = second / bytes_per_s + (second % bytes_per_s != 0);
    const uint64_t least = (BANDWIDTH_BURST_MIN * cost + FRACTION_MASK) >> FRACTION_BITS;
    const uint64_t tau = burst_ms * NS_PER_MS;
    return (struct bandwidth_rate){bytes_per_s, tau > least ? tau : least, cost};
}

struct bandwidth_rates bandwidth_rates_of(
    const struct ratelimit_settings *limits, const struct realm_rates *rates)
{
    const uint32_t ms = limits->bandwidth_burst_ms;
    struct bandwidth_rates r = {.allocation = rate_of(rates->bandwidth_per_allocation, ms),
        .user = rate_of(rates->bandwidth_per_user, ms),
        .realm = rate_of(rates->bandwidth_per_realm, ms),
        .instance = rate_of(limits->bandwidth_per_instance, ms)};
    r.any = (r.allocation.bytes_per_s | r.user.bytes_per_s | r.realm.bytes_per_s |
                r.instance.bytes_per_s) != 0;
    return r;
}

struct bandwidth_table *bandwidth_table_new(
    const struct quota_table *quotas, unsigned realms, const uint8_t key[16])
{
    const size_t size = sizeof(struct bandwidth_table) + (realms + 1) * sizeof(struct wide_meter);
    struct bandwidth_table *t = aligned_alloc(_Alignof(struct bandwidth_table), size);
    if (!t)
        return NULL;
    memset(t, 0, size);
    t->realms = realms;
    memcpy(t->key, key, sizeof(t->key));
    t->users = calloc(quota_entries(quotas), sizeof(*t->users));
    if (!t->users) {
        free(t);
        return NULL;
    }
    return t;
}

void bandwidth_table_free(struct bandwidth_table *t)
{
    if (!t)
        return;
    free(t->users);
    free(t);
}

struct bandwidth_lease *bandwidth_lease_new(struct bandwidth_table *t)
{
    /* Whole cache lines, which no other worker writes to. */
    const size_t size = (sizeof(struct bandwidth_lease) +
                            (t->realms + 1) * sizeof(uint64_t[BANDWIDTH_DIRECTIONS]) + 63) &
                        ~(size_t)63;
    struct bandwidth_lease *l = aligned_alloc(64, size);
    if (!l)
        return NULL;
    memset(l, 0, size);
    l->table = t;
    return l;
}

void bandwidth_lease_free(struct bandwidth_lease *l)
{
    free(l);
}

static uint64_t tag_of(const struct bandwidth_table *t, uint32_t realm, struct slice account)
{
    const uint64_t text[2] = {crypto_siphash(t->key, account.data, account.len), realm};
    const uint64_t tag = crypto_siphash(t->key, text, sizeof(text));
    return tag ? tag : 1;
}

/* Of two workers that begin the same user's allocation at the same moment, the second may forget
 * what has passed for the first by then, which is nothing: it has not been answered yet. */
void bandwidth_begin(struct bandwidth_table *t, uint32_t user, uint32_t realm, struct slice account)
{
    struct user_meter *m = &t->users[user];
    const uint64_t tag = tag_of(t, realm, account);
    if (atomic_load(&m->tag) == tag)
        return;
    for (unsigned i = 0; i < BANDWIDTH_DIRECTIONS; i++)
        atomic_store(&m->tat_ns[i], 0);
    atomic_store(&m->tag, tag);
}

/* What is asked of a meter: at least so much, at most so much. */
struct asked {
    uint64_t least_ns, most_ns; /* 0 < least <= most */
    uint64_t tau_ns, now_ns;
};

/* What the meter gives, and it is moved; 0: it has less than the least. */
static uint64_t meter_give(uint64_t *tat, const struct asked *a)
{
    if (a->now_ns > UINT64_MAX - a->tau_ns)
        return 0; /* what cannot be charged is refused */
    uint64_t debt = *tat > a->now_ns ? *tat - a->now_ns : 0;
    if (debt > a->tau_ns) {
        /* The clock has stepped back, or a reload has made the burst shorter: it is empty, no
         * more than that. */
        if (debt - a->tau_ns > SKEW_NS)
            *tat = a->now_ns + a->tau_ns;
        return 0;
    }
    const uint64_t room = a->tau_ns - debt;
    if (a->least_ns > room)
        return 0;
    const uint64_t given = a->most_ns < room ? a->most_ns : room;
    *tat = a->now_ns + debt + given;
    return given;
}

static uint64_t shared_give(_Atomic uint64_t *tat, const struct asked *a)
{
    uint64_t old = atomic_load_explicit(tat, memory_order_relaxed);
    for (;;) {
        uint64_t next = old;
        const uint64_t given = meter_give(&next, a);
        if (next == old || atomic_compare_exchange_weak_explicit(
                               tat, &old, next, memory_order_relaxed, memory_order_relaxed))
            return given;
    }
}

/* One packet at one level. */
struct charge {
    uint64_t cost; /* in 2^-16 ns */
    uint64_t tau_ns, now_ns;
    enum bandwidth_direction direction;
};

static struct charge charge_of(
    const struct bandwidth_rate *rate, const struct bandwidth_packet *p, uint64_t now_ns)
{
    uint64_t cost;
    if (__builtin_mul_overflow(rate->cost, p->bytes, &cost) || cost > COST_MAX)
        cost = COST_MAX;
    return (struct charge){cost, rate->tau_ns, now_ns, p->direction};
}

/* Whole nanoseconds are asked for now, the rest with the next packet. */
static struct asked asked_of(const struct charge *c, uint32_t rest)
{
    const uint64_t ns = (c->cost + rest) >> FRACTION_BITS;
    return (struct asked){ns, ns, c->tau_ns, c->now_ns};
}

static void keep_rest(uint32_t *rest, const struct charge *c)
{
    *rest = (uint32_t)(c->cost + *rest) & FRACTION_MASK;
}

static bool take_allocation(
    struct bandwidth_lease *l, struct bandwidth_meter *meter, const struct charge *c)
{
    uint32_t *rest = &l->rest[LEVEL_ALLOCATION][c->direction];
    const struct asked a = asked_of(c, *rest);
    if (a.least_ns > 0 && !meter_give(&meter->tat_ns[c->direction], &a))
        return false;
    keep_rest(rest, c);
    return true;
}

static bool take_user(struct bandwidth_lease *l, uint32_t user, const struct charge *c)
{
    uint32_t *rest = &l->rest[LEVEL_USER][c->direction];
    const struct asked a = asked_of(c, *rest);
    if (a.least_ns > 0 && !shared_give(&l->table->users[user].tat_ns[c->direction], &a))
        return false;
    keep_rest(rest, c);
    return true;
}

/* From the lease; and where that is not enough, the lease from the meter. */
static bool take_wide(struct bandwidth_lease *l, uint32_t place, const struct charge *c)
{
    uint64_t *left = &l->left[place][c->direction];
    if (*left < c->cost) {
        const uint64_t least = (c->cost - *left + FRACTION_MASK) >> FRACTION_BITS;
        const struct asked a = {least, least > LEASE_NS ? least : LEASE_NS, c->tau_ns, c->now_ns};
        const uint64_t given = shared_give(&l->table->wide[place].tat_ns[c->direction], &a);
        if (given == 0)
            return false;
        *left += given << FRACTION_BITS;
    }
    *left -= c->cost;
    return true;
}

enum reason bandwidth_take(struct bandwidth_lease *l, const struct bandwidth_rates *rates,
    const struct bandwidth_owner *owner, const struct bandwidth_packet *packet)
{
    const uint64_t now_ns =
        packet->now_us > UINT64_MAX / NS_PER_US ? UINT64_MAX : packet->now_us * NS_PER_US;
    if (rates->allocation.bytes_per_s) {
        const struct charge c = charge_of(&rates->allocation, packet, now_ns);
        if (!take_allocation(l, owner->meter, &c))
            return REASON_BANDWIDTH_ALLOCATION;
    }
    if (rates->user.bytes_per_s) {
        const struct charge c = charge_of(&rates->user, packet, now_ns);
        if (!take_user(l, owner->user, &c))
            return REASON_BANDWIDTH_USER;
    }
    if (rates->realm.bytes_per_s) {
        const struct charge c = charge_of(&rates->realm, packet, now_ns);
        if (!take_wide(l, owner->realm, &c))
            return REASON_BANDWIDTH_REALM;
    }
    if (rates->instance.bytes_per_s) {
        const struct charge c = charge_of(&rates->instance, packet, now_ns);
        if (!take_wide(l, l->table->realms, &c))
            return REASON_BANDWIDTH_INSTANCE;
    }
    return REASON_NONE;
}
