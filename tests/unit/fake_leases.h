/*
 * A fleet's leases without Redis: what each instance has said it holds of a name, calls that take
 * their time or are lost on the way there or back, instances that die. One thread, fake time.
 */
#ifndef TESTS_UNIT_FAKE_LEASES_H
#define TESTS_UNIT_FAKE_LEASES_H

#include "ratelimit/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_INSTANCES 8
#define FAKE_NAMES     64
#define FAKE_CALLS     128

struct fake_lease {
    uint64_t name;
    uint32_t held[FAKE_INSTANCES];
};

/* What becomes of the calls that are made from now on. */
enum fake_fate {
    FAKE_HEARD,
    FAKE_UNHEARD,    /* does not arrive; given up after `patience_us` */
    FAKE_UNANSWERED, /* happens, but the answer is lost; given up */
    FAKE_LATE,       /* happens after it was given up, and some more time */
    FAKE_ERROR,      /* Redis says no: it does not happen */
    FAKE_REFUSED     /* -EAGAIN */
};

struct fake_call {
    bool made, happened;
    enum fake_fate fate;
    unsigned instance;
    uint64_t happens_us, ends_us, ahead_us;
    struct quota_lease items[SHARE_BATCH_MAX];
    uint32_t others[SHARE_BATCH_MAX];
    size_t count;
    quota_leased_fn *done;
    void *ctx;
};

struct fake_fleet {
    struct fake_lease leases[FAKE_NAMES];
    struct fake_call calls[FAKE_CALLS];
    bool dead[FAKE_INSTANCES];
    uint64_t calls_made, items_made;
};

struct fake_member {
    struct fake_fleet *fleet;
    unsigned instance;
    enum fake_fate fate;
    uint64_t now_us, there_us, back_us, patience_us;
    uint64_t ahead_us; /* of its clock to that of now_us and fake_run */
    size_t last_count;
    struct quota_lease last[SHARE_BATCH_MAX]; /* of the last call */
};

/* Of a name that is not there yet an empty one is made. */
static inline struct fake_lease *fake_lease_of(struct fake_fleet *f, uint64_t name)
{
    struct fake_lease *free_place = NULL;
    for (unsigned i = 0; i < FAKE_NAMES; i++) {
        if (f->leases[i].name == name)
            return &f->leases[i];
        if (f->leases[i].name == 0 && !free_place)
            free_place = &f->leases[i];
    }
    if (!free_place)
        abort();
    free_place->name = name;
    return free_place;
}

static inline uint32_t fake_others(
    const struct fake_fleet *f, const struct fake_lease *l, unsigned me)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < FAKE_INSTANCES; i++)
        sum += i == me || f->dead[i] ? 0 : l->held[i];
    return sum;
}

/* What living instances have said they hold of all names. */
static inline uint32_t fake_held(const struct fake_fleet *f)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < FAKE_NAMES; i++)
        sum += fake_others(f, &f->leases[i], FAKE_INSTANCES);
    return sum;
}

static inline void fake_happen(struct fake_fleet *f, struct fake_call *c)
{
    c->happened = true;
    for (size_t i = 0; i < c->count; i++) {
        struct fake_lease *l = fake_lease_of(f, c->items[i].name);
        l->held[c->instance] = c->items[i].held;
        c->others[i] = fake_others(f, l, c->instance);
    }
}

static inline int fake_lease(
    void *ctx, const struct quota_lease *items, size_t count, quota_leased_fn *done, void *done_ctx)
{
    struct fake_member *m = ctx;
    struct fake_call *c = NULL;
    if (m->fate == FAKE_REFUSED)
        return -EAGAIN;
    for (unsigned i = 0; i < FAKE_CALLS && !c; i++)
        if (!m->fleet->calls[i].made)
            c = &m->fleet->calls[i];
    if (!c || count == 0 || count > SHARE_BATCH_MAX)
        abort();
    for (size_t i = 1; i < count; i++)
        if (share_shard(items[i].name) != share_shard(items[0].name))
            abort();
    *c = (struct fake_call){.made = true,
        .fate = m->fate,
        .instance = m->instance,
        .happens_us = m->now_us + m->there_us,
        .ahead_us = m->ahead_us,
        .count = count,
        .done = done,
        .ctx = done_ctx};
    c->ends_us = m->now_us + (m->fate == FAKE_HEARD ? m->there_us + m->back_us : m->patience_us);
    if (m->fate == FAKE_LATE)
        c->happens_us = c->ends_us + 100000;
    memcpy(c->items, items, count * sizeof(*items));
    memcpy(m->last, items, count * sizeof(*items));
    m->last_count = count;
    m->fleet->calls_made++;
    m->fleet->items_made += count;
    return 0;
}

static inline struct share fake_share(struct fake_member *m)
{
    return (struct share){.ctx = m, .lease = fake_lease};
}

/* One that was killed hears nothing any more; what it has sent arrives. */
static inline void fake_end(struct fake_fleet *f, struct fake_call *c)
{
    const bool heard = c->fate == FAKE_HEARD;
    quota_leased_fn *done = c->done;
    c->done = NULL;
    if (done && !f->dead[c->instance])
        done(c->ctx, heard || c->fate == FAKE_ERROR, heard ? c->others : NULL,
            c->ends_us + c->ahead_us);
}

/* What happens until now, in the order of its time. */
static inline void fake_run(struct fake_fleet *f, uint64_t now_us)
{
    for (;;) {
        struct fake_call *next = NULL;
        uint64_t at_us = now_us + 1;
        for (unsigned i = 0; i < FAKE_CALLS; i++) {
            struct fake_call *c = &f->calls[i];
            if (!c->made)
                continue;
            const bool waits = !c->happened && c->fate != FAKE_UNHEARD && c->fate != FAKE_ERROR;
            uint64_t due_us = waits ? c->happens_us : UINT64_MAX;
            if (c->done && c->ends_us < due_us)
                due_us = c->ends_us;
            if (due_us < at_us) {
                at_us = due_us;
                next = c;
            }
        }
        if (!next)
            return;
        const bool waits =
            !next->happened && next->fate != FAKE_UNHEARD && next->fate != FAKE_ERROR;
        if (waits && next->happens_us == at_us)
            fake_happen(f, next);
        else
            fake_end(f, next);
        if (!next->done &&
            (next->happened || next->fate == FAKE_UNHEARD || next->fate == FAKE_ERROR))
            next->made = false;
    }
}

#endif
