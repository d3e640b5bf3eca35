/*
 * A ring of indices with many writers and one reader. A writer takes a place, then fills it: the
 * reader stops at a place that is not filled yet, and its writer, who looks at `told` afterwards,
 * wakes the reader again. No place is taken twice at a time: there are as many as there are
 * indices, and each is in the ring once. Called by rate_table.c.
 */
#include "ratelimit/rate_dirty.h"

#include <stdlib.h>

enum { NOTHING, SOMETHING, HURRY };

bool rate_dirty_init(struct rate_dirty *d, size_t entries)
{
    d->slots = calloc(entries, sizeof(*d->slots));
    d->mask = entries - 1;
    d->tail = 0;
    atomic_init(&d->head, 0);
    atomic_init(&d->told, NOTHING);
    return d->slots != NULL;
}

void rate_dirty_deinit(struct rate_dirty *d)
{
    free(d->slots);
    d->slots = NULL;
}

bool rate_dirty_push(struct rate_dirty *d, uint32_t index)
{
    uint64_t at = atomic_fetch_add(&d->head, 1);
    atomic_store(&d->slots[at & d->mask], index + 1);
    /* Read first: under load it is told already, and the line stays shared. */
    uint8_t nothing = NOTHING;
    return atomic_load(&d->told) == NOTHING &&
           atomic_compare_exchange_strong(&d->told, &nothing, SOMETHING);
}

bool rate_dirty_hurry(struct rate_dirty *d)
{
    return atomic_load(&d->told) != HURRY && atomic_exchange(&d->told, HURRY) != HURRY;
}

bool rate_dirty_hurries(const struct rate_dirty *d)
{
    return atomic_load(&d->told) == HURRY;
}

void rate_dirty_heed(struct rate_dirty *d)
{
    atomic_store(&d->told, NOTHING);
}

bool rate_dirty_pop(struct rate_dirty *d, uint32_t *index)
{
    uint32_t found = atomic_load(&d->slots[d->tail & d->mask]);
    if (found == 0)
        return false;
    atomic_store(&d->slots[d->tail & d->mask], 0);
    d->tail++;
    *index = found - 1;
    return true;
}
