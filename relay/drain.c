/*
 * Draining: an Allocate request that would make something new is sent to another server, or refused
 * for want of one; everything that lives here goes on, until the deadline of the drain ends it.
 *
 * Always: before the deadline nothing ends for a drain, and nothing but Allocate hears of it; what
 * is refused for it is neither charged nor counted against any limit. Called by allocate.c and
 * relay.c.
 */
#include "relay/core.h"

/* Allocations that one tick ends, so that a worker with all of them goes on answering. */
#define DRAIN_ENDED_A_TICK 2048

/* The n-th alternate as this client is to be told of it, unless it is this server itself: a list
 * that all instances have names each of them. */
static bool is_elsewhere(const struct request *q, size_t n, struct addr *out)
{
    const struct relay_snapshot *s = q->relay->snapshot;
    struct addr server = s->drain.alternates.servers[n];
    if (server.port == 0) {
        server.port = q->packet->flow.local.port;
    }
    if (peer_policy_is_ours(s->policy, &server)) {
        return false;
    }
    *out = server;
    return true;
}

/* One of the family, by the request's transaction: clients spread over all, and one that repeats
 * itself is told the same. */
static bool choose(const struct request *q, enum addr_family family, struct addr *out)
{
    const struct drain_alternates *all = &q->relay->snapshot->drain.alternates;
    const uint64_t first = crypto_siphash(
        q->relay->deps.shared->hash_key, q->msg.transaction, sizeof(q->msg.transaction));
    for (size_t i = 0; i < all->count; i++) {
        const size_t n = (first % all->count + i) % all->count;
        if (all->servers[n].family == family && is_elsewhere(q, n, out)) {
            return true;
        }
    }
    return false;
}

/* "If the transaction uses TLS or DTLS, if the transaction is authenticated by a
 * MESSAGE-INTEGRITY-SHA256 attribute, and if the server wants to redirect to a server that uses a
 * different certificate, then it MUST include an ALTERNATE-DOMAIN attribute" (RFC 8489 section 10)
 */
static bool is_told_domain(const struct request *q)
{
    const uint8_t transport = q->packet->flow.transport;
    return q->auth.sign_sha256 && (transport == TRANSPORT_TLS || transport == TRANSPORT_DTLS) &&
           q->relay->snapshot->drain.alternates.domain[0] != '\0';
}

/*
 * "The server MUST include at least one ALTERNATE-SERVER attribute in the error response, which
 * MUST contain an IP address of the same address family as the source IP address of the request
 * message. The server SHOULD include an additional ALTERNATE-SERVER attribute, after the mandatory
 * one, that contains an IP address of the address family other than the source IP address" (RFC
 * 8489 section 10). Where there is none of that family, 508: "The server is unable to carry out the
 * request due to some capacity limit being reached." (RFC 8656 section 19)
 */
struct verdict drain_redirect(const struct request *q, struct reply_fields *reply)
{
    const enum addr_family family = q->packet->flow.remote.family;
    const enum addr_family other = family == ADDR_IPV4 ? ADDR_IPV6 : ADDR_IPV4;
    if (!choose(q, family, &reply->alternates[0])) {
        return verdict_error(508, REASON_DRAINING);
    }
    reply->alternate_count = choose(q, other, &reply->alternates[1]) ? 2 : 1;
    reply->has_alternate_domain = is_told_domain(q);
    return verdict_error(300, REASON_DRAINING);
}

void drain_advance(struct relay *r, const struct instant *now)
{
    const struct relay_drain *drain = &r->snapshot->drain;
    if (!drain->on || now->mono_us < drain->deadline_us || relay_allocations(r) == 0) {
        return;
    }
    unsigned ended = 0;
    for (uint32_t i = 0; i < slab_slots(r->allocations) && ended < DRAIN_ENDED_A_TICK; i++) {
        struct allocation *a = slab_at(r->allocations, i);
        if (a) {
            allocation_end(a, END_DRAINED, now);
            ended++;
        }
    }
}
