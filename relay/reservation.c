/*
 * Reserved ports: N+1 of an EVEN-PORT pair, held for 30 seconds for a second allocation of the same
 * user. The token names the worker that owns the socket in its first byte; the rest is random. A
 * client's second 5-tuple often lands on another worker: then the request is parked, the owner is
 * asked, and the socket travels. A reservation holds a charge like an allocation, so that tokens
 * are no way around a quota (THREATS row 13). Called by allocate.c and relay.c.
 */
#include "relay/core.h"

struct slab *reservation_slab_new(unsigned worker, uint32_t cap)
{
    return slab_new(worker, sizeof(struct reservation), cap);
}

/* A kid is no user, and the next token of the same client may have another: what one access token
 * has reserved is for those of its realm. No user has an empty name. */
static uint64_t tag_of(const struct request *q)
{
    const struct identity *said = &q->auth.identity;
    const size_t len = said->source == AUTH_SOURCE_OAUTH ? 0 : said->user.len;
    uint8_t bytes[4 + STUN_USERNAME_MAX];
    memcpy(bytes, &said->realm, 4);
    memcpy(bytes + 4, said->user.data, len);
    return crypto_siphash(q->relay->deps.shared->hash_key, bytes, 4 + len);
}

static uint64_t token_hash(const struct relay *r, const uint8_t token[8])
{
    return crypto_siphash(r->deps.shared->hash_key, token, 8);
}

static bool match_token(uint32_t slot, const void *key, void *ctx)
{
    const struct relay *r = ctx;
    const struct reservation *v = slab_at(r->reservations, slot);
    return memcmp(v->token, key, sizeof(v->token)) == 0;
}

static struct reservation *find(const struct relay *r, const uint8_t token[8])
{
    uint32_t slot = table_find(r->tokens, token_hash(r, token), match_token, token, (void *)r);
    return slot == TABLE_NOT_FOUND ? NULL : slab_at(r->reservations, slot);
}

/* Frees the entry; the leg must have been moved out or closed. */
static void forget(struct reservation *v)
{
    struct relay *r = v->relay;
    table_remove(r->tokens, token_hash(r, v->token), handle_slot(v->handle));
    wheel_disarm(r->wheel, &v->timer);
    quota_close(r->deps.shared->quotas, &v->charge);
    allocation_owner_wipe(&v->owner);
    slab_release(r->reservations, v->handle);
}

static void fire(struct wheel_timer *timer, void *ctx)
{
    struct reservation *v = container_of(timer, struct reservation, timer);
    counters_add(v->relay->deps.counters, METRIC_RESERVATIONS_EXPIRED, 1);
    reservation_end(v);
}

/* A token that names this worker and is otherwise random (THREATS row 9), entered in the table. */
static int name_reservation(struct relay *r, struct reservation *v, uint64_t handle)
{
    if (random_fill(r->deps.random, v->token, sizeof(v->token))) {
        return -1;
    }
    v->token[0] = (uint8_t)r->deps.worker;
    v->handle = handle;
    return table_insert(r->tokens, token_hash(r, v->token), handle_slot(handle));
}

enum reason reservation_make(struct request *q, struct relay_leg *leg, uint8_t token[8])
{
    struct relay *r = q->relay;
    struct quota_charge charge = {0};
    const struct quota_limits limits = quota_limits_of(r, q->auth.identity.realm);
    const struct quota_asked asked = quota_asked_of(q, &limits);
    enum reason refused = quota_open(r->deps.shared->quotas, &charge, &asked, &q->report);
    if (refused) {
        return refused;
    }
    uint64_t handle;
    struct reservation *v = slab_alloc(r->reservations, &handle);
    bool owned = v && allocation_owner_copy(&v->owner, &q->auth.identity) == 0;
    if (!owned || name_reservation(r, v, handle)) {
        quota_close(r->deps.shared->quotas, &charge);
        if (v) {
            allocation_owner_wipe(&v->owner);
            slab_release(r->reservations, handle);
        }
        return owned ? REASON_RANDOM_FAILED : REASON_MEMORY_EXHAUSTED;
    }
    v->relay = r;
    v->leg = *leg;
    v->charge = charge;
    v->user_tag = tag_of(q);
    v->timer.fire = fire;
    wheel_arm(r->wheel, &v->timer, q->now->mono_us + RESERVATION_LIFETIME_US);
    memcpy(token, v->token, sizeof(v->token));
    counters_add(r->deps.counters, METRIC_RESERVATIONS_CREATED, 1);
    return REASON_NONE;
}

void reservation_end(struct reservation *v)
{
    relayed_close(v->relay, &v->leg);
    forget(v);
}

void reservation_cancel(struct relay *r, const uint8_t token[8])
{
    struct reservation *v = find(r, token);
    if (v) {
        reservation_end(v);
    }
}

static enum reason claim_here(
    struct request *q, const uint8_t token[8], struct relay_leg *leg, struct quota_charge *charge)
{
    struct reservation *v = find(q->relay, token);
    if (!v || v->user_tag != tag_of(q)) {
        return REASON_RESERVATION_UNKNOWN;
    }
    *leg = v->leg;
    *charge = v->charge;
    v->charge = (struct quota_charge){0};
    port_map_set_live(leg->map, leg->port, true);
    forget(v);
    counters_add(q->relay->deps.counters, METRIC_RESERVATIONS_USED, 1);
    return REASON_NONE;
}

/* The re-run of a parked request: the parcel has come, or will not. */
static enum reason claim_parcel(
    struct request *q, struct relay_leg *leg, struct quota_charge *charge)
{
    struct relay *r = q->relay;
    struct parked_claim *claim = &q->parked->claim;
    struct parcel *parcel = &claim->parcel;
    uint64_t socket;
    if (parcel->fd < 0) {
        return claim->late ? REASON_PARKING_TIMEOUT : REASON_RESERVATION_UNKNOWN;
    }
    struct port_map *map = port_maps_find(r->deps.shared->ports, &parcel->local);
    struct addr local = parcel->local;
    if (!map || r->deps.sockets.adopt(r->deps.sockets.ctx, parcel, HANDLE_NONE, &socket)) {
        return REASON_SOCKET_FAILED;
    }
    parcel->fd = -1;
    *charge = claim->charge;
    claim->charge = (struct quota_charge){0};
    *leg = (struct relay_leg){
        .map = map, .socket = socket, .port = local.port, .family = local.family};
    port_map_set_live(map, local.port, true);
    counters_add(r->deps.counters, METRIC_RESERVATIONS_USED, 1);
    return REASON_NONE;
}

static enum reason claim_there(struct request *q, const uint8_t token[8], bool *pending)
{
    struct relay *r = q->relay;
    struct relay_message m = {
        .kind = RELAY_CLAIM, .from = (uint8_t)r->deps.worker, .user_tag = tag_of(q)};
    enum reason refused = park_for_claim(q, &m.parked);
    if (refused) {
        return refused;
    }
    memcpy(m.token, token, sizeof(m.token));
    m.parcel.fd = -1;
    if (r->deps.post(r->deps.post_ctx, token[0], &m)) {
        park_cancel(q, m.parked);
        return REASON_MAILBOX_FULL;
    }
    *pending = true;
    return REASON_NONE;
}

enum reason reservation_claim(struct request *q, const uint8_t token[8], struct relay_leg *leg,
    struct quota_charge *charge, bool *pending)
{
    struct relay *r = q->relay;
    if (q->parked && q->parked->claim.settled) {
        return claim_parcel(q, leg, charge);
    }
    if (token[0] == r->deps.worker) {
        return claim_here(q, token, leg, charge);
    }
    if (token[0] >= r->deps.worker_count) {
        return REASON_RESERVATION_UNKNOWN;
    }
    return claim_there(q, token, pending);
}

/* A full mailbox on the way back is counted here, its request by the asker's deadline. */
static void refuse(struct relay *r, const struct relay_message *m)
{
    struct relay_message answer = {
        .kind = RELAY_REFUSED, .from = (uint8_t)r->deps.worker, .parked = m->parked};
    answer.parcel.fd = -1;
    if (r->deps.post(r->deps.post_ctx, m->from, &answer)) {
        counters_refuse(r->deps.counters, REASON_MAILBOX_FULL);
    }
}

void reservation_answer(struct relay *r, struct relay_message *m)
{
    struct relay_sockets *sockets = &r->deps.sockets;
    struct reservation *v = find(r, m->token);
    struct relay_message answer = {
        .kind = RELAY_GRANTED, .from = (uint8_t)r->deps.worker, .parked = m->parked};
    if (!v || v->user_tag != m->user_tag ||
        sockets->detach(sockets->ctx, v->leg.socket, &answer.parcel)) {
        refuse(r, m);
        return;
    }
    answer.charge = v->charge;
    if (r->deps.post(r->deps.post_ctx, m->from, &answer) == 0) {
        v->charge = (struct quota_charge){0};
        forget(v);
        return;
    }
    counters_refuse(r->deps.counters, REASON_MAILBOX_FULL);
    /* It stays here until it is asked for again or expires. */
    if (sockets->adopt(sockets->ctx, &answer.parcel, HANDLE_NONE, &v->leg.socket)) {
        reservation_discard(r, &answer.parcel, &v->charge);
        v->leg = (struct relay_leg){0};
        forget(v);
    }
}

void reservation_end_all(struct relay *r)
{
    for (uint32_t i = 0; i < slab_slots(r->reservations); i++) {
        struct reservation *v = slab_at(r->reservations, i);
        if (v) {
            reservation_end(v);
        }
    }
}

void reservation_discard(struct relay *r, struct parcel *parcel, struct quota_charge *charge)
{
    quota_close(r->deps.shared->quotas, charge);
    struct port_map *map = port_maps_find(r->deps.shared->ports, &parcel->local);
    uint16_t port = parcel->local.port;
    r->deps.sockets.discard(r->deps.sockets.ctx, parcel);
    parcel->fd = -1;
    if (map) {
        port_map_release(map, port);
    }
}
