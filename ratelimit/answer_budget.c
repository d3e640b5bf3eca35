/*
 * The levels of the answer budget, narrow to wide, so that one flooded address stops at its own
 * bucket and takes little from its neighbours'. Called by relay on any worker, when it is about to
 * answer a source that has not proven its address.
 */
#include "ratelimit/answer_budget.h"

static bool charge_level(struct rate_table *t, const struct rate *rate, enum rate_scope scope,
    const struct addr *source, unsigned bits, uint64_t now_us)
{
    if (rate->count == 0)
        return true;
    const struct gcra g = gcra_of(rate);
    const struct rate_key key = {.scope = scope, .prefix = addr_masked(source, bits), .bits = bits};
    return rate_table_admit(t, &key, &g, now_us);
}

bool answer_budget_charge(struct rate_table *t, const struct ratelimit_settings *limits,
    enum rate_scope scope, const struct addr *source, uint64_t now_us)
{
    if (source->family == ADDR_IPV4)
        return charge_level(t, &limits->unauthenticated_per_address, scope, source, 32, now_us) &&
               charge_level(t, &limits->unauthenticated_per_prefix, scope, source, 24, now_us);
    return charge_level(t, &limits->unauthenticated_per_address, scope, source, 128, now_us) &&
           charge_level(t, &limits->unauthenticated_per_prefix, scope, source, 64, now_us) &&
           charge_level(t, &limits->unauthenticated_per_network, scope, source, 48, now_us);
}

bool answer_budget_charge_handshake(struct rate_table *t, const struct ratelimit_settings *limits,
    const struct addr *source, uint64_t now_us)
{
    const struct rate *all = &limits->handshakes_per_instance;
    const struct gcra g = gcra_of(all);
    const struct rate_key everybody = {.scope = RATE_HANDSHAKE};
    return answer_budget_charge(t, limits, RATE_HANDSHAKE, source, now_us) &&
           (all->count == 0 || rate_table_admit(t, &everybody, &g, now_us));
}
