/*
 * The straight path from a peer to a client: the permission of the source, the peer policy, the
 * media guard, the bandwidth, and ChannelData or a Data indication into the outbox. Also ICMP
 * errors about what was sent to peers (RFC 8656 section 11.5).
 */
#include "relay/core.h"

#include "wire/channel_data.h"
#include "wire/stun_writer.h"

#define UDP_PAYLOAD_MAX     65507
#define INDICATION_HEAD_MAX 64 /* header 20, XOR-PEER-ADDRESS 24, DATA header 4 or ICMP 12 */
#define ICMP_VALUE_LEN      8

static void drop(struct relay *r, enum reason reason)
{
    counters_drop(r->deps.counters, reason);
}

static struct outbox_entry *append_to_client(struct relay *r, const struct allocation *a)
{
    struct outbox_entry *e = outbox_append(r->deps.outbox);
    e->target = OUTBOX_TO_CLIENT;
    e->flow = a->flow;
    return e;
}

static enum reason send_channel_data(
    struct relay *r, struct allocation *a, const struct channel *c, const struct peer_packet *p)
{
    if (p->bytes.len > UDP_PAYLOAD_MAX - CHANNEL_HEADER_LEN) {
        return REASON_DATAGRAM_TOO_BIG;
    }
    struct outbox_entry *e = append_to_client(r, a);
    e->media = true;
    e->tos = p->tos;
    e->header_len = CHANNEL_HEADER_LEN;
    channel_data_header(e->header, c->number, (uint16_t)p->bytes.len);
    e->body = p->bytes;
    /* "Over UDP, the padding is not required but MAY be included." (RFC 8656 section 12.5); streams
     * need it */
    e->padding = transport_is_stream(a->flow.transport) ? (uint8_t)(-p->bytes.len & 3) : 0;
    return REASON_NONE;
}

/* The head of a Data indication up to the data. Transaction ids of indications are random (RFC 8489
 * section 5). */
static int begin_indication(
    struct relay *r, struct stun_writer *w, uint8_t *room, const struct addr *peer)
{
    uint8_t transaction[STUN_TRANSACTION_LEN] = {0x21, 0x12, 0xa4, 0x42};
    if (r->pool_left < sizeof(transaction) - 4) {
        if (random_fill(r->deps.random, r->pool, sizeof(r->pool))) {
            return -1;
        }
        r->pool_left = sizeof(r->pool);
    }
    r->pool_left -= sizeof(transaction) - 4;
    memcpy(transaction + 4, r->pool + r->pool_left, sizeof(transaction) - 4);
    stun_write_begin(w, room, INDICATION_HEAD_MAX, STUN_INDICATION, STUN_DATA, transaction);
    stun_write_xor_addr(w, STUN_ATTR_XOR_PEER_ADDRESS, peer);
    return 0;
}

static enum reason send_data_indication(
    struct relay *r, struct allocation *a, const struct addr *peer, const struct peer_packet *p)
{
    struct stun_writer w;
    uint8_t *room = outbox_reserve(r->deps.outbox, INDICATION_HEAD_MAX);
    if (begin_indication(r, &w, room, peer)) {
        outbox_trim(r->deps.outbox, room, 0);
        return REASON_RANDOM_FAILED;
    }
    stun_write_attr_header(&w, STUN_ATTR_DATA, (uint16_t)p->bytes.len);
    size_t len = stun_write_end(&w);
    uint8_t padding = (uint8_t)(-p->bytes.len & 3);
    if (len == 0 || len + p->bytes.len + padding > UDP_PAYLOAD_MAX) {
        outbox_trim(r->deps.outbox, room, 0);
        return REASON_DATAGRAM_TOO_BIG;
    }
    outbox_trim(r->deps.outbox, room, len);
    struct outbox_entry *e = append_to_client(r, a);
    e->media = true;
    e->tos = p->tos;
    e->head = slice_of(room, len);
    e->body = p->bytes;
    e->padding = padding;
    return REASON_NONE;
}

static enum reason to_client(struct relay *r, struct allocation *a, const struct peer_packet *p)
{
    struct addr peer = peer_from_wire(r, &p->source);
    /* "If no match is found, relaying is not permitted and the server silently discards the UDP
     * datagram." (section 9) */
    if (!permission_find(&a->permissions, &peer, r->now.mono_us)) {
        return REASON_NO_PERMISSION;
    }
    enum reason denied = peer_policy_send(r->snapshot->policy, &peer);
    if (denied) {
        return denied;
    }
    enum reason bad = guard_judge(r, a, SRTP_TO_CLIENT, p->bytes);
    if (bad) {
        return bad;
    }
    enum reason over = bandwidth_judge(r, a, BANDWIDTH_TO_CLIENT, p->bytes.len);
    if (over) {
        return over;
    }
    /* "The server, on the other hand, MUST use the ChannelData message if a channel has been bound
     * to the peer." (section 12.5) */
    const struct channel *channel = channel_find_peer(&a->channels, &peer, r->now.mono_us);
    if (channel) {
        return send_channel_data(r, a, channel, p);
    }
    return send_data_indication(r, a, &peer, p);
}

void relay_from_peer(struct relay *r, const struct peer_packet *p, const struct instant *now)
{
    r->now = *now;
    struct allocation *a = slab_get(r->allocations, p->owner);
    if (!a) {
        drop(r, REASON_RELAY_CLOSED);
        return;
    }
    enum reason refused = to_client(r, a, p);
    if (refused) {
        a->traffic.dropped_to_client++;
        drop(r, refused);
        return;
    }
    a->traffic.packets_to_client++;
    a->traffic.bytes_to_client += p->bytes.len;
}

/* "the server verifies that the type is either 3 or 11 for an ICMPv4 packet or either 1, 2, or 3
 * for an ICMPv6 packet" (RFC 8656 section 11.5) */
static bool icmp_is_relayed(const struct icmp_error *e)
{
    if (e->destination.family == ADDR_IPV4) {
        return e->type == 3 || e->type == 11;
    }
    return e->type >= 1 && e->type <= 3;
}

/* "If the ICMPv6 type is 2 … or ICMPv4 type is 3 and Code is 4 …, the Error Data field will be set
 * to the Maximum Transmission Unit of the next-hop link" (RFC 8656 section 18.13); else it is zero.
 */
static uint32_t icmp_error_data(const struct icmp_error *e)
{
    bool too_big = e->destination.family == ADDR_IPV4 ? e->type == 3 && e->code == 4 : e->type == 2;
    return too_big ? e->mtu : 0;
}

static enum reason icmp_to_client(struct relay *r, struct allocation *a, const struct icmp_error *e)
{
    struct addr peer = peer_from_wire(r, &e->destination);
    if (!icmp_is_relayed(e)) {
        return REASON_ICMP_TYPE;
    }
    /* "the source IP address MUST NOT be checked against the permissions list … Instead, the server
     * extracts the destination IP address from the encapsulated IP header." (section 11.5) */
    if (!permission_find(&a->permissions, &peer, r->now.mono_us)) {
        return REASON_NO_PERMISSION;
    }
    struct stun_writer w;
    uint8_t *room = outbox_reserve(r->deps.outbox, INDICATION_HEAD_MAX);
    if (begin_indication(r, &w, room, &peer)) {
        outbox_trim(r->deps.outbox, room, 0);
        return REASON_RANDOM_FAILED;
    }
    uint32_t mtu = icmp_error_data(e);
    const uint8_t value[ICMP_VALUE_LEN] = {0, 0, e->type, e->code, (uint8_t)(mtu >> 24),
        (uint8_t)(mtu >> 16), (uint8_t)(mtu >> 8), (uint8_t)mtu};
    stun_write_attr(&w, STUN_ATTR_ICMP, slice_of(value, sizeof(value)));
    size_t len = stun_write_end(&w);
    outbox_trim(r->deps.outbox, room, len);
    struct outbox_entry *out = append_to_client(r, a);
    out->head = slice_of(room, len);
    counters_add(r->deps.counters, METRIC_ICMP_RELAYED, 1);
    return REASON_NONE;
}

void relay_icmp(struct relay *r, const struct icmp_error *e, const struct instant *now)
{
    r->now = *now;
    struct allocation *a = slab_get(r->allocations, e->owner);
    enum reason refused = a ? icmp_to_client(r, a, e) : REASON_RELAY_CLOSED;
    if (refused) {
        counters_drop(r->deps.counters, refused);
    }
}
