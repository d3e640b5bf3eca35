/*
 * Keys that hold something at this moment, counted in a fixed table that all workers share:
 * atomics, no lock, no allocation. An entry belongs to its key while its count is not zero; callers
 * keep what else they count about the key in arrays of their own, by the entry's index.
 */
#ifndef RATELIMIT_PIN_TABLE_H
#define RATELIMIT_PIN_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/* The most that one key can count. */
#define PIN_COUNT_MAX 0xfffffeu

struct pin_table;

enum pin_outcome {
    PIN_DONE,       /* *index is the key's entry, and one more is counted in it */
    PIN_OVER_LIMIT, /* the key has `limit` already */
    PIN_NO_ROOM     /* the table is full, or contended beyond reason */
};

/* Room for `keys` keys at once. NULL: out of memory. */
struct pin_table *pin_table_new(uint32_t keys);
void pin_table_free(struct pin_table *t); /* asserts that nothing is counted; NULL: nothing */
/* Indices are below this. */
size_t pin_table_entries(const struct pin_table *t);
/* `hash`: of the key, keyed, so that nobody can aim at a bucket. `limit` 0: none. */
enum pin_outcome pin_table_take(
    struct pin_table *t, uint64_t hash, uint32_t limit, uint32_t *index);
void pin_table_give(struct pin_table *t, uint32_t index);

/* The hash of a client's prefix, /24 or /64. */
uint64_t pin_table_prefix_hash(const uint8_t key[16], const struct addr *client);
/* Of an IPv6 client's /48: what one customer has, with 65,536 of those /64. */
uint64_t pin_table_network_hash(const uint8_t key[16], const struct addr *client);

#endif
