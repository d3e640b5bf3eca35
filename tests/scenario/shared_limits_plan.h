/*
 * What happens in one run of the simulation, drawn from a seed: the limit, the instances, the
 * faults, and who asks when.
 */
#ifndef TESTS_SCENARIO_SHARED_LIMITS_PLAN_H
#define TESTS_SCENARIO_SHARED_LIMITS_PLAN_H

#include "base/clock.h"
#include "ratelimit/ratelimit_settings.h"

#include <stdbool.h>

#define PLAN_INSTANCES 16
#define PLAN_FAULTS    5
#define PLAN_PHASES    3

/* The rows of the table in docs/limits.md, and several faults after one another. */
enum plan_state { STATE_NORMAL, STATE_GONE, STATE_SPLIT, STATE_LOST, STATE_SEVERAL };
#define PLAN_STATES 5

enum fault_kind {
    FAULT_CUT,      /* nothing passes between Redis and `who`, and then everything late; or, from
                       `amount_us` on, the connections have ended, and then are made again */
    FAULT_HANG,     /* Redis executes nothing, and then everything that has come */
    FAULT_LOSS,     /* half of the answers to `who` never come */
    FAULT_RESTART,  /* without data, after `length_us` */
    FAULT_SNAPSHOT, /* restart with the data as it was at `amount_us` */
    FAULT_FAILOVER, /* as snapshot, and another server's clock */
    FAULT_FLUSH,    /* without data, but no connection ends */
    FAULT_FORWARD,  /* the clock is set by `amount_us` */
    FAULT_BACK
};

struct fault {
    enum fault_kind kind;
    uint64_t at_us, length_us, amount_us;
    uint32_t who; /* bits of instances */
};

enum asker { ASK_ALL, ASK_ONE, ASK_OTHERS }; /* spread over all; at one instance; but for it */

/* Before the first fault, during all of them, after the last. */
struct phase {
    enum asker asker;
    double load; /* times the rate */
};

struct plan_clients {
    struct phase phases[PLAN_PHASES];
    uint32_t one; /* the instance of ASK_ONE */
    bool prime;   /* first all but one of a burst, known to all, then everybody at once */
    bool cleared; /* everything comes to who has just been cleared, as soon as he is */
    bool silence; /* everything comes at the end of the silence, and the end of a fault */
};

struct plan_delays {
    uint64_t least_us, most_us; /* each way */
    uint64_t wake_us;           /* until control hears of a worker's first admission, at most */
    uint64_t stagger_us;        /* until all connections are there again, at most */
};

/* What may be admitted beyond rate × time. */
struct plan_bounds {
    double allowed, row; /* by this plan; by the row of the table, which is no less */
    bool doubled;        /* the rate counts twice while some hear Redis and others do not */
};

struct plan {
    enum plan_state state;
    uint64_t seed;
    struct rate rate;
    uint32_t instances;
    unsigned limits;           /* 1 or 2 with the same rate, in one table */
    uint64_t begin_us, end_us; /* what is measured */
    struct fault faults[PLAN_FAULTS];
    unsigned fault_count;
    struct plan_clients clients;
    struct plan_delays delays;
    struct plan_bounds bounds;
};

/* splitmix64 */
struct dice {
    uint64_t state;
};
uint64_t dice_next(struct dice *d);
uint64_t dice_below(struct dice *d, uint64_t bound); /* 0 for 0 */
uint64_t dice_between(struct dice *d, uint64_t least, uint64_t most);
bool dice_chance(struct dice *d, unsigned percent);
double dice_unit(struct dice *d); /* (0, 1] */

/* As rate_table does: 1 + ⌈rate × 20 ms⌉. */
uint64_t plan_unreported(const struct rate *rate);
void plan_draw(struct plan *out, enum plan_state state, uint64_t seed);
/* One line for people, static. */
const char *plan_text(const struct plan *p);

#endif
