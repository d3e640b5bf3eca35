/*
 * OpenSSL's malloc, and a few buffers for when there is no memory: two sizes, because a record
 * needs two of its own length and some small structures. Each is taken and given back by one atomic
 * flag.
 *
 * Always: what is set aside serves threads between tls_memory_begin and tls_memory_end only, so
 * that handshakes, which keep what they take, leave it alone. Called by OpenSSL, stream.c and
 * dtls.c.
 */
#include "tls/memory.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A record with all that OpenSSL 3.0 puts around it is below 17 kB. */
#define LARGE_SIZE  (18u * 1024)
#define LARGE_COUNT 8u
#define SMALL_SIZE  1024u
#define SMALL_COUNT 32u

static alignas(max_align_t) uint8_t large[LARGE_COUNT][LARGE_SIZE];
static alignas(max_align_t) uint8_t small[SMALL_COUNT][SMALL_SIZE];
static atomic_bool large_taken[LARGE_COUNT], small_taken[SMALL_COUNT];
static _Thread_local bool may_spare;

static void *take_one(uint8_t *first, size_t each, atomic_bool *taken, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool expected = false;
        if (atomic_compare_exchange_strong(&taken[i], &expected, true))
            return first + i * each;
    }
    return NULL;
}

/* Where it lies among them, or `count`. */
static size_t index_of(const void *at, const uint8_t *first, size_t each, size_t count)
{
    const uintptr_t offset = (uintptr_t)at - (uintptr_t)first;
    return offset < each * count ? offset / each : count;
}

void *tls_memory_take_spare(size_t size)
{
    void *at = NULL;
    if (size <= SMALL_SIZE)
        at = take_one(small[0], SMALL_SIZE, small_taken, SMALL_COUNT);
    if (!at && size <= LARGE_SIZE)
        at = take_one(large[0], LARGE_SIZE, large_taken, LARGE_COUNT);
    return at;
}

void *tls_memory_take(size_t size)
{
    void *at = malloc(size);
    return at || !may_spare ? at : tls_memory_take_spare(size);
}

void tls_memory_give_back(void *old)
{
    const size_t in_large = index_of(old, large[0], LARGE_SIZE, LARGE_COUNT);
    const size_t in_small = index_of(old, small[0], SMALL_SIZE, SMALL_COUNT);
    if (in_large < LARGE_COUNT)
        atomic_store(&large_taken[in_large], false);
    else if (in_small < SMALL_COUNT)
        atomic_store(&small_taken[in_small], false);
    else
        free(old);
}

/* What `at` has room for if it was set aside, else 0. */
static size_t room_of(const void *at)
{
    if (index_of(at, large[0], LARGE_SIZE, LARGE_COUNT) < LARGE_COUNT)
        return LARGE_SIZE;
    return index_of(at, small[0], SMALL_SIZE, SMALL_COUNT) < SMALL_COUNT ? SMALL_SIZE : 0;
}

void *tls_memory_resize(void *old, size_t size)
{
    const size_t room = room_of(old);
    if (room == 0) {
        /* Spare memory may be smaller than what it would replace, whose size is not known here. */
        return old ? realloc(old, size) : tls_memory_take(size);
    }
    if (size <= room)
        return old;
    void *at = tls_memory_take(size);
    if (at) {
        memcpy(at, old, room);
        tls_memory_give_back(old);
    }
    return at;
}

static void *on_malloc(size_t size, const char *file, int line)
{
    return tls_memory_take(size);
}

static void *on_realloc(void *old, size_t size, const char *file, int line)
{
    return tls_memory_resize(old, size);
}

static void on_free(void *old, const char *file, int line)
{
    tls_memory_give_back(old);
}

int tls_memory_init(void)
{
    return CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free) == 1 ? 0 : -EBUSY;
}

void tls_memory_begin(void)
{
    may_spare = true;
}

void tls_memory_end(void)
{
    may_spare = false;
}
