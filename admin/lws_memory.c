/*
 * libwebsockets' memory: malloc's, and behind it a reserve.
 *
 * Always: the reserve begins anew when the last block in it is freed. Called by server.c, and by
 * the library.
 */
#include "admin/lws_memory.h"

#include <libwebsockets.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

/* exception: the library has one allocator a process, without a context. */
static alignas(max_align_t) uint8_t reserve[LWS_MEMORY_RESERVE];
static size_t used, blocks;

static bool is_reserved(const void *ptr)
{
    const uintptr_t at = (uintptr_t)ptr;
    return at >= (uintptr_t)reserve && at < (uintptr_t)reserve + sizeof(reserve);
}

static void give_back(void *ptr)
{
    if (!is_reserved(ptr)) {
        free(ptr);
    } else if (--blocks == 0) {
        used = 0;
    }
}

static void *take_reserved(size_t size)
{
    const size_t step = alignof(max_align_t);
    if (size > sizeof(reserve) - used) {
        return NULL;
    }
    void *block = reserve + used;
    used += (size + step - 1) / step * step;
    blocks++;
    return block;
}

void *lws_memory_take(void *ptr, size_t size, const char *reason)
{
    (void)reason;
    if (size == 0) {
        give_back(ptr);
        return NULL;
    }
    if (is_reserved(ptr)) {
        return NULL;
    }
    if (ptr) {
        return realloc(ptr, size);
    }
    void *block = malloc(size);
    return block ? block : take_reserved(size);
}

void lws_memory_init(void)
{
    lws_set_allocator(lws_memory_take);
}

bool lws_memory_is_whole(void)
{
    return blocks == 0;
}
