/*
 * The one place that builds responses. What goes to a source that has not proven its address is as
 * small as the protocol allows (THREATS row 4): no SOFTWARE, no reason phrase, and only while its
 * answer budget lasts. Called by requests.c.
 */
#include "relay/core.h"

#include "ratelimit/answer_budget.h"
#include "wire/stun_writer.h"

#define REPLY_MAX                                                                                  \
    1280 /* a challenge with the longest realm, 763 bytes, and every other attribute */
/* A 420 of 36 bytes: header 20, ERROR-CODE 8, UNKNOWN-ATTRIBUTES with two types 8. */
#define UNKNOWN_SHOWN_UNPROVEN 2
#define SOFTWARE_NAME          "turnpike"

/*
 * A refresh, which a spoofed flood of its prefix must not kill: on the 5-tuple of a live allocation
 * a nonce of ours that has only aged, or the one that was good there last, whatever has become of
 * its key since: it is kept for two hours, and goes with the secret. Nobody but the client knows
 * either. Anything else about a live 5-tuple can be forged and is charged.
 */
static bool is_of_living(const struct request *q)
{
    return q->allocation && (q->auth.reason == REASON_STALE_NONCE ||
                                (q->auth.reason == REASON_FOREIGN_NONCE &&
                                    q->allocation->nonce_tag == authenticate_nonce_tag(q)));
}

/* "An answer budget is charged when, and only when, an unproven source is about to be answered over
 * UDP." */
static bool may_answer(const struct request *q)
{
    const struct relay *r = q->relay;
    if (q->auth.proven || q->parked || q->packet->flow.transport != TRANSPORT_UDP) {
        return true;
    }
    if (is_of_living(q)) {
        return true;
    }
    enum rate_scope scope = q->msg.method == STUN_BINDING ? RATE_ANSWER_BINDING : RATE_ANSWER_OTHER;
    return answer_budget_charge(r->deps.shared->rates, &r->snapshot->limits, scope,
        &q->packet->flow.remote, q->now->mono_us);
}

bool relay_charge_answer(struct relay *r, const struct addr *source, const struct instant *now)
{
    return answer_budget_charge(
        r->deps.shared->rates, &r->snapshot->limits, RATE_ANSWER_OTHER, source, now->mono_us);
}

bool relay_charge_handshake(struct relay *r, const struct addr *source, const struct instant *now)
{
    return answer_budget_charge_handshake(
        r->deps.shared->rates, &r->snapshot->limits, source, now->mono_us);
}

/* "For an error code of 420 (Unknown Attribute), the server MUST include an UNKNOWN-ATTRIBUTES
 * attribute." */
static void write_unknown(const struct request *q, struct stun_writer *w)
{
    unsigned shown = q->msg.unknown_count;
    unsigned most = q->authenticated ? STUN_UNKNOWN_MAX : UNKNOWN_SHOWN_UNPROVEN;
    if (shown > most) {
        shown = most;
    }
    uint8_t types[2 * STUN_UNKNOWN_MAX];
    for (unsigned i = 0; i < shown; i++) {
        types[2 * i] = (uint8_t)(q->msg.unknown[i] >> 8);
        types[2 * i + 1] = (uint8_t)q->msg.unknown[i];
    }
    stun_write_attr(w, STUN_ATTR_UNKNOWN_ATTRIBUTES, slice_of(types, 2 * (size_t)shown));
}

/* "This attribute is used by the STUN server to inform the client that it supports third-party
 * authorization. This attribute value contains the STUN server name." (RFC 7635 section 6.1) Of the
 * realm that the challenge names, else of the first that a request here may name. */
static struct slice third_party(const struct request *q)
{
    const struct auth *auth = q->relay->snapshot->auth;
    struct slice server = auth_realm_third_party(auth, q->packet->realm);
    for (uint32_t realm = 0; server.len == 0 && realm < auth_realm_count(auth); realm++) {
        if (q->packet->realms >> realm & 1) {
            server = auth_realm_third_party(auth, realm);
        }
    }
    return server;
}

/* "This response MUST include a REALM value. The response MUST include a NONCE, selected by the
 * server." (RFC 8489 9.2.4) */
static int write_challenge(const struct request *q, struct stun_writer *w)
{
    const struct auth *auth = q->relay->snapshot->auth;
    const struct auth_realms realms = {q->packet->realm, q->packet->realms};
    uint8_t nonce[NONCE_LEN];
    if (auth_challenge_nonce(
            auth, q->relay->auth, &realms, &q->packet->flow.remote, q->now, nonce)) {
        return -1;
    }
    stun_write_attr(w, STUN_ATTR_REALM, auth_realm_name(auth, realms.home));
    stun_write_attr(w, STUN_ATTR_NONCE, slice_of(nonce, sizeof(nonce)));
    /* "If the server adds a PASSWORD-ALGORITHMS attribute, it MUST set the … bit to 1" and the
     * other way round. */
    if (auth_realms_features(auth, &realms) & NONCE_FEATURE_PASSWORD_ALGORITHMS) {
        stun_write_password_algorithms(w);
    }
    struct slice server = third_party(q);
    if (server.len > 0) {
        stun_write_attr(w, STUN_ATTR_THIRD_PARTY_AUTHORIZATION, server);
    }
    return 0;
}

/* Of a 300. "It is encoded in the same way as MAPPED-ADDRESS" (RFC 8489 section 14.15) */
static void write_alternates(
    const struct request *q, struct stun_writer *w, const struct reply_fields *f)
{
    for (unsigned i = 0; i < f->alternate_count; i++) {
        stun_write_addr(w, STUN_ATTR_ALTERNATE_SERVER, &f->alternates[i]);
    }
    if (f->has_alternate_domain) {
        stun_write_attr(w, STUN_ATTR_ALTERNATE_DOMAIN,
            slice_of_string(q->relay->snapshot->drain.alternates.domain));
    }
}

static int write_error(const struct request *q, struct stun_writer *w, uint16_t code,
    const struct reply_fields *fields)
{
    stun_write_error(w, code);
    write_alternates(q, w, fields);
    if (code == 420) {
        write_unknown(q, w);
    }
    return code == 401 || code == 438 ? write_challenge(q, w) : 0;
}

static void write_success(
    const struct request *q, struct stun_writer *w, const struct reply_fields *f)
{
    for (unsigned i = 0; i < f->relayed_count; i++) {
        stun_write_xor_addr(w, STUN_ATTR_XOR_RELAYED_ADDRESS, &f->relayed[i]);
    }
    if (f->has_mapped && q->msg.classic) {
        stun_write_addr(w, STUN_ATTR_MAPPED_ADDRESS, &q->packet->flow.remote);
    } else if (f->has_mapped) {
        stun_write_xor_addr(w, STUN_ATTR_XOR_MAPPED_ADDRESS, &q->packet->flow.remote);
    }
    if (f->has_lifetime) {
        stun_write_u32(w, STUN_ATTR_LIFETIME, f->lifetime_s);
    }
    if (f->has_token) {
        stun_write_attr(w, STUN_ATTR_RESERVATION_TOKEN, slice_of(f->token, sizeof(f->token)));
    }
    if (f->address_error_family) {
        const uint8_t value[4] = {f->address_error_family == ADDR_IPV4 ? 1 : 2, 0,
            (uint8_t)(f->address_error_code / 100), (uint8_t)(f->address_error_code % 100)};
        stun_write_attr(w, STUN_ATTR_ADDRESS_ERROR_CODE, slice_of(value, sizeof(value)));
    }
}

static size_t build(
    struct request *q, const struct verdict *v, const struct reply_fields *fields, uint8_t *room)
{
    struct stun_writer w;
    bool success = v->kind == VERDICT_SUCCESS;
    stun_write_begin(&w, room, REPLY_MAX, success ? STUN_SUCCESS : STUN_ERROR, q->msg.method,
        q->msg.transaction);
    if (success) {
        write_success(q, &w, fields);
    } else if (write_error(q, &w, v->code, fields)) {
        return 0;
    }
    if (q->authenticated) {
        if (q->relay->snapshot->relay.software) {
            stun_write_attr(&w, STUN_ATTR_SOFTWARE, slice_of_string(SOFTWARE_NAME));
        }
        stun_write_integrity(&w, q->relay->deps.crypto,
            slice_of(q->auth.key.bytes, q->auth.key.len), q->auth.sign_sha256);
    }
    if (q->msg.has_fingerprint) {
        stun_write_fingerprint(&w);
    }
    return stun_write_end(&w);
}

static enum request_method method_of(const struct request *q)
{
    switch (q->msg.method) {
    case STUN_ALLOCATE:
        return REQUEST_METHOD_ALLOCATE;
    case STUN_REFRESH:
        return REQUEST_METHOD_REFRESH;
    case STUN_CREATE_PERMISSION:
        return REQUEST_METHOD_CREATE_PERMISSION;
    case STUN_CHANNEL_BIND:
        return REQUEST_METHOD_CHANNEL_BIND;
    default:
        return REQUEST_METHOD_BINDING;
    }
}

static void count(const struct request *q, const struct verdict *v)
{
    struct counters *counters = q->relay->deps.counters;
    /* A request that waited was counted as consumed when it was parked. */
    if (!q->parked) {
        counters_add(counters, METRIC_CONSUMED, 1);
    }
    const bool success = v->kind == VERDICT_SUCCESS;
    const enum request_method method = method_of(q);
    counters_request(counters, method, request_code_of(method, success ? 0 : v->code));
    if (success) {
        counters_add(counters, METRIC_REQUESTS_SUCCEEDED, 1);
    } else {
        counters_refuse(counters, v->reason);
    }
}

void reply_send(struct request *q, const struct verdict *v, const struct reply_fields *fields)
{
    struct outbox *outbox = q->relay->deps.outbox;
    if (!may_answer(q)) {
        counters_drop(q->relay->deps.counters, REASON_ANSWER_BUDGET);
        return;
    }
    count(q, v);
    uint8_t *room = outbox_reserve(outbox, REPLY_MAX);
    size_t len = build(q, v, fields, room);
    outbox_trim(outbox, room, len);
    if (len == 0) {
        counters_refuse(q->relay->deps.counters, REASON_REPLY_TOO_LONG);
        counters_add(q->relay->deps.counters, METRIC_REPLIES_FAILED, 1);
        return;
    }
    struct outbox_entry *e = outbox_append(outbox);
    e->target = OUTBOX_TO_CLIENT;
    e->flow = q->packet->flow;
    e->head = slice_of(room, len);
}
