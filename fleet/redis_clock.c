/*
 * The floor is what Redis's clock would have shown at most, had nobody set it: an epoch that is
 * younger has begun since, so instances that notice one after the other do not each begin another.
 * Called by redis_limits.c.
 */
#include "fleet/redis_clock.h"

void redis_clock_forget(struct redis_clock *c)
{
    *c = (struct redis_clock){0};
}

/* The interval grows while nothing is heard. */
static void grow(struct redis_clock *c, uint64_t now_us)
{
    const uint64_t elapsed = now_us > c->at_us ? now_us - c->at_us : 0;
    const int64_t drift = (int64_t)(elapsed / 1000000 * REDIS_CLOCK_DRIFT_PPM +
                                    elapsed % 1000000 * REDIS_CLOCK_DRIFT_PPM / 1000000 + 1);
    c->least_us -= drift;
    c->most_us += drift;
    c->at_us = now_us;
}

static void replace(struct redis_clock *c, int64_t least, int64_t most)
{
    c->least_us = least;
    c->most_us = most;
}

enum redis_clock_seen redis_clock_see(
    struct redis_clock *c, const struct redis_clock_sample *sample)
{
    const int64_t least = (int64_t)(sample->redis_us - sample->received_us);
    const int64_t most = (int64_t)(sample->redis_us - sample->sent_us);
    if (!c->known) {
        *c = (struct redis_clock){
            .known = true, .least_us = least, .most_us = most, .at_us = sample->received_us};
        return REDIS_CLOCK_STEADY;
    }
    grow(c, sample->received_us);
    const int64_t step = REDIS_CLOCK_STEP_US;
    if (least - c->most_us > step) {
        c->floor_us = sample->received_us + (uint64_t)c->most_us;
        replace(c, least, most);
        return REDIS_CLOCK_SET_FORWARD;
    }
    if (c->least_us - most > step) {
        c->floor_us = 0;
        replace(c, least, most);
        return REDIS_CLOCK_SET_BACK;
    }
    if (least > c->most_us || most < c->least_us) {
        replace(c, least, most);
        return REDIS_CLOCK_STEADY;
    }
    replace(c, least > c->least_us ? least : c->least_us, most < c->most_us ? most : c->most_us);
    return REDIS_CLOCK_STEADY;
}
