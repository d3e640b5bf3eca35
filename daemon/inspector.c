/*
 * Looking at limits.
 *
 * Always: each question is answered exactly once: when Redis has said all that was asked, or said
 * that it will not. Names are looked up and not kept. Called by control, through admin/ops.h.
 */
#include "daemon/inspector.h"

#include <stdlib.h>

#include "base/clock.h"
#include "daemon/realms.h"
#include "ratelimit/allocation_rates.h"
#include "ratelimit/rate_reports.h"

/* One bucket that Redis is asked about. */
struct look {
    struct inspection *inspection;
    struct admin_rate *rate;
    struct rate_debit debit;
};

struct inspection {
    void (*found)(void *ctx, const struct admin_limits_found *found);
    void *ctx;
    struct admin_limits_found all;
    unsigned waiting; /* answers that have not come, and one while they are asked for */
    struct look looks[ADMIN_RATES_MAX];
};

static void inspection_end_one(struct inspection *n)
{
    if (--n->waiting == 0) {
        n->found(n->ctx, &n->all);
        free(n);
    }
}

static uint32_t inspection_left(uint64_t room_us, uint64_t cost_us)
{
    const uint64_t left = cost_us ? room_us / cost_us : 0;
    return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

static void inspection_found(void *ctx, bool answered, const struct rate_found *found)
{
    struct look *look = ctx;
    if (answered) {
        const uint64_t tau = look->debit.tau_us;
        look->rate->found = true;
        look->rate->fleet.left =
            inspection_left(found->tat_us < tau ? tau - found->tat_us : 0, look->debit.cost_us);
        look->rate->fleet.denied_us = found->deny_us;
    }
    inspection_end_one(look->inspection);
}

/* How many more could be admitted at once by this instance's part of the bucket. */
static uint32_t inspection_part_left(
    const struct rate *limit, uint32_t instances, const struct rate_state *state)
{
    const struct gcra whole = gcra_of(limit);
    const uint64_t cost = whole.cost_us * instances;
    const uint64_t burst = limit->burst > instances ? limit->burst : instances;
    const uint64_t full = burst * whole.cost_us;
    return inspection_left(full > state->tat_us ? full - state->tat_us : 0, cost);
}

static void inspection_add_rate(struct inspection *n, const struct inspector *i,
    const struct rate_key *key, const struct rate *limit, const char *scope)
{
    const bool shared = rate_table_is_shared(i->rates) && key->scope != RATE_ALLOCATION_INSTANCE;
    struct rate_state state;
    struct look *look = &n->looks[n->all.rate_count];
    struct admin_rate *r = &n->all.rates[n->all.rate_count++];
    rate_table_inspect(i->rates, key, clock_now().mono_us, &state);
    *r = (struct admin_rate){.scope = scope, .limit = *limit, .shared = shared};
    r->here.left = inspection_part_left(limit, shared ? rate_table_fleet(i->rates) : 1, &state);
    r->here.unreported = state.unreported;
    r->here.owed = state.owed;
    r->here.denied_us = state.deny_us;
    r->here.silent = state.silent;
    *look = (struct look){n, r, {0}};
    if (shared) {
        look->debit = rate_reports_debit_of(i->rates, rate_table_name(i->rates, key), limit, 0);
        look->debit.warm = rate_scope_begins_full(key->scope);
    }
}

static bool inspection_concerns(const struct admin_limits *what, enum rate_scope scope)
{
    const bool user = what->user.len > 0, address = what->address.family != ADDR_NONE;
    switch (scope) {
    case RATE_ALLOCATION_USER:
    case RATE_GUESS_USER:
        return user;
    case RATE_ALLOCATION_ADDRESS:
    case RATE_ALLOCATION_PREFIX:
    case RATE_ALLOCATION_NETWORK:
    case RATE_GUESS_PREFIX:
    case RATE_GUESS_NETWORK:
        return address;
    case RATE_GUESS_SOURCE:
        return user && address;
    default:
        return true;
    }
}

static void inspection_add_allocations(struct inspection *n, const struct inspector *i,
    const struct admin_limits *what, uint32_t realm)
{
    const struct config *config = i->config;
    const struct realm_rates *rates =
        realm == 0 ? &config->limits.rates : &config->realm_rates[realm];
    const struct allocation_asked asked = {.limits = &config->limits,
        .rates = rates,
        .realm = (uint8_t)realm,
        .realm_name = slice_of_string(config->auth.realms[realm].name),
        .account = what->user,
        .client = what->address,
        .now_us = clock_now().mono_us};
    struct allocation_level levels[ALLOCATION_RATES_MAX];
    const unsigned count = allocation_rates_levels(i->rates, &asked, levels);
    for (unsigned k = 0; k < count; k++) {
        if (inspection_concerns(what, levels[k].key.scope)) {
            inspection_add_rate(
                n, i, &levels[k].key, &levels[k].limit, reason_limit_scope(levels[k].reason));
        }
    }
}

static void inspection_add_guesses(struct inspection *n, const struct inspector *i,
    const struct admin_limits *what, uint32_t realm)
{
    static const char *const scopes[GUESSES_LEVELS] = {
        "guesses_source", "guesses_prefix", "guesses_network", "guesses_user"};
    const struct guess who = {.client = what->address,
        .realm_name = slice_of_string(i->config->auth.realms[realm].name),
        .account = what->user};
    struct guess_level levels[GUESSES_LEVELS];
    guesses_levels(i->guesses, &i->config->limits, &who, levels);
    for (unsigned k = 0; k < GUESSES_LEVELS; k++) {
        if (levels[k].limit.count > 0 && inspection_concerns(what, levels[k].key.scope)) {
            inspection_add_rate(n, i, &levels[k].key, &levels[k].limit, scopes[k]);
        }
    }
}

static void inspection_add_quota(struct inspection *n, const struct inspector *i, uint32_t realm,
    struct slice user, const struct admin_quota *of)
{
    struct quota_state state;
    struct admin_quota *q = &n->all.quotas[n->all.quota_count++];
    *q = *of;
    quota_inspect(i->quotas, realm, user, clock_now().mono_us, &state);
    q->here = state.held;
    q->elsewhere = state.others;
    q->unreported = state.unreported;
    q->silent = state.silent;
    q->shared = rate_table_is_shared(i->rates);
}

static void inspection_add_quotas(struct inspection *n, const struct inspector *i,
    const struct admin_limits *what, uint32_t realm)
{
    const struct config *config = i->config;
    const struct quota_limits *limits =
        realm == 0 ? &config->limits.quota : &config->realm_quotas[realm];
    const struct admin_quota user = {.scope = "user", .limit = limits->allocations_per_user},
                             all = {.scope = "realm", .limit = limits->allocations_per_realm};
    if (what->user.len > 0) {
        inspection_add_quota(n, i, realm, what->user, &user);
    }
    inspection_add_quota(n, i, realm, slice_of(NULL, 0), &all);
    n->all.quotas[n->all.quota_count++] = (struct admin_quota){.scope = "instance",
        .limit = config->limits.quota.allocations_total,
        .here = quota_allocations(i->quotas)};
}

static void inspection_add_bandwidth(
    struct inspection *n, const struct inspector *i, uint32_t realm)
{
    const struct config *config = i->config;
    const struct realm_rates *rates =
        realm == 0 ? &config->limits.rates : &config->realm_rates[realm];
    n->all.bandwidth = (struct admin_bandwidth){.allocation = rates->bandwidth_per_allocation,
        .user = rates->bandwidth_per_user,
        .realm = rates->bandwidth_per_realm,
        .instance = config->limits.bandwidth_per_instance,
        .burst_ms = config->limits.bandwidth_burst_ms};
}

static void inspection_ask_redis(struct inspection *n, const struct inspector *i)
{
    for (size_t k = 0; k < n->all.rate_count; k++) {
        struct look *look = &n->looks[k];
        /* The answer comes later in any case. */
        if (look->rate->shared &&
            limiter_look(i->limiter, &look->debit, 1, inspection_found, look) == 0) {
            n->waiting++;
        }
    }
}

static struct admin_limits_found inspection_of_all(const struct inspector *i, const char *redis)
{
    static const enum admin_sharing sharing[] = {[LIMITER_OWN] = ADMIN_LIMITS_OWN,
        [LIMITER_SHARED] = ADMIN_LIMITS_SHARED,
        [LIMITER_ALONE] = ADMIN_LIMITS_ALONE};
    return (struct admin_limits_found){.sharing = sharing[limiter_mode(i->limiter)],
        .deny_alone = i->config->limits.deny_alone,
        .instances = limiter_fleet(i->limiter),
        .redis = redis};
}

void inspector_ask(const struct inspector *i, const char *redis, const struct admin_limits *what)
{
    uint32_t realm;
    struct inspection *n = NULL;
    if (realms_find(&i->config->auth, what->realm, &realm)) {
        n = calloc(1, sizeof(*n));
    }
    if (!n) {
        what->found(what->ctx, NULL);
        return;
    }
    n->found = what->found;
    n->ctx = what->ctx;
    n->all = inspection_of_all(i, redis);
    n->waiting = 1;
    if (what->scoped) {
        inspection_add_allocations(n, i, what, realm);
        inspection_add_guesses(n, i, what, realm);
        inspection_add_quotas(n, i, what, realm);
    }
    inspection_add_bandwidth(n, i, realm);
    inspection_ask_redis(n, i);
    inspection_end_one(n);
}
