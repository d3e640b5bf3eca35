/*
 * An open-addressing map from a 64-bit hash to a 32-bit value, fixed in size: made once, no
 * allocation afterwards. Equal hashes may stand for different keys: the caller's `match` decides.
 * One owner thread.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_NOT_FOUND UINT32_MAX

struct table;

/* Room for `capacity` entries at a load that keeps probes short. Untouched pages stay unbacked.
 * NULL: out of memory. */
struct table *table_new(size_t capacity);
void table_free(struct table *t);
size_t table_count(const struct table *t);

/* True if the entry's key, found from `value`, equals `key`. */
typedef bool table_match_fn(uint32_t value, const void *key, void *ctx);

/* The value, or TABLE_NOT_FOUND. */
uint32_t table_find(
    const struct table *t, uint64_t hash, table_match_fn *match, const void *key, void *ctx);
/* 0, or -ENOSPC when `capacity` entries are in. The caller has made sure that the key is not in
 * yet. */
int table_insert(struct table *t, uint64_t hash, uint32_t value);
/* Removes the entry with this hash AND this value. True if it was there. */
bool table_remove(struct table *t, uint64_t hash, uint32_t value);

#endif
