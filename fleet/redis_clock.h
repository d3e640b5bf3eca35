/*
 * How far Redis's clock is ahead of the monotonic one, as an interval, and whether it has been set.
 * Redis reads its clock between sending and receiving: each reply that tells the time is an
 * interval, all of them together a narrow one. Set forward, the clock fills every bucket at once:
 * what such a reply says does not count, and from then on debits carry a floor, before which no
 * epoch may have begun (redis_limits_scripts.h). Set back, nothing is to be done: the script sees
 * to that. Pure.
 *
 * A machine that was suspended looks to itself as if Redis's clock had been set forward. A clock
 * that is slewed faster than DRIFT_PPM, as chrony may, counts as set with every 20 ms that it
 * gains.
 */
#ifndef FLEET_REDIS_CLOCK_H
#define FLEET_REDIS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define REDIS_CLOCK_DRIFT_PPM 1000u  /* of two clocks that nobody sets, at most */
#define REDIS_CLOCK_STEP_US   20000u /* less is not taken for a step */

/* All zeros: nothing is known. */
struct redis_clock {
    bool known;
    int64_t least_us, most_us; /* Redis's clock minus the monotonic one, at `at_us` */
    uint64_t at_us;            /* monotonic */
    uint64_t floor_us;         /* Redis's: what began earlier may have been before the clock was set
                                  forward; 0: it was not */
};

enum redis_clock_seen { REDIS_CLOCK_STEADY, REDIS_CLOCK_SET_FORWARD, REDIS_CLOCK_SET_BACK };

struct redis_clock_sample {
    uint64_t sent_us, received_us; /* monotonic */
    uint64_t redis_us;             /* what the reply says, below 2^53 */
};

/*
 * Takes a reply into account. What a debit says counts only if floor_us is, after this, what was
 * sent with it: what was in flight while the clock was set does not.
 */
enum redis_clock_seen redis_clock_see(
    struct redis_clock *c, const struct redis_clock_sample *sample);
/* It is another server. */
void redis_clock_forget(struct redis_clock *c);

#endif
