/*
 * One link, and on it what asks for keys, what reads secrets, what shares revocations, what shares
 * limits and what reads keys of media; one timer of a second drives the middle three. Called by the
 * control thread.
 */
#include "fleet/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fleet/redis_limits.h"
#include "fleet/redis_limits_calls.h"
#include "fleet/redis_revocations.h"
#include "fleet/redis_secrets.h"
#include "fleet/redis_srtp_keys.h"
#include "fleet/redis_store.h"
#include "fleet/redis_usage.h"

#define TICK_MS   1000u
#define REPLY_MIN (512u * 1024) /* a page of revocations or of deposits has to fit, and a batch */
#define PREFIX    "turnpike"

struct fleet {
    struct redis_link *link;
    struct redis_store *store;
    struct redis_secrets *secrets;
    struct redis_revocations *revocations;
    struct redis_limits *limits; /* NULL: they are not shared */
    struct redis_srtp_keys *srtp_keys;
    struct redis_usage *usage;
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
    if (state->up && f->limits)
        redis_limits_up(f->limits, state); /* first: the hook may ask for what is shared */
    if (state->up)
        redis_srtp_keys_up(f->srtp_keys); /* before what the hook asks for; see there */
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

static void on_instances(void *ctx, uint32_t count)
{
    struct fleet *f = ctx;
    if (f->hooks.instances)
        f->hooks.instances(f->hooks.ctx, count);
}

static void on_forgotten(void *ctx)
{
    struct fleet *f = ctx;
    if (f->hooks.forgotten)
        f->hooks.forgotten(f->hooks.ctx);
}

static void on_srtp_deposited(void *ctx, struct slice place)
{
    struct fleet *f = ctx;
    if (f->hooks.srtp_deposited)
        f->hooks.srtp_deposited(f->hooks.ctx, place);
}

static void on_srtp_found(void *ctx, const struct fleet_srtp_found *found)
{
    struct fleet *f = ctx;
    if (f->hooks.srtp_found)
        f->hooks.srtp_found(f->hooks.ctx, found);
}

static void on_tick(uv_timer_t *timer)
{
    struct fleet *f = timer->data;
    redis_revocations_tick(f->revocations);
    redis_usage_tick(f->usage);
    if (f->limits)
        redis_limits_tick(f->limits);
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
    redis_limits_free(f->limits);
    redis_srtp_keys_free(f->srtp_keys);
    redis_usage_free(f->usage);
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

static const char *prefix_of(const struct redis_settings *settings)
{
    return settings->prefix ? settings->prefix : PREFIX;
}

static int make_limits(
    struct fleet *f, const struct redis_settings *settings, const struct random_source *random)
{
    if (!settings->limits)
        return 0;
    f->limits = redis_limits_new(&(struct redis_limits_options){.link = f->link,
        .random = random,
        .prefix = prefix_of(settings),
        .fleet_size = settings->fleet_size,
        .hooks = {.instances = on_instances, .forgotten = on_forgotten, .ctx = f}});
    return f->limits ? 0 : -ENOMEM;
}

static int make_parts(struct fleet *f, uv_loop_t *loop, const struct redis_link_options *options)
{
    const struct random_source *random = options->random;
    f->store = redis_store_new(loop, f->link, random);
    f->secrets = redis_secrets_new(f->link, on_secrets, f);
    f->revocations = redis_revocations_new(&(struct redis_revocations_options){
        .link = f->link, .realms = &f->realms, .random = random, .told = on_revoked, .ctx = f});
    f->srtp_keys = redis_srtp_keys_new(&(struct redis_srtp_keys_options){.loop = loop,
        .link = f->link,
        .prefix = prefix_of(options->settings),
        .deposited = on_srtp_deposited,
        .found = on_srtp_found,
        .ctx = f});
    f->usage = redis_usage_new(f->link, prefix_of(options->settings));
    if (!f->store || !f->secrets || !f->revocations || !f->srtp_keys || !f->usage)
        return -ENOMEM;
    return make_limits(f, options->settings, random);
}

static int make(struct fleet *f, uv_loop_t *loop, const struct redis_link_options *options,
    char *error, size_t error_cap)
{
    const char *prefix = options->settings->prefix;
    if (prefix && !redis_limits_is_prefix(prefix)) {
        snprintf(error, error_cap,
            "redis.prefix: is not 1 to 64 printable characters without blanks and braces");
        return -EINVAL;
    }
    const int result = make_link(f, loop, options, error, error_cap);
    if (result < 0)
        return result;
    if (make_parts(f, loop, options) == 0)
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
    if (f->limits)
        redis_limits_leave(f->limits);
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

struct share fleet_share(struct fleet *f)
{
    return redis_limits_share(f->limits);
}

int fleet_revoke(struct fleet *f, const struct revocation *v)
{
    return redis_revocations_put(f->revocations, v);
}

void fleet_srtp_use(struct fleet *f, bool on)
{
    redis_srtp_keys_use(f->srtp_keys, on);
}

int fleet_usage_add(struct fleet *f, struct slice id, struct slice record, uint32_t max)
{
    return redis_usage_add(f->usage, id, record, max);
}

uint64_t fleet_usage_sent(const struct fleet *f)
{
    return redis_usage_sent(f->usage);
}

uint32_t fleet_usage_waiting(const struct fleet *f)
{
    return redis_usage_waiting(f->usage);
}

int fleet_srtp_ask(struct fleet *f, struct slice place)
{
    return redis_srtp_keys_ask(f->srtp_keys, place);
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
