/* What this instance knows of revocations, by name: the newest version of each, until it expires.
 * At most REVOCATIONS_MAX. One thread. */
#ifndef FLEET_REDIS_REVOKED_TABLE_H
#define FLEET_REDIS_REVOKED_TABLE_H

#include "base/random.h"
#include "fleet/redis_revoked.h"

struct redis_revoked_table;

/* One that is known; borrowed until the table changes. */
struct redis_revoked_known {
    struct redis_revoked revoked; /* the name is the table's */
    bool again;                   /* Redis is to be told of it */
};

/* NULL: out of memory, or no randomness. */
struct redis_revoked_table *redis_revoked_table_new(const struct random_source *random);
void redis_revoked_table_free(struct redis_revoked_table *t); /* NULL: nothing happens */

size_t redis_revoked_table_count(const struct redis_revoked_table *t);
/* 0 to count - 1; which is where changes when something is removed. */
const struct redis_revoked_known *redis_revoked_table_at(
    const struct redis_revoked_table *t, size_t n);
const struct redis_revoked_known *redis_revoked_table_find(
    const struct redis_revoked_table *t, struct slice name);

/* Adds or replaces, whatever version is there; `again` is false then. 0, -ENOSPC or -ENOMEM. */
int redis_revoked_table_put(struct redis_revoked_table *t, const struct redis_revoked *revoked);
/* Removes what has expired, of the next `budget` of them. */
void redis_revoked_table_expire(struct redis_revoked_table *t, int64_t now_s, size_t budget);

/* `known` is of this table. */
void redis_revoked_table_mark(
    struct redis_revoked_table *t, const struct redis_revoked_known *known, bool again);
void redis_revoked_table_mark_all(struct redis_revoked_table *t);
size_t redis_revoked_table_marked(const struct redis_revoked_table *t); /* how many */
/* One that is marked; NULL: none is. */
const struct redis_revoked_known *redis_revoked_table_next_marked(struct redis_revoked_table *t);

#endif
