/*
 * The loop over events. Everything happens at an instant: what takes time is planned as an event.
 * All randomness comes from the seed, so a run can be repeated.
 */
#include "tests/scenario/shared_limits_internal.h"

#include <math.h>
#include <stdlib.h>

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

void sim_plan(struct sim *s, uint64_t at_us, struct sim_event e)
{
    if (s->event_count == s->event_cap) {
        s->event_cap = s->event_cap ? 2 * s->event_cap : 256;
        s->events = realloc(s->events, s->event_cap * sizeof(*s->events));
        if (!s->events)
            abort();
    }
    e.at_us = at_us < s->now_us ? s->now_us : at_us;
    e.order = s->order++;
    size_t at = s->event_count++;
    for (; at > 0 && is_before(&e, &s->events[(at - 1) / 2]); at = (at - 1) / 2)
        s->events[at] = s->events[(at - 1) / 2];
    s->events[at] = e;
}

bool sim_next(struct sim *s, struct sim_event *out)
{
    if (s->event_count == 0)
        return false;
    *out = s->events[0];
    const struct sim_event last = s->events[--s->event_count];
    size_t at = 0;
    for (size_t child = 1; child < s->event_count; child = 2 * at + 1) {
        if (child + 1 < s->event_count && is_before(&s->events[child + 1], &s->events[child]))
            child++;
        if (!is_before(&s->events[child], &last))
            break;
        s->events[at] = s->events[child];
        at = child;
    }
    s->events[at] = last;
    return true;
}

uint64_t sim_local(const struct sim_instance *i)
{
    return i->sim->now_us + i->offset_us;
}

void sim_plan_run(struct sim_instance *i, uint64_t at_us)
{
    if (at_us >= i->run_at_us)
        return;
    i->run_at_us = at_us;
    sim_plan(i->sim, at_us, (struct sim_event){.kind = SIM_RUN, .instance = i->index});
}

static void run_control(struct sim_instance *i)
{
    if (i->sim->now_us != i->run_at_us)
        return;
    i->run_at_us = UINT64_MAX;
    const uint64_t next_us = rate_reports_run(i->reports, sim_local(i));
    if (next_us != UINT64_MAX)
        sim_plan_run(i, next_us > sim_local(i) ? next_us - i->offset_us : i->sim->now_us + 1);
}

static struct rate rate_of(void *ctx, enum rate_scope scope, uint8_t realm)
{
    const struct sim *s = ctx;
    return s->plan.rate;
}

static void begin_instance(struct sim *s, uint32_t n)
{
    static const uint8_t name_key[16] = "all have this...";
    struct sim_instance *i = &s->instances[n];
    uint64_t key[2] = {dice_next(&s->dice), dice_next(&s->dice)};
    *i = (struct sim_instance){.sim = s,
        .index = n,
        .run_at_us = UINT64_MAX,
        .offset_us = dice_below(&s->dice, 1ull << 40),
        .link = {.up = true, .server = s->server.number}};
    i->rates = rate_table_new(1, (const uint8_t *)key);
    if (!i->rates)
        abort();
    rate_table_share(i->rates, name_key);
    rate_table_set_fleet(i->rates, s->plan.instances);
    rate_table_set_reachable(i->rates, true);
    const struct rate_reports_deps deps = {
        .rates = i->rates, .share = sim_share(i), .rate_of = rate_of, .rate_of_ctx = s};
    i->reports = rate_reports_new(&deps);
    if (!i->reports)
        abort();
    sim_plan(s, dice_below(&s->dice, SIM_HEARTBEAT_US),
        (struct sim_event){.kind = SIM_HEARTBEAT, .instance = n});
}

static void begin(struct sim *s)
{
    static const struct fake_data empty;
    *fake_redis_data(s->redis) = empty;
    s->dice.state = s->plan.seed ^ (uint64_t)s->plan.state << 56;
    s->server = (struct sim_server){
        .number = 1, .clock_us = 1700000000000000 + (int64_t)dice_below(&s->dice, US_PER_S)};
    for (uint32_t n = 0; n < s->plan.instances; n++)
        begin_instance(s, n);
    for (uint32_t k = 0; k < s->plan.limits; k++) {
        s->limits[k] = (struct sim_limit){.bound = bound_of(&s->plan.rate)};
        s->limits[k].bound.last_us = s->plan.begin_us;
        s->limits[k].ideal = s->limits[k].bound;
        s->limits[k].key = (struct rate_key){
            .scope = k == 0 ? RATE_ALLOCATION_USER : RATE_ALLOCATION_REALM, .id = 77 + k};
    }
    sim_clients_begin(s);
    sim_faults_begin(s);
}

static void end(struct sim *s)
{
    for (struct sim_call *c = s->calls; c; c = c->next)
        if (c->done)
            c->done(c->done_ctx, false, NULL, s->now_us);
    for (uint32_t n = 0; n < s->plan.instances; n++) {
        rate_reports_free(s->instances[n].reports);
        rate_table_free(s->instances[n].rates);
    }
    for (struct sim_call *c = s->calls, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (struct sim_call *c = s->spare, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(s->snapshots);
    free(s->events);
}

static void happen(struct sim *s, const struct sim_event *e)
{
    switch (e->kind) {
    case SIM_ASK:
    case SIM_PRIME:
        if (!s->quiet)
            sim_clients_on(s, e);
        break;
    case SIM_FLOOD:
        if (!s->quiet)
            sim_flood(s, e->instance, e->limit);
        break;
    case SIM_RUN:
        run_control(&s->instances[e->instance]);
        break;
    case SIM_SNAPSHOT:
        s->snapshots[e->instance] = *fake_redis_data(s->redis);
        break;
    case SIM_FAULT:
        sim_fault(s, e->instance);
        break;
    default:
        sim_link_on(s, e);
        break;
    }
}

static void judge(const struct sim *s, struct sim_result *out)
{
    const struct plan *p = &s->plan;
    const double seconds = (double)(p->end_us - p->begin_us) / US_PER_S;
    const double expected = p->rate.burst + seconds * p->rate.count / p->rate.period_s;
    *out = (struct sim_result){.utilisation = INFINITY};
    for (uint32_t k = 0; k < p->limits; k++) {
        const struct sim_limit *l = &s->limits[k];
        const double worst = bound_worst(&l->bound);
        const double most = (double)l->ideally < expected ? (double)l->ideally : expected;
        const double used = most > 0 ? (double)l->admitted / most : 1;
        out->worst = worst > out->worst ? worst : out->worst;
        out->utilisation = used < out->utilisation ? used : out->utilisation;
        out->admitted += l->admitted;
    }
}

static void run_until(struct sim *s, uint64_t us)
{
    struct sim_event e;
    while (s->event_count > 0 && s->events[0].at_us < us && sim_next(s, &e)) {
        s->now_us = e.at_us;
        happen(s, &e);
    }
    s->now_us = us;
}

/* Nobody asks until the largest debt that is remembered has been paid off: now all are admitted. */
static unsigned count_refused(struct sim *s)
{
    const struct rate *r = &s->plan.rate;
    const uint64_t most = s->plan.instances * plan_unreported(r) + r->burst + 2;
    unsigned refused = 0;
    s->quiet = true;
    run_until(s, s->plan.end_us + most * r->period_s * US_PER_S / r->count + 2 * US_PER_S);
    for (uint32_t n = 0; n < s->plan.instances; n++)
        for (uint32_t k = 0; k < s->plan.limits; k++)
            refused += !sim_ask(s, n, k);
    return refused;
}

void sim_run(const struct plan *plan, struct fake_redis *redis, struct sim_result *out)
{
    struct sim s = {.plan = *plan, .redis = redis};
    const uint64_t calls = fake_redis_calls(redis);
    begin(&s);
    run_until(&s, plan->end_us);
    judge(&s, out);
    out->refused = count_refused(&s);
    out->calls = fake_redis_calls(redis) - calls;
    end(&s);
}
