/*
 * What goes wrong, and when it is over. Redis restarted, emptied, or replaced ends all connections;
 * all are there again within the stagger of the plan.
 */
#include "tests/scenario/shared_limits_internal.h"

#include <stdlib.h>

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool sim_is_faulty(const struct sim *s)
{
    const struct plan *p = &s->plan;
    if (p->fault_count == 0 || s->now_us < p->faults[0].at_us)
        return false;
    const struct fault *last = &p->faults[p->fault_count - 1];
    return s->now_us < last->at_us + last->length_us + US_PER_S;
}

static void plan_for(struct sim *s, uint64_t at_us, enum sim_kind kind, uint32_t instance)
{
    sim_plan(s, at_us, (struct sim_event){.kind = kind, .instance = instance});
}

static uint64_t stagger(struct sim *s)
{
    return dice_below(&s->dice, s->plan.delays.stagger_us);
}

static void cut(struct sim *s, const struct fault *f)
{
    sim_set_deaf(s, f->who, true);
    for (uint32_t n = 0; n < s->plan.instances; n++) {
        struct sim_link *l = &s->instances[n].link;
        if (!(f->who >> n & 1))
            continue;
        l->blocked_until_us = later(l->blocked_until_us, s->now_us + f->length_us + stagger(s));
        if (s->now_us + f->amount_us < l->blocked_until_us)
            plan_for(s, s->now_us + f->amount_us, SIM_BREAK, n);
        plan_for(s, l->blocked_until_us, SIM_UP, n);
    }
}

static void hang(struct sim *s, const struct fault *f)
{
    const uint64_t until = s->now_us + f->length_us;
    s->server.hung_until_us = until;
    sim_set_deaf(s, UINT32_MAX, true);
    for (uint32_t n = 0; n < s->plan.instances; n++) {
        if (f->length_us > SIM_DEAD_US)
            plan_for(s, s->now_us + SIM_DEAD_US, SIM_BREAK, n);
        plan_for(s, until + stagger(s), SIM_UP, n);
    }
}

static void lose_answers(struct sim *s, const struct fault *f)
{
    for (uint32_t n = 0; n < s->plan.instances; n++)
        if (f->who >> n & 1)
            s->instances[n].link.loss_until_us = s->now_us + f->length_us;
}

/* Another process, with these data. */
static void replace(struct sim *s, const struct fault *f, const struct fake_data *data)
{
    s->server.number++;
    s->server.down_until_us = s->now_us + f->length_us;
    s->server.hung_until_us = 0;
    *fake_redis_data(s->redis) = *data;
    sim_set_deaf(s, UINT32_MAX, true);
    for (uint32_t n = 0; n < s->plan.instances; n++) {
        sim_break(&s->instances[n]);
        plan_for(s, s->server.down_until_us + stagger(s), SIM_UP, n);
    }
}

void sim_fault(struct sim *s, unsigned number)
{
    static const struct fake_data empty;
    const struct fault *f = &s->plan.faults[number];
    switch (f->kind) {
    case FAULT_CUT:
        cut(s, f);
        break;
    case FAULT_HANG:
        hang(s, f);
        break;
    case FAULT_LOSS:
        lose_answers(s, f);
        break;
    case FAULT_RESTART:
        replace(s, f, &empty);
        break;
    case FAULT_FAILOVER:
        s->server.clock_us += (int64_t)dice_below(&s->dice, 4000000) - 2000000;
        replace(s, f, &s->snapshots[number]);
        break;
    case FAULT_SNAPSHOT:
        replace(s, f, &s->snapshots[number]);
        break;
    case FAULT_FLUSH:
        *fake_redis_data(s->redis) = empty;
        break;
    case FAULT_FORWARD:
        s->server.clock_us += (int64_t)f->amount_us;
        break;
    case FAULT_BACK:
        s->server.clock_us -= (int64_t)f->amount_us;
        break;
    }
}

void sim_faults_begin(struct sim *s)
{
    s->snapshots = calloc(s->plan.fault_count + 1, sizeof(*s->snapshots));
    if (!s->snapshots)
        abort();
    for (unsigned n = 0; n < s->plan.fault_count; n++) {
        const struct fault *f = &s->plan.faults[n];
        if (s->plan.clients.silence) {
            sim_plan_floods(s, f->at_us);
            for (unsigned ms = 50; ms < 60; ms += 3)
                sim_plan_floods(s, f->at_us + ms * US_PER_MS);
        }
        if (f->kind == FAULT_SNAPSHOT || f->kind == FAULT_FAILOVER)
            plan_for(s, f->amount_us, SIM_SNAPSHOT, n);
        plan_for(s, f->at_us, SIM_FAULT, n);
        if (s->plan.clients.silence) {
            sim_plan_floods(s, f->at_us + 1);
            sim_plan_floods(s, f->at_us + f->length_us);
            sim_plan_floods(s, f->at_us + f->length_us + 10 * US_PER_MS);
        }
    }
}
