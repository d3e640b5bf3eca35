/*
 * Rate buckets shared by all workers: fixed size, 4-way, atomics, no lock. An entry is {tag, tat};
 * a key's tag is the SipHash of scope, realm and id. Only drained entries are evicted; a key that
 * finds no place shares its parent prefix's bucket (or, without one, a bucket of the set), so that
 * a flood of keys never empties another key's bucket.
 */
#ifndef RATELIMIT_RATE_TABLE_H
#define RATELIMIT_RATE_TABLE_H

#include "base/addr.h"
#include "ratelimit/gcra.h"

enum rate_scope { RATE_ANSWER_BINDING = 1, RATE_ANSWER_OTHER = 2, RATE_HANDSHAKE = 3 };

struct rate_table;

/* `entries` is rounded up to a power of two ≥ 1024. `key`: 16 random bytes. NULL: out of memory. */
struct rate_table *rate_table_new(size_t entries, const uint8_t key[16]);
void rate_table_free(struct rate_table *t);

/* Admits one for a prefix (already masked, with its length), or not. Any thread. */
bool rate_table_admit_prefix(struct rate_table *t, enum rate_scope scope, const struct addr *prefix,
    unsigned bits, const struct gcra *g, uint64_t now_us);

#endif
