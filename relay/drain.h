/*
 * Draining, as a worker does it: nobody new is let in, who is in lives on until the deadline.
 * Private to relay/, but for the structure, which travels in the snapshot.
 */
#ifndef RELAY_DRAIN_H
#define RELAY_DRAIN_H

#include <stdint.h>

#include "relay/drain_settings.h"

/* Of a snapshot. */
struct relay_drain {
    bool on;
    uint64_t deadline_us; /* monotonic; allocations that live then end */
    struct drain_alternates alternates;
};

#endif
