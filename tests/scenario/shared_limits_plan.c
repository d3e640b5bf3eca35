/*
 * Draws runs of the simulation of shared limits. Lengths are in units of the time that a bucket
 * takes to fill, so that a run costs some bursts of events whatever the rate. The bounds that a
 * plan carries are those of docs/limits.md.
 */
#include "tests/scenario/shared_limits_plan.h"

#include <inttypes.h>
#include <stdio.h>

#define MS ((uint64_t)US_PER_MS)

uint64_t dice_next(struct dice *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t dice_below(struct dice *d, uint64_t bound)
{
    return bound ? dice_next(d) % bound : 0;
}

uint64_t dice_between(struct dice *d, uint64_t least, uint64_t most)
{
    return least + dice_below(d, most - least + 1);
}

bool dice_chance(struct dice *d, unsigned percent)
{
    return dice_below(d, 100) < percent;
}

double dice_unit(struct dice *d)
{
    return (double)((dice_next(d) >> 11) + 1) / 9007199254740992.0;
}

uint64_t plan_unreported(const struct rate *rate)
{
    const uint64_t window_ms = 20;
    const uint64_t period_ms = (uint64_t)rate->period_s * 1000;
    return 1 + (rate->count * window_ms + period_ms - 1) / period_ms;
}

/* Dear ones seldom: what a run costs grows with the burst and the instances. */
static const struct {
    struct rate rate;
    unsigned weight;
} rates[] = {
    {{1, 1, 5}, 18},
    {{10, 1, 20}, 14},
    {{100, 1, 100}, 3},
    {{500, 1, 250}, 1},
    {{5, 1, 1}, 14},
    {{30, 60, 3}, 14},
    {{10, 60, 10}, 12},
    {{20, 1, 2}, 12},
    {{50, 1, 16}, 6},
    {{60, 1, 40}, 4},
    {{1000, 3600, 8}, 8},
    {{200, 1, 7}, 4},
};

static struct rate draw_rate(struct dice *d)
{
    unsigned total = 0;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
        total += rates[i].weight;
    unsigned at = (unsigned)dice_below(d, total);
    size_t i = 0;
    while (at >= rates[i].weight)
        at -= rates[i++].weight;
    return rates[i].rate;
}

/* How long n admissions take at the rate. */
static uint64_t time_of(const struct rate *r, uint64_t n)
{
    return n * r->period_s * US_PER_S / r->count;
}

static uint32_t draw_who(struct dice *d, uint32_t instances)
{
    const uint32_t all = (1u << instances) - 1;
    switch (dice_below(d, 3)) {
    case 0:
        return 1u << dice_below(d, instances);
    case 1:
        return all >> (instances - instances / 2);
    default:
        return (uint32_t)dice_next(d) & all;
    }
}

static enum fault_kind draw_kind(struct dice *d, enum plan_state state)
{
    static const enum fault_kind gone[] = {FAULT_CUT, FAULT_CUT, FAULT_HANG, FAULT_HANG,
        FAULT_RESTART, FAULT_SNAPSHOT, FAULT_FAILOVER};
    static const enum fault_kind split[] = {FAULT_CUT, FAULT_CUT, FAULT_CUT, FAULT_LOSS};
    static const enum fault_kind lost[] = {
        FAULT_RESTART, FAULT_SNAPSHOT, FAULT_FAILOVER, FAULT_FLUSH, FAULT_FORWARD, FAULT_BACK};
    switch (state) {
    case STATE_GONE:
        return gone[dice_below(d, 7)];
    case STATE_SPLIT:
        return split[dice_below(d, 4)];
    case STATE_LOST:
        return lost[dice_below(d, 6)];
    default:
        return (enum fault_kind)dice_below(d, FAULT_BACK + 1);
    }
}

static void draw_fault(struct plan *p, struct dice *d, struct fault *f)
{
    static const uint64_t steps_us[] = {60 * MS, 100 * MS, 400 * MS, 2 * US_PER_S, 60 * US_PER_S,
        3600 * US_PER_S, 86400 * 40 * US_PER_S};
    const uint64_t fill_us = time_of(&p->rate, p->rate.burst);
    *f = (struct fault){.kind = draw_kind(d, p->state), .who = (1u << p->instances) - 1};
    f->length_us = dice_between(d, 60 * MS, 60 * MS + (dice_chance(d, 30) ? 2 : 1) * fill_us);
    if (dice_chance(d, 15))
        f->length_us += 1400 * MS;
    if (p->state == STATE_LOST)
        f->length_us = dice_below(d, 2 * MS);
    if (p->state == STATE_SPLIT || (p->state == STATE_SEVERAL && dice_chance(d, 60)))
        f->who = draw_who(d, p->instances);
    switch (f->kind) {
    case FAULT_CUT:
        f->amount_us = dice_chance(d, 50) ? 0 : dice_below(d, 1400 * MS);
        break;
    case FAULT_SNAPSHOT:
    case FAULT_FAILOVER:
        f->amount_us = dice_chance(d, 50) ? dice_below(d, 50 * MS) : dice_below(d, 2 * fill_us);
        break;
    default:
        f->amount_us = steps_us[dice_below(d, sizeof(steps_us) / sizeof(steps_us[0]))];
        break;
    }
}

/* When they happen: one after the other, in SEVERAL and sometimes in others without a pause. */
static void draw_faults(struct plan *p, struct dice *d)
{
    const uint64_t fill_us = time_of(&p->rate, p->rate.burst);
    uint64_t at = p->begin_us + 100 * MS + dice_below(d, fill_us);
    p->fault_count = 1;
    if (p->state == STATE_SEVERAL)
        p->fault_count = (unsigned)dice_between(d, 2, 4);
    else if (p->state != STATE_LOST && dice_chance(d, 30))
        p->fault_count = (unsigned)dice_between(d, 2, PLAN_FAULTS);
    for (unsigned i = 0; i < p->fault_count; i++) {
        struct fault *f = &p->faults[i];
        draw_fault(p, d, f);
        f->at_us = at;
        if (f->kind == FAULT_SNAPSHOT || f->kind == FAULT_FAILOVER)
            f->amount_us = at - (f->amount_us < at ? f->amount_us : at);
        at +=
            f->length_us + (dice_chance(d, 30) ? dice_below(d, 100 * MS) : dice_below(d, fill_us));
    }
    const struct fault *last = &p->faults[p->fault_count - 1];
    p->end_us = last->at_us + last->length_us + 200 * MS + fill_us + dice_below(d, fill_us / 2);
}

static void draw_arrivals(struct plan *p, struct dice *d)
{
    static const double loads[] = {2, 3, 5};
    for (unsigned i = 0; i < PLAN_PHASES; i++) {
        p->clients.phases[i].asker = (enum asker)dice_below(d, p->instances > 1 ? 3 : 2);
        p->clients.phases[i].load = loads[dice_below(d, 3)];
        if (p->state != STATE_NORMAL && dice_chance(d, 15))
            p->clients.phases[i].load = 0.3;
    }
    p->clients.prime = dice_chance(d, 40);
    p->clients.cleared = dice_chance(d, 60);
    p->clients.silence = dice_chance(d, 70);
}

static bool loses_data(const struct fault *f)
{
    return f->kind != FAULT_CUT && f->kind != FAULT_HANG && f->kind != FAULT_LOSS;
}

/* docs/limits.md, "The bounds". */
static void set_bounds(struct plan *p)
{
    const double burst = p->rate.burst, n = p->instances;
    const double debt = n * (double)plan_unreported(&p->rate);
    /* What all instances admit at once from their shares; and but for the one that was asked. */
    const double alone = n > burst ? n : burst, spare = alone - alone / n;
    struct plan_bounds *b = &p->bounds;
    unsigned losses = 0;
    for (unsigned i = 0; i < p->fault_count; i++)
        losses += loses_data(&p->faults[i]);
    switch (p->state) {
    case STATE_NORMAL:
        b->allowed = b->row = burst + debt;
        break;
    case STATE_GONE:
        b->row = 2 * burst + 2 * debt;
        b->allowed = burst + spare + (1 + p->fault_count) * debt;
        break;
    case STATE_SPLIT:
        b->row = b->allowed = 2 * burst + 2 * debt;
        break;
    case STATE_LOST:
        b->row = b->allowed = burst + 2 * debt;
        break;
    case STATE_SEVERAL:
        b->row = b->allowed = burst + alone + 2 * debt + losses * (burst + debt);
        break;
    }
    if (b->allowed > b->row)
        b->allowed = b->row;
    b->doubled = p->state == STATE_SPLIT || p->state == STATE_SEVERAL;
}

void plan_draw(struct plan *out, enum plan_state state, uint64_t seed)
{
    static const uint32_t fleets[] = {1, 2, 4, 8, 16};
    struct dice d = {.state = seed * PLAN_STATES + state};
    struct plan p = {.state = state, .seed = seed, .rate = draw_rate(&d)};
    p.instances = fleets[dice_below(&d, 5)];
    p.limits = dice_chance(&d, 20) ? 2 : 1;
    p.clients.one = (uint32_t)dice_below(&d, p.instances);
    p.delays.least_us = 200;
    p.delays.most_us = state == STATE_LOST ? 7 * MS : 10 * MS;
    p.delays.wake_us = dice_chance(&d, 50) ? 0 : 200;
    p.delays.stagger_us = 3 * MS;
    if ((state == STATE_SPLIT || state == STATE_SEVERAL) && dice_chance(&d, 50))
        p.delays.stagger_us = 500 * MS;
    /* The first report begins an epoch, in which everything starts exhausted. */
    p.begin_us = time_of(&p.rate, p.rate.burst + 3u) + 100 * MS;
    p.end_us = p.begin_us + 4 * time_of(&p.rate, p.rate.burst) + time_of(&p.rate, 25);
    if (state != STATE_NORMAL)
        draw_faults(&p, &d);
    draw_arrivals(&p, &d);
    /* One instance admits u / 2 a round trip, hardly more than the rate: a burst takes its time. */
    if (state == STATE_NORMAL && p.rate.count >= 50 * p.rate.period_s &&
        (p.clients.phases[0].asker == ASK_ONE || p.instances < 4))
        p.end_us += 16 * time_of(&p.rate, p.rate.burst);
    set_bounds(&p);
    *out = p;
}

static size_t add_fault(char *text, size_t cap, const struct fault *f)
{
    static const char *const names[] = {
        "cut", "hang", "loss", "restart", "snapshot", "failover", "flush", "forward", "back"};
    const int len = snprintf(text, cap,
        " %s(at %" PRIu64 " for %" PRIu64 " ms, %" PRIu64 " ms, who %" PRIx32 ")", names[f->kind],
        f->at_us / MS, f->length_us / MS, f->amount_us / MS, f->who);
    return len < 0 ? 0 : (size_t)len;
}

const char *plan_text(const struct plan *p)
{
    static const char *const states[] = {"normal", "gone", "split", "lost", "several"};
    static const char *const askers[] = {"all", "one", "others"};
    static char text[1024];
    size_t len = (size_t)snprintf(text, sizeof(text),
        "%s %" PRIu64 ": %" PRIu32 "/%" PRIu32 "s burst %" PRIu32 ", %" PRIu32
        " instances, %u limits, ms %" PRIu64 "-%" PRIu64 "%s%s%s, stagger %" PRIu64 " ms, ask",
        states[p->state], p->seed, p->rate.count, p->rate.period_s, p->rate.burst, p->instances,
        p->limits, p->begin_us / MS, p->end_us / MS, p->clients.prime ? " prime" : "",
        p->clients.cleared ? " cleared" : "", p->clients.silence ? " silence" : "",
        p->delays.stagger_us / MS);
    for (unsigned i = 0; i < PLAN_PHASES && len < sizeof(text); i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, " %s x%.1f",
            askers[p->clients.phases[i].asker], p->clients.phases[i].load);
    for (unsigned i = 0; i < p->fault_count && len < sizeof(text); i++)
        len += add_fault(text + len, sizeof(text) - len, &p->faults[i]);
    return text;
}
