/* How many events are due by now, at an even rate. */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include <stdint.h>

struct pace {
    uint64_t start_ns;
    double interval_ns;
    uint64_t done;
};

static inline void pace_start(struct pace *p, double per_second, uint64_t now_ns)
{
    *p = (struct pace){.start_ns = now_ns, .interval_ns = 1e9 / per_second};
}

static inline uint64_t pace_next(const struct pace *p)
{
    return p->start_ns + (uint64_t)((double)p->done * p->interval_ns);
}

static inline uint64_t pace_due(const struct pace *p, uint64_t now_ns)
{
    if (now_ns < p->start_ns) {
        return 0;
    }
    uint64_t target = (uint64_t)((double)(now_ns - p->start_ns) / p->interval_ns) + 1;
    return target > p->done ? target - p->done : 0;
}

#endif
