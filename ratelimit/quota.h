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
 * Charges one allocation to the user, its realm, the client's prefix and the instance: all or none.
 * REASON_NONE, or REASON_QUOTA_USER / _REALM / _INSTANCE / REASON_ALLOCATION_CAP (table full).
 * `charge` is written on success only.
 */
enum reason quota_open(struct quota_table *t, struct quota_charge *charge,
    const struct quota_limits *limits, uint32_t realm, struct slice user,
    const struct addr *client);
/* Takes n more of a kind for an open charge: REASON_NONE, REASON_PERMISSION_CAP or
 * REASON_CHANNEL_CAP (nothing taken). */
enum reason quota_take(struct quota_table *t, struct quota_charge *charge,
    const struct quota_limits *limits, enum quota_kind kind, uint32_t n);
void quota_give(
    struct quota_table *t, struct quota_charge *charge, enum quota_kind kind, uint32_t n);
/* Returns everything the charge holds. A charge that is not open: nothing happens. */
void quota_close(struct quota_table *t, struct quota_charge *charge);
/* Allocations charged to the instance. */
uint32_t quota_allocations(const struct quota_table *t);

#endif
