/*
 * The straight path from a client to a peer. Both media forms take the same steps: find the
 * allocation, the channel or the peer, the permission, the peer policy, the media guard, the
 * bandwidth, and into the outbox as a slice. Nothing is copied, nothing is allocated, nothing
 * waits. Whatever is not media goes to requests.c.
 */
#include "relay/core.h"

#include "wire/channel_data.h"
#include "wire/demux.h"

#define UDP_PAYLOAD_MAX 65507 /* bytes: 65535 − 8 (UDP) − 20 (IPv4) */

struct media {
    struct addr peer; /* as the client names it */
    struct slice payload;
    bool dont_fragment;
};

static void drop(struct relay *r, enum reason reason)
{
    counters_drop(r->deps.counters, reason);
}

/* Of a client that has an allocation. */
static void drop_of(struct relay *r, struct allocation *a, enum reason reason)
{
    a->traffic.dropped_to_peer++;
    counters_drop(r->deps.counters, reason);
}

/* The one egress towards peers: there is no way around the permission and the policy (THREATS row
 * 2). */
static enum reason send_to_peer(
    struct relay *r, struct allocation *a, const struct media *m, uint8_t tos)
{
    uint64_t now = r->now.mono_us;
    if (!permission_find(&a->permissions, &m->peer, now)) {
        return REASON_NO_PERMISSION;
    }
    enum reason denied = peer_policy_send(r->snapshot->policy, &m->peer);
    if (denied) {
        return denied;
    }
    const struct relay_leg *leg = allocation_leg(a, m->peer.family);
    if (!leg) {
        return REASON_NO_PERMISSION;
    }
    if (m->payload.len > UDP_PAYLOAD_MAX) {
        return REASON_DATAGRAM_TOO_BIG;
    }
    enum reason bad = guard_judge(r, a, SRTP_TO_PEER, m->payload);
    if (bad) {
        return bad;
    }
    enum reason over = bandwidth_judge(r, a, BANDWIDTH_TO_PEER, m->payload.len);
    if (over) {
        return over;
    }
    struct outbox_entry *e = outbox_append(r->deps.outbox);
    e->target = OUTBOX_TO_PEER;
    e->media = true;
    e->tos = tos;
    e->dont_fragment = m->dont_fragment;
    e->body = m->payload;
    e->socket = leg->socket;
    e->peer = peer_to_wire(r, &m->peer);
    a->traffic.packets_to_peer++;
    a->traffic.bytes_to_peer += m->payload.len;
    return REASON_NONE;
}

static void channel_data(struct relay *r, const struct packet *p)
{
    struct channel_data data;
    bool old_range = r->snapshot->relay.rfc5766_channels;
    enum reason bad = old_range ? channel_data_parse_rfc5766(&data, p->bytes)
                                : channel_data_parse(&data, p->bytes);
    if (bad) {
        drop(r, bad);
        return;
    }
    struct allocation *a = allocation_find(r, &p->flow);
    if (!a) {
        drop(r, REASON_NO_ALLOCATION_MEDIA);
        return;
    }
    /* "If the ChannelData message is received on a channel that is not bound to any peer, then the
     * message is silently discarded." (RFC 8656 section 12.6) */
    const struct channel *channel = channel_find_number(&a->channels, data.number, r->now.mono_us);
    if (!channel) {
        drop_of(r, a, REASON_NO_CHANNEL);
        return;
    }
    struct media m = {channel->peer, data.payload, false};
    enum reason refused = send_to_peer(r, a, &m, p->tos);
    if (refused) {
        drop_of(r, a, refused);
    }
}

/*
 * "IPv4 Fragmentation fields (applicable only for IPv4-to-IPv4 relay) … in response to a Send
 * indication containing the DONT-FRAGMENT attribute, then set the outgoing UDP packet to not
 * fragment." (RFC 8656 section 14) Between other families a client over UDP or DTLS is not heeded,
 * but "ignoring the DONT-FRAGMENT attribute is only applicable for UDP-to-UDP relay and not for
 * TCP-to-UDP relay" (section 13).
 */
static bool may_set_df(const struct flow *flow, const struct addr *peer)
{
    return transport_is_stream(flow->transport) ||
           (flow->remote.family == ADDR_IPV4 && peer->family == ADDR_IPV4);
}

/* "The Send indication MUST contain both an XOR-PEER-ADDRESS attribute and a DATA attribute. If one
 * of these attributes is missing or invalid, then the message is discarded." (RFC 8656
 * section 11.2) */
static bool read_send(const struct relay *r, const struct stun_msg *msg, struct media *m)
{
    struct slice value;
    if (msg->unknown_count > 0 || !stun_find(msg, STUN_ATTR_XOR_PEER_ADDRESS, &value) ||
        !stun_read_xor_addr(msg, value, &m->peer) || !stun_find(msg, STUN_ATTR_DATA, &m->payload)) {
        return false;
    }
    m->peer = peer_from_wire(r, &m->peer);
    return true;
}

void from_client_send(
    struct relay *r, const struct packet *p, const struct stun_msg *msg, const struct instant *now)
{
    struct media m;
    struct allocation *a = allocation_find(r, &p->flow);
    if (!a) {
        drop(r, REASON_NO_ALLOCATION_MEDIA);
        return;
    }
    if (!read_send(r, msg, &m)) {
        drop_of(r, a, REASON_SEND_MALFORMED);
        return;
    }
    m.dont_fragment = stun_has(msg, STUN_ATTR_DONT_FRAGMENT) && may_set_df(&p->flow, &m.peer);
    enum reason refused = send_to_peer(r, a, &m, p->tos);
    if (refused) {
        drop_of(r, a, refused);
    }
}

void relay_from_client(struct relay *r, const struct packet *p, const struct instant *now)
{
    r->now = *now;
    switch (demux(p->bytes)) {
    case DEMUX_CHANNEL:
        channel_data(r, p);
        return;
    case DEMUX_STUN:
        requests_handle(r, p, now, NULL);
        return;
    case DEMUX_EMPTY:
        drop(r, REASON_EMPTY_DATAGRAM);
        return;
    default:
        if (r->snapshot->relay.rfc5766_channels && (p->bytes.data[0] & 0xc0) == 0x40) {
            channel_data(r, p);
            return;
        }
        drop(r, REASON_NOT_STUN);
        return;
    }
}
