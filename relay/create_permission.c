/* The CreatePermission method (RFC 8656 section 10.2): all permissions of a request or none. */
#include "relay/core.h"

struct peers {
    struct addr items[STUN_ATTRIBUTES_MAX];
    unsigned count;
};

/* "If no such attribute exists, or if any of these attributes are invalid, then a 400 (Bad Request)
 * error is returned." */
static enum reason read_peers(const struct request *q, struct peers *peers)
{
    struct slice value;
    unsigned index = 0;
    peers->count = 0;
    while (stun_next(&q->msg, STUN_ATTR_XOR_PEER_ADDRESS, &index, &value)) {
        struct addr peer;
        if (!stun_read_xor_addr(&q->msg, value, &peer)) {
            return REASON_MALFORMED_ATTRIBUTE;
        }
        peer.port = 0;
        peers->items[peers->count++] = peer_from_wire(q->relay, &peer);
    }
    return peers->count > 0 ? REASON_NONE : REASON_MISSING_ATTRIBUTE;
}

static bool named_before(const struct peers *peers, unsigned i)
{
    for (unsigned k = 0; k < i; k++) {
        if (addr_equal_ip(&peers->items[k], &peers->items[i])) {
            return true;
        }
    }
    return false;
}

static unsigned count_new(
    struct allocation *a, const struct peers *peers, const struct instant *now)
{
    unsigned fresh = 0;
    for (unsigned i = 0; i < peers->count; i++) {
        fresh += !permission_find(&a->permissions, &peers->items[i], now->mono_us) &&
                 !named_before(peers, i);
    }
    return fresh;
}

/* Room, caps and charges for all of them, before the first is installed. */
static enum reason make_room(struct request *q, const struct peers *peers)
{
    struct allocation *a = q->allocation;
    struct quota_table *quotas = q->relay->deps.shared->quotas;
    quota_give(
        quotas, &a->charge, QUOTA_PERMISSIONS, permission_purge(&a->permissions, q->now->mono_us));
    unsigned fresh = count_new(a, peers, q->now);
    if (a->permissions.count + fresh > q->relay->snapshot->relay.permissions_per_allocation &&
        fresh > 0) {
        return REASON_PERMISSION_CAP;
    }
    if (permission_reserve(&a->permissions, fresh)) {
        return REASON_MEMORY_EXHAUSTED;
    }
    const struct quota_limits limits = quota_limits_of(q->relay, a->owner.realm);
    return quota_take(quotas, &a->charge, &limits, QUOTA_PERMISSIONS, fresh);
}

struct verdict create_permission_handle(struct request *q, struct reply_fields *reply)
{
    struct peers peers;
    enum reason refused = read_peers(q, &peers);
    if (refused) {
        return verdict_error(400, refused);
    }
    for (unsigned i = 0; i < peers.count; i++) {
        refused = peer_judge(q->relay, q->allocation, &peers.items[i]);
        if (refused) {
            return verdict_error(refused == REASON_FAMILY_MISMATCH ? 443 : 403, refused);
        }
    }
    refused = make_room(q, &peers);
    if (refused) {
        return verdict_error(508, refused);
    }
    for (unsigned i = 0; i < peers.count; i++) {
        if (permission_install(&q->allocation->permissions, &peers.items[i], q->now->mono_us)) {
            peer_log_permission(q->allocation, &peers.items[i]);
        }
    }
    allocation_arm(q->allocation);
    return verdict_success();
}
