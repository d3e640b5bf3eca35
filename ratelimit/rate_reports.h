/*
 * The control thread's half of limits that instances share: takes from the rate table what is to be
 * reported, has it debited in batches, one flight a key, and writes back for how long to deny. What
 * was not answered is reported again: debited twice rather than not at all. It is dropped only in
 * an outage, when this instance's share has been paid back meanwhile. While calls fail, one at a
 * time is made. No answer denies for longer than the debt that Redis is told to remember (cap_us of
 * struct rate_debit) and one admission take to be paid, whatever it says. Pure: time comes in,
 * Redis is behind share.h.
 */
#ifndef RATELIMIT_RATE_REPORTS_H
#define RATELIMIT_RATE_REPORTS_H

#include "ratelimit/rate_table.h"
#include "ratelimit/share.h"

/* Reports of one key are so far apart at least: what bounds the commands that Redis sees. */
#define RATE_REPORT_EVERY_US (5 * US_PER_MS)

struct rate_reports;

/* The rate of a scope and realm as it is configured now; count 0: none any more. */
typedef struct rate rate_of_fn(void *ctx, enum rate_scope scope, uint8_t realm);

struct rate_reports_deps {
    struct rate_table *rates; /* borrowed for life; shared */
    struct share share;       /* by value; ctx outlives it */
    rate_of_fn *rate_of;
    void *rate_of_ctx;
};

struct rate_reports_stats {
    uint64_t reports, items,
        failed;      /* calls of share.debit, keys in them, calls without an answer */
    uint64_t denied; /* keys that were denied by an answer */
};

/* NULL: out of memory. */
struct rate_reports *rate_reports_new(const struct rate_reports_deps *deps);
/* When nothing is in flight any more, or share's answers will not come. NULL: nothing happens. */
void rate_reports_free(struct rate_reports *r);
/*
 * Sends what is due. When to run again at the latest, or UINT64_MAX: not until a worker says so
 * (see rate_table_admit_shared). While an answer is awaited that is RATE_REPORT_EVERY_US away at
 * most, so that nobody need tell of answers.
 */
uint64_t rate_reports_run(struct rate_reports *r, uint64_t now_us);
struct rate_reports_stats rate_reports_stats(const struct rate_reports *r);

/* So many admissions against this limit, as Redis is to debit them; or, count 0, as it is asked
 * about them. */
struct rate_debit rate_reports_debit_of(
    const struct rate_table *rates, uint64_t name, const struct rate *limit, uint32_t count);

#endif
