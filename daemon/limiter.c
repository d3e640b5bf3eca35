/*
 * When reports run, and what comes back.
 *
 * Always: one timer stands for everything that is due, and a worker that says so, an answer and the
 * second hand bring it forward; `done` of a call is passed on exactly once, and then the reports
 * run again, for an answer makes others due. Called by control, sharing and reload.
 */
#include "daemon/limiter.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "daemon/rates_in_force.h"
#include "ratelimit/quota_reports.h"
#include "ratelimit/rate_reports.h"

/* A link comes up within this time of the start, or the log says that it has not. */
#define QUIET_START_US (3 * US_PER_S)

#define NAME_LABEL "turnpike limit names"

/* A call of `share` whose answer has not come. */
struct limiter_call {
    struct limiter *limiter;
    struct limiter_call *before, *after;
    uint64_t sent_us;
    size_t count;
    bool quotas;
    union {
        rate_debited_fn *debited;
        quota_leased_fn *leased;
    } done;
    void *done_ctx;
};

struct limiter {
    struct limiter_deps deps;
    struct rate_reports *rates;
    struct quota_reports *quotas;
    struct share share; /* the fleet's */
    struct limiter_call *oldest, *newest;
    uv_async_t wake;
    uv_timer_t timer;
    uint64_t ran_us; /* last; 0: never */
    bool shared, running, ended;
    struct {
        bool up, counted, failed; /* the link; it has counted us; the last report had no answer */
        uint32_t instances;
        enum limiter_mode told; /* to the log */
        uint64_t quiet_until_us;
    } state;
    struct rates_in_force in_force;
};

static void limiter_run(struct limiter *l);

/* Until then workers that have more to report wake nobody, and all of it leaves together: a run
 * costs about as much as what is in it. */
static uint64_t limiter_next_us(const struct limiter *l)
{
    return l->ran_us +
           (rate_table_hurries(l->deps.rates) ? RATE_REPORT_EVERY_US : RATE_REPORT_WITHIN_US);
}

static void limiter_on_timer(uv_timer_t *timer)
{
    limiter_run(timer->data);
}

static void limiter_run_at(struct limiter *l, uint64_t due_us, uint64_t now_us)
{
    /* The loop's time is that of its turn's beginning; the timer's must not be earlier than ours.
     */
    uv_update_time(l->deps.loop);
    const uint64_t ms = due_us > now_us ? (due_us - now_us + US_PER_MS - 1) / US_PER_MS : 0;
    uv_timer_start(&l->timer, limiter_on_timer, ms, 0);
}

static void limiter_run_soon(struct limiter *l)
{
    if (l->running) {
        limiter_run_at(l, limiter_next_us(l), clock_now().mono_us);
    }
}

static void limiter_on_wake(uv_async_t *wake)
{
    struct limiter *l = wake->data;
    if (clock_now().mono_us >= limiter_next_us(l)) {
        limiter_run(l);
    } else {
        limiter_run_soon(l);
    }
}

static void limiter_run(struct limiter *l)
{
    if (!l->running) {
        return;
    }
    const uint64_t now = clock_now().mono_us;
    l->ran_us = now;
    const uint64_t rates = rate_reports_run(l->rates, now),
                   quotas = quota_reports_run(l->quotas, now);
    const uint64_t due = rates < quotas ? rates : quotas;
    if (due == UINT64_MAX) {
        uv_timer_stop(&l->timer);
        return;
    }
    const uint64_t next = limiter_next_us(l);
    limiter_run_at(l, due > next ? due : next, now);
}

static void limiter_wake(void *ctx)
{
    struct limiter *l = ctx;
    if (!l->ended) {
        uv_async_send(&l->wake);
    }
}

void (*limiter_report(const struct limiter *l))(void *limiter)
{
    return l->shared ? limiter_wake : NULL;
}

static void limiter_forget_call(struct limiter_call *c)
{
    struct limiter *l = c->limiter;
    *(c->before ? &c->before->after : &l->oldest) = c->after;
    *(c->after ? &c->after->before : &l->newest) = c->before;
    free(c);
}

/* An answer, or that there is none. */
static void limiter_end_call(struct limiter_call *c, bool answered)
{
    struct limiter *l = c->limiter;
    const enum metric metric =
        c->quotas  ? answered ? METRIC_LIMIT_QUOTAS_ANSWERED : METRIC_LIMIT_QUOTAS_FAILED
        : answered ? METRIC_LIMIT_RATES_ANSWERED
                   : METRIC_LIMIT_RATES_FAILED;
    counters_add(l->deps.counters, metric, 1);
    l->state.failed = !answered;
    limiter_forget_call(c);
    if (answered && l->deps.answered) {
        l->deps.answered(l->deps.answered_ctx);
    }
    limiter_run_soon(l);
}

static void limiter_debited(void *ctx, bool answered, const uint64_t *deny_us, uint64_t now_us)
{
    struct limiter_call *c = ctx;
    for (size_t i = 0; answered && i < c->count; i++) {
        counters_add(c->limiter->deps.counters, METRIC_LIMIT_DENIED, deny_us[i] > 0);
    }
    c->done.debited(c->done_ctx, answered, deny_us, now_us);
    limiter_end_call(c, answered);
}

static void limiter_leased(void *ctx, bool answered, const uint32_t *others, uint64_t now_us)
{
    struct limiter_call *c = ctx;
    c->done.leased(c->done_ctx, answered, others, now_us);
    limiter_end_call(c, others != NULL);
}

/* NULL: no memory, or not running. */
static struct limiter_call *limiter_new_call(struct limiter *l, size_t count, void *done_ctx)
{
    struct limiter_call *c = l->running ? calloc(1, sizeof(*c)) : NULL;
    if (!c) {
        return NULL;
    }
    *c = (struct limiter_call){.limiter = l,
        .before = l->newest,
        .sent_us = clock_now().mono_us,
        .count = count,
        .done_ctx = done_ctx};
    *(l->newest ? &l->newest->after : &l->oldest) = c;
    l->newest = c;
    return c;
}

/* 0, or -errno with the call forgotten. */
static int limiter_sent(struct limiter_call *c, int r)
{
    if (r < 0) {
        limiter_forget_call(c);
        return r;
    }
    counters_add(c->limiter->deps.counters,
        c->quotas ? METRIC_LIMIT_QUOTA_KEYS : METRIC_LIMIT_RATE_KEYS, c->count);
    return 0;
}

static int limiter_debit(
    void *ctx, const struct rate_debit *items, size_t count, rate_debited_fn *done, void *done_ctx)
{
    struct limiter *l = ctx;
    struct limiter_call *c = limiter_new_call(l, count, done_ctx);
    if (!c) {
        return -EAGAIN;
    }
    c->done.debited = done;
    return limiter_sent(c, l->share.debit(l->share.ctx, items, count, limiter_debited, c));
}

static int limiter_lease(
    void *ctx, const struct quota_lease *items, size_t count, quota_leased_fn *done, void *done_ctx)
{
    struct limiter *l = ctx;
    struct limiter_call *c = limiter_new_call(l, count, done_ctx);
    if (!c) {
        return -EAGAIN;
    }
    c->quotas = true;
    c->done.leased = done;
    return limiter_sent(c, l->share.lease(l->share.ctx, items, count, limiter_leased, c));
}

int limiter_look(struct limiter *l, const struct rate_debit *items, size_t count,
    rate_found_fn *done, void *done_ctx)
{
    return l->running ? l->share.look(l->share.ctx, items, count, done, done_ctx) : -EAGAIN;
}

static struct rate limiter_configured(void *ctx, enum rate_scope scope, uint8_t realm)
{
    const struct limiter *l = ctx;
    return rates_in_force_of(&l->in_force, scope, realm);
}

/* 0 or -EIO. Who has no secret in common with others has the names in common all the same. */
static int limiter_name_key(const struct config *config, uint8_t key[16])
{
    struct slice secret = secret_slice(&config->auth.nonce_secret);
    if (secret.len == 0) {
        secret = slice_of_string("no nonce secret is named");
    }
    return crypto_hkdf(secret, NAME_LABEL, key, 16);
}

/* 0, -EIO or -ENOMEM. */
static int limiter_share_tables(struct limiter *l, const struct config *config)
{
    const struct share share = {.ctx = l, .debit = limiter_debit, .lease = limiter_lease};
    const struct rate_reports_deps rates = {
        .rates = l->deps.rates, .share = share, .rate_of = limiter_configured, .rate_of_ctx = l};
    uint8_t key[16];
    int r = limiter_name_key(config, key);
    if (r < 0) {
        return r;
    }
    rate_table_share(l->deps.rates, key);
    quota_share(l->deps.quotas, key);
    secret_cleanse(key, sizeof(key));
    l->rates = rate_reports_new(&rates);
    l->quotas = quota_reports_new(l->deps.quotas, &share);
    return l->rates && l->quotas ? 0 : -ENOMEM;
}

static void limiter_set_fleet(struct limiter *l, uint32_t instances)
{
    l->state.instances = instances;
    counters_gauge_set(l->deps.counters, GAUGE_LIMIT_INSTANCES, instances);
    if (l->shared) {
        rate_table_set_fleet(l->deps.rates, instances);
        quota_set_fleet(l->deps.quotas, instances);
    }
}

static void limiter_set_reachable(struct limiter *l, bool reachable)
{
    l->state.up = reachable;
    rate_table_set_reachable(l->deps.rates, reachable);
    quota_set_reachable(l->deps.quotas, reachable);
}

int limiter_new(struct limiter **out, const struct limiter_deps *deps, const struct config *config)
{
    const struct redis_settings *redis = &config->redis;
    struct limiter *l = calloc(1, sizeof(*l));
    if (!l) {
        return -ENOMEM;
    }
    l->deps = *deps;
    l->wake.data = l->timer.data = l;
    l->state.quiet_until_us = clock_now().mono_us + QUIET_START_US;
    rates_in_force_read(&l->in_force, config);
    int r = redis->url && redis->limits ? uv_async_init(deps->loop, &l->wake, limiter_on_wake) : 0;
    if (r < 0) {
        free(l);
        return r;
    }
    if (redis->url && redis->limits) {
        l->shared = true;
        uv_timer_init(deps->loop, &l->timer);
        limiter_set_reachable(l, false);
        r = limiter_share_tables(l, config);
    }
    limiter_set_fleet(l, l->shared && redis->fleet_size > 1 ? redis->fleet_size : 1);
    *out = l;
    return r;
}

void limiter_start(struct limiter *l, const struct share *share)
{
    if (l->shared) {
        l->share = *share;
        l->running = true;
        limiter_run(l);
    }
}

void limiter_stop(struct limiter *l)
{
    if (l) {
        limiter_run(l);
        l->running = false;
    }
}

void limiter_end(struct limiter *l)
{
    if (!l || l->ended) {
        return;
    }
    l->running = false;
    l->ended = true;
    rate_reports_free(l->rates);
    quota_reports_free(l->quotas);
    if (l->shared) {
        uv_close((uv_handle_t *)&l->wake, NULL);
        uv_close((uv_handle_t *)&l->timer, NULL);
    }
}

void limiter_free(struct limiter *l)
{
    free(l);
}

void limiter_reloaded(struct limiter *l, const struct config *config)
{
    rates_in_force_replace(&l->in_force, config, l->deps.rates, clock_now().mono_us);
    for (uint32_t realm = 0; l->shared && realm < config->auth.realm_count; realm++) {
        quota_set_limits(l->deps.quotas, realm,
            realm == 0 ? &config->limits.quota : &config->realm_quotas[realm]);
    }
    limiter_run_soon(l);
}

void limiter_link(struct limiter *l, bool up)
{
    if (!l->shared || up == l->state.up) {
        return;
    }
    l->state.failed = false;
    limiter_set_reachable(l, up);
    limiter_run_soon(l);
}

void limiter_instances(struct limiter *l, uint32_t count)
{
    l->state.counted = true;
    limiter_set_fleet(l, count > 1 ? count : 1);
}

void limiter_forgotten(struct limiter *l)
{
    if (l->running) {
        quota_reports_again(l->quotas);
        limiter_run_soon(l);
    }
}

enum limiter_mode limiter_mode(const struct limiter *l)
{
    if (!l->shared) {
        return LIMITER_OWN;
    }
    const bool silent = l->oldest && clock_now().mono_us - l->oldest->sent_us > RATE_SILENCE_US;
    return l->state.up && l->state.counted && !l->state.failed && !silent ? LIMITER_SHARED
                                                                          : LIMITER_ALONE;
}

uint32_t limiter_fleet(const struct limiter *l)
{
    return l->state.instances;
}

void limiter_measure(struct limiter *l)
{
    counters_gauge_set(l->deps.counters, GAUGE_LIMITS_SHARED, limiter_mode(l) == LIMITER_SHARED);
}

/* What operators want to know: once a change, and not for each of many within a second. */
static void limiter_tell(struct limiter *l)
{
    const enum limiter_mode mode = limiter_mode(l);
    if (mode == l->state.told ||
        (mode == LIMITER_ALONE && clock_now().mono_us < l->state.quiet_until_us)) {
        return;
    }
    l->state.told = mode;
    if (mode == LIMITER_SHARED) {
        log_event(LOG_INFO, "limits_shared", log_u64("instances", l->state.instances));
    } else {
        log_event(LOG_WARN, "limits_alone", log_u64("instances", l->state.instances),
            log_str("why", l->state.up ? "Redis does not answer" : "the link to Redis is down"),
            log_str("until_then", l->in_force.limits.deny_alone ? "allocations are refused"
                                                                : "this instance has its part"));
    }
}

void limiter_tick(struct limiter *l)
{
    limiter_run(l);
    limiter_tell(l);
    limiter_measure(l);
}
