/* The generic cell rate algorithm as arithmetic on one number. Pure; times in microseconds,
 * saturating. */
#ifndef RATELIMIT_GCRA_H
#define RATELIMIT_GCRA_H

#include "ratelimit/ratelimit_settings.h"
#include <stdbool.h>

struct gcra {
    uint64_t cost_us; /* emission interval: one admission costs this */
    uint64_t tau_us;  /* tolerance: (burst) admissions at once from rest */
};

struct gcra gcra_of(const struct rate *rate); /* count 0 gives {0, 0}: admits everything */
/* Judges one admission at `now`. On true *tat (theoretical arrival time, 0 at first) is moved, else
 * it is untouched. */
bool gcra_admit(const struct gcra *g, uint64_t *tat, uint64_t now_us);
/* True when the bucket is as full as at rest: its entry may be forgotten. */
bool gcra_drained(const struct gcra *g, uint64_t tat, uint64_t now_us);

#endif
