/*
 * A ring in the order of sending, and a binary heap over its slots by deadline: every command may
 * have its own. A slot is in the heap until it is answered. Called by redis_link.c.
 */
#include "fleet/redis_pipeline.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define NOT_IN_HEAP UINT32_MAX

struct slot {
    struct redis_waiting waiting;
    uint32_t at; /* in the heap */
};

struct redis_pipeline {
    uint32_t capacity, head, count, heap_len;
    struct slot *slots; /* the ring */
    uint32_t *heap;     /* slots */
};

struct redis_pipeline *redis_pipeline_new(uint32_t capacity)
{
    struct redis_pipeline *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->capacity = capacity;
    p->slots = calloc(capacity, sizeof(p->slots[0]));
    p->heap = calloc(capacity, sizeof(p->heap[0]));
    if (p->slots && p->heap)
        return p;
    redis_pipeline_free(p);
    return NULL;
}

void redis_pipeline_free(struct redis_pipeline *p)
{
    if (!p)
        return;
    assert(p->count == 0 && p->heap_len == 0);
    free(p->slots);
    free(p->heap);
    free(p);
}

uint32_t redis_pipeline_count(const struct redis_pipeline *p)
{
    return p->count;
}

static uint64_t deadline_at(const struct redis_pipeline *p, uint32_t at)
{
    return p->slots[p->heap[at]].waiting.deadline_us;
}

static void put(struct redis_pipeline *p, uint32_t at, uint32_t slot)
{
    p->heap[at] = slot;
    p->slots[slot].at = at;
}

static void swap(struct redis_pipeline *p, uint32_t a, uint32_t b)
{
    const uint32_t slot = p->heap[a];
    put(p, a, p->heap[b]);
    put(p, b, slot);
}

static void sift_up(struct redis_pipeline *p, uint32_t at)
{
    while (at > 0 && deadline_at(p, at) < deadline_at(p, (at - 1) / 2)) {
        swap(p, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct redis_pipeline *p, uint32_t at)
{
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < p->heap_len && deadline_at(p, child) < deadline_at(p, least))
                least = child;
        }
        if (least == at)
            return;
        swap(p, at, least);
        at = least;
    }
}

static void leave_heap(struct redis_pipeline *p, struct slot *s)
{
    const uint32_t at = s->at;
    s->at = NOT_IN_HEAP;
    p->heap_len--;
    if (at == p->heap_len)
        return;
    put(p, at, p->heap[p->heap_len]);
    sift_up(p, at);
    sift_down(p, at);
}

int redis_pipeline_push(struct redis_pipeline *p, const struct redis_waiting *w)
{
    if (p->count == p->capacity)
        return -EAGAIN;
    const uint32_t slot = (p->head + p->count) % p->capacity;
    p->slots[slot].waiting = *w;
    p->count++;
    put(p, p->heap_len++, slot);
    sift_up(p, p->heap_len - 1);
    return 0;
}

bool redis_pipeline_take(struct redis_pipeline *p, struct redis_waiting *out)
{
    if (p->count == 0)
        return false;
    struct slot *s = &p->slots[p->head];
    p->head = (p->head + 1) % p->capacity;
    p->count--;
    if (s->at != NOT_IN_HEAP)
        leave_heap(p, s);
    *out = s->waiting;
    return true;
}

bool redis_pipeline_expire(struct redis_pipeline *p, uint64_t now_us, struct redis_waiting *out)
{
    if (redis_pipeline_deadline(p) > now_us)
        return false;
    struct slot *s = &p->slots[p->heap[0]];
    *out = s->waiting;
    leave_heap(p, s);
    s->waiting.done = NULL;
    return true;
}

uint64_t redis_pipeline_deadline(const struct redis_pipeline *p)
{
    return p->heap_len > 0 ? deadline_at(p, 0) : UINT64_MAX;
}
