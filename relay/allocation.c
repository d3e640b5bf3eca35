/*
 * Allocations: made, found by 5-tuple, refreshed, ended. What an allocation holds (sockets, ports,
 * quota) is given back here and nowhere else. Called by the request handlers, the timers and
 * relay_free.
 */
#include "relay/allocation.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/secret.h"
#include "relay/core.h"
#include "relay/flow_key.h"

static uint64_t key_hash(const struct relay *r, const struct flow_key *key)
{
    return flow_key_hash(r->deps.shared->hash_key, key);
}

static bool match_flow(uint32_t slot, const void *key, void *ctx)
{
    const struct relay *r = ctx;
    const struct allocation *a = slab_at(r->allocations, slot);
    struct flow_key mine = flow_key_of(&a->flow);
    return flow_key_equal(&mine, key);
}

struct allocation *allocation_find(const struct relay *r, const struct flow *flow)
{
    struct flow_key key = flow_key_of(flow);
    uint32_t slot = table_find(r->flows, key_hash(r, &key), match_flow, &key, (void *)r);
    return slot == TABLE_NOT_FOUND ? NULL : slab_at(r->allocations, slot);
}

static void fire(struct wheel_timer *timer, void *ctx);

int allocation_owner_copy(struct allocation_owner *owner, const struct identity *identity)
{
    owner->user = malloc(identity->user.len + 1);
    if (!owner->user) {
        return -ENOMEM;
    }
    memcpy(owner->user, identity->user.data, identity->user.len);
    owner->user[identity->user.len] = 0;
    owner->user_len = (uint16_t)identity->user.len;
    owner->realm = identity->realm;
    owner->source = identity->source;
    owner->expires_at = identity->expires_at;
    owner->issued = identity->issued;
    memcpy(owner->credential, identity->credential, sizeof(owner->credential));
    return 0;
}

void allocation_owner_wipe(struct allocation_owner *owner)
{
    free(owner->user);
    secret_cleanse(owner, sizeof(*owner));
}

/* Who is told an id by the log or the API can find the worker and the slot; nobody can guess one.
 * 0 or -errno. */
static int make_id(struct allocation *a)
{
    uint32_t random;
    const int rc = random_fill(a->relay->deps.random, &random, sizeof(random));
    if (rc) {
        return rc;
    }
    a->id = a->handle >> 32 << 32 | random;
    if (a->id == 0) {
        a->id = 1; /* 0 is no allocation's */
    }
    return 0;
}

struct allocation *allocation_new(struct relay *r, const struct flow *flow,
    const struct identity *identity, const struct quota_charge *charge, const struct instant *now)
{
    uint64_t handle;
    struct allocation *a = slab_alloc(r->allocations, &handle);
    if (!a) {
        return NULL;
    }
    a->handle = handle;
    a->relay = r;
    a->flow = *flow;
    a->created_us = now->mono_us;
    a->timer.fire = fire;
    struct flow_key key = flow_key_of(flow);
    if (allocation_owner_copy(&a->owner, identity) || make_id(a) || media_begin(a) ||
        usage_begin(a, a->owner.user_len, now) ||
        table_insert(r->flows, key_hash(r, &key), handle_slot(handle))) {
        media_end(a);
        free(a->usage.end);
        allocation_owner_wipe(&a->owner);
        slab_release(r->allocations, handle);
        return NULL;
    }
    a->charge = *charge;
    if (r->deps.shared->bandwidth) {
        bandwidth_begin(
            r->deps.shared->bandwidth, charge->user, identity->realm, identity_account(identity));
    }
    return a;
}

/* What was accepted for this socket in the same loop turn leaves before the socket goes: the last
 * words of a call come just before its Refresh 0. */
static void release_leg(struct allocation *a, struct relay_leg *leg)
{
    outbox_flush(a->relay->deps.outbox);
    relayed_close(a->relay, leg);
}

static void log_end(const struct allocation *a, enum end_reason why, const struct instant *now)
{
    log_event(LOG_INFO, "allocation_ended", log_hex64("id", a->id),
        log_str("why", end_reason_name(why)),
        log_str("transport", transport_name(a->flow.transport)),
        log_addr("client", &a->flow.remote),
        log_bytes("user", slice_of(a->owner.user, a->owner.user_len)),
        log_u64("seconds", (now->mono_us - a->created_us) / US_PER_S),
        log_u64("packets_to_peer", a->traffic.packets_to_peer),
        log_u64("bytes_to_peer", a->traffic.bytes_to_peer),
        log_u64("packets_to_client", a->traffic.packets_to_client),
        log_u64("bytes_to_client", a->traffic.bytes_to_client));
}

void allocation_end(struct allocation *a, enum end_reason why, const struct instant *now)
{
    struct relay *r = a->relay;
    counters_end(r->deps.counters, why);
    log_end(a, why, now);
    usage_end(a, why, now);
    wheel_disarm(r->wheel, &a->timer);
    for (unsigned i = 0; i < 2; i++) {
        if (a->legs[i].map) {
            release_leg(a, &a->legs[i]);
        }
    }
    allocation_count(a);
    quota_close(r->deps.shared->quotas, &a->charge);
    permission_list_deinit(&a->permissions);
    channel_list_deinit(&a->channels);
    struct flow_key key = flow_key_of(&a->flow);
    table_remove(r->flows, key_hash(r, &key), handle_slot(a->handle));
    media_end(a);
    allocation_owner_wipe(&a->owner);
    slab_release(r->allocations, a->handle);
}

static void give_back(struct allocation *a, unsigned permissions, unsigned channels)
{
    struct quota_table *quotas = a->relay->deps.shared->quotas;
    quota_give(quotas, &a->charge, QUOTA_PERMISSIONS, permissions);
    quota_give(quotas, &a->charge, QUOTA_CHANNELS, channels);
}

void allocation_end_leg(struct allocation *a, struct relay_leg *leg)
{
    uint8_t family = leg->family;
    release_leg(a, leg);
    a->ended_family = family;
    allocation_count(a);
    give_back(a, permission_remove_family(&a->permissions, family),
        channel_remove_family(&a->channels, family));
}

struct relay_leg *allocation_leg(struct allocation *a, uint8_t family)
{
    for (unsigned i = 0; i < 2; i++) {
        if (a->legs[i].map && a->legs[i].family == family) {
            return &a->legs[i];
        }
    }
    return NULL;
}

bool allocation_is_dual(const struct allocation *a)
{
    return a->legs[0].map && a->legs[1].map;
}

struct addr relay_leg_public(const struct relay_leg *leg)
{
    struct addr addr = *port_map_public(leg->map);
    addr.port = leg->port;
    return addr;
}

struct identity allocation_owner_identity(const struct allocation_owner *owner)
{
    struct identity id = {.realm = owner->realm,
        .source = owner->source,
        .user = slice_of(owner->user, owner->user_len),
        .expires_at = owner->expires_at,
        .issued = owner->issued};
    memcpy(id.credential, owner->credential, sizeof(id.credential));
    return id;
}

struct identity allocation_identity(const struct allocation *a)
{
    return allocation_owner_identity(&a->owner);
}

/* "the server computes the minimum of the client's requested lifetime and the server's maximum
 * allowed lifetime. If this computed value is greater than the default lifetime, then the "desired
 * lifetime" is the computed value. Otherwise, the "desired lifetime" is the default lifetime." */
uint32_t allocation_desired_lifetime(const struct relay_settings *settings, uint32_t asked_s)
{
    uint32_t computed = asked_s < settings->max_lifetime_s ? asked_s : settings->max_lifetime_s;
    return computed > settings->default_lifetime_s ? computed : settings->default_lifetime_s;
}

/* "The lifetime provided by the TURN server in the Allocate and Refresh responses MUST be less than
 * or equal to the lifetime of the token." (RFC 7635 section 9) Monotonic, microseconds. */
static uint64_t token_end(const struct allocation_owner *owner, const struct instant *now)
{
    if (owner->source != AUTH_SOURCE_OAUTH || owner->expires_at == 0) {
        return UINT64_MAX;
    }
    if (owner->expires_at <= now->wall_s) {
        return now->mono_us;
    }
    return now->mono_us + (uint64_t)(owner->expires_at - now->wall_s) * US_PER_S - now->wall_us;
}

uint32_t allocation_set_lifetime(
    struct allocation *a, uint8_t family, uint32_t lifetime_s, const struct instant *now)
{
    uint64_t end_of_age = a->created_us + a->relay->snapshot->relay.max_allocation_age_s * US_PER_S;
    uint64_t expires = now->mono_us + lifetime_s * US_PER_S;
    /* exception: a lifetime below the default near max_allocation_age, so that the ceiling holds
     * (THREATS row 18) */
    if (expires > end_of_age) {
        expires = end_of_age > now->mono_us ? end_of_age : now->mono_us;
    }
    const uint64_t end_of_token = token_end(&a->owner, now);
    expires = expires < end_of_token ? expires : end_of_token;
    for (unsigned i = 0; i < 2; i++) {
        if (a->legs[i].map && (family == ADDR_NONE || a->legs[i].family == family)) {
            a->legs[i].expires_us = expires;
        }
    }
    allocation_arm(a);
    return (uint32_t)((expires - now->mono_us) / US_PER_S);
}

uint32_t allocation_lifetime_left(const struct allocation *a, const struct instant *now)
{
    uint64_t latest = 0;
    for (unsigned i = 0; i < 2; i++) {
        if (a->legs[i].map && a->legs[i].expires_us > latest) {
            latest = a->legs[i].expires_us;
        }
    }
    return latest > now->mono_us ? (uint32_t)((latest - now->mono_us + US_PER_S - 1) / US_PER_S)
                                 : 0;
}

void allocation_arm(struct allocation *a)
{
    uint64_t next = permission_next_expiry(&a->permissions);
    uint64_t channel = channel_next_expiry(&a->channels);
    if (channel < next) {
        next = channel;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (a->legs[i].map && a->legs[i].expires_us < next) {
            next = a->legs[i].expires_us;
        }
    }
    wheel_arm(a->relay->wheel, &a->timer, next);
}

/* What bounded its lifetime at last. */
static enum end_reason why_expired(const struct allocation *a, const struct instant *now)
{
    const struct relay_settings *settings = &a->relay->snapshot->relay;
    const struct allocation_owner *owner = &a->owner;
    if (now->mono_us - a->created_us >= settings->max_allocation_age_s * US_PER_S) {
        return END_MAX_AGE;
    }
    const bool ends = settings->end_on_expiry || owner->source == AUTH_SOURCE_OAUTH;
    return ends && owner->expires_at != 0 && now->wall_s >= owner->expires_at ? END_CREDENTIAL_ENDED
                                                                              : END_EXPIRED;
}

/* "When an allocation expires, the state data associated with the allocation can be freed." (RFC
 * 8656 section 6) */
static void fire(struct wheel_timer *timer, void *ctx)
{
    struct relay *r = ctx;
    struct allocation *a = container_of(timer, struct allocation, timer);
    uint64_t now = r->now.mono_us;
    unsigned live = 0;
    for (unsigned i = 0; i < 2; i++) {
        live += a->legs[i].map && now < a->legs[i].expires_us;
    }
    if (live == 0) {
        allocation_end(a, why_expired(a, &r->now), &r->now);
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (a->legs[i].map && now >= a->legs[i].expires_us) {
            allocation_end_leg(a, &a->legs[i]);
        }
    }
    give_back(a, permission_purge(&a->permissions, now), channel_lapse(&a->channels, now));
    allocation_arm(a);
}
