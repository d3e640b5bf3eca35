/*
 * Limits that instances share, as the control thread has them: reports of what workers have
 * admitted go to Redis as they come due, answers go back into the tables, and whether they do is
 * told to operators. Without Redis, or with redis.limits off, the tables are this process's own.
 */
#ifndef DAEMON_LIMITER_H
#define DAEMON_LIMITER_H

#include <uv.h>

#include "base/counters.h"
#include "config/config.h"
#include "ratelimit/quota.h"
#include "ratelimit/rate_table.h"
#include "ratelimit/share.h"

struct limiter;

/* Everything borrowed for life. */
struct limiter_deps {
    uv_loop_t *loop;
    struct rate_table *rates;
    struct quota_table *quotas;
    struct counters *counters;
    /* An answer has come, and is in the tables: who waits for it is to be told. NULL: nobody. */
    void (*answered)(void *ctx);
    void *answered_ctx;
};

enum limiter_mode {
    LIMITER_OWN,    /* nobody shares them */
    LIMITER_SHARED, /* Redis answers */
    LIMITER_ALONE,  /* it does not, or not yet: each instance has its part */
};

/*
 * Makes the tables the fleet's where `config` wants that; before others use them, and before a
 * nonce secret is made up where the file names none. 0; or -errno, with *out untouched or to be
 * ended and freed.
 */
int limiter_new(struct limiter **out, const struct limiter_deps *deps, const struct config *config);
/* From here on reports go to `share`, which is the fleet's. */
void limiter_start(struct limiter *l, const struct share *share);
/* Says what is still to be said. Nothing goes to `share` any more after that, but it may answer.
 * NULL: nothing happens. */
void limiter_stop(struct limiter *l);
/* After the last answer, and after the workers' threads: its handles close as the loop runs on.
 * NULL: nothing happens. */
void limiter_end(struct limiter *l);
/* After that, and before the tables are. NULL: nothing happens. */
void limiter_free(struct limiter *l);

/* What workers report with: worker_options.report. NULL: nothing is to be reported. */
void (*limiter_report(const struct limiter *l))(void *limiter);

/* There is another running configuration; its snapshot is under way to the workers. What was taken
 * under a rate stays taken under the next. */
void limiter_reloaded(struct limiter *l, const struct config *config);
/* What the fleet says (fleet/fleet.h). */
void limiter_link(struct limiter *l, bool up);
void limiter_instances(struct limiter *l, uint32_t count);
void limiter_forgotten(struct limiter *l);
/* Once a second. */
void limiter_tick(struct limiter *l);
/* Metrics alone, before they are read. */
void limiter_measure(struct limiter *l);

enum limiter_mode limiter_mode(const struct limiter *l);
uint32_t limiter_fleet(const struct limiter *l); /* instances */
/* Asks Redis how buckets stand, as share.look; -EAGAIN where nothing is shared. */
int limiter_look(struct limiter *l, const struct rate_debit *items, size_t count,
    rate_found_fn *done, void *done_ctx);

#endif
