/*
 * Password guesses (THREATS row 19): failures under a verified nonce, by who sends them and whom
 * they name. Limits of the fleet, where the rate table is shared. All workers use it: atomics, no
 * lock, fixed size. Over a limit a request goes
 * unanswered, right password or not; its neighbours do not notice.
 */
#ifndef RATELIMIT_GUESSES_H
#define RATELIMIT_GUESSES_H

#include "base/addr.h"
#include "base/counters.h"
#include "base/slice.h"
#include "ratelimit/rate_table.h"
#include "ratelimit/ratelimit_settings.h"

struct guesses;

/* Who guesses: any flow of this address (/32 or /64) that names this account of this realm. The
 * account is empty where nobody is named: only the limit of address and account together holds. */
struct guess {
    struct addr client;
    struct slice realm_name; /* the same on every instance */
    struct slice account;
};

/* `rates`: borrowed for life. `key`: 16 random bytes. NULL: out of memory. */
struct guesses *guesses_new(struct rate_table *rates, const uint8_t key[16]);
void guesses_free(struct guesses *g); /* NULL: nothing happens */

/* May this one still try? Takes nothing. */
bool guesses_may_try(struct guesses *g, const struct ratelimit_settings *limits,
    const struct guess *who, uint64_t now_us);
/* A failure: counts against address and account together, against the address's prefix, an IPv6
 * one's /48, and against the account. *report: as rate_table_admit_shared. */
void guesses_failed(struct guesses *g, const struct ratelimit_settings *limits,
    const struct guess *who, uint64_t now_us, bool *report);
/* A success: for 24 h only the limit of address and account together holds for these two, neither
 * those of the prefix and the /48 nor that of the account, which strangers can exhaust. */
void guesses_succeeded(struct guesses *g, const struct guess *who, uint64_t now_us);

/* The buckets that a failure is counted in, for who wants to look at them: pair, prefix, /48 (of
 * IPv4 no limit), account. */
#define GUESSES_LEVELS 4
struct guess_level {
    struct rate_key key;
    struct rate limit;
};
void guesses_levels(const struct guesses *g, const struct ratelimit_settings *limits,
    const struct guess *who, struct guess_level levels[GUESSES_LEVELS]);

#endif
