/*
 * How long clients take to answer a challenge, seen without remembering whom we challenged: the
 * nonce carries its time.
 *
 * What always holds: only the first authenticated Allocate request that carries a nonce is
 * measured, and only if it makes an allocation: a client that asks again later, with the nonce it
 * has, says nothing about the network. Only a nonce of this instance is: two clocks are not
 * compared. Of nonces that were used nothing is kept but 32 bits each of the latest few, and only
 * of clients that have proven themselves. Called by requests.c.
 */
#include "relay/core.h"

/* False: it was seen before. One that shares the slot of a later one is forgotten. */
static bool is_first_answer(struct relay *r, uint32_t tag)
{
    uint32_t *slot = &r->answered[tag % ANSWERED_CHALLENGES];
    if (*slot == tag) {
        return false;
    }
    *slot = tag;
    return true;
}

void round_trip_observe(const struct request *q, bool made)
{
    const struct nonce_facts *nonce = &q->auth.nonce;
    if (!q->authenticated || !nonce->own || !is_first_answer(q->relay, nonce->tag) || !made) {
        return;
    }
    counters_observe(
        q->relay->deps.counters, HISTOGRAM_CLIENT_RTT, nonce->age_ms * (int64_t)US_PER_MS);
}
