/*
 * The control thread's half of quotas that instances share: tells what this instance holds of a
 * user or a realm, and writes back what the others hold. As rate_reports.h; what living instances
 * hold is a lease of theirs, which ends with them.
 */
#ifndef RATELIMIT_QUOTA_REPORTS_H
#define RATELIMIT_QUOTA_REPORTS_H

#include "ratelimit/quota.h"
#include "ratelimit/share.h"

#define QUOTA_REPORT_EVERY_US (5 * US_PER_MS)
#define QUOTA_REFRESH_EVERY_US                                                                     \
    (5 * US_PER_S) /* of keys near their limit, whose others may have left */

struct quota_reports;

/* `quotas`: borrowed for life; shared. `share`: by value; ctx outlives it. NULL: out of memory. */
struct quota_reports *quota_reports_new(struct quota_table *quotas, const struct share *share);
/* As rate_reports_free. */
void quota_reports_free(struct quota_reports *r);
/* As rate_reports_run. */
uint64_t quota_reports_run(struct quota_reports *r, uint64_t now_us);
/* Redis has lost what it knew of this instance, or may have: all is told again. */
void quota_reports_again(struct quota_reports *r);

#endif
