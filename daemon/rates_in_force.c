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

static void rescale(const struct rates_in_force *before, const struct rates_in_force *after,
    struct rate_table *table, const struct rate_key *whose, uint64_t now_us)
{
    const struct rate was = rates_in_force_of(before, whose->scope, whose->realm),
                      is = rates_in_force_of(after, whose->scope, whose->realm);
    if (was.count != is.count || was.period_s != is.period_s || was.burst != is.burst) {
        rate_table_rescale(table, whose->scope, whose->realm, &was, &is, now_us);
    }
}

void rates_in_force_replace(struct rates_in_force *rates, const struct config *config,
    struct rate_table *table, uint64_t now_us)
{
    struct rates_in_force next;
    rates_in_force_read(&next, config);
    for (enum rate_scope scope = RATE_GUESS_SOURCE; scope < RATE_SCOPES; scope++) {
        const bool by_realm = scope == RATE_ALLOCATION_USER || scope == RATE_ALLOCATION_REALM;
        for (unsigned realm = 0; realm < (by_realm ? AUTH_REALMS_MAX : 1); realm++) {
            const struct rate_key whose = {.scope = scope, .realm = (uint8_t)realm};
            rescale(rates, &next, table, &whose, now_us);
        }
    }
    *rates = next;
}
