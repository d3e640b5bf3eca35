/*
 * One connection an instance: calls and replies keep their order, as in TCP. What a fault delays or
 * loses is decided here; a call that was told "not answered" may still be executed, as with a real
 * one. Debits are made and read by the functions of fleet/, and what they say counts by the rule of
 * fleet/redis_clock.h.
 */
#include "tests/scenario/shared_limits_internal.h"

#include "fleet/redis_limits_calls.h"
#include "fleet/redis_limits_scripts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "turnpike"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t delay(struct sim *s)
{
    return dice_between(&s->dice, s->plan.delays.least_us, s->plan.delays.most_us);
}

static struct sim_call *new_call(struct sim *s)
{
    struct sim_call *c = s->spare;
    if (c)
        s->spare = c->next;
    else
        c = malloc(sizeof(*c));
    if (!c)
        abort();
    *c = (struct sim_call){.next = s->calls};
    s->calls = c;
    return c;
}

static void plan_call(struct sim_call *c, struct sim *s, uint64_t at_us, enum sim_kind kind)
{
    c->events++;
    sim_plan(s, at_us, (struct sim_event){.kind = kind, .call = c});
}

/* An event that named it is over. */
static void drop(struct sim *s, struct sim_call *c)
{
    if (--c->events > 0)
        return;
    struct sim_call **at = &s->calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->next = s->spare;
    s->spare = c;
}

static void send_call(struct sim_instance *i, struct sim_call *c)
{
    struct sim *s = i->sim;
    c->instance = i->index;
    c->server = i->link.server;
    c->sent_us = s->now_us;
    c->floor_us = i->link.clock.floor_us;
    i->link.there_us = later(i->link.there_us, s->now_us + delay(s));
    plan_call(c, s, i->link.there_us, SIM_ARRIVE);
}

static int debit(
    void *ctx, const struct rate_debit *items, size_t count, rate_debited_fn *done, void *done_ctx)
{
    struct sim_instance *i = ctx;
    if (!i->link.up)
        return -EAGAIN;
    if (count > SIM_LIMITS)
        abort();
    struct sim_call *c = new_call(i->sim);
    memcpy(c->items, items, count * sizeof(*items));
    c->count = count;
    c->done = done;
    c->done_ctx = done_ctx;
    send_call(i, c);
    return 0;
}

struct share sim_share(struct sim_instance *i)
{
    return (struct share){.ctx = i, .debit = debit};
}

void sim_set_deaf(struct sim *s, uint32_t who, bool deaf)
{
    for (uint32_t n = 0; n < s->plan.instances; n++)
        for (unsigned k = 0; k < s->plan.limits; k++) {
            struct sim_limit *l = &s->limits[k];
            bool *one = &s->instances[n].deaf[k];
            if (!(who >> n & 1) || *one == deaf)
                continue;
            *one = deaf;
            l->deaf += deaf ? 1 : -1u;
            const bool some = l->deaf > 0 && l->deaf < s->plan.instances;
            bound_drain(&l->bound, s->plan.bounds.doubled && some ? 2 : 1,
                later(s->now_us, s->plan.begin_us));
        }
}

static void tell(struct sim_call *c, struct sim_instance *i, bool answered)
{
    rate_debited_fn *done = c->done;
    c->done = NULL;
    if (!done)
        return;
    done(c->done_ctx, answered, answered ? c->deny_us : NULL, sim_local(i));
    if (answered) {
        for (size_t n = 0; n < c->count; n++)
            for (uint32_t k = 0; k < i->sim->plan.limits; k++)
                if (rate_table_name(i->rates, &i->sim->limits[k].key) == c->items[n].name)
                    sim_cleared(i, k);
    }
    sim_plan_run(i, i->sim->now_us);
}

/* In Redis. */
static void execute(struct sim *s, struct sim_call *c)
{
    static struct redis_limits_call call;
    char run_id[41];
    c->redis_us = (uint64_t)((int64_t)s->now_us + s->server.clock_us);
    if (c->count == 0)
        return;
    snprintf(run_id, sizeof(run_id), "%040" PRIx64, c->server);
    const struct redis_limits_server server = {.run_id = run_id, .floor_us = c->floor_us};
    if (redis_limits_call_rates(&call, PREFIX, &server, c->items, c->count) != 0)
        abort();
    const struct fake_call debit_call = {.script = redis_limits_debit,
        .key_count = call.key_count,
        .argv = call.argv,
        .argc = call.argc};
    const struct redis_reply *reply = fake_redis_evaluate(s->redis, &debit_call, c->redis_us);
    uint64_t now_us;
    if (redis_limits_reply_debit(&now_us, c->deny_us, c->count, reply) != 0 ||
        now_us != c->redis_us) {
        fprintf(stderr, "the script failed: %.*s\n", (int)reply->text.len, reply->text.data);
        abort();
    }
}

static void arrive(struct sim *s, struct sim_call *c)
{
    struct sim_instance *i = &s->instances[c->instance];
    if (c->lost || c->server != s->server.number)
        return;
    const uint64_t until = later(i->link.blocked_until_us, s->server.hung_until_us);
    if (s->now_us < until) {
        plan_call(c, s, until, SIM_ARRIVE);
        return;
    }
    execute(s, c);
    if (s->now_us < i->link.loss_until_us && dice_chance(&s->dice, 50)) {
        sim_set_deaf(s, 1u << i->index, true);
        plan_call(c, s, s->now_us + dice_between(&s->dice, 1000, 300000), SIM_GIVE_UP);
        return;
    }
    i->link.back_us = later(i->link.back_us, s->now_us + delay(s));
    plan_call(c, s, i->link.back_us, SIM_REPLY);
}

static void receive(struct sim *s, struct sim_call *c)
{
    struct sim_instance *i = &s->instances[c->instance];
    if (!c->done && c->count > 0)
        return;
    if (s->now_us < i->link.blocked_until_us) {
        plan_call(c, s, i->link.blocked_until_us, SIM_REPLY);
        return;
    }
    const struct redis_clock_sample sample = {
        .sent_us = c->sent_us + i->offset_us, .received_us = sim_local(i), .redis_us = c->redis_us};
    if (c->server == i->link.server)
        redis_clock_see(&i->link.clock, &sample);
    tell(c, i, i->link.clock.floor_us == c->floor_us);
}

void sim_break(struct sim_instance *i)
{
    struct sim *s = i->sim;
    const bool cut = s->now_us < i->link.blocked_until_us;
    const bool hung = s->now_us < s->server.hung_until_us;
    if (!i->link.up)
        return;
    i->link.up = false;
    rate_table_set_reachable(i->rates, false);
    for (struct sim_call *c = s->calls, *next; c; c = next) {
        next = c->next;
        if (c->instance != i->index)
            continue;
        c->lost = c->lost || cut || (!hung && dice_chance(&s->dice, 50));
        if (c->count == 0)
            c->server = 0; /* nobody waits for it */
        tell(c, i, false);
    }
}

static void come_up(struct sim_instance *i)
{
    struct sim *s = i->sim;
    const uint64_t until = later(i->link.blocked_until_us, s->server.down_until_us);
    if (s->now_us < until) {
        sim_plan(s, until, (struct sim_event){.kind = SIM_UP, .instance = i->index});
        return;
    }
    if (!i->link.up) {
        i->link.up = true;
        if (i->link.server != s->server.number)
            redis_clock_forget(&i->link.clock);
        i->link.server = s->server.number;
        i->link.there_us = i->link.back_us = s->now_us;
        rate_table_set_reachable(i->rates, true);
    }
    /* Who waits for nothing hears as much as he wants to. */
    for (unsigned k = 0; k < s->plan.limits; k++)
        if (i->since_us[k] == 0)
            sim_set_deaf(s, 1u << i->index, false);
    sim_plan_run(i, s->now_us);
}

static void heartbeat(struct sim_instance *i)
{
    struct sim *s = i->sim;
    if (i->link.up)
        send_call(i, new_call(s));
    sim_plan(s, s->now_us + SIM_HEARTBEAT_US,
        (struct sim_event){.kind = SIM_HEARTBEAT, .instance = i->index});
}

void sim_link_on(struct sim *s, const struct sim_event *e)
{
    struct sim_instance *i = &s->instances[e->instance];
    switch (e->kind) {
    case SIM_ARRIVE:
        arrive(s, e->call);
        drop(s, e->call);
        break;
    case SIM_REPLY:
        receive(s, e->call);
        drop(s, e->call);
        break;
    case SIM_GIVE_UP:
        tell(e->call, &s->instances[e->call->instance], false);
        drop(s, e->call);
        break;
    case SIM_BREAK:
        sim_break(i);
        break;
    case SIM_UP:
        come_up(i);
        break;
    default:
        heartbeat(i);
        break;
    }
}
