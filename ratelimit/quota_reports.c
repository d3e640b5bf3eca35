/*
 * A lease is a name that others have been told about, or are to be. Each is in one place: READY to
 * be sent, FLYING, RESTING until 5 ms after it was sent, ASKED after by somebody who was refused,
 * WATCHED because it may be full, or IDLE. It ends when the fleet has acknowledged that nothing is
 * held of it, and that is still so.
 *
 * What always holds:
 * - A report that was not answered is made again, also that of 0. It may still have happened, even
 * after the next: so the name is told once more, 5 s after the first answer.
 * - Lists but READY are in the order of their times; an entry may come out a little late, never
 * early.
 *
 * Called by daemon/ on the control thread.
 */
#include "ratelimit/quota_reports.h"

#include "base/clock.h"
#include "ratelimit/quota_shared.h"
#include <stdlib.h>

#define RETRY_US (20 * US_PER_MS)  /* after Redis could not be reached */
#define ASKED_US (200 * US_PER_MS) /* of a name that was refused, and has been told */
#define HOLD_US  (10 * US_PER_S)   /* in which all instances have told all again */
#define FLIGHTS  64                /* what else is asked of Redis finds room in the link */

enum place {
    READY, /* one list a shard */
    RESTING = READY + SHARE_SHARDS,
    ASKED,
    WATCHED,
    UNUSED,
    LISTS,
    FLYING = LISTS, /* from here on in no list */
    IDLE
};

#define NONE UINT32_MAX

struct lease {
    uint64_t name, sent_us, due_us;
    uint32_t index, sent;
    uint32_t prev, next;
    uint8_t place;
    bool told;         /* others may know of it */
    bool told_before;  /* what it flies with */
    bool acknowledged; /* `sent` is what they know */
    bool changed;      /* since it was sent */
    bool again;        /* to be told again, though it flies */
    bool doubtful;     /* a report was lost, and may still happen */
};

struct list {
    uint32_t first, last;
};

struct flight {
    struct quota_reports *reports;
    size_t count;
    uint32_t leases[SHARE_BATCH_MAX];
};

struct quota_reports {
    struct quota_shared *shared;
    struct share share;
    struct quota_reports_stats stats;
    struct lease *leases;
    uint32_t lease_count, lease_cap;
    struct list lists[LISTS];
    uint64_t retry_us; /* nothing is sent before */
    bool failing;      /* the last call had no answer: one at a time, of the shards in turn */
    unsigned turn;     /* the shard that is first */
    uint64_t hold_us;  /* until then others hold what they were known to hold, at least */
    bool hold;         /* from the next run on */
    struct flight flights[FLIGHTS]; /* free while count is 0 */
};

struct quota_reports *quota_reports_new(struct quota_table *quotas, const struct share *share)
{
    struct quota_reports *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->shared = quota_shared_of(quotas);
    r->share = *share;
    for (unsigned i = 0; i < LISTS; i++)
        r->lists[i] = (struct list){NONE, NONE};
    for (unsigned i = 0; i < FLIGHTS; i++)
        r->flights[i].reports = r;
    return r;
}

void quota_reports_free(struct quota_reports *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->lease_count; i++)
        if (r->leases[i].place != UNUSED)
            *quota_shared_slot(r->shared, r->leases[i].index) = 0;
    free(r->leases);
    free(r);
}

static void take_out(struct quota_reports *r, uint32_t id)
{
    struct lease *l = &r->leases[id];
    if (l->place < LISTS) {
        struct list *list = &r->lists[l->place];
        *(l->prev == NONE ? &list->first : &r->leases[l->prev].next) = l->next;
        *(l->next == NONE ? &list->last : &r->leases[l->next].prev) = l->prev;
    }
    l->place = IDLE;
}

static void move(struct quota_reports *r, uint32_t id, unsigned place, uint64_t due_us)
{
    struct lease *l = &r->leases[id];
    take_out(r, id);
    l->place = (uint8_t)place;
    l->due_us = due_us;
    if (place >= LISTS)
        return;
    struct list *list = &r->lists[place];
    l->next = NONE;
    l->prev = list->last;
    *(list->last == NONE ? &list->first : &r->leases[list->last].next) = id;
    list->last = id;
}

static void make_ready(struct quota_reports *r, uint32_t id)
{
    move(r, id, READY + share_shard(r->leases[id].name), 0);
}

/* NONE: out of memory. */
static uint32_t lease_new(struct quota_reports *r, uint32_t index)
{
    if (r->lists[UNUSED].first == NONE) {
        if (r->lease_count == r->lease_cap) {
            const uint32_t cap = r->lease_cap ? 2 * r->lease_cap : 64;
            struct lease *more = realloc(r->leases, cap * sizeof(*more));
            if (!more)
                return NONE;
            r->leases = more;
            r->lease_cap = cap;
        }
        r->leases[r->lease_count].place = IDLE;
        move(r, r->lease_count++, UNUSED, 0);
    }
    const uint32_t id = r->lists[UNUSED].first;
    take_out(r, id);
    r->leases[id] = (struct lease){
        .name = quota_shared_name_at(r->shared, index), .index = index, .place = IDLE};
    *quota_shared_slot(r->shared, index) = id + 1;
    return id;
}

/* True: it has ended. */
static bool let_go(struct quota_reports *r, uint32_t id)
{
    if (!quota_shared_let_go(r->shared, r->leases[id].index))
        return false;
    move(r, id, UNUSED, 0);
    return true;
}

/* It is not flying, and what is held of it is not what was sent; or somebody has been refused. */
static void plan(struct quota_reports *r, uint32_t id, uint64_t now_us)
{
    struct lease *l = &r->leases[id];
    const uint64_t rested_us = l->sent_us + QUOTA_REPORT_EVERY_US;
    if (!l->acknowledged || quota_shared_count(r->shared, l->index) != l->sent) {
        if (rested_us <= now_us)
            make_ready(r, id);
        else
            move(r, id, RESTING, rested_us);
        return;
    }
    if (l->sent == 0 && !l->doubtful && let_go(r, id))
        return;
    if (l->sent_us + ASKED_US <= now_us)
        make_ready(r, id);
    else if (l->place != ASKED)
        move(r, id, ASKED, now_us + ASKED_US);
}

static void note_changed(struct quota_reports *r, uint32_t index, uint64_t now_us)
{
    const uint32_t slot = *quota_shared_slot(r->shared, index);
    const uint32_t id = slot ? slot - 1 : lease_new(r, index);
    if (id == NONE) {
        quota_shared_postpone(r->shared, index);
        return;
    }
    const unsigned place = r->leases[id].place;
    if (place == FLYING)
        r->leases[id].changed = true;
    else if (place > RESTING)
        plan(r, id, now_us);
}

/* Refused: it has not happened. */
static void fail_one(struct quota_reports *r, uint32_t id, bool refused, uint64_t now_us)
{
    struct lease *l = &r->leases[id];
    l->place = IDLE;
    l->acknowledged = l->changed = l->again = false;
    l->doubtful |= !refused;
    l->told = !refused || l->told_before;
    move(r, id, RESTING, now_us + QUOTA_REPORT_EVERY_US);
}

static void answer_one(struct quota_reports *r, uint32_t id, uint32_t others, uint64_t now_us)
{
    struct lease *l = &r->leases[id];
    const bool changed = l->changed, again = l->again;
    l->place = IDLE;
    l->changed = l->again = false;
    const bool hold = r->hold || now_us < r->hold_us;
    const struct quota_answer answer = {
        .sent = l->sent, .others = others, .at_least = hold, .now_us = now_us};
    quota_shared_answered(r->shared, l->index, &answer);
    l->acknowledged = !again;
    if (changed || again) {
        plan(r, id, now_us);
    } else if (l->doubtful || hold) {
        l->doubtful = false;
        move(r, id, WATCHED, now_us + QUOTA_REFRESH_EVERY_US);
    } else if (l->sent > 0 || !let_go(r, id)) {
        if (quota_shared_is_near(r->shared, l->index))
            move(r, id, WATCHED, now_us + QUOTA_REFRESH_EVERY_US);
    }
}

static void answered(void *ctx, bool ok, const uint32_t *others, uint64_t now_us)
{
    struct flight *f = ctx;
    struct quota_reports *r = f->reports;
    r->stats.failed += !others;
    if (!others)
        r->retry_us = now_us + RETRY_US;
    else if (r->failing)
        r->retry_us = 0;
    r->failing = !others;
    for (size_t i = 0; i < f->count; i++) {
        if (others)
            answer_one(r, f->leases[i], others[i], now_us);
        else
            fail_one(r, f->leases[i], ok, now_us);
    }
    f->count = 0;
}

/* Fills a flight with what is ready of the shard. */
static void board(struct quota_reports *r, unsigned shard, struct flight *f,
    struct quota_lease *items, uint64_t now_us)
{
    while (f->count < SHARE_BATCH_MAX && r->lists[READY + shard].first != NONE) {
        const uint32_t id = r->lists[READY + shard].first;
        struct lease *l = &r->leases[id];
        const uint32_t count = quota_shared_snapshot(r->shared, l->index, now_us);
        move(r, id, FLYING, 0);
        if (count == 0 && !l->told) {
            /* Come and gone: whoever came since has entered it among what has changed. */
            l->place = IDLE;
            l->acknowledged = true;
            let_go(r, id);
            continue;
        }
        l->sent = count;
        l->acknowledged = false;
        items[f->count] = (struct quota_lease){.name = l->name, .held = count};
        f->leases[f->count++] = id;
    }
}

/* NULL: as many are under way as may be. */
static struct flight *free_flight(struct quota_reports *r)
{
    struct flight *f = NULL;
    for (unsigned i = 0; i < FLIGHTS; i++) {
        if (r->flights[i].count == 0)
            f = &r->flights[i];
        else if (r->failing)
            return NULL;
    }
    return f;
}

/* False: nothing more can be sent now. */
static bool send_flight(struct quota_reports *r, unsigned shard, uint64_t now_us)
{
    struct quota_lease items[SHARE_BATCH_MAX];
    struct flight *f = free_flight(r);
    if (!f)
        return false; /* an answer frees one */
    board(r, shard, f, items, now_us);
    if (f->count == 0)
        return true;
    if (r->share.lease(r->share.ctx, items, f->count, answered, f)) {
        for (size_t i = 0; i < f->count; i++)
            make_ready(r, f->leases[i]);
        f->count = 0;
        r->failing = true;
        r->retry_us = now_us + RETRY_US;
        return false;
    }
    for (size_t i = 0; i < f->count; i++) {
        r->leases[f->leases[i]].sent_us = now_us;
        r->leases[f->leases[i]].told_before = r->leases[f->leases[i]].told;
        r->leases[f->leases[i]].told = true;
    }
    r->stats.reports++;
    r->stats.items += f->count;
    return true;
}

static void send_ready(struct quota_reports *r, uint64_t now_us)
{
    if (now_us < r->retry_us)
        return;
    if (r->failing) {
        r->turn++;
        r->retry_us = now_us + RETRY_US;
    }
    /* All shards, also while Redis is away: who has come and gone keeps no place meanwhile. */
    for (unsigned i = 0; i < SHARE_SHARDS; i++) {
        const unsigned shard = READY + (r->turn + i) % SHARE_SHARDS;
        while (r->lists[shard].first != NONE && send_flight(r, shard - READY, now_us))
            continue;
    }
}

/* When something is next due, or UINT64_MAX. */
static uint64_t next_due(const struct quota_reports *r)
{
    uint64_t due_us = UINT64_MAX;
    for (unsigned place = READY; place <= WATCHED; place++) {
        const uint32_t first = r->lists[place].first;
        /* What is ready and was not sent waits for the next try, or for an answer. */
        uint64_t at_us = first == NONE      ? UINT64_MAX
                         : place >= RESTING ? r->leases[first].due_us
                         : r->retry_us > 0  ? r->retry_us
                                            : UINT64_MAX;
        due_us = at_us < due_us ? at_us : due_us;
    }
    return due_us;
}

uint64_t quota_reports_run(struct quota_reports *r, uint64_t now_us)
{
    if (r->hold)
        r->hold_us = now_us + HOLD_US;
    r->hold = false;
    uint32_t index = quota_shared_changed(r->shared);
    while (index != QUOTA_NO_INDEX) {
        const uint32_t next = quota_shared_next(r->shared, index);
        note_changed(r, index, now_us);
        index = next;
    }
    for (unsigned place = RESTING; place <= WATCHED; place++)
        for (uint32_t id = r->lists[place].first; id != NONE && r->leases[id].due_us <= now_us;
             id = r->lists[place].first)
            make_ready(r, id);
    if (now_us >= r->retry_us)
        r->retry_us = 0;
    send_ready(r, now_us);
    return next_due(r);
}

void quota_reports_again(struct quota_reports *r)
{
    r->hold = true;
    for (uint32_t id = 0; id < r->lease_count; id++) {
        struct lease *l = &r->leases[id];
        if (l->place == FLYING)
            l->again = true;
        else if (l->place != UNUSED)
            make_ready(r, id);
    }
}

struct quota_reports_stats quota_reports_stats(const struct quota_reports *r)
{
    struct quota_reports_stats stats = r->stats;
    for (uint32_t id = 0; id < r->lease_count; id++)
        stats.leases += r->leases[id].place != UNUSED;
    return stats;
}
