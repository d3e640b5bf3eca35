/*
 * The rates of the running configuration, by the scopes of the rate table; a copy, so that a reload
 * can tell what has changed. Control thread.
 */
#ifndef DAEMON_RATES_IN_FORCE_H
#define DAEMON_RATES_IN_FORCE_H

#include "config/config.h"
#include "ratelimit/rate_table.h"

struct rates_in_force {
    struct ratelimit_settings limits;
    struct realm_rates realms[AUTH_REALMS_MAX]; /* by id */
};

void rates_in_force_read(struct rates_in_force *out, const struct config *config);
/* Count 0: none. Of scopes that the whole instance shares whatever the realm, `realm` does not
 * matter. */
struct rate rates_in_force_of(
    const struct rates_in_force *rates, enum rate_scope scope, uint8_t realm);
/* Another configuration runs: what was taken under a rate that has changed stays taken. */
void rates_in_force_replace(struct rates_in_force *rates, const struct config *config,
    struct rate_table *table, uint64_t now_us);

#endif
