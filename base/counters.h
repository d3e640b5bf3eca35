/*
 * Counters of one thread: one writer, any number of readers. Written and read relaxed; a reader
 * sums the workers'. The lists are metrics.def and reason.def, nothing else.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum reason {
#define REASON(id, name, help) REASON_##id,
#include "base/reason.def"
#undef REASON
    REASON_COUNT
};

enum metric {
#define METRIC(id, name, labels, help) METRIC_##id,
#include "base/metrics.def"
#undef METRIC
    METRIC_COUNT
};

struct counters {
    _Alignas(64) _Atomic uint64_t metric[METRIC_COUNT];
    _Atomic uint64_t dropped[REASON_COUNT]; /* datagrams dropped without an answer */
    _Atomic uint64_t refused[REASON_COUNT]; /* requests answered with an error */
};

static inline void counter_add_(_Atomic uint64_t *c, uint64_t n)
{
    /* One writer: a load and a store, no locked instruction. */
    atomic_store_explicit(
        c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void counters_add(struct counters *c, enum metric m, uint64_t n)
{
    counter_add_(&c->metric[m], n);
}

static inline void counters_drop(struct counters *c, enum reason r)
{
    counter_add_(&c->dropped[r], 1);
}

static inline void counters_refuse(struct counters *c, enum reason r)
{
    counter_add_(&c->refused[r], 1);
}

const char *reason_name(enum reason r);
const char *reason_help(enum reason r);
const char *metric_name(enum metric m);
const char *metric_labels(enum metric m);
const char *metric_help(enum metric m);

/* A plain sum of several threads' counters. */
struct counters_sum {
    uint64_t metric[METRIC_COUNT];
    uint64_t dropped[REASON_COUNT];
    uint64_t refused[REASON_COUNT];
};
void counters_sum_add(struct counters_sum *sum, const struct counters *c);
/*
 * received = relayed + consumed + Σ dropped, for datagrams of both legs and ICMP errors. Returns
 * received − (the rest): 0 when it holds (datagrams still in an outbox count as missing).
 */
int64_t counters_sum_imbalance(const struct counters_sum *sum);

#endif
