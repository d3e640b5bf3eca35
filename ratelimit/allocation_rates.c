/*
 * The levels of allocations a second. Called by relay on any worker.
 *
 * Always: who is refused at one level, or has to wait, has taken nothing from the others, but where
 * another worker took the last of a level between the question and the charge: who waits then pays
 * the narrower ones once more.
 */
#include "ratelimit/allocation_rates.h"

static void add(struct allocation_level levels[], unsigned *count, const struct rate_key *key,
    const struct rate *limit, enum reason reason)
{
    if (limit->count > 0)
        levels[(*count)++] = (struct allocation_level){*key, *limit, reason};
}

static void add_prefix(struct allocation_level levels[], unsigned *count, const struct addr *client,
    unsigned bits, const struct allocation_level *level)
{
    struct rate_key key = level->key;
    key.prefix = addr_masked(client, bits);
    key.bits = bits;
    add(levels, count, &key, &level->limit, level->reason);
}

static void add_prefixes(
    struct allocation_level levels[], unsigned *count, const struct allocation_asked *asked)
{
    const struct ratelimit_settings *limits = asked->limits;
    const bool v4 = asked->client.family == ADDR_IPV4;
    const struct allocation_level address = {{.scope = RATE_ALLOCATION_ADDRESS},
                                      limits->allocations_per_address, REASON_RATE_ADDRESS},
                                  prefix = {{.scope = RATE_ALLOCATION_PREFIX},
                                      limits->allocations_per_prefix, REASON_RATE_PREFIX},
                                  network = {{.scope = RATE_ALLOCATION_NETWORK},
                                      limits->allocations_per_network, REASON_RATE_NETWORK};
    add_prefix(levels, count, &asked->client, v4 ? 32 : 128, &address);
    add_prefix(levels, count, &asked->client, v4 ? 24 : 64, &prefix);
    if (!v4)
        add_prefix(levels, count, &asked->client, 48, &network);
}

unsigned allocation_rates_levels(const struct rate_table *t, const struct allocation_asked *asked,
    struct allocation_level levels[ALLOCATION_RATES_MAX])
{
    unsigned count = 0;
    const struct slice nobody = slice_of(NULL, 0);
    struct rate_key user = {.scope = RATE_ALLOCATION_USER, .realm = asked->realm},
                    realm = {.scope = RATE_ALLOCATION_REALM, .realm = asked->realm};
    const struct rate_key instance = {.scope = RATE_ALLOCATION_INSTANCE};
    if (asked->rates->allocations_per_user.count > 0)
        user.id = rate_table_id(t, asked->realm_name, asked->account);
    if (asked->rates->allocations_per_realm.count > 0)
        realm.id = rate_table_id(t, asked->realm_name, nobody);
    add(levels, &count, &user, &asked->rates->allocations_per_user, REASON_RATE_USER);
    add_prefixes(levels, &count, asked);
    add(levels, &count, &realm, &asked->rates->allocations_per_realm, REASON_RATE_REALM);
    add(levels, &count, &instance, &asked->limits->allocations_per_instance, REASON_RATE_INSTANCE);
    for (unsigned i = 0; i < count; i++) /* asked and charged */
        levels[i].key.name = rate_table_name(t, &levels[i].key);
    return count;
}

static enum rate_verdict ask_one(
    struct rate_table *t, const struct allocation_level *level, const struct rate_ask *ask)
{
    if (level->key.scope != RATE_ALLOCATION_INSTANCE)
        return rate_table_peek_shared(t, &level->key, &level->limit, ask);
    const struct gcra g = gcra_of(&level->limit);
    return rate_table_peek(t, &level->key, &g, ask->now_us) ? RATE_ADMITTED : RATE_OVER;
}

static enum rate_verdict charge_one(struct rate_table *t, const struct allocation_level *level,
    const struct rate_ask *ask, bool *report)
{
    if (level->key.scope != RATE_ALLOCATION_INSTANCE)
        return rate_table_admit_shared(t, &level->key, &level->limit, ask, report);
    const struct gcra g = gcra_of(&level->limit);
    return rate_table_admit(t, &level->key, &g, ask->now_us) ? RATE_ADMITTED : RATE_OVER;
}

bool allocation_rates_pending(
    struct rate_table *t, const struct allocation_level *level, const struct rate_ask *ask)
{
    return ask_one(t, level, ask) == RATE_WAIT;
}

/* Of a level that does not admit. */
static enum reason reason_of(const struct allocation_level *level, enum rate_verdict verdict,
    bool waits, struct allocation_level *pending)
{
    if (verdict == RATE_WAIT && waits) {
        *pending = *level;
        return REASON_LIMITS_PENDING;
    }
    return verdict == RATE_ALONE ? REASON_LIMITS_UNREACHABLE : level->reason;
}

/* Who is over one limit does not wait to hear of another; of those to hear of the first counts. */
static enum reason ask_all(struct rate_table *t, const struct allocation_level levels[],
    unsigned count, const struct allocation_asked *asked, struct allocation_level *pending)
{
    const struct rate_ask ask = {asked->now_us, asked->limits->deny_alone};
    enum reason reason = REASON_NONE;
    for (unsigned i = 0; i < count; i++) {
        const enum rate_verdict v = ask_one(t, &levels[i], &ask);
        if (v == RATE_ADMITTED || (v == RATE_WAIT && reason != REASON_NONE))
            continue;
        reason = reason_of(&levels[i], v, asked->waits, pending);
        if (reason != REASON_LIMITS_PENDING)
            return reason;
    }
    return reason;
}

enum reason allocation_rates_charge(struct rate_table *t, const struct allocation_asked *asked,
    struct allocation_level *pending, bool *report)
{
    struct allocation_level levels[ALLOCATION_RATES_MAX];
    const unsigned count = allocation_rates_levels(t, asked, levels);
    const struct rate_ask ask = {asked->now_us, asked->limits->deny_alone};
    const enum reason reason = ask_all(t, levels, count, asked, pending);
    if (reason != REASON_NONE)
        return reason;
    for (unsigned i = 0; i < count; i++) {
        const enum rate_verdict v = charge_one(t, &levels[i], &ask, report);
        if (v != RATE_ADMITTED)
            return reason_of(&levels[i], v, asked->waits, pending);
    }
    return REASON_NONE;
}
