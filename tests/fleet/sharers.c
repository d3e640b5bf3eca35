/* The tick is ten times as fast as the fleet's, so that tests need not wait. */
#include "tests/fleet/sharers.h"

#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 100

static void on_state(void *ctx, const struct redis_state *state)
{
    struct sharer *s = ctx;
    if (!state->up) {
        s->downs++;
        return;
    }
    s->ups++;
    s->server = state->server;
    redis_limits_up(s->limits, state);
}

static void on_instances(void *ctx, uint32_t count)
{
    struct sharer *s = ctx;
    s->told++;
    s->instances = count;
}

static void on_forgotten(void *ctx)
{
    ((struct sharer *)ctx)->forgotten++;
}

static void on_tick(uv_timer_t *tick)
{
    redis_limits_tick(((struct sharer *)tick->data)->limits);
}

void sharer_speak(struct sharer *s)
{
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
}

void sharer_silence(struct sharer *s)
{
    uv_timer_stop(&s->tick);
}

static void begin(
    struct sharer *s, struct linked *l, const char *url, const struct redis_limits_options *wanted)
{
    char copy[512], error[256] = "";
    struct redis_settings settings = l->settings;
    const struct redis_link_options options = {
        .settings = &settings, .random = &linked_hurry, .hooks = {.state = on_state, .ctx = s}};
    snprintf(copy, sizeof(copy), "%s", url);
    settings.url = copy;
    *s = (struct sharer){.linked = l};
    linked_loop(l);
    if (redis_link_new(&s->link, &l->loop, &options, error, sizeof(error)) == 0)
        s->limits = redis_limits_new(&(struct redis_limits_options){.link = s->link,
            .random = random_system(),
            .prefix = "turnpike",
            .fleet_size = wanted->fleet_size,
            .alive_ms = SHARER_ALIVE_MS,
            .heartbeat_ms = SHARER_HEARTBEAT_MS,
            .again_ms = wanted->again_ms,
            .hooks = {on_instances, on_forgotten, s}});
    if (!s->limits) {
        fprintf(stderr, "nobody shares: %s\n", error);
        abort();
    }
    s->share = redis_limits_share(s->limits);
    uv_timer_init(&l->loop, &s->tick);
    s->tick.data = s;
    sharer_speak(s);
}

void sharer_begin(struct sharer *s, struct linked *l, const char *url, uint32_t fleet_size)
{
    begin(s, l, url, &(struct redis_limits_options){.fleet_size = fleet_size});
}

void sharer_begin_again(struct sharer *s, struct linked *l, const char *url, uint32_t again_ms)
{
    begin(s, l, url, &(struct redis_limits_options){.again_ms = again_ms});
}

bool sharer_up(struct sharer *s, unsigned ups)
{
    return sharer_reaches(s, &s->ups, ups, 8000) && s->ups == ups && redis_link_is_up(s->link);
}

void sharer_vanish(struct sharer *s)
{
    redis_link_free(s->link);
    redis_limits_free(s->limits);
    s->limits = NULL;
    uv_close((uv_handle_t *)&s->tick, NULL);
}

void sharer_end(struct sharer *s)
{
    redis_limits_leave(s->limits);
    sharer_vanish(s);
}

void shared_debited(void *ctx, bool answered, const uint64_t *deny_us, uint64_t now_us)
{
    struct shared *a = ctx;
    a->calls++;
    a->answered = answered;
    a->now_us = now_us;
    if (answered)
        memcpy(a->deny_us, deny_us, a->count * sizeof(deny_us[0]));
}

void shared_found(void *ctx, bool answered, const struct rate_found *found)
{
    struct shared *a = ctx;
    a->calls++;
    a->answered = answered;
    if (answered)
        memcpy(a->found, found, a->count * sizeof(found[0]));
}

void shared_leased(void *ctx, bool answered, const uint32_t *others, uint64_t now_us)
{
    struct shared *a = ctx;
    a->calls++;
    a->answered = others != NULL;
    a->now_us = now_us;
    if (others)
        memcpy(a->others, others, a->count * sizeof(others[0]));
}

int sharer_debit(struct sharer *s, const struct rate_debit *items, size_t count, struct shared *out)
{
    *out = (struct shared){.count = count};
    return s->share.debit(s->share.ctx, items, count, shared_debited, out);
}

int sharer_look(struct sharer *s, const struct rate_debit *items, size_t count, struct shared *out)
{
    *out = (struct shared){.count = count};
    return s->share.look(s->share.ctx, items, count, shared_found, out);
}

int sharer_lease(
    struct sharer *s, const struct quota_lease *items, size_t count, struct shared *out)
{
    *out = (struct shared){.count = count};
    return s->share.lease(s->share.ctx, items, count, shared_leased, out);
}

struct wanted {
    const unsigned *value;
    unsigned least;
};

static bool has_reached(struct linked *l, void *ctx)
{
    const struct wanted *w = ctx;
    return *w->value >= w->least;
}

bool sharer_reaches(struct sharer *s, const unsigned *value, unsigned least, unsigned ms)
{
    struct wanted w = {value, least};
    return linked_run(s->linked, has_reached, &w, ms);
}

struct counted {
    const struct sharer *sharer;
    uint32_t count;
};

static bool is_so_many(struct linked *l, void *ctx)
{
    const struct counted *c = ctx;
    return c->sharer->told > 0 && c->sharer->instances == c->count;
}

bool sharer_instances(struct sharer *s, uint32_t count, unsigned ms)
{
    struct counted c = {s, count};
    return linked_run(s->linked, is_so_many, &c, ms);
}

bool sharer_answered(struct sharer *s, struct shared *a, unsigned ms)
{
    return sharer_reaches(s, &a->calls, 1, ms) && a->calls == 1;
}

static void require(struct sharer *s, int issued, struct shared *a)
{
    if (issued == 0 && sharer_answered(s, a, 4000) && a->answered)
        return;
    fprintf(stderr, "%d, %u calls, answered: %d\n", issued, a->calls, a->answered);
    abort();
}

uint64_t sharer_deny(struct sharer *s, const struct rate_debit *item)
{
    struct shared a;
    require(s, sharer_debit(s, item, 1, &a), &a);
    return a.deny_us[0];
}

struct rate_found sharer_find(struct sharer *s, const struct rate_debit *item)
{
    struct shared a;
    require(s, sharer_look(s, item, 1, &a), &a);
    return a.found[0];
}

uint32_t sharer_others(struct sharer *s, uint64_t name, uint32_t held)
{
    struct shared a;
    const struct quota_lease item = {name, held};
    require(s, sharer_lease(s, &item, 1, &a), &a);
    return a.others[0];
}
