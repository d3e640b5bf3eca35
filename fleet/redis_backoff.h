/* When to connect again: exponential with full jitter, so that a fleet that lost its Redis at once
 * does not come back at once. */
#ifndef FLEET_REDIS_BACKOFF_H
#define FLEET_REDIS_BACKOFF_H

#include "base/random.h"

#include <stdint.h>

#define REDIS_BACKOFF_MIN_MS 50u
#define REDIS_BACKOFF_MAX_MS 5000u

struct redis_backoff {
    uint32_t failures; /* since it was last reset to 0 */
};

/* Milliseconds: uniform from 1 to 50, 100, 200 ... 5000. Without randomness the end of that range.
 */
uint32_t redis_backoff_next(struct redis_backoff *b, const struct random_source *random);

#endif
