/*
 * What a user, a realm, a client prefix and the instance hold at this moment: allocations,
 * permissions, channels. Shared by all workers: atomics, no lock, an entry is pinned while anything
 * is held. A charge is owned by its allocation and is returned exactly once; quota_free asserts it.
 */
#ifndef RATELIMIT_QUOTA_H
#define RATELIMIT_QUOTA_H

#include "base/addr.h"
#include "base/counters.h"
#include "base/slice.h"
#include "ratelimit/ratelimit_settings.h"

struct quota_table;

enum quota_kind { QUOTA_PERMISSIONS, QUOTA_CHANNELS, QUOTA_KINDS };

#define QUOTA_CHARGE_NONE UINT32_MAX

struct quota_charge {
    uint32_t user, realm, prefix; /* entries of the table; QUOTA_CHARGE_NONE when not open */
    uint32_t held[QUOTA_KINDS];
    bool open;
};

/* Room for max_allocations open charges (three entries each), at most 2^24 - 2. `key`: 16 random
 * bytes. NULL: out of memory, or more than that. */
struct quota_table *quota_new(uint32_t max_allocations, const uint8_t key[16]);
void quota_free(struct quota_table *t); /* asserts that nothing is held */

/*
 * From now on what users and realms hold at once is the fleet's, under names made with this key,
 * which all its instances have. Before others use the table. Then an instance opens while its own
 * and the others', as it last heard, are below the limit Q, and fewer than u = min(Q, max(4, 1 +
 * Q / 16)) of its own are unreported: N instances never hold more than Q + (N - 1) * u together.
 * Where no answer has come for RATE_SILENCE_US, or the link is down, this instance holds Q / N at
 * most (at least 1), or opens nothing more (deny_alone). What has no limit is not reported. A limit
 * over 2^24 - 2 counts as that.
 */
void quota_share(struct quota_table *t, const uint8_t name_key[16]);
/* So many instances there are; at least 1. Control thread, at any time. */
void quota_set_fleet(struct quota_table *t, uint32_t instances);
/* The link to Redis is down, or up again. Control thread. */
void quota_set_reachable(struct quota_table *t, bool reachable);
/* The limits of a realm, by id, as a reload has left them: what is held already under one that is
 * new is reported from the next quota_reports_run on; else from the realm's next quota_open on. Any
 * thread. */
void quota_set_limits(struct quota_table *t, uint32_t realm, const struct quota_limits *limits);

struct quota_asked {
    const struct quota_limits *limits;
    uint32_t realm;          /* id */
    struct slice realm_name; /* the same on every instance */
    struct slice user;
    struct addr client;
    uint64_t now_us;
    bool deny_alone;
    bool waits; /* it can; else "not yet" is a refusal */
};

/*
 * Charges one allocation to the user, its realm, the client's prefix and the instance: all or none.
 * REASON_NONE, or REASON_QUOTA_USER / _REALM / _INSTANCE / REASON_ALLOCATION_CAP (table full), or
 * REASON_LIMITS_UNREACHABLE (deny_alone), or REASON_LIMITS_PENDING: it is not to be said before an
 * answer has come, or silence: ask once more then. `charge` is written on success only. *report is
 * set, and never cleared, when control has to be woken (quota_reports.h).
 */
enum reason quota_open(struct quota_table *t, struct quota_charge *charge,
    const struct quota_asked *asked, bool *report);
/* Takes n more of a kind for an open charge: REASON_NONE, REASON_PERMISSION_CAP or
 * REASON_CHANNEL_CAP (nothing taken). */
enum reason quota_take(struct quota_table *t, struct quota_charge *charge,
    const struct quota_limits *limits, enum quota_kind kind, uint32_t n);
void quota_give(
    struct quota_table *t, struct quota_charge *charge, enum quota_kind kind, uint32_t n);
/* Returns everything the charge holds. A charge that is not open: nothing happens. What is to be
 * reported of it waits for quota_reports_run, which control calls once a second in any case. */
void quota_close(struct quota_table *t, struct quota_charge *charge);

/* What a user (or, the user empty, a realm) holds. */
struct quota_state {
    uint32_t held;   /* here */
    uint32_t others; /* elsewhere, as it was heard last */
    uint32_t unreported;
    bool silent;
};
/* Any thread; for people. */
void quota_inspect(struct quota_table *t, uint32_t realm, struct slice user, uint64_t now_us,
    struct quota_state *out);
/* Entries of charges are below this. */
size_t quota_entries(const struct quota_table *t);
/* Allocations charged to the instance. */
uint32_t quota_allocations(const struct quota_table *t);

#endif
