/*
 * Objects of one size, found by handles that die with the object: worker, slot and generation in 64
 * bits. A stale handle finds nothing, it never finds the slot's next tenant. Memory grows by chunks
 * and is zeroed at slab_alloc; pointers stay valid until slab_release. One owner thread.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define HANDLE_NONE 0ull

static inline unsigned handle_worker(uint64_t h)
{
    return (unsigned)(h >> 56);
}

static inline uint32_t handle_slot(uint64_t h)
{
    return (uint32_t)(h >> 32) & 0xffffffu;
}

/* The generation of a slot's next tenant: never 0, so no handle is HANDLE_NONE. */
static inline uint32_t handle_generation_after(uint32_t generation)
{
    return generation == UINT32_MAX ? 1 : generation + 1;
}

struct slab;

/* object_size ≥ 1, at most max_objects ≤ 2^24-1 live at once. NULL: out of memory. */
struct slab *slab_new(unsigned worker, size_t object_size, size_t max_objects);
void slab_free(struct slab *s); /* frees all memory; objects are not told */

/* A zeroed object, *handle set (never HANDLE_NONE); NULL when full or out of memory. */
void *slab_alloc(struct slab *s, uint64_t *handle);
/* The object, or NULL if the handle is stale, foreign or HANDLE_NONE. */
void *slab_get(const struct slab *s, uint64_t handle);
/* The object in a slot, or NULL if the slot is free: for values kept in a table. */
void *slab_at(const struct slab *s, uint32_t slot);
/* The object is wiped; its handle is stale from now on. */
void slab_release(struct slab *s, uint64_t handle);
size_t slab_count(const struct slab *s);
/* Slots ever used: `for (i = 0; i < slab_slots(s); i++) slab_at(s, i)` visits all objects. */
uint32_t slab_slots(const struct slab *s);

#endif
