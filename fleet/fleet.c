/*
 * One link, and on it what asks for keys, what reads secrets and what shares revocations; one timer
 * of a second drives the last two. Called by the control thread.
 */
#include "fleet/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fleet/redis_revocations.h"
#include "fleet/redis_secrets.h"
#include "fleet/redis_store.h"

#define TICK_MS   1000u
#define REPLY_MIN (64u * 1024) /* a page of revocations has to fit, and a batch of them */

struct fleet {
    struct redis_link *link;
    struct redis_store *store;
    struct redis_secrets *secrets;
    struct redis_revocations *revocations;
    struct fleet_realms realms;
    struct fleet_hooks hooks;
    uv_timer_t timer;
    unsigned ticks; /* since the secrets were read */
};

static void read_secrets(struct fleet *f)
{
    f->ticks = 0;
    redis_secrets_read(f->secrets);
}

static void on_state(void *ctx, const struct redis_state *state)
{
    struct fleet *f = ctx;
    if (f->hooks.state)
        f->hooks.state(f->hooks.ctx, state);
    if (!state->up)
        return;
    redis_revocations_up(f->revocations, state->server);
    read_secrets(f);
}

static void on_secrets(void *ctx, const struct store_secrets *secrets)
{
    struct fleet *f = ctx;
    if (f->hooks.secrets)
        f->hooks.secrets(f->hooks.ctx, secrets);
}

static void on_revoked(void *ctx, const struct revocation *v)
{
    struct fleet *f = ctx;
    if (f->hooks.revoked)
        f->hooks.revoked(f->hooks.ctx, v);
}

static void on_tick(uv_timer_t *timer)
{
    struct fleet *f = timer->data;
    redis_revocations_tick(f->revocations);
    if (++f->ticks >= REDIS_SECRETS_EVERY_MS / TICK_MS)
        read_secrets(f);
}

static void on_closed(uv_handle_t *timer)
{
    free(timer->data);
}

/* All but the fleet itself. */
static void free_parts(struct fleet *f)
{
    redis_link_free(f->link); /* first: it answers what waits for it */
    redis_store_free(f->store);
    redis_secrets_free(f->secrets);
    redis_revocations_free(f->revocations);
    fleet_realms_deinit(&f->realms);
}

static int make_link(struct fleet *f, uv_loop_t *loop, const struct redis_link_options *options,
    char *error, size_t error_cap)
{
    struct redis_settings settings = *options->settings;
    struct redis_link_options own = *options;
    if (settings.reply_max != 0 && settings.reply_max < REPLY_MIN)
        settings.reply_max = REPLY_MIN;
    if (settings.write_max != 0 && settings.write_max < REPLY_MIN)
        settings.write_max = REPLY_MIN;
    own.settings = &settings;
    return redis_link_new(&f->link, loop, &own, error, error_cap);
}

static int make_parts(struct fleet *f, uv_loop_t *loop, const struct random_source *random)
{
    f->store = redis_store_new(loop, f->link, random);
    f->secrets = redis_secrets_new(f->link, on_secrets, f);
    f->revocations = redis_revocations_new(&(struct redis_revocations_options){
        .link = f->link, .realms = &f->realms, .random = random, .told = on_revoked, .ctx = f});
    return f->store && f->secrets && f->revocations ? 0 : -ENOMEM;
}

static int make(struct fleet *f, uv_loop_t *loop, const struct redis_link_options *options,
    char *error, size_t error_cap)
{
    const int result = make_link(f, loop, options, error, error_cap);
    if (result < 0)
        return result;
    if (make_parts(f, loop, options->random) == 0)
        return 0;
    snprintf(error, error_cap, "redis: out of memory");
    free_parts(f);
    return -ENOMEM;
}

int fleet_new(struct fleet **out, uv_loop_t *loop, const struct redis_settings *settings,
    const struct random_source *random, const struct fleet_hooks *hooks, char *error,
    size_t error_cap)
{
    struct fleet *f = calloc(1, sizeof(*f));
    if (!f) {
        snprintf(error, error_cap, "redis: out of memory");
        return -ENOMEM;
    }
    f->hooks = *hooks;
    const struct redis_link_options options = {
        .settings = settings, .random = random, .hooks = {.state = on_state, .ctx = f}};
    const int result = make(f, loop, &options, error, error_cap);
    if (result < 0) {
        free(f);
        return result;
    }
    uv_timer_init(loop, &f->timer);
    f->timer.data = f;
    uv_timer_start(&f->timer, on_tick, TICK_MS, TICK_MS);
    *out = f;
    return 0;
}

void fleet_free(struct fleet *f)
{
    if (!f)
        return;
    f->hooks = (struct fleet_hooks){0};
    free_parts(f);
    uv_close((uv_handle_t *)&f->timer, on_closed);
}

int fleet_set_realms(struct fleet *f, const struct fleet_realm *realms, size_t count)
{
    struct fleet_realms before = f->realms, fresh = {0};
    int result = fleet_realms_set(&fresh, realms, count);
    if (result == 0)
        result = redis_secrets_set_realms(f->secrets, &fresh);
    if (result < 0) {
        fleet_realms_deinit(&fresh);
        return result;
    }
    f->realms = fresh;
    redis_revocations_realms(f->revocations, &before);
    fleet_realms_deinit(&before);
    read_secrets(f);
    return 0;
}

struct store fleet_store(struct fleet *f)
{
    return (struct store){.ctx = f->store, .ask = redis_store_ask};
}

int fleet_revoke(struct fleet *f, const struct revocation *v)
{
    return redis_revocations_put(f->revocations, v);
}

int fleet_renew(struct fleet *f, char *error, size_t error_cap)
{
    return redis_link_renew(f->link, error, error_cap);
}

bool fleet_is_up(const struct fleet *f)
{
    return redis_link_is_up(f->link);
}

struct redis_link_stats fleet_stats(const struct fleet *f)
{
    return redis_link_stats(f->link);
}
