/*
 * The control thread's half of quotas that instances share: tells what this instance holds of a
 * user or a realm, and writes back what the others hold. As rate_reports.h; what living instances
 * hold is a lease of theirs, which ends with them. A report that was lost is made again, also that
 * of 0: no lease of what is not held any more is left behind.
 */
#ifndef RATELIMIT_QUOTA_REPORTS_H
#define RATELIMIT_QUOTA_REPORTS_H

#include "ratelimit/quota.h"
#include "ratelimit/share.h"

/* Reports of one key are so far apart at least. */
#define QUOTA_REPORT_EVERY_US (5 * US_PER_MS)
/* Of keys near their limit, whose others may have left; one that is refused is told of sooner. */
#define QUOTA_REFRESH_EVERY_US (5 * US_PER_S)

struct quota_reports;

/* `quotas`: borrowed for life; shared. `share`: by value; ctx outlives it. NULL: out of memory. */
struct quota_reports *quota_reports_new(struct quota_table *quotas, const struct share *share);
/* As rate_reports_free. */
void quota_reports_free(struct quota_reports *r);
/* As rate_reports_run. */
uint64_t quota_reports_run(struct quota_reports *r, uint64_t now_us);
/* Redis has lost what it knew of this instance, or may have: all is told again. Before the answer
 * that shows it is handed on: for 10 s, in which others do the same, what others were known to hold
 * does not become less. */
void quota_reports_again(struct quota_reports *r);

struct quota_reports_stats {
    uint64_t reports, items, failed; /* calls of share.lease, keys in them, calls without answer */
    uint32_t leases;                 /* keys that others know of, or will */
};
struct quota_reports_stats quota_reports_stats(const struct quota_reports *r);

#endif
