/*
 * The four limits of guesses: on one pair of address and account, on an address's prefix, on an
 * IPv6 address's /48, and on an account.
 *
 * Always: who may not try is not counted either, so a locked pair takes nothing from its prefix,
 * its /48 and its account; asking takes nothing, so nobody is locked out by what succeeds. Workers
 * that judge at the same time may let as many guesses too many through as they are. Called by relay
 * on any worker.
 *
 * Pairs that find no place in the rate table share one (rate_table.h): under a flood of pairs from
 * one prefix its new pairs are held to one pair's rate together. Pairs that are locked already stay
 * so, and no other prefix's bucket is touched.
 */
#include "ratelimit/guesses.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "ratelimit/recent_logins.h"
#include <stdlib.h>

/* Half a megabyte. */
#define LOGINS 65536u

struct guesses {
    struct rate_table *rates;
    struct recent_logins *logins;
    uint8_t key[16];
};

struct guesses *guesses_new(struct rate_table *rates, const uint8_t key[16])
{
    struct guesses *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->rates = rates;
    memcpy(g->key, key, 16);
    g->logins = recent_logins_new(LOGINS);
    if (!g->logins) {
        free(g);
        return NULL;
    }
    return g;
}

void guesses_free(struct guesses *g)
{
    if (!g)
        return;
    recent_logins_free(g->logins);
    free(g);
}

static uint64_t account_id(const struct guesses *g, const struct guess *who)
{
    return rate_table_id(g->rates, who->realm_name, who->account);
}

/* "full address (/64)": whoever has an IPv6 address has its whole /64. */
static unsigned address_bits(const struct guess *who)
{
    return who->client.family == ADDR_IPV4 ? 32 : 64;
}

static struct rate_key source_key(const struct guesses *g, const struct guess *who)
{
    unsigned bits = address_bits(who);
    return (struct rate_key){.scope = RATE_GUESS_SOURCE,
        .prefix = addr_masked(&who->client, bits),
        .bits = bits,
        .id = account_id(g, who)};
}

static struct rate_key prefix_key(const struct guess *who)
{
    unsigned bits = who->client.family == ADDR_IPV4 ? 24 : 64;
    return (struct rate_key){
        .scope = RATE_GUESS_PREFIX, .prefix = addr_masked(&who->client, bits), .bits = bits};
}

static struct rate_key network_key(const struct guess *who)
{
    return (struct rate_key){
        .scope = RATE_GUESS_NETWORK, .prefix = addr_masked(&who->client, 48), .bits = 48};
}

/* IPv4 has none. */
static struct rate network_limit(const struct ratelimit_settings *limits, const struct guess *who)
{
    return who->client.family == ADDR_IPV6 ? limits->guesses_per_network : (struct rate){0};
}

static struct rate_key user_key(const struct guesses *g, const struct guess *who)
{
    return (struct rate_key){.scope = RATE_GUESS_USER, .id = account_id(g, who)};
}

/* Of address and account together. */
static uint64_t login_id(const struct guesses *g, const struct guess *who)
{
    const struct rate_key key = source_key(g, who);
    uint8_t text[sizeof(key.prefix.ip) + sizeof(key.id) + 1];
    memcpy(text, key.prefix.ip, sizeof(key.prefix.ip));
    memcpy(text + sizeof(key.prefix.ip), &key.id, sizeof(key.id));
    text[sizeof(text) - 1] = key.prefix.family;
    return crypto_siphash(g->key, text, sizeof(text));
}

static bool has_room(
    struct guesses *g, const struct rate_key *key, const struct rate *limit, uint64_t now_us)
{
    const struct rate_ask ask = {.now_us = now_us};
    return rate_table_peek_shared(g->rates, key, limit, &ask) == RATE_ADMITTED;
}

bool guesses_may_try(struct guesses *g, const struct ratelimit_settings *limits,
    const struct guess *who, uint64_t now_us)
{
    const struct rate_key source = source_key(g, who), prefix = prefix_key(who),
                          network = network_key(who), user = user_key(g, who);
    const struct rate of_network = network_limit(limits, who);
    if (!has_room(g, &source, &limits->guesses_per_source, now_us))
        return false;
    if (who->account.len == 0)
        return true;
    if (has_room(g, &prefix, &limits->guesses_per_prefix, now_us) &&
        has_room(g, &network, &of_network, now_us) &&
        has_room(g, &user, &limits->guesses_per_user, now_us))
        return true;
    return recent_logins_has(g->logins, login_id(g, who), (uint32_t)(now_us / US_PER_S));
}

void guesses_failed(struct guesses *g, const struct ratelimit_settings *limits,
    const struct guess *who, uint64_t now_us, bool *report)
{
    const struct rate_key source = source_key(g, who), prefix = prefix_key(who),
                          network = network_key(who), user = user_key(g, who);
    const struct rate of_network = network_limit(limits, who);
    const struct rate_ask ask = {.now_us = now_us};
    rate_table_admit_shared(g->rates, &source, &limits->guesses_per_source, &ask, report);
    if (who->account.len == 0)
        return;
    rate_table_admit_shared(g->rates, &prefix, &limits->guesses_per_prefix, &ask, report);
    rate_table_admit_shared(g->rates, &network, &of_network, &ask, report);
    rate_table_admit_shared(g->rates, &user, &limits->guesses_per_user, &ask, report);
}

void guesses_succeeded(struct guesses *g, const struct guess *who, uint64_t now_us)
{
    recent_logins_note(g->logins, login_id(g, who), (uint32_t)(now_us / US_PER_S));
}

void guesses_levels(const struct guesses *g, const struct ratelimit_settings *limits,
    const struct guess *who, struct guess_level levels[GUESSES_LEVELS])
{
    levels[0] = (struct guess_level){source_key(g, who), limits->guesses_per_source};
    levels[1] = (struct guess_level){prefix_key(who), limits->guesses_per_prefix};
    levels[2] = (struct guess_level){network_key(who), network_limit(limits, who)};
    levels[3] = (struct guess_level){user_key(g, who), limits->guesses_per_user};
}
