/*
 * Which rate of the configuration a scope stands for. Answers to strangers and handshakes are not
 * among them: one scope of those has several rates, and what it remembers is gone in a second.
 * Called by limiter.c.
 */
#include "daemon/rates_in_force.h"

void rates_in_force_read(struct rates_in_force *out, const struct config *config)
{
    out->limits = config->limits;
    memcpy(out->realms, config->realm_rates, sizeof(out->realms));
    out->realms[0] = config->limits.rates;
}

struct rate rates_in_force_of(
    const struct rates_in_force *rates, enum rate_scope scope, uint8_t realm)
{
    const struct ratelimit_settings *limits = &rates->limits;
    const struct realm_rates *of = &rates->realms[realm % AUTH_REALMS_MAX];
    switch (scope) {
    case RATE_GUESS_SOURCE:
        return limits->guesses_per_source;
    case RATE_GUESS_PREFIX:
        return limits->guesses_per_prefix;
    case RATE_GUESS_NETWORK:
        return limits->guesses_per_network;
    case RATE_GUESS_USER:
        return limits->guesses_per_user;
    case RATE_ALLOCATION_ADDRESS:
        return limits->allocations_per_address;
    case RATE_ALLOCATION_PREFIX:
        return limits->allocations_per_prefix;
    case RATE_ALLOCATION_NETWORK:
        return limits->allocations_per_network;
    case RATE_ALLOCATION_USER:
        return of->allocations_per_user;
    case RATE_ALLOCATION_REALM:
        return of->allocations_per_realm;
    case RATE_ALLOCATION_INSTANCE:
        return limits->allocations_per_instance;
    default:
        return (struct rate){0};
    }
}

static bool is_another(const struct rate *a, const struct rate *b)
{
    return a->count != b->count || a->period_s != b->period_s || a->burst != b->burst;
}

void rates_in_force_replace(struct rates_in_force *rates, const struct config *config,
    struct rate_table *table, uint64_t now_us)
{
    struct rate_change changes[RATE_SCOPES + 2 * AUTH_REALMS_MAX];
    struct rates_in_force next;
    size_t count = 0;
    rates_in_force_read(&next, config);
    for (enum rate_scope scope = RATE_GUESS_SOURCE; scope < RATE_SCOPES; scope++) {
        const bool by_realm = scope == RATE_ALLOCATION_USER || scope == RATE_ALLOCATION_REALM;
        for (unsigned realm = 0; realm < (by_realm ? AUTH_REALMS_MAX : 1); realm++) {
            struct rate_change c = {scope, (uint8_t)realm, rates_in_force_of(rates, scope, realm),
                rates_in_force_of(&next, scope, realm)};
            if (is_another(&c.before, &c.after)) {
                changes[count++] = c;
            }
        }
    }
    rate_table_rescale(table, changes, count, now_us);
    *rates = next;
}
