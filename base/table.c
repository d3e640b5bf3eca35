/*
 * Linear probing over 16-byte entries in one zeroed array, at most two thirds full. Removal shifts
 * the entries behind it back, so there are no tombstones and probes stay as short as the load
 * allows, however long the process runs.
 *
 * Always: between an entry's home and its place there is no empty entry. Called by the owner thread
 * only, for each datagram.
 */
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>

struct entry {
    uint64_t hash;
    uint32_t value_plus_one; /* 0: empty, so that calloc's untouched pages are empty entries */
};

_Static_assert(sizeof(struct entry) == 16, "four entries a cache line");

struct table {
    struct entry *entries;
    size_t capacity, count, mask; /* mask: entries − 1, a power of two less one */
    unsigned shift;
};

struct table *table_new(size_t capacity)
{
    if (capacity > SIZE_MAX / (4 * sizeof(struct entry)))
        return NULL;
    size_t size = 4;
    unsigned bits = 2;
    while (size < capacity + capacity / 2 + 1) {
        size *= 2;
        bits++;
    }
    struct table *t = malloc(sizeof(*t));
    struct entry *entries = calloc(size, sizeof(*entries));
    if (!t || !entries) {
        free(t);
        free(entries);
        return NULL;
    }
    *t = (struct table){
        .entries = entries, .capacity = capacity, .mask = size - 1, .shift = 64 - bits};
    return t;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    free(t->entries);
    free(t);
}

size_t table_count(const struct table *t)
{
    return t->count;
}

/* A caller's hash may be a plain port number: multiplying spreads it over the upper bits. */
static inline size_t table_home(const struct table *t, uint64_t hash)
{
    return (size_t)((hash * 0x9e3779b97f4a7c15ull) >> t->shift);
}

uint32_t table_find(
    const struct table *t, uint64_t hash, table_match_fn *match, const void *key, void *ctx)
{
    for (size_t i = table_home(t, hash); t->entries[i].value_plus_one != 0; i = (i + 1) & t->mask) {
        uint32_t value = t->entries[i].value_plus_one - 1;
        if (t->entries[i].hash == hash && match(value, key, ctx))
            return value;
    }
    return TABLE_NOT_FOUND;
}

int table_insert(struct table *t, uint64_t hash, uint32_t value)
{
    if (t->count >= t->capacity)
        return -ENOSPC;
    size_t i = table_home(t, hash);
    while (t->entries[i].value_plus_one != 0)
        i = (i + 1) & t->mask;
    t->entries[i] = (struct entry){hash, value + 1};
    t->count++;
    return 0;
}

/* Fills the hole with the next entry that may lie there, until the hole is where no entry misses
 * it. */
static void table_close_hole(struct table *t, size_t hole)
{
    for (size_t i = (hole + 1) & t->mask; t->entries[i].value_plus_one != 0;
         i = (i + 1) & t->mask) {
        size_t from_home = (i - table_home(t, t->entries[i].hash)) & t->mask;
        size_t from_hole = (i - hole) & t->mask;
        if (from_home >= from_hole) {
            t->entries[hole] = t->entries[i];
            hole = i;
        }
    }
    t->entries[hole] = (struct entry){0};
}

bool table_remove(struct table *t, uint64_t hash, uint32_t value)
{
    for (size_t i = table_home(t, hash); t->entries[i].value_plus_one != 0; i = (i + 1) & t->mask) {
        if (t->entries[i].hash == hash && t->entries[i].value_plus_one == value + 1) {
            table_close_hole(t, i);
            t->count--;
            return true;
        }
    }
    return false;
}
