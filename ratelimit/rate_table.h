/*
 * Rate buckets shared by all workers: fixed size, 4-way, atomics, no lock. An entry is {tag, tat};
 * a key's tag is the SipHash of the key. Only drained entries are evicted, so that a flood of keys
 * never empties another key's bucket. A key that finds no place shares a bucket with others like it
 * of its scope: with those of its address, of the next wider prefix, or, where these find no place
 * either, with those whose /24 or /32 (without a prefix: whose key) hashes alike.
 */
#ifndef RATELIMIT_RATE_TABLE_H
#define RATELIMIT_RATE_TABLE_H

#include "base/addr.h"
#include "ratelimit/gcra.h"

enum rate_scope {
    RATE_ANSWER_BINDING = 1,
    RATE_ANSWER_OTHER = 2,
    RATE_HANDSHAKE = 3,
    RATE_GUESS_SOURCE = 4,
    RATE_GUESS_PREFIX = 5,
    RATE_GUESS_USER = 6
};
#define RATE_SCOPES 7 /* one more than the last */

struct rate_table;

/* What a bucket belongs to: a prefix, an id, or both together. */
struct rate_key {
    enum rate_scope scope;
    struct addr prefix; /* masked; ADDR_NONE: any address */
    unsigned bits;      /* of the prefix; 0 without one */
    uint64_t id;        /* a hash of whatever else names it; 0: nothing else does */
};

/* `entries` is rounded up to a power of two ≥ 1024. `key`: 16 random bytes. NULL: out of memory. */
struct rate_table *rate_table_new(size_t entries, const uint8_t key[16]);
void rate_table_free(struct rate_table *t);

/* Admits one for this key and takes it from its bucket, or not. Any thread. */
bool rate_table_admit(
    struct rate_table *t, const struct rate_key *key, const struct gcra *g, uint64_t now_us);
/* Would one be admitted? Takes nothing, and makes no entry. Any thread. */
bool rate_table_peek(
    struct rate_table *t, const struct rate_key *key, const struct gcra *g, uint64_t now_us);

#endif
