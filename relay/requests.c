/*
 * STUN messages from clients: parse, source, row of the method table, authentication if the row
 * says so, handler, verdict, reply. Nothing changes before the message's integrity is verified
 * (THREATS row 16), and nothing is kept for a source that has not proven itself (row 6). Called by
 * from_client.c, and by park.c for a request that waited.
 */
#include "relay/core.h"

#include "base/log.h"
#include "base/secret.h"
#include "relay/canonical.h"

struct method_row {
    uint16_t method;
    bool authenticated;
    bool needs_allocation;
    enum metric received;
    const char *name;
    struct verdict (*handle)(struct request *q, struct reply_fields *reply);
};

static const struct method_row methods[] = {
    {STUN_BINDING, false, false, METRIC_REQUESTS_BINDING, "binding", binding_handle},
    {STUN_ALLOCATE, true, false, METRIC_REQUESTS_ALLOCATE, "allocate", allocate_handle},
    {STUN_REFRESH, true, true, METRIC_REQUESTS_REFRESH, "refresh", refresh_handle},
    {STUN_CREATE_PERMISSION, true, true, METRIC_REQUESTS_PERMISSION, "create_permission",
        create_permission_handle},
    {STUN_CHANNEL_BIND, true, true, METRIC_REQUESTS_CHANNEL, "channel_bind", channel_bind_handle},
};

static const struct method_row *find_row(uint16_t method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (methods[i].method == method) {
            return &methods[i];
        }
    }
    return NULL;
}

static bool is_unicast(const struct addr *a)
{
    bool multicast = a->family == ADDR_IPV4 ? a->ip[0] >= 224 : a->ip[0] == 0xff;
    return !multicast && !addr_is_unspecified(a);
}

/*
 * Sources that are never answered, whatever they ask (THREATS row 5). Nobody forges the source of a
 * connection, and we open none, so no loop runs over one; a port of ours there would be another
 * protocol's.
 */
enum reason relay_judge_source(const struct relay *r, const struct flow *flow)
{
    const struct addr *source = &flow->remote;
    if (source->port == 0) {
        return REASON_SOURCE_PORT_ZERO;
    }
    if (!is_unicast(source)) {
        return REASON_SOURCE_NOT_UNICAST;
    }
    if (!is_unicast(&flow->local)) {
        return REASON_DESTINATION_NOT_UNICAST;
    }
    if (transport_is_stream(flow->transport)) {
        return REASON_NONE;
    }
    return peer_policy_is_ours(r->snapshot->policy, source) ? REASON_SOURCE_IS_OURS : REASON_NONE;
}

/* The kid of an access token is nobody's user name, and not always that of the next token. */
static bool same_user(const struct request *q)
{
    const struct allocation_owner *owner = &q->allocation->owner;
    const struct identity *said = &q->auth.identity;
    return q->auth.renews ||
           (owner->realm == said->realm &&
               (owner->source == AUTH_SOURCE_OAUTH) == (said->source == AUTH_SOURCE_OAUTH) &&
               slice_equal(slice_of(owner->user, owner->user_len), said->user));
}

/* An allocation that has one may go on with it, whatever has become of the realm since. */
static bool expects_token(const struct request *q)
{
    const struct auth *auth = q->relay->snapshot->auth;
    bool expects = (q->allocation && q->allocation->owner.source == AUTH_SOURCE_OAUTH) ||
                   auth_realm_third_party(auth, q->packet->realm).len > 0;
    for (uint32_t realm = 0; !expects && realm < auth_realm_count(auth); realm++) {
        expects = (q->packet->realms >> realm & 1) && auth_realm_third_party(auth, realm).len > 0;
    }
    return expects;
}

/*
 * "If a STUN server receives an ACCESS-TOKEN attribute unexpectedly (because it had not previously
 * sent out a THIRD-PARTY-AUTHORIZATION), it will respond with an error code of 420 (Unknown
 * Attribute)" (RFC 7635 section 7). exception: before authentication, which who has only a token
 * could never pass. True if that is the answer.
 */
static bool refuses_token(struct request *q)
{
    if (!stun_has(&q->msg, STUN_ATTR_ACCESS_TOKEN) || expects_token(q)) {
        return false;
    }
    stun_disown(&q->msg, STUN_ATTR_ACCESS_TOKEN);
    return true;
}

static struct verdict judge(
    struct request *q, const struct method_row *row, struct reply_fields *reply)
{
    /* "Any STUN request or indication without the magic cookie (see Section 6 of [RFC5389]) over
     * DTLS MUST always result in an error." (RFC 7350 section 3) */
    if (q->msg.classic && q->packet->flow.transport == TRANSPORT_DTLS) {
        return verdict_error(500, REASON_STUN_NO_COOKIE);
    }
    if (refuses_token(q)) {
        return verdict_error(420, REASON_UNKNOWN_ATTRIBUTE);
    }
    if (row->authenticated) {
        struct verdict v = authenticate(q);
        if (v.kind != VERDICT_SUCCESS) {
            return v;
        }
    }
    /* "Once the authentication checks are done, the STUN agent checks for unknown attributes" (RFC
     * 8489 section 6.3) */
    if (q->msg.unknown_count > 0) {
        return verdict_error(420, REASON_UNKNOWN_ATTRIBUTE);
    }
    if (!row->authenticated) {
        return row->handle(q, reply);
    }
    /* "a TURN server MUST NOT accept Teredo or 6to4 addresses in these requests" (RFC 8656
     * section 21.4) */
    if (canonical_is_tunnel(&q->packet->flow.remote)) {
        return verdict_error(403, REASON_SOURCE_TUNNEL);
    }
    if (row->needs_allocation && !q->allocation) {
        return verdict_error(437, REASON_NO_ALLOCATION);
    }
    /* "the request does not use the same username as used to create the allocation, then the
     * request MUST be rejected with a 441 (Wrong Credentials) error" (RFC 8656 section 5) */
    if (row->needs_allocation && !same_user(q)) {
        return verdict_error(441, REASON_WRONG_USER);
    }
    return row->handle(q, reply);
}

static void log_refusal(
    const struct request *q, const struct method_row *row, const struct verdict *v)
{
    if (!log_enabled(LOG_DEBUG)) {
        return;
    }
    const struct auth_result *said = &q->auth;
    const uint32_t realm = said->proven ? said->realm : q->packet->realm;
    const struct log_field fields[] = {log_hex64("id", q->allocation ? q->allocation->id : 0),
        log_str("method", row->name), log_u64("code", v->code),
        log_str("reason", reason_name(v->reason)), log_addr("client", &q->packet->flow.remote),
        log_bytes("realm", auth_realm_name(q->relay->snapshot->auth, realm)),
        log_bytes("user", said->identity.user.len > 0 ? said->identity.user : said->account),
        log_str("credential", said->identity.credential),
        log_i64(
            v->reason == REASON_CREDENTIAL_LIFETIME ? "over_by" : "expired_by", said->expired_s)};
    const size_t count = sizeof(fields) / sizeof(fields[0]);
    /* The last one says something of credentials that have expired, or would too late, only. */
    log_write(LOG_DEBUG, "request_refused", fields, said->expired_s != 0 ? count : count - 1);
}

static void answer(struct request *q, const struct method_row *row)
{
    struct counters *counters = q->relay->deps.counters;
    struct reply_fields reply = {0};
    const bool had = q->allocation != NULL;
    struct verdict v = judge(q, row, &reply);
    if (v.kind == VERDICT_PENDING) {
        /* Counted when it was parked first. */
        counters_add(counters, METRIC_CONSUMED, q->parked ? 0 : 1);
    } else if (v.kind == VERDICT_SILENT) {
        counters_drop(counters, v.reason); /* never of a re-run: those are answered */
    } else {
        if (v.kind == VERDICT_ERROR) {
            log_refusal(q, row, &v);
        }
        if (row->method == STUN_ALLOCATE) {
            round_trip_observe(q, v.kind == VERDICT_SUCCESS && !had);
        }
        reply_send(q, &v, &reply);
    }
    secret_cleanse(&q->auth.key, sizeof(q->auth.key));
}

static void request(struct request *q)
{
    struct relay *r = q->relay;
    const struct method_row *row = find_row(q->msg.method);
    if (!row) {
        counters_drop(r->deps.counters, REASON_STUN_UNKNOWN_METHOD);
        return;
    }
    enum reason source = q->parked ? REASON_NONE : relay_judge_source(r, &q->packet->flow);
    if (source) {
        counters_drop(r->deps.counters, source);
        return;
    }
    if (!q->parked) {
        counters_add(r->deps.counters, row->received, 1);
    }
    q->allocation = allocation_find(r, &q->packet->flow);
    answer(q, row);
    if (q->report && r->deps.report) {
        r->deps.report(r->deps.report_ctx);
    }
}

void requests_handle(
    struct relay *r, const struct packet *p, const struct instant *now, struct parked *parked)
{
    struct request q;
    q.relay = r;
    q.packet = p;
    q.now = now;
    q.parked = parked;
    q.allocation = NULL;
    q.authenticated = false;
    q.report = false;
    q.auth = (struct auth_result){0};
    enum reason bad = stun_parse(&q.msg, p->bytes);
    /* Over DTLS a request without the cookie is answered, with an error. */
    bool answered = bad == REASON_STUN_NO_COOKIE && p->flow.transport == TRANSPORT_DTLS &&
                    q.msg.class == STUN_REQUEST;
    if (bad && !answered) {
        counters_drop(r->deps.counters, bad);
        return;
    }
    if (q.msg.class == STUN_REQUEST) {
        request(&q);
    } else if (q.msg.class == STUN_INDICATION && q.msg.method == STUN_SEND) {
        from_client_send(r, p, &q.msg, now);
    } else if (q.msg.class == STUN_INDICATION && q.msg.method == STUN_BINDING) {
        /* A keep-alive of the client's NAT binding: "no response is generated for an indication" */
        counters_add(r->deps.counters, METRIC_CONSUMED, 1);
    } else {
        counters_drop(r->deps.counters, REASON_STUN_NOT_A_REQUEST);
    }
}
