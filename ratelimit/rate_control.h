/*
 * The rate table as the control thread goes through it to report: for rate_reports.c.
 */
#ifndef RATELIMIT_RATE_CONTROL_H
#define RATELIMIT_RATE_CONTROL_H

#include "ratelimit/rate_entry.h"

/* Whose entry it is: stays while it is dirty or in flight. */
struct rate_owner {
    uint64_t name;
    enum rate_scope scope;
    uint8_t realm;
};

bool rate_table_is_reachable(const struct rate_table *t); /* rate_table_set_reachable */
/* Redis has not answered for two seconds, for no key: shares alone admit, so that what was pending
 * of one that is at rest may be forgotten, and nobody gets u once more for that. */
void rate_table_set_alone(struct rate_table *t, bool alone);
size_t rate_table_entries(const struct rate_table *t);
/* Whoever has something to report from now on says so again. Before rate_table_next. */
void rate_table_heed(struct rate_table *t);
/* An entry that has become dirty. False: none has. */
bool rate_table_next(struct rate_table *t, uint32_t *index);
struct rate_owner rate_table_owner(const struct rate_table *t, uint32_t index);
/* The set of an entry; *way is its place there. */
struct rate_set *rate_table_set_of(struct rate_table *t, uint32_t index, unsigned *way);

#endif
