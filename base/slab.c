/*
 * Objects of one size in chunks of 64, with a free list through the slots. Chunks are never moved
 * or given back before slab_free, so pointers stay valid and a slot index finds its object in two
 * steps.
 *
 * Always: a slot's generation is never 0 and changes at each release, so a handle names at most one
 * life of a slot (until 2^32−1 releases of that slot have gone by). Called by the owner thread
 * only.
 */
#include "base/slab.h"

#include "base/secret.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_OBJECTS 64u
#define OBJECT_ALIGN  _Alignof(max_align_t)
#define SLOT_LIVE     UINT32_MAX
#define SLOT_END      (UINT32_MAX - 1) /* of the free list */
#define SLOTS_MAX     0xffffffu

struct slot {
    uint32_t generation;
    uint32_t next_free; /* SLOT_LIVE while in use */
};

struct chunk {
    struct slot slots[CHUNK_OBJECTS];
    _Alignas(OBJECT_ALIGN) unsigned char objects[];
};

struct slab {
    struct chunk **chunks;
    size_t stride, count;
    uint32_t max, used, free_head;
    uint8_t worker;
};

struct slab *slab_new(unsigned worker, size_t object_size, size_t max_objects)
{
    if (worker > UINT8_MAX || object_size == 0 || object_size > SIZE_MAX / (4 * CHUNK_OBJECTS) ||
        max_objects > SLOTS_MAX)
        return NULL;
    struct slab *s = malloc(sizeof(*s));
    struct chunk **chunks = calloc(max_objects / CHUNK_OBJECTS + 1, sizeof(struct chunk *));
    if (!s || !chunks) {
        free(s);
        free(chunks);
        return NULL;
    }
    *s = (struct slab){
        .chunks = chunks,
        .stride = (object_size + OBJECT_ALIGN - 1) / OBJECT_ALIGN * OBJECT_ALIGN,
        .max = (uint32_t)max_objects,
        .free_head = SLOT_END,
        .worker = (uint8_t)worker,
    };
    return s;
}

void slab_free(struct slab *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->used; i += CHUNK_OBJECTS) {
        struct chunk *chunk = s->chunks[i / CHUNK_OBJECTS];
        secret_cleanse(chunk->objects, s->stride * CHUNK_OBJECTS);
        free(chunk);
    }
    free(s->chunks);
    free(s);
}

static struct slot *slab_slot(const struct slab *s, uint32_t slot)
{
    return &s->chunks[slot / CHUNK_OBJECTS]->slots[slot % CHUNK_OBJECTS];
}

static void *slab_object(const struct slab *s, uint32_t slot)
{
    return s->chunks[slot / CHUNK_OBJECTS]->objects + slot % CHUNK_OBJECTS * s->stride;
}

/* A slot that was never used before, or SLOT_END. */
static uint32_t slab_grow(struct slab *s)
{
    if (s->used >= s->max)
        return SLOT_END;
    uint32_t slot = s->used;
    if (slot % CHUNK_OBJECTS == 0) {
        struct chunk *chunk = calloc(1, sizeof(struct chunk) + s->stride * CHUNK_OBJECTS);
        if (!chunk)
            return SLOT_END;
        s->chunks[slot / CHUNK_OBJECTS] = chunk;
    }
    slab_slot(s, slot)->generation = 1;
    s->used++;
    return slot;
}

void *slab_alloc(struct slab *s, uint64_t *handle)
{
    uint32_t slot = s->free_head;
    if (slot != SLOT_END)
        s->free_head = slab_slot(s, slot)->next_free;
    else if ((slot = slab_grow(s)) == SLOT_END)
        return NULL;

    struct slot *meta = slab_slot(s, slot);
    meta->next_free = SLOT_LIVE;
    s->count++;
    /* Wiped at release; once more here, so that a write through a stale pointer does not reach the
     * next tenant. */
    void *object = memset(slab_object(s, slot), 0, s->stride);
    *handle = (uint64_t)s->worker << 56 | (uint64_t)slot << 32 | meta->generation;
    return object;
}

void *slab_at(const struct slab *s, uint32_t slot)
{
    if (slot >= s->used || slab_slot(s, slot)->next_free != SLOT_LIVE)
        return NULL;
    return slab_object(s, slot);
}

void *slab_get(const struct slab *s, uint64_t handle)
{
    uint32_t slot = handle_slot(handle);
    if (handle_worker(handle) != s->worker || slot >= s->used)
        return NULL;
    if (slab_slot(s, slot)->generation != (uint32_t)handle)
        return NULL;
    return slab_at(s, slot);
}

void slab_release(struct slab *s, uint64_t handle)
{
    void *object = slab_get(s, handle);
    if (!object)
        return;
    uint32_t slot = handle_slot(handle);
    struct slot *meta = slab_slot(s, slot);
    secret_cleanse(object, s->stride);
    meta->generation = handle_generation_after(meta->generation);
    meta->next_free = s->free_head;
    s->free_head = slot;
    s->count--;
}

size_t slab_count(const struct slab *s)
{
    return s->count;
}

uint32_t slab_slots(const struct slab *s)
{
    return s->used;
}
