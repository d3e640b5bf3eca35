/* The ChannelBind method (RFC 8656 section 12.2). */
#include "relay/core.h"

#include "wire/channel_data.h"

static enum reason read_binding(const struct request *q, uint16_t *number, struct addr *peer)
{
    struct slice value;
    struct addr named;
    if (!stun_find(&q->msg, STUN_ATTR_CHANNEL_NUMBER, &value)) {
        return REASON_MISSING_ATTRIBUTE;
    }
    if (!stun_read_channel(value, number)) {
        return REASON_MALFORMED_ATTRIBUTE;
    }
    bool old_range = q->relay->snapshot->relay.rfc5766_channels;
    if (*number < CHANNEL_MIN || *number > (old_range ? CHANNEL_MAX_RFC5766 : CHANNEL_MAX)) {
        return REASON_CHANNEL_OUT_OF_RANGE;
    }
    if (!stun_find(&q->msg, STUN_ATTR_XOR_PEER_ADDRESS, &value)) {
        return REASON_MISSING_ATTRIBUTE;
    }
    if (!stun_read_xor_addr(&q->msg, value, &named) || named.port == 0) {
        return REASON_MALFORMED_ATTRIBUTE;
    }
    *peer = peer_from_wire(q->relay, &named);
    return REASON_NONE;
}

/* "The channel number is not currently bound to a different transport address (same transport
 * address is OK); The transport address is not currently bound to a different channel number." */
static bool conflicts(
    struct channel_list *l, uint16_t number, const struct addr *peer, uint64_t now_us)
{
    const struct channel *by_number = channel_find_number(l, number, now_us);
    if (by_number && !addr_equal(&by_number->peer, peer)) {
        return true;
    }
    const struct channel *by_peer = channel_find_peer(l, peer, now_us);
    return by_peer && by_peer->number != number;
}

/* Ports are judged here too, as far as a rule names them; a relayed port of ours need not be live
 * yet. */
static enum reason judge_peer(const struct request *q, const struct addr *peer)
{
    enum reason refused = peer_judge(q->relay, q->allocation, peer);
    if (!refused && peer_policy_send(q->relay->snapshot->policy, peer) == REASON_PEER_DENIED) {
        refused = REASON_PEER_FORBIDDEN;
    }
    return refused;
}

/* Room, caps and charges for a new channel and, where there is none, its permission: both or
 * neither. */
static enum reason make_room(struct request *q, bool new_channel, bool new_permission)
{
    struct allocation *a = q->allocation;
    const struct relay_settings *settings = &q->relay->snapshot->relay;
    const struct quota_limits limits = quota_limits_of(q->relay, q->allocation->owner.realm);
    struct quota_table *quotas = q->relay->deps.shared->quotas;
    if (new_channel && a->channels.count + 1u > settings->channels_per_allocation) {
        return REASON_CHANNEL_CAP;
    }
    if (new_permission && a->permissions.count + 1u > settings->permissions_per_allocation) {
        return REASON_PERMISSION_CAP;
    }
    if (channel_reserve(&a->channels, new_channel) ||
        permission_reserve(&a->permissions, new_permission)) {
        return REASON_MEMORY_EXHAUSTED;
    }
    enum reason refused = quota_take(quotas, &a->charge, &limits, QUOTA_CHANNELS, new_channel);
    if (refused) {
        return refused;
    }
    refused = quota_take(quotas, &a->charge, &limits, QUOTA_PERMISSIONS, new_permission);
    if (refused) {
        quota_give(quotas, &a->charge, QUOTA_CHANNELS, new_channel);
    }
    return refused;
}

static void purge_expired(struct request *q, uint16_t number, const struct addr *peer)
{
    struct allocation *a = q->allocation;
    struct quota_table *quotas = q->relay->deps.shared->quotas;
    uint64_t now = q->now->mono_us;
    bool kept = channel_is_kept(&a->channels, number, peer);
    bool live = channel_find_number(&a->channels, number, now) != NULL;
    quota_give(quotas, &a->charge, QUOTA_CHANNELS, channel_purge(&a->channels, now));
    quota_give(quotas, &a->charge, QUOTA_PERMISSIONS, permission_purge(&a->permissions, now));
    if (kept && !live) {
        counters_add(q->relay->deps.counters, METRIC_CHANNELS_REUSED, 1);
    }
}

struct verdict channel_bind_handle(struct request *q, struct reply_fields *reply)
{
    uint16_t number;
    struct addr peer;
    struct allocation *a = q->allocation;
    uint64_t now = q->now->mono_us;
    enum reason refused = read_binding(q, &number, &peer);
    if (refused) {
        return verdict_error(400, refused);
    }
    if (conflicts(&a->channels, number, &peer, now)) {
        return verdict_error(400, REASON_CHANNEL_CONFLICT);
    }
    refused = judge_peer(q, &peer);
    if (refused) {
        return verdict_error(refused == REASON_FAMILY_MISMATCH ? 443 : 403, refused);
    }
    purge_expired(q, number, &peer);
    bool new_channel = !channel_find_number(&a->channels, number, now);
    bool new_permission = !permission_find(&a->permissions, &peer, now);
    refused = make_room(q, new_channel, new_permission);
    if (refused) {
        return verdict_error(508, refused);
    }
    channel_bind(&a->channels, number, &peer, now);
    if (permission_install(&a->permissions, &peer, now)) {
        peer_log_permission(a, &peer);
    }
    allocation_arm(a);
    return verdict_success();
}
