/*
 * Clients: those that ask at random, and those that know what the instances know, and come where
 * they will be admitted.
 */
#include "tests/scenario/shared_limits_internal.h"

#include <math.h>

#define FLOOD_MAX 2000 /* the most that one instance may admit at once, by far */

bool sim_ask(struct sim *s, uint32_t instance, uint32_t limit)
{
    struct sim_instance *i = &s->instances[instance];
    struct sim_limit *l = &s->limits[limit];
    const struct rate_ask ask = {.now_us = sim_local(i)};
    const bool counts = s->now_us >= s->plan.begin_us;
    bool report = false;
    const enum rate_verdict v =
        rate_table_admit_shared(i->rates, &l->key, &s->plan.rate, &ask, &report);
    if (report)
        sim_plan_run(i, s->now_us + dice_below(&s->dice, s->plan.delays.wake_us));
    l->asked += counts;
    l->ideally += counts && bound_ask(&l->ideal, s->plan.rate.burst, s->now_us);
    if (v != RATE_ADMITTED)
        return false;
    if (counts) {
        l->admitted++;
        bound_admit(&l->bound, s->now_us);
    }
    if (i->since_us[limit] == 0) {
        i->since_us[limit] = s->now_us;
        if (s->plan.clients.silence && sim_is_faulty(s))
            for (unsigned ms = 50; ms <= 52; ms++)
                sim_plan(s, s->now_us + ms * US_PER_MS,
                    (struct sim_event){.kind = SIM_FLOOD, .instance = instance, .limit = limit});
    }
    return true;
}

void sim_flood(struct sim *s, uint32_t instance, uint32_t limit)
{
    for (unsigned n = 0; n < FLOOD_MAX && sim_ask(s, instance, limit); n++)
        ;
}

void sim_plan_floods(struct sim *s, uint64_t at_us)
{
    for (uint32_t n = 0; n < s->plan.instances; n++)
        for (uint32_t k = 0; k < s->plan.limits; k++)
            sim_plan(s, at_us, (struct sim_event){.kind = SIM_FLOOD, .instance = n, .limit = k});
}

void sim_cleared(struct sim_instance *i, uint32_t limit)
{
    struct sim *s = i->sim;
    struct rate_state state;
    rate_table_inspect(i->rates, &s->limits[limit].key, sim_local(i), &state);
    i->since_us[limit] = state.unreported > 0 ? s->now_us : 0;
    sim_set_deaf(s, 1u << i->index, false);
    if (s->plan.clients.cleared && s->now_us >= s->plan.begin_us)
        sim_plan(s, s->now_us + state.deny_us,
            (struct sim_event){.kind = SIM_FLOOD, .instance = i->index, .limit = limit});
}

static const struct phase *phase_of(const struct sim *s)
{
    const struct plan *p = &s->plan;
    if (p->fault_count == 0 || s->now_us < p->faults[0].at_us)
        return &p->clients.phases[0];
    const struct fault *last = &p->faults[p->fault_count - 1];
    return &p->clients.phases[s->now_us < last->at_us + last->length_us ? 1 : 2];
}

static void ask_somewhere(struct sim *s)
{
    const struct phase *phase = phase_of(s);
    uint32_t n = (uint32_t)dice_below(&s->dice, s->plan.instances);
    if (phase->asker == ASK_ONE)
        n = s->plan.clients.one;
    if (phase->asker == ASK_OTHERS && n == s->plan.clients.one)
        n = (n + 1) % s->plan.instances;
    const uint32_t limit = s->plan.limits > 1 && dice_chance(&s->dice, 50) ? 1 : 0;
    sim_ask(s, n, limit);
    const double mean_us = (double)s->plan.rate.period_s * US_PER_S / s->plan.rate.count /
                           phase->load / s->plan.limits;
    sim_plan(s, s->now_us + 1 + (uint64_t)(-log(dice_unit(&s->dice)) * mean_us),
        (struct sim_event){.kind = SIM_ASK});
}

/*
 * One instance asks until the bucket has room for one only, and Redis has said so to it; then all
 * come everywhere at once.
 */
static void prime(struct sim *s)
{
    struct sim_limit *l = &s->limits[0];
    struct sim_instance *i = &s->instances[s->plan.clients.one];
    const double rate_us = (double)s->plan.rate.count / s->plan.rate.period_s / US_PER_S;
    const double least = s->plan.rate.burst - 2.0 - rate_us * 25e3;
    bound_advance(&l->bound, s->now_us);
    if (i->since_us[0] == 0 && bound_level(&l->bound) > least) {
        sim_plan_floods(s, s->now_us);
        return;
    }
    while (bound_level(&l->bound) + 1 < s->plan.rate.burst && sim_ask(s, s->plan.clients.one, 0))
        ;
    if (s->now_us < s->plan.begin_us + US_PER_S)
        sim_plan(s, s->now_us + US_PER_MS, (struct sim_event){.kind = SIM_PRIME});
}

void sim_clients_on(struct sim *s, const struct sim_event *e)
{
    if (e->kind == SIM_ASK)
        ask_somewhere(s);
    else
        prime(s);
}

void sim_clients_begin(struct sim *s)
{
    for (uint32_t k = 0; k < s->plan.limits; k++)
        sim_ask(s, 0, k);
    if (s->plan.clients.prime)
        sim_plan(s, s->plan.begin_us, (struct sim_event){.kind = SIM_PRIME});
    else if (s->plan.clients.cleared)
        sim_plan_floods(s, s->plan.begin_us);
    sim_plan(s, s->plan.begin_us + (s->plan.clients.prime ? 40 * US_PER_MS : 0),
        (struct sim_event){.kind = SIM_ASK});
}
