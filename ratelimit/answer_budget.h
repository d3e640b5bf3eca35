/*
 * How many answers a source that has not proven its address may draw (THREATS row 4): by address,
 * by /24 or /64, and by /48 for IPv6. The caller charges it when, and only when, it is about to
 * answer such a source over UDP. Handshakes of TLS and DTLS, which only a proven address begins,
 * have buckets of their own beside these: nobody empties them for somebody else. Many together may
 * still have more signed than the instance has time for: that has a rate of its own.
 */
#ifndef RATELIMIT_ANSWER_BUDGET_H
#define RATELIMIT_ANSWER_BUDGET_H

#include "ratelimit/rate_table.h"

/* True: answer. All levels admit or the answer is not sent; what a narrower level has taken by then
 * stays taken. */
bool answer_budget_charge(struct rate_table *t, const struct ratelimit_settings *limits,
    enum rate_scope scope, const struct addr *source, uint64_t now_us);

/* One handshake: first by the levels above, as RATE_HANDSHAKE, then by the instance's own rate. */
bool answer_budget_charge_handshake(struct rate_table *t, const struct ratelimit_settings *limits,
    const struct addr *source, uint64_t now_us);

#endif
