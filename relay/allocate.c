/*
 * The Allocate method: the checks of RFC 8656 section 7.2 in their order, then rate, quota, ports
 * and sockets, then the allocation. What was taken is given back when a later step fails; a rate is
 * of what is asked for, and keeps what it was charged.
 */
#include "relay/core.h"

#include "base/log.h"
#include "ratelimit/allocation_rates.h"

#define PROTOCOL_UDP 17

/* What the request asks for. */
struct wishes {
    uint8_t family;     /* of the first leg */
    bool dual;          /* ADDITIONAL-ADDRESS-FAMILY: IPv6 too */
    bool even, reserve; /* EVEN-PORT, and its R bit */
    bool claims;        /* RESERVATION-TOKEN */
    uint8_t token[8];
    uint32_t lifetime_s;
};

/* What was taken for it so far. */
struct grant {
    struct relay_leg legs[2];
    struct relay_leg reserved; /* N+1 of a pair */
    uint8_t token[8];
    bool has_token;
    uint8_t missing_family; /* of a dual allocation that is met in part */
    uint16_t missing_code;
    bool paid;                     /* its rates are charged */
    struct allocation_level level; /* that is to be heard of, while they are not */
    struct quota_charge charge;
};

static struct verdict malformed(void)
{
    return verdict_error(400, REASON_MALFORMED_ATTRIBUTE);
}

/* "If the REQUESTED-TRANSPORT attribute is not included or is malformed, the server rejects the
 * request with a 400 (Bad Request) error. Otherwise, if … a protocol that is not supported by the
 * server, … 442" */
static struct verdict check_transport(const struct stun_msg *msg)
{
    struct slice value;
    uint8_t protocol;
    if (!stun_find(msg, STUN_ATTR_REQUESTED_TRANSPORT, &value)) {
        return verdict_error(400, REASON_MISSING_ATTRIBUTE);
    }
    if (!stun_read_transport(value, &protocol)) {
        return malformed();
    }
    return protocol == PROTOCOL_UDP ? verdict_success()
                                    : verdict_error(442, REASON_TRANSPORT_UNSUPPORTED);
}

/*
 * exception: the number of the drafts counts as well, where the value is one that the attribute can
 * have: Debian 12's turnutils_uclient and what is built on its library know no other.
 */
static bool find_additional(const struct stun_msg *msg, struct slice *value)
{
    enum addr_family family;
    struct slice draft;
    if (stun_find(msg, STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY, value)) {
        return true;
    }
    if (!stun_find(msg, STUN_ATTR_ADDITIONAL_ADDRESS_FAMILY_DRAFT, &draft) ||
        !stun_read_family(draft, &family) || family == ADDR_NONE) {
        return false;
    }
    *value = draft;
    return true;
}

/* "If yes, and the request also contains an EVEN-PORT or REQUESTED-ADDRESS-FAMILY or
 * ADDITIONAL-ADDRESS-FAMILY attribute, the server rejects the request with a 400" */
static struct verdict read_token(const struct stun_msg *msg, struct wishes *w)
{
    struct slice value, family;
    if (!stun_find(msg, STUN_ATTR_RESERVATION_TOKEN, &value)) {
        return verdict_success();
    }
    if (stun_has(msg, STUN_ATTR_EVEN_PORT) || stun_has(msg, STUN_ATTR_REQUESTED_ADDRESS_FAMILY) ||
        find_additional(msg, &family)) {
        return verdict_error(400, REASON_CONFLICTING_ATTRIBUTES);
    }
    if (!stun_read_token(value, w->token)) {
        return malformed();
    }
    w->claims = true;
    return verdict_success();
}

static struct verdict read_families(
    const struct relay *r, const struct stun_msg *msg, struct wishes *w)
{
    struct slice requested, additional;
    enum addr_family family = ADDR_IPV4;
    bool has_requested = stun_find(msg, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, &requested);
    w->dual = find_additional(msg, &additional);
    if (has_requested && w->dual) {
        return verdict_error(400, REASON_CONFLICTING_ATTRIBUTES);
    }
    if (has_requested && !stun_read_family(requested, &family)) {
        return malformed();
    }
    w->family = (uint8_t)family;
    if (w->dual) {
        /* "the attribute value is 0x01 (IPv4 address family), then the server rejects the request
         * with a 400"; "The attribute value of 0x02 (IPv6 address) is the only valid value in
         * Allocate request." (section 18.11) */
        enum addr_family other;
        if (!stun_read_family(additional, &other) || other != ADDR_IPV6) {
            return malformed();
        }
        return verdict_success();
    }
    if (!w->claims && !relayed_family_supported(r, w->family)) {
        return verdict_error(440, REASON_FAMILY_UNSUPPORTED);
    }
    return verdict_success();
}

static struct verdict read_even_port(const struct stun_msg *msg, struct wishes *w)
{
    struct slice value;
    w->even = stun_find(msg, STUN_ATTR_EVEN_PORT, &value);
    if (w->even && !stun_read_even_port(value, &w->reserve)) {
        return malformed();
    }
    /* "EVEN-PORT attribute with the R bit set to 1. If yes, and the request also contains an
     * ADDITIONAL-ADDRESS-FAMILY attribute, the server rejects the request with a 400" */
    return w->reserve && w->dual ? verdict_error(400, REASON_CONFLICTING_ATTRIBUTES)
                                 : verdict_success();
}

static struct verdict read_lifetime(
    const struct relay *r, const struct stun_msg *msg, struct wishes *w)
{
    struct slice value;
    uint32_t asked = 0;
    if (stun_find(msg, STUN_ATTR_LIFETIME, &value) && !stun_read_u32(value, &asked)) {
        return malformed();
    }
    w->lifetime_s = allocation_desired_lifetime(&r->snapshot->relay, asked);
    return verdict_success();
}

static struct verdict read_wishes(const struct request *q, struct wishes *w)
{
    *w = (struct wishes){0};
    struct verdict v = check_transport(&q->msg);
    if (v.kind == VERDICT_SUCCESS) {
        v = read_token(&q->msg, w);
    }
    if (v.kind == VERDICT_SUCCESS) {
        v = read_families(q->relay, &q->msg, w);
    }
    if (v.kind == VERDICT_SUCCESS) {
        v = read_even_port(&q->msg, w);
    }
    return v.kind == VERDICT_SUCCESS ? read_lifetime(q->relay, &q->msg, w) : v;
}

static void give_back(struct request *q, struct grant *g)
{
    relayed_close(q->relay, &g->legs[0]);
    relayed_close(q->relay, &g->legs[1]);
    relayed_close(q->relay, &g->reserved);
    quota_close(q->relay->deps.shared->quotas, &g->charge);
}

/*
 * "At any point, the server MAY choose to reject the request with a 486 (Allocation Quota Reached)
 * error if it feels the client is trying to exceed some locally defined allocation quota. […] it
 * SHOULD define it based on the username used to authenticate the request and not on the client's
 * transport address." (RFC 8656 section 7.2) "No more allocations using this username can be
 * created at the present time." (section 19): so 486 is of users, and of a realm, which is all of
 * its users. For everything else: "The server is unable to carry out the request due to some
 * capacity limit being reached."
 */
static uint16_t code_of(enum reason reason)
{
    switch (reason) {
    case REASON_QUOTA_USER:
    case REASON_QUOTA_REALM:
    case REASON_RATE_USER:
    case REASON_RATE_REALM:
        return 486;
    case REASON_FAMILY_UNSUPPORTED:
        return 440;
    case REASON_RANDOM_FAILED:
        return 500;
    default:
        return 508;
    }
}

/* "If the server can partially meet the request, i.e., if it can only allocate one relayed
 * transport address of a specific address type, then it includes ADDRESS-ERROR-CODE attribute in
 * the success response" */
static enum reason open_dual(struct request *q, const struct wishes *w, struct grant *g)
{
    static const uint8_t families[2] = {ADDR_IPV4, ADDR_IPV6};
    enum reason refused[2];
    for (unsigned i = 0; i < 2; i++) {
        struct relay_leg opened[2];
        refused[i] =
            relayed_family_supported(q->relay, families[i])
                ? relayed_open(q->relay, families[i], w->even ? RELAYED_EVEN : RELAYED_ANY, opened)
                : REASON_FAMILY_UNSUPPORTED;
        if (refused[i]) {
            g->missing_family = families[i];
            g->missing_code = refused[i] == REASON_FAMILY_UNSUPPORTED ? 440 : 508;
        } else {
            g->legs[i] = opened[0];
        }
    }
    if (!refused[0] || !refused[1]) {
        return REASON_NONE;
    }
    /* "If the server cannot satisfy the request, then the server rejects the request with a 508":
     * one family that is only short of something outweighs one that does not exist here. */
    return refused[0] == REASON_FAMILY_UNSUPPORTED ? refused[1] : refused[0];
}

static enum reason open_single(struct request *q, const struct wishes *w, struct grant *g)
{
    struct relay_leg opened[2] = {{0}};
    enum relayed_parity parity = w->reserve ? RELAYED_PAIR : w->even ? RELAYED_EVEN : RELAYED_ANY;
    enum reason refused = relayed_open(q->relay, w->family, parity, opened);
    if (refused) {
        return refused;
    }
    g->legs[0] = opened[0];
    if (!w->reserve) {
        return REASON_NONE;
    }
    g->reserved = opened[1];
    refused = reservation_make(q, &g->reserved, g->token);
    if (!refused) {
        g->has_token = true;
        g->reserved = (struct relay_leg){0}; /* the reservation's now */
    }
    return refused;
}

static enum reason open_legs(struct request *q, const struct wishes *w, struct grant *g)
{
    if (w->dual) {
        return open_dual(q, w, g);
    }
    return open_single(q, w, g);
}

static void adopt_legs(struct allocation *a, const struct grant *g)
{
    struct relay_sockets *sockets = &a->relay->deps.sockets;
    for (unsigned i = 0; i < 2; i++) {
        a->legs[i] = g->legs[i];
        if (a->legs[i].map) {
            sockets->set_owner(sockets->ctx, a->legs[i].socket, a->handle);
            a->relayed[a->relayed_count++] = relay_leg_public(&a->legs[i]);
        }
    }
    allocation_count(a);
}

static struct allocation *create(struct request *q, const struct wishes *w, const struct grant *g)
{
    struct allocation *a =
        allocation_new(q->relay, &q->packet->flow, &q->auth.identity, &g->charge, q->now);
    if (!a) {
        return NULL;
    }
    a->owner.key = q->auth.key;
    a->nonce_tag = authenticate_nonce_tag(q);
    memcpy(a->transaction, q->msg.transaction, sizeof(a->transaction));
    if (g->has_token) {
        memcpy(a->token, g->token, sizeof(a->token));
        a->has_token = true;
    }
    a->missing_family = g->missing_family;
    a->missing_code = g->missing_code;
    adopt_legs(a, g);
    allocation_set_lifetime(a, ADDR_NONE, w->lifetime_s, q->now);
    counters_add(q->relay->deps.counters, METRIC_ALLOCATIONS_CREATED, 1);
    return a;
}

static void log_created(const struct allocation *a, uint32_t lifetime_s)
{
    /* A dual allocation is two relayed addresses: one line each, tied by the id. */
    for (unsigned i = 0; i < 2; i++) {
        if (!a->legs[i].map) {
            continue;
        }
        struct addr relayed = relay_leg_public(&a->legs[i]);
        log_event(LOG_INFO, "allocation_created", log_hex64("id", a->id),
            log_str("transport", transport_name(a->flow.transport)),
            log_addr("client", &a->flow.remote), log_addr("server", &a->flow.local),
            log_addr("relayed", &relayed),
            log_bytes("realm", auth_realm_name(a->relay->snapshot->auth, a->owner.realm)),
            log_bytes("user", slice_of(a->owner.user, a->owner.user_len)),
            log_str("credential", a->owner.credential), log_u64("lifetime", lifetime_s));
    }
}

/* Used for the first response and for retransmissions alike: "the server can stop parsing the
 * request and immediately generate a success response." (RFC 8656 section 7.2, note) */
static void describe(
    const struct allocation *a, const struct instant *now, struct reply_fields *reply)
{
    for (unsigned i = 0; i < 2; i++) {
        if (a->legs[i].map) {
            reply->relayed[reply->relayed_count++] = relay_leg_public(&a->legs[i]);
        }
    }
    reply->has_mapped = true;
    reply->has_lifetime = true;
    reply->lifetime_s = allocation_lifetime_left(a, now);
    reply->has_token = a->has_token;
    memcpy(reply->token, a->token, sizeof(reply->token));
    reply->address_error_family = a->missing_family;
    reply->address_error_code = a->missing_code;
}

static bool is_retransmission(const struct request *q)
{
    const struct allocation *a = q->allocation;
    return memcmp(a->transaction, q->msg.transaction, sizeof(a->transaction)) == 0 &&
           a->owner.realm == q->auth.identity.realm &&
           slice_equal(slice_of(a->owner.user, a->owner.user_len), q->auth.identity.user);
}

static enum reason charge_rates(struct request *q, struct grant *g, bool waits)
{
    const struct relay_snapshot *snapshot = q->relay->snapshot;
    const struct identity *said = &q->auth.identity;
    const struct allocation_asked asked = {.limits = &snapshot->limits,
        .rates = &snapshot->rates[said->realm],
        .realm = (uint8_t)said->realm,
        .realm_name = auth_realm_name(snapshot->auth, said->realm),
        .account = identity_account(said),
        .client = q->packet->flow.remote,
        .now_us = q->now->mono_us,
        .waits = waits};
    return allocation_rates_charge(q->relay->deps.shared->rates, &asked, &g->level, &q->report);
}

/* Rates once for each that asks for an allocation and could have one: not again for one that comes
 * back from a wait. The quota of a reserved port was charged with it. */
static enum reason charge(struct request *q, const struct wishes *w, struct grant *g, bool waits)
{
    const enum reason refused = g->paid ? REASON_NONE : charge_rates(q, g, waits);
    if (refused) {
        return refused;
    }
    g->paid = true;
    g->level = (struct allocation_level){0};
    if (w->claims) {
        return REASON_NONE;
    }
    const struct quota_limits limits = quota_limits_of(q->relay, q->auth.identity.realm);
    struct quota_asked asked = quota_asked_of(q, &limits);
    asked.waits = waits;
    return quota_open(q->relay->deps.shared->quotas, &g->charge, &asked, &q->report);
}

/* Where limits of the fleet cannot be judged yet it waits; where it cannot wait, it is refused by
 * the limit that it would have waited for. */
static struct verdict charge_or_wait(struct request *q, const struct wishes *w, struct grant *g)
{
    g->paid = q->parked && q->parked->limits.paid;
    enum reason refused = charge(q, w, g, true);
    if (refused == REASON_LIMITS_PENDING) {
        /* What came before this is seen now, and what comes after it wakes us. */
        park_heed_answers(q->relay);
        refused = charge(q, w, g, true);
    }
    if (refused == REASON_LIMITS_PENDING) {
        if (!park_for_limits(q, g->paid, &g->level)) {
            return (struct verdict){VERDICT_PENDING, 0, REASON_NONE};
        }
        refused = charge(q, w, g, false);
    }
    return refused ? verdict_error(code_of(refused), refused) : verdict_success();
}

/* The reservation's charge becomes the allocation's. */
static struct verdict take_reserved(struct request *q, const struct wishes *w, struct grant *g)
{
    bool pending = false;
    enum reason refused = reservation_claim(q, w->token, &g->legs[0], &g->charge, &pending);
    if (pending) {
        return (struct verdict){VERDICT_PENDING, 0, REASON_NONE};
    }
    return refused ? verdict_error(code_of(refused), refused) : verdict_success();
}

/* Fills in *g. On failure whatever is in it is the caller's to give back. */
static struct verdict take(struct request *q, const struct wishes *w, struct grant *g)
{
    /* A repetition, which is charged nothing. */
    if (park_has(q)) {
        return (struct verdict){VERDICT_SILENT, 0, REASON_PARKED_DUPLICATE};
    }
    const struct verdict v = charge_or_wait(q, w, g);
    if (v.kind != VERDICT_SUCCESS) {
        return v;
    }
    if (w->claims) {
        return take_reserved(q, w, g);
    }
    const enum reason refused = open_legs(q, w, g);
    return refused ? verdict_error(code_of(refused), refused) : verdict_success();
}

struct verdict allocate_handle(struct request *q, struct reply_fields *reply)
{
    if (q->allocation) {
        if (!is_retransmission(q)) {
            return verdict_error(437, REASON_ALLOCATION_EXISTS);
        }
        describe(q->allocation, q->now, reply);
        return verdict_success();
    }
    struct wishes wishes;
    struct grant grant = {0};
    struct verdict v = read_wishes(q, &wishes);
    if (v.kind != VERDICT_SUCCESS) {
        return v;
    }
    /* "at any point, the server MAY choose to reject the request with a 300 (Try Alternate) error"
     * (RFC 8656 section 7.2). A port that was reserved here is nowhere else: its claim goes on. */
    if (q->relay->snapshot->drain.on && !wishes.claims) {
        return drain_redirect(q, reply);
    }
    v = take(q, &wishes, &grant);
    if (v.kind != VERDICT_SUCCESS) {
        give_back(q, &grant);
        return v;
    }
    struct allocation *a = create(q, &wishes, &grant);
    if (!a) {
        if (grant.has_token) {
            reservation_cancel(q->relay, grant.token);
        }
        give_back(q, &grant);
        return verdict_error(508, REASON_ALLOCATION_CAP);
    }
    q->allocation = a;
    log_created(a, allocation_lifetime_left(a, q->now));
    describe(a, q->now, reply);
    return verdict_success();
}
