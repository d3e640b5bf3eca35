/*
 * The ring between a worker and the thread that writes usage records down.
 *
 * Always: head ≤ tail ≤ head + capacity; only the worker moves tail and only the writer moves head,
 * each after it is done with the place. What is left when the worker ends is a list that the writer
 * sees once `closed` is set. Neither waits for the other. Called by usage.c and by daemon/usage.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "relay/usage_internal.h"

struct usage_ring {
    uint32_t capacity;
    struct usage_waiting *rest; /* valid once `closed` is set; then the writer's */
    _Alignas(64) _Atomic uint32_t head;
    _Alignas(64) _Atomic uint32_t tail;
    _Atomic bool closed;
    struct usage_record places[];
};

struct usage_ring *usage_ring_new(uint32_t capacity)
{
    size_t size = sizeof(struct usage_ring) + capacity * sizeof(struct usage_record);
    size = (size + 63) & ~(size_t)63;
    struct usage_ring *ring = aligned_alloc(64, size);
    if (ring) {
        memset(ring, 0, sizeof(*ring));
        ring->capacity = capacity;
    }
    return ring;
}

static void drop_rest(struct usage_ring *ring)
{
    struct usage_waiting *next = ring->rest->next;
    free(ring->rest);
    ring->rest = next;
}

void usage_ring_free(struct usage_ring *ring)
{
    while (ring && ring->rest) {
        drop_rest(ring);
    }
    free(ring);
}

static size_t size_of(const struct usage_record *record)
{
    return offsetof(struct usage_record, user) + record->user_len;
}

uint32_t usage_ring_room(const struct usage_ring *ring)
{
    return ring->capacity - (atomic_load_explicit(&ring->tail, memory_order_relaxed) -
                                atomic_load_explicit(&ring->head, memory_order_acquire));
}

bool usage_ring_put(struct usage_ring *ring, const struct usage_record *record)
{
    const uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (usage_ring_room(ring) == 0) {
        return false;
    }
    memcpy(&ring->places[tail & (ring->capacity - 1)], record, size_of(record));
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

static bool is_empty(const struct usage_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) ==
           atomic_load_explicit(&ring->tail, memory_order_acquire);
}

const struct usage_record *usage_ring_peek(struct usage_ring *ring)
{
    /* In this order: what was put before it was closed is seen, and comes first. */
    const bool closed = atomic_load_explicit(&ring->closed, memory_order_acquire);
    if (!is_empty(ring)) {
        const uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
        return &ring->places[head & (ring->capacity - 1)];
    }
    return closed && ring->rest ? &ring->rest->record : NULL;
}

void usage_ring_pass(struct usage_ring *ring)
{
    if (!is_empty(ring)) {
        const uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
        atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    } else {
        drop_rest(ring);
    }
}

void usage_ring_close(struct usage_ring *ring, struct usage_waiting *rest)
{
    ring->rest = rest;
    atomic_store_explicit(&ring->closed, true, memory_order_release);
}
