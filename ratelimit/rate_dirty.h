/*
 * Which entries of a rate table have something to report: a bounded ring of their indices. Any
 * thread pushes, control pops. An index is in it once at most, which who pushes it sees to (the
 * dirty bit of ratelimit/rate_entry.h), so that it never fills.
 */
#ifndef RATELIMIT_RATE_DIRTY_H
#define RATELIMIT_RATE_DIRTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_dirty {
    _Atomic uint32_t *slots; /* index + 1; 0: free, or not written yet */
    size_t mask;
    size_t tail;                        /* control's */
    _Alignas(64) _Atomic uint64_t head; /* where the next is pushed */
    _Atomic uint8_t told; /* what control knows: nothing, that there is something, or to hurry */
};

/* `entries`: a power of two, more than any index. False: out of memory. */
bool rate_dirty_init(struct rate_dirty *d, size_t entries);
void rate_dirty_deinit(struct rate_dirty *d);
/* True: control has to be woken. */
bool rate_dirty_push(struct rate_dirty *d, uint32_t index);
/* Control is not to wait for more. True: it has to be woken. */
bool rate_dirty_hurry(struct rate_dirty *d);
bool rate_dirty_hurries(const struct rate_dirty *d);
/* Control, before it pops: whoever pushes from now on wakes it again. */
void rate_dirty_heed(struct rate_dirty *d);
/* Control. False: none, or the next one is just being written; whoever writes it wakes control. */
bool rate_dirty_pop(struct rate_dirty *d, uint32_t *index);

#endif
