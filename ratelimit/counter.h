/* A number that workers share and that has a limit: checked and moved in one step, so that it never
 * passes it, never wraps, and nobody waits. For this folder. */
#ifndef RATELIMIT_COUNTER_H
#define RATELIMIT_COUNTER_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* False: nothing taken. limit 0: unlimited, but never past UINT32_MAX. */
static inline bool counter_take(_Atomic uint32_t *counter, uint32_t n, uint32_t limit)
{
    if (limit == 0)
        limit = UINT32_MAX;
    uint32_t old = atomic_load(counter);
    do {
        if (n > limit || old > limit - n)
            return false;
    } while (!atomic_compare_exchange_weak(counter, &old, old + n));
    return true;
}

static inline void counter_give(_Atomic uint32_t *counter, uint32_t n)
{
    uint32_t old = atomic_fetch_sub(counter, n);
    assert(old >= n);
    (void)old;
}

#endif
