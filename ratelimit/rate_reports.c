/*
 * Reports of rates. An entry that a worker made dirty comes out of the table's ring once and waits
 * in the queue of its shard; every 5 ms a shard's queue is sent, 64 entries a call. While an entry
 * is in flight it is in no queue: if it becomes dirty meanwhile it is parked, and goes on with the
 * answer.
 *
 * Always: what was taken from an entry is acknowledged there, or put back. After two seconds
 * without any answer entries that are at rest are let go, or who comes and goes in an outage would
 * fill the table with what waits to be told. Called by daemon/ on the control thread.
 */
#include "ratelimit/rate_reports.h"

#include "ratelimit/rate_control.h"
#include "ratelimit/rate_shared.h"
#include <stdlib.h>

#define RETRY_US  (50 * US_PER_MS) /* after Redis could not be reached, or has refused twice */
#define ALONE_US  (2 * US_PER_S)   /* without any answer */
#define FLIGHTS   64               /* what else is asked of Redis finds room in the link */
#define TIMES_MAX ((1ull << 53) - 1)

/* In place of the next entry of a queue. */
#define LAST   UINT32_MAX
#define FREE   (UINT32_MAX - 1) /* in no queue */
#define PARKED (UINT32_MAX - 2)

struct queue {
    uint32_t first, last; /* LAST: empty */
    uint64_t due_us;
};

struct item {
    uint32_t index;
    uint32_t owed_max;
    uint64_t deny_max_us; /* what the bucket can owe, and one admission */
    struct rate_taken taken;
};

struct flight {
    struct rate_reports *reports;
    struct flight *next, **back; /* of those under way */
    size_t count;
    struct item items[SHARE_BATCH_MAX];
};

struct rate_reports {
    struct rate_reports_deps deps;
    struct rate_reports_stats stats;
    uint32_t *next; /* by index of an entry */
    struct queue shards[SHARE_SHARDS];
    struct flight *flights;
    unsigned flying;     /* how many */
    unsigned turn;       /* the shard that is first */
    uint64_t retry_us;   /* nothing is sent before */
    uint64_t failing_us; /* since when no call has been answered; 0: the last one was */
    bool reachable;      /* it was when this last ran */
    bool alone;          /* no call has been answered for ALONE_US */
    uint64_t now_us;     /* of this run */
};

struct rate_reports *rate_reports_new(const struct rate_reports_deps *deps)
{
    const size_t entries = rate_table_entries(deps->rates);
    struct rate_reports *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->deps = *deps;
    r->next = malloc(entries * sizeof(*r->next));
    if (!r->next) {
        free(r);
        return NULL;
    }
    for (size_t i = 0; i < entries; i++)
        r->next[i] = FREE;
    for (unsigned i = 0; i < SHARE_SHARDS; i++)
        r->shards[i] = (struct queue){LAST, LAST, 0};
    return r;
}

static void flight_free(struct flight *f)
{
    f->reports->flying--;
    *f->back = f->next;
    if (f->next)
        f->next->back = f->back;
    free(f);
}

void rate_reports_free(struct rate_reports *r)
{
    if (!r)
        return;
    for (struct flight *f = r->flights, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    free(r->next);
    free(r);
}

/* NULL: as many are under way as may be, which is one where none has been answered lately; or out
 * of memory. */
static struct flight *flight_new(struct rate_reports *r)
{
    const unsigned most = r->failing_us > 0 ? 1 : FLIGHTS;
    struct flight *f = r->flying < most ? malloc(sizeof(*f)) : NULL;
    if (!f)
        return NULL;
    r->flying++;
    f->reports = r;
    f->count = 0;
    f->next = r->flights;
    f->back = &r->flights;
    if (f->next)
        f->next->back = &f->next;
    r->flights = f;
    return f;
}

/* A dirty entry that is not in flight. */
static void enqueue(struct rate_reports *r, uint32_t index)
{
    struct queue *q = &r->shards[share_shard(rate_table_owner(r->deps.rates, index).name)];
    if (q->first == LAST)
        q->first = index;
    else
        r->next[q->last] = index;
    q->last = index;
    r->next[index] = LAST;
}

static uint32_t dequeue(struct rate_reports *r, struct queue *q)
{
    const uint32_t index = q->first;
    q->first = r->next[index];
    r->next[index] = FREE;
    return index;
}

static void collect(struct rate_reports *r)
{
    uint32_t index;
    unsigned way;
    rate_table_heed(r->deps.rates);
    while (rate_table_next(r->deps.rates, &index)) {
        const struct rate_set *s = rate_table_set_of(r->deps.rates, index, &way);
        if (rate_entry_in_flight(s, way))
            r->next[index] = PARKED;
        else
            enqueue(r, index);
    }
}

static void put_back(struct rate_reports *r, const struct item *item)
{
    unsigned way;
    struct rate_set *s = rate_table_set_of(r->deps.rates, item->index, &way);
    /* Else it is in the ring still. */
    if (rate_entry_put_back(s, way, &item->taken, item->owed_max) || r->next[item->index] == PARKED)
        enqueue(r, item->index);
}

static void acknowledge(
    struct rate_reports *r, const struct item *item, uint64_t deny_us, uint64_t now_us)
{
    unsigned way;
    struct rate_set *s = rate_table_set_of(r->deps.rates, item->index, &way);
    /* The script denies for no longer; who else answers in its place shall not either. */
    const uint64_t most = deny_us < item->deny_max_us ? deny_us : item->deny_max_us;
    rate_entry_answered(s, way, &item->taken, most, now_us);
    r->stats.denied += deny_us > 0;
    if (r->next[item->index] == PARKED)
        enqueue(r, item->index);
}

/* The first failure is tried again at once, but alone. */
static void see_result(struct rate_reports *r, bool answered, uint64_t now_us)
{
    if (!answered && r->failing_us > 0)
        r->retry_us = now_us + RETRY_US;
    else if (!answered)
        r->failing_us = now_us;
    else if (r->failing_us > 0)
        r->failing_us = r->retry_us = 0;
}

static void debited(void *ctx, bool answered, const uint64_t *deny_us, uint64_t now_us)
{
    struct flight *f = ctx;
    struct rate_reports *r = f->reports;
    r->stats.failed += !answered;
    see_result(r, answered, now_us);
    for (size_t i = 0; i < f->count; i++) {
        if (answered)
            acknowledge(r, &f->items[i], deny_us[i], now_us);
        else
            put_back(r, &f->items[i]);
    }
    flight_free(f);
}

static uint64_t times(uint64_t count, uint64_t cost_us)
{
    uint64_t us;
    return __builtin_mul_overflow(count, cost_us, &us) || us > TIMES_MAX ? TIMES_MAX : us;
}

struct rate_debit rate_reports_debit_of(
    const struct rate_table *rates, uint64_t name, const struct rate *limit, uint32_t count)
{
    const uint64_t cost = gcra_of(limit).cost_us, burst = limit->burst > 0 ? limit->burst : 1;
    const uint64_t unreported = (uint64_t)rate_table_fleet(rates) * rate_unreported_max(limit);
    return (struct rate_debit){.name = name,
        .count = count,
        .cost_us = times(1, cost),
        .tau_us = times(burst, cost),
        .cap_us = times(unreported + burst, cost)};
}

static bool forget(
    const struct rate_reports *r, struct rate_set *s, unsigned way, const struct rate *limit)
{
    const struct gcra local = rate_share_of(limit, rate_table_fleet(r->deps.rates));
    return rate_entry_forget(s, way, local.cost_us, r->now_us);
}

/* Takes what the first of the queue has to report. False: nothing. */
static bool take_first(
    struct rate_reports *r, struct queue *q, struct item *item, struct rate_debit *debit)
{
    unsigned way;
    const uint32_t index = dequeue(r, q);
    const struct rate_owner owner = rate_table_owner(r->deps.rates, index);
    struct rate_set *s = rate_table_set_of(r->deps.rates, index, &way);
    const struct rate limit = r->deps.rate_of(r->deps.rate_of_ctx, owner.scope, owner.realm);
    if (limit.count == 0) {
        rate_entry_forgive(s, way);
        return false;
    }
    *item = (struct item){.index = index, .owed_max = rate_owed_max(&limit)};
    if ((r->alone && forget(r, s, way, &limit)) || !rate_entry_take(s, way, &item->taken))
        return false;
    *debit = rate_reports_debit_of(
        r->deps.rates, owner.name, &limit, item->taken.unreported + item->taken.owed);
    debit->warm = rate_scope_begins_full(owner.scope);
    item->deny_max_us = debit->cap_us + debit->cost_us;
    return true;
}

/* Asks Redis whether it would answer, where nobody has anything to report: a debit of nothing. */
static void probe(struct rate_reports *r)
{
    const struct rate_debit nothing = {
        .name = r->turn % SHARE_SHARDS, .cost_us = 1, .tau_us = 1, .cap_us = 1};
    struct flight *f = flight_new(r);
    if (f && r->deps.share.debit(r->deps.share.ctx, &nothing, 1, debited, f) != 0)
        flight_free(f);
}

/* One call. False: it cannot be made now, and everything is back in the queue. */
static bool send_some(struct rate_reports *r, struct queue *q)
{
    struct rate_debit debits[SHARE_BATCH_MAX];
    struct flight *f = flight_new(r);
    if (!f)
        return false;
    while (q->first != LAST && f->count < SHARE_BATCH_MAX)
        f->count += take_first(r, q, &f->items[f->count], &debits[f->count]);
    const size_t count = f->count;
    const struct share *share = &r->deps.share;
    if (count > 0 && share->debit(share->ctx, debits, count, debited, f) == 0) {
        r->stats.reports++;
        r->stats.items += count;
        return true;
    }
    for (size_t i = 0; i < count; i++)
        put_back(r, &f->items[i]);
    flight_free(f);
    if (count > 0) {
        r->failing_us = r->failing_us > 0 ? r->failing_us : r->now_us;
        r->retry_us = r->now_us + RETRY_US;
    }
    return count == 0;
}

/* All shards, also while Redis is away: what is forgotten then keeps no place until it is back. */
static void send_due(struct rate_reports *r)
{
    const bool failing = r->failing_us > 0;
    const unsigned first = failing ? ++r->turn : r->turn;
    for (unsigned i = 0; i < SHARE_SHARDS; i++) {
        struct queue *q = &r->shards[(first + i) % SHARE_SHARDS];
        if (q->first == LAST || r->now_us < q->due_us)
            continue;
        q->due_us = r->now_us + RATE_REPORT_EVERY_US;
        while (q->first != LAST && send_some(r, q))
            continue;
        if (q->first != LAST && !failing)
            r->turn = first + i; /* it is the first next time */
    }
    if (failing && r->flying == 0) {
        r->retry_us = r->now_us + RETRY_US;
        probe(r);
    }
}

uint64_t rate_reports_run(struct rate_reports *r, uint64_t now_us)
{
    const bool reachable = rate_table_is_reachable(r->deps.rates);
    /* Every moment counts: the share decides until the first answer. */
    if (reachable && !r->reachable)
        r->retry_us = 0;
    r->reachable = reachable;
    r->now_us = now_us;
    r->alone = r->failing_us > 0 && now_us - r->failing_us >= ALONE_US;
    rate_table_set_alone(r->deps.rates, r->alone);
    collect(r);
    if (now_us >= r->retry_us)
        send_due(r);
    /* Whoever has the answers come may run this with them, and else is late by this at most. */
    uint64_t next = r->flights ? now_us + RATE_REPORT_EVERY_US
                    : r->alone ? r->retry_us
                               : UINT64_MAX;
    for (unsigned i = 0; i < SHARE_SHARDS; i++) {
        const struct queue *q = &r->shards[i];
        const uint64_t due = q->due_us > r->retry_us ? q->due_us : r->retry_us;
        if (q->first != LAST && due < next)
            next = due;
    }
    return next;
}

struct rate_reports_stats rate_reports_stats(const struct rate_reports *r)
{
    return r->stats;
}
