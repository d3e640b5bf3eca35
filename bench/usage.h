/* What the server and the generator have used so far, from /proc. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* All counters rise; a row is the difference of two readings. */
struct usage {
    uint64_t cpu_ns;     /* of all threads of the server, user and system */
    uint64_t user_ticks; /* sampled by the kernel's tick: only their ratio is used */
    uint64_t system_ticks;
    uint64_t turns;             /* times that a thread of the server was put on a core */
    uint64_t softirqd_ns;       /* of the kernel thread that takes over network work of the core */
    uint64_t generator_ns;      /* of this process */
    uint64_t generator_spun_ns; /* of it, waiting; 0 unless the row sets it */
    uint64_t idle_ns;           /* of all cores, to 10 ms */
    uint64_t rss_bytes;         /* of the server, now */
    uint64_t slab_bytes;        /* of the kernel, whole machine, now */
    uint64_t at_ns;             /* CLOCK_MONOTONIC */
};

/* `pid` 0 leaves the server's counters at 0, `cpu` -1 those of ksoftirqd. 0, or -errno: the server
 * is gone, or /proc cannot be read. */
int usage_read(struct usage *out, pid_t pid, int cpu);

/* Counters of `after` less those of `before`; rss_bytes and slab_bytes are those of `after`. */
struct usage usage_between(const struct usage *before, const struct usage *after);

uint64_t monotonic_ns(void);
uint64_t realtime_ns(void);

#endif
