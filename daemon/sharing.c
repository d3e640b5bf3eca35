/*
 * The control thread's side of the fleet.
 *
 * Always: nothing that a worker has to hear is lost to a full mailbox: it is owed, and tried again.
 * A secret or a password of Redis is never in a log line; what is named is an id that an HMAC has
 * made. Called by control, reload and observe.
 */
#include "daemon/sharing.h"

#include <errno.h>
#include <stdlib.h>

#include "auth/rest.h"
#include "base/log.h"
#include "base/random.h"
#include "fleet/redis_url.h"

/* Those that the settings name, and so many that Redis has been at since. */
#define ADDRESSES_KEPT 16

/* Revocations of the fleet that the log names. */
#define NAMED_A_SECOND 32

struct sharing {
    struct sharing_deps deps;
    struct fleet *fleet; /* NULL: no Redis, or it is over */
    struct revoker *revoker;
    struct crypto *crypto;
    bool configured;
    unsigned named_now, unnamed;  /* revocations of the fleet, in this second */
    struct redis_link_stats seen; /* as the metrics have it */
    struct addr addresses[REDIS_HOSTS_MAX + ADDRESSES_KEPT];
    size_t named, learned; /* addresses: named[0..named), then learned ones, the oldest replaced */
    struct store_secrets *secrets[AUTH_REALMS_MAX]; /* by realm; NULL: none came */
    uint64_t owed[WORKERS_MAX]; /* bit n: the worker has not had the secrets of realm n yet */
};

static size_t sharing_kept(const struct sharing *s)
{
    return s->named + (s->learned < ADDRESSES_KEPT ? s->learned : ADDRESSES_KEPT);
}

static bool sharing_has(const struct sharing *s, const struct addr *a)
{
    for (size_t i = 0; i < sharing_kept(s); i++) {
        if (addr_equal(&s->addresses[i], a)) {
            return true;
        }
    }
    return false;
}

static void sharing_on_state(void *ctx, const struct redis_state *state)
{
    struct sharing *s = ctx;
    const struct addr *a = &state->address;
    limiter_link(s->deps.limiter, state->up);
    media_watch_link(s->deps.media, state->up);
    sharing_measure(s);
    if (state->up && a->family != ADDR_NONE && !sharing_has(s, a)) {
        s->addresses[s->named + s->learned % ADDRESSES_KEPT] = *a;
        s->learned++;
        s->deps.moved(s->deps.ctx);
    }
}

static void sharing_on_instances(void *ctx, uint32_t count)
{
    struct sharing *s = ctx;
    limiter_instances(s->deps.limiter, count);
}

static void sharing_on_forgotten(void *ctx)
{
    struct sharing *s = ctx;
    limiter_forgotten(s->deps.limiter);
}

static void sharing_on_srtp_deposited(void *ctx, struct slice place)
{
    struct sharing *s = ctx;
    media_watch_deposited(s->deps.media, place);
}

static void sharing_on_srtp_found(void *ctx, const struct fleet_srtp_found *found)
{
    struct sharing *s = ctx;
    media_watch_found(s->deps.media, found);
}

/* Gives each worker the secrets that it has not had. */
static void sharing_pay(struct sharing *s)
{
    for (unsigned w = 0; w < s->deps.workers->count; w++) {
        for (unsigned i = 0; s->owed[w] >> i != 0 && i < AUTH_REALMS_MAX; i++) {
            struct mailbox_message m = {.kind = MAILBOX_SECRETS};
            if (!(s->owed[w] >> i & 1)) {
                continue;
            }
            m.u.secrets = store_secrets_copy(s->secrets[i]);
            if (!m.u.secrets) {
                return;
            }
            if (mailbox_post(worker_mailbox(s->deps.workers->items[w]), &m) < 0) {
                mailbox_message_free(&m);
                break;
            }
            s->owed[w] &= ~((uint64_t)1 << i);
        }
    }
}

static void sharing_owe(struct sharing *s, uint32_t realm)
{
    for (unsigned w = 0; w < s->deps.workers->count; w++) {
        s->owed[w] |= (uint64_t)1 << realm;
    }
}

static void sharing_log_secrets(struct sharing *s, const struct store_secrets *secrets)
{
    char ids[STORE_SECRETS_MAX * (REST_ID_MAX + 2)] = "", id[REST_ID_MAX + 1];
    const struct auth_settings *auth = &s->deps.config->auth;
    for (size_t i = 0, at = 0; i < secrets->count; i++) {
        if (rest_store_id(id, s->crypto, secret_slice(&auth->nonce_secret),
                secret_slice(&secrets->list[i])) == 0) {
            at += (size_t)snprintf(ids + at, sizeof(ids) - at, "%s%s", at ? " " : "", id);
        }
    }
    log_event(LOG_INFO, "store_secrets", log_str("realm", auth->realms[secrets->realm].name),
        log_u64("count", secrets->count), log_str("ids", ids));
}

/* 0 or -ENOMEM. */
static int sharing_keep(struct sharing *s, const struct store_secrets *secrets)
{
    struct store_secrets *copy = store_secrets_copy(secrets);
    if (!copy) {
        return -ENOMEM;
    }
    store_secrets_free(s->secrets[secrets->realm]);
    s->secrets[secrets->realm] = copy;
    sharing_owe(s, secrets->realm);
    explainer_secrets(s->deps.explainer, copy);
    return 0;
}

static bool sharing_knows(const struct sharing *s, const struct store_secrets *secrets)
{
    const struct store_secrets *known = s->secrets[secrets->realm];
    bool same = known ? known->count == secrets->count : secrets->count == 0;
    for (size_t i = 0; same && i < secrets->count; i++) {
        same = secret_equal(secret_slice(&known->list[i]), secret_slice(&secrets->list[i]));
    }
    return same;
}

static void sharing_on_secrets(void *ctx, const struct store_secrets *secrets)
{
    struct sharing *s = ctx;
    if (secrets->realm >= s->deps.config->auth.realm_count || sharing_knows(s, secrets)) {
        return;
    }
    if (sharing_keep(s, secrets) < 0) {
        log_event(LOG_ERROR, "store_secrets_kept", log_str("error", "out of memory"));
        return;
    }
    sharing_log_secrets(s, secrets);
    sharing_pay(s);
}

static void sharing_log_revoked(struct sharing *s, const struct revocation *v)
{
    static const char *const kinds[] = {
        [REVOKE_USER] = "user", [REVOKE_TOKEN] = "token", [REVOKE_SECRET] = "secret"};
    const struct auth_settings *auth = &s->deps.config->auth;
    char until[CLOCK_UTC_MAX];
    if (v->until > clock_now().wall_s) {
        log_event(LOG_INFO, "revoked", log_str("kind", kinds[v->kind]),
            log_str("realm", auth->realms[v->realm].name),
            log_bytes("id", slice_of(v->id, v->id_len)),
            log_str("until", clock_utc_text(v->until, until)));
    } else {
        log_event(LOG_INFO, "revocation_taken_back", log_str("kind", kinds[v->kind]),
            log_str("realm", auth->realms[v->realm].name),
            log_bytes("id", slice_of(v->id, v->id_len)));
    }
}

/* 0: it was known. 1: it is new. -EINVAL, -ENOSPC or -ENOMEM: it is not in force. */
static int sharing_apply(struct sharing *s, const struct revocation *v)
{
    if (v->realm >= s->deps.config->auth.realm_count || v->kind < REVOKE_USER ||
        v->kind > REVOKE_SECRET) {
        return -EINVAL;
    }
    int r = revoker_put(s->revoker, v, clock_now().wall_s);
    if (r > 0) {
        explainer_revoke(s->deps.explainer, v);
    }
    return r;
}

/* An instance that starts, or was cut off, learns of many at once: some are named, the rest is
 * counted. */
static bool sharing_may_name(struct sharing *s)
{
    s->unnamed += s->named_now == NAMED_A_SECOND;
    s->named_now += s->named_now < NAMED_A_SECOND;
    return s->unnamed == 0;
}

static void sharing_on_revoked(void *ctx, const struct revocation *v)
{
    struct sharing *s = ctx;
    int r = sharing_apply(s, v);
    if (r > 0 && sharing_may_name(s)) {
        sharing_log_revoked(s, v);
    } else if (r < 0) {
        log_event(LOG_ERROR, "revocation_not_in_force", log_bytes("id", slice_of(v->id, v->id_len)),
            log_str("error", strerror(-r)));
    }
}

int sharing_revoke(struct sharing *s, const struct revocation *v)
{
    int r = sharing_apply(s, v);
    if (r < 0) {
        return r;
    }
    if (r > 0) {
        sharing_log_revoked(s, v);
    }
    return s->fleet ? fleet_revoke(s->fleet, v) : 0;
}

int sharing_usage(struct sharing *s, struct slice id, struct slice record, uint32_t max)
{
    return s->fleet ? fleet_usage_add(s->fleet, id, record, max) : -EAGAIN;
}

uint64_t sharing_usage_sent(const struct sharing *s)
{
    return s->fleet ? fleet_usage_sent(s->fleet) : 0;
}

uint32_t sharing_usage_waiting(const struct sharing *s)
{
    return s->fleet ? fleet_usage_waiting(s->fleet) : 0;
}

struct sharing *sharing_new(const struct sharing_deps *deps)
{
    struct sharing *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->deps = *deps;
    s->crypto = crypto_new();
    s->revoker = revoker_new(deps->loop, deps->workers, deps->counters);
    if (!s->crypto || !s->revoker) {
        sharing_end(s);
        sharing_free(s);
        return NULL;
    }
    return s;
}

void sharing_end(struct sharing *s)
{
    if (!s) {
        return;
    }
    limiter_stop(s->deps.limiter);
    media_watch_stop(s->deps.media);
    fleet_free(s->fleet);
    s->fleet = NULL;
    s->deps.lookups->store = (struct store){0};
    revoker_free(s->revoker);
    s->revoker = NULL;
}

void sharing_free(struct sharing *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < AUTH_REALMS_MAX; i++) {
        store_secrets_free(s->secrets[i]);
    }
    crypto_free(s->crypto);
    free(s);
}

int sharing_prepare(
    struct sharing *s, const struct redis_settings *settings, char *error, size_t error_cap)
{
    struct redis_url url;
    const char *why;
    if (!settings->url) {
        return 0;
    }
    int r = redis_url_parse(&url, settings->url, &why);
    if (r < 0) {
        snprintf(error, error_cap, "redis.url: %s", r == -EINVAL ? why : "out of memory");
        return r;
    }
    for (size_t i = 0; i < url.host_count; i++) {
        struct addr a;
        if (addr_parse_ip(&a, url.hosts[i].host) == 0) {
            a.port = url.hosts[i].port;
            s->addresses[s->named++] = a;
        }
    }
    redis_url_deinit(&url);
    s->configured = true;
    return 0;
}

/* 0 or -ENOMEM. */
static int sharing_set_realms(struct sharing *s)
{
    const struct auth_settings *auth = &s->deps.config->auth;
    struct fleet_realm realms[AUTH_REALMS_MAX];
    for (size_t i = 0; i < auth->realm_count; i++) {
        const struct auth_realm_settings *r = &auth->realms[i];
        realms[i] = (struct fleet_realm){.id = (uint32_t)i,
            .name = slice_of_string(r->name),
            .secrets = r->store_secrets && !r->removed};
    }
    return fleet_set_realms(s->fleet, realms, auth->realm_count);
}

int sharing_start(struct sharing *s, char *error, size_t error_cap)
{
    const struct fleet_hooks hooks = {.state = sharing_on_state,
        .secrets = sharing_on_secrets,
        .revoked = sharing_on_revoked,
        .instances = sharing_on_instances,
        .forgotten = sharing_on_forgotten,
        .srtp_deposited = sharing_on_srtp_deposited,
        .srtp_found = sharing_on_srtp_found,
        .ctx = s};
    if (!s->configured) {
        return 0;
    }
    int r = fleet_new(
        &s->fleet, s->deps.loop, &s->deps.config->redis, random_system(), &hooks, error, error_cap);
    if (r < 0) {
        return r;
    }
    s->deps.lookups->store = fleet_store(s->fleet);
    const struct share share = fleet_share(s->fleet);
    limiter_start(s->deps.limiter, &share);
    media_watch_start(s->deps.media, s->fleet);
    return sharing_set_realms(s);
}

/* A realm that no longer takes secrets from the store has none from there. */
static void sharing_drop_secrets(struct sharing *s)
{
    const struct auth_settings *auth = &s->deps.config->auth;
    for (uint32_t i = 0; i < auth->realm_count; i++) {
        const struct store_secrets none = {.realm = i};
        if (!s->secrets[i]) {
            continue;
        }
        if (!auth->realms[i].store_secrets || auth->realms[i].removed) {
            (void)sharing_keep(s, &none);
        }
        /* Once more even where nothing has changed: their ids follow the nonce secret. */
        sharing_owe(s, i);
        explainer_secrets(s->deps.explainer, s->secrets[i]);
    }
}

void sharing_reloaded(struct sharing *s)
{
    char error[512];
    explainer_forget(s->deps.explainer);
    limiter_reloaded(s->deps.limiter, s->deps.config);
    media_watch_reloaded(s->deps.media);
    if (!s->fleet) {
        return;
    }
    sharing_drop_secrets(s);
    sharing_pay(s);
    if (sharing_set_realms(s) < 0) {
        log_event(LOG_ERROR, "redis_realms_kept", log_str("error", "out of memory"));
    }
    if (fleet_renew(s->fleet, error, sizeof(error)) < 0) {
        log_event(LOG_ERROR, "redis_certificates_kept", log_str("error", error));
    }
}

int sharing_check(const struct redis_settings *settings, char *error, size_t error_cap)
{
    const struct fleet_hooks none = {0};
    struct fleet *fleet = NULL;
    uv_loop_t loop;
    if (!settings->url) {
        return 0;
    }
    int r = uv_loop_init(&loop);
    if (r < 0) {
        snprintf(error, error_cap, "redis: %s", uv_strerror(r));
        return r;
    }
    r = fleet_new(&fleet, &loop, settings, random_system(), &none, error, error_cap);
    fleet_free(fleet); /* before it has begun to connect */
    while (uv_run(&loop, UV_RUN_DEFAULT) != 0) {
    }
    (void)uv_loop_close(&loop);
    return r;
}

void sharing_measure(struct sharing *s)
{
    limiter_measure(s->deps.limiter);
    if (!s->fleet) {
        return;
    }
    struct counters *c = s->deps.counters;
    const struct redis_link_stats now = fleet_stats(s->fleet), *seen = &s->seen;
    counters_gauge_set(c, GAUGE_REDIS_UP, fleet_is_up(s->fleet));
    counters_gauge_set(c, GAUGE_REDIS_RTT, now.rtt_us);
    counters_add(c, METRIC_REDIS_CONNECTED, now.connected - seen->connected);
    counters_add(c, METRIC_REDIS_FAILED, now.failed - seen->failed);
    counters_add(c, METRIC_REDIS_REPLIED, now.replied - seen->replied);
    counters_add(c, METRIC_REDIS_TIMED_OUT, now.timed_out - seen->timed_out);
    counters_add(c, METRIC_REDIS_LOST, now.lost - seen->lost);
    counters_add(c, METRIC_REDIS_REFUSED, now.refused - seen->refused);
    s->seen = now;
}

void sharing_tick(struct sharing *s)
{
    revoker_tick(s->revoker, clock_now().wall_s);
    if (s->unnamed > 0) {
        log_event(LOG_INFO, "revocations_learned", log_u64("not_named", s->unnamed));
    }
    s->named_now = s->unnamed = 0;
    sharing_pay(s);
    limiter_tick(s->deps.limiter);
    sharing_measure(s);
}

const struct addr *sharing_addresses(const struct sharing *s, size_t *count)
{
    *count = sharing_kept(s);
    return s->addresses;
}

struct slice sharing_secret(const struct sharing *s, uint32_t realm)
{
    const struct store_secrets *known = realm < AUTH_REALMS_MAX ? s->secrets[realm] : NULL;
    for (size_t i = 0; known && i < known->count; i++) {
        const struct slice secret = secret_slice(&known->list[i]);
        if (secret.len > 0 && secret.len <= REST_SECRET_MAX) {
            return secret;
        }
    }
    return (struct slice){0};
}

bool sharing_is_up(const struct sharing *s)
{
    return s->fleet && fleet_is_up(s->fleet);
}

const char *sharing_state(const struct sharing *s)
{
    if (!s->configured) {
        return NULL;
    }
    return sharing_is_up(s) ? "up" : "down";
}
