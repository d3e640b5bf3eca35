/*
 * Peers as a request names them: 1:1 NAT translation, and the judgement that CreatePermission and
 * ChannelBind share.
 */
#include "relay/core.h"

#include "base/log.h"

struct addr peer_from_wire(const struct relay *r, const struct addr *addr)
{
    struct addr out = *addr;
    const struct port_map *map = port_maps_find(r->deps.shared->ports, addr);
    if (map) {
        out = *port_map_public(map);
        out.port = addr->port;
    }
    return out;
}

struct addr peer_to_wire(const struct relay *r, const struct addr *peer)
{
    struct addr out = *peer;
    const struct port_map *map = port_maps_find(r->deps.shared->ports, peer);
    if (map) {
        out = *port_map_local(map);
        out.port = peer->port;
    }
    return out;
}

enum reason peer_judge(const struct relay *r, struct allocation *a, const struct addr *peer)
{
    /* "If an XOR-PEER-ADDRESS attribute contains an address of an address family that is not the
     * same as that of a relayed transport address for the allocation, the server MUST generate an
     * error response with the 443 (Peer Address Family Mismatch) response code." (RFC 8656
     * section 10.2) */
    if (!allocation_leg(a, peer->family)) {
        return REASON_FAMILY_MISMATCH;
    }
    return peer_policy_permission(r->snapshot->policy, peer);
}

void peer_log_permission(struct allocation *a, const struct addr *peer)
{
    struct addr relayed = relay_leg_public(allocation_leg(a, peer->family));
    log_event(LOG_INFO, "permission_created", log_hex64("id", a->id),
        log_addr("client", &a->flow.remote), log_addr("relayed", &relayed), log_addr("peer", peer),
        log_bytes("user", slice_of(a->owner.user, a->owner.user_len)));
}
