/*
 * Keys that hold something at this moment, counted in a fixed table that all workers share:
 * atomics, no lock, no allocation. An entry belongs to its key while its count is not zero; callers
 * keep what else they count about the key in arrays of their own, by the entry's index.
 */
#ifndef RATELIMIT_PIN_TABLE_H
#define RATELIMIT_PIN_TABLE_H

#include <stdbool.h>
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

/*
 * Of keys whose count others are told. An entry that is kept belongs to its key also while nothing
 * is counted, until pin_table_drop; whatever changes its count marks it in the same step. Who marks
 * an entry that was not marked (`marked`, or what the call returns) enters it in a list, and may
 * look at what it keeps of the entry until then: no entry is seized while it is marked.
 */
struct pin_taken {
    uint32_t index, count; /* with what was taken */
    bool marked;
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

/* One more, whatever there is; the entry is kept from now on, if `keep`. PIN_DONE or PIN_NO_ROOM.
 */
enum pin_outcome pin_table_take_kept(
    struct pin_table *t, uint64_t hash, bool keep, struct pin_taken *out);
/* True: it is kept, and was not marked before. */
bool pin_table_give_kept(struct pin_table *t, uint32_t index);
/* Keeps what this key counts from now on, and marks it. True: it was not marked before. */
bool pin_table_keep(struct pin_table *t, uint32_t index, uint64_t tag);
/* Marks one that is kept. True: it was not marked before. */
bool pin_table_mark(struct pin_table *t, uint32_t index);
/* For who has taken it out of the list that its mark stands for: from here on every change marks it
 * again, and what is read of it afterwards shows every change before. */
void pin_table_unmark(struct pin_table *t, uint32_t index);
/* A kept entry that counts nothing and is not marked: nobody else finds it until it is dropped. */
bool pin_table_seize(struct pin_table *t, uint32_t index);
void pin_table_drop(struct pin_table *t, uint32_t index);
uint32_t pin_table_count(const struct pin_table *t, uint32_t index);
/* False: nobody has this key. */
bool pin_table_find(const struct pin_table *t, uint64_t hash, uint32_t *index);
/* What an entry knows of the hash; its low PIN_TAG_FREE_BITS are 0. */
#define PIN_TAG_FREE_BITS 26
uint64_t pin_table_tag(uint64_t hash);

/* The hash of a client's prefix, /24 or /64. */
uint64_t pin_table_prefix_hash(const uint8_t key[16], const struct addr *client);
/* Of an IPv6 client's /48: what one customer has, with 65,536 of those /64. */
uint64_t pin_table_network_hash(const uint8_t key[16], const struct addr *client);

#endif
