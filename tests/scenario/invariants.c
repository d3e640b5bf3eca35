/*
 * What must hold in every scenario, whatever a client or peer sends: THREATS rows 2, 4, 5, 11
 * and 26. The books here are kept apart from the relay's: a permission counts from the success
 * response that a client was sent. Called by the fake network.
 */
#include "tests/scenario/world.h"

#include <stdio.h>
#include <stdlib.h>

#define GRANT_US                                                                                   \
    ((300 + 1) *                                                                                   \
        US_PER_S) /* "The Permission Lifetime MUST be 300 seconds"; timers may be a tick late */

void invariant_begin_client(struct world *w, const struct world_datagram *d)
{
    w->current = d->bytes;
    w->current_flow = w->blind ? NULL : &d->flow;
    w->current_replies = 0;
}

/* A request, by its first bytes alone: two zero bits, and the two class bits zero. */
static bool looks_like_request(struct slice s)
{
    return s.len >= STUN_HEADER_LEN && (s.data[0] & 0xc1) == 0 && (s.data[1] & 0x10) == 0;
}

void invariant_end_client(struct world *w)
{
    if (w->blind) {
        w->current = (struct slice){0};
        w->current_flow = NULL;
        return; /* a flush on the way may have carried the answers to earlier requests */
    }
    if (w->current_replies > 0 && !looks_like_request(w->current))
        world_fail("something that is no request was answered");
    if (w->current_replies > 1)
        world_fail("a request was answered twice");
    w->current = (struct slice){0};
    w->current_flow = NULL;
}

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

/* THREATS row 4; an answer without integrity goes to a source that has proven nothing. */
static size_t unproven_max(const struct stun_msg *m)
{
    struct slice value;
    const size_t fingerprint = m->has_fingerprint ? 8 : 0;
    if (m->class == STUN_SUCCESS)
        return 44 + fingerprint;
    if (!stun_find(m, STUN_ATTR_ERROR_CODE, &value) || value.len < 4)
        world_fail("an error response without ERROR-CODE");
    if (value.len != 4)
        world_fail("a reason phrase for an unproven source");
    const unsigned code = (value.data[2] & 7) * 100u + value.data[3];
    if (code == 401 || code == 438) {
        struct slice realm, nonce;
        if (!stun_find(m, STUN_ATTR_REALM, &realm) || !stun_find(m, STUN_ATTR_NONCE, &nonce) ||
            nonce.len > 32)
            world_fail("a challenge without REALM and a NONCE of at most 32 bytes");
        const size_t server =
            stun_find(m, STUN_ATTR_THIRD_PARTY_AUTHORIZATION, &value) ? 4 + padded(value.len) : 0;
        return 80 + padded(realm.len) + server + fingerprint;
    }
    return (code == 420 ? 36 : 28) + fingerprint;
}

static void check_padding(struct slice reply)
{
    size_t at = STUN_HEADER_LEN;
    while (at + 4 <= reply.len) {
        const size_t len = (size_t)reply.data[at + 2] << 8 | reply.data[at + 3];
        for (size_t i = len; i < padded(len); i++)
            if (reply.data[at + 4 + i] != 0)
                world_fail("padding that is not zero");
        at += 4 + padded(len);
    }
}

static void grants_forget(struct world *w, const struct addr *client, enum addr_family family)
{
    for (size_t i = 0; i < w->grant_count;) {
        const struct grant *g = &w->grants[i];
        if (addr_equal(&g->client, client) && (family == ADDR_NONE || g->peer.family == family))
            w->grants[i] = w->grants[--w->grant_count];
        else
            i++;
    }
}

static struct grant *grant_find(struct world *w, const struct addr *client, const struct addr *peer)
{
    for (size_t i = 0; i < w->grant_count; i++)
        if (addr_equal(&w->grants[i].client, client) && addr_equal_ip(&w->grants[i].peer, peer))
            return &w->grants[i];
    return NULL;
}

/* The peer's address as a client names it: the public one for our own relayed addresses. */
static struct addr as_clients_see(const struct world *w, const struct addr *peer)
{
    struct addr seen = *peer;
    const struct port_map *map = port_maps_find(w->shared.ports, peer);
    if (map) {
        seen = *port_map_public(map);
        seen.port = peer->port;
    }
    return seen;
}

static void grant_add(struct world *w, const struct addr *client, const struct addr *named)
{
    const struct addr peer = as_clients_see(w, named);
    struct grant *g = grant_find(w, client, &peer);
    if (!g) {
        if (w->grant_count == w->grant_cap) {
            w->grant_cap = w->grant_cap ? 2 * w->grant_cap : 64;
            w->grants = realloc(w->grants, w->grant_cap * sizeof(w->grants[0]));
            if (!w->grants)
                world_fail("out of memory");
        }
        g = &w->grants[w->grant_count++];
    }
    *g = (struct grant){.client = *client, .peer = peer, .at_us = w->now.mono_us};
}

/* What a success response means for the permissions of the client that it goes to. */
static void note_success(struct world *w, const struct stun_msg *reply, const struct addr *client)
{
    struct stun_msg request;
    if (stun_parse(&request, w->current) != REASON_NONE)
        return; /* a parked Allocate: answered when its request is gone */
    if (reply->method == STUN_CREATE_PERMISSION || reply->method == STUN_CHANNEL_BIND) {
        struct slice value;
        struct addr peer;
        unsigned at = 0;
        while (stun_next(&request, STUN_ATTR_XOR_PEER_ADDRESS, &at, &value))
            if (stun_read_xor_addr(&request, value, &peer))
                grant_add(w, client, &peer);
    } else if (reply->method == STUN_REFRESH) {
        struct slice value;
        uint32_t lifetime;
        enum addr_family family = ADDR_NONE;
        if (stun_find(&request, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, &value))
            stun_read_family(value, &family);
        if (stun_find(&request, STUN_ATTR_LIFETIME, &value) && stun_read_u32(value, &lifetime) &&
            lifetime == 0)
            grants_forget(w, client, family);
    }
}

/* The parser takes no response without the cookie; a client of RFC 3489 is sent one. */
static bool is_classic_answer(const struct world *w, struct slice reply)
{
    struct stun_msg request;
    if (w->blind)
        return memcmp(reply.data + 4, "\x21\x12\xa4\x42", 4) != 0; /* whose it is, is not known */
    const enum reason bad = stun_parse(&request, w->current);
    const bool dtls = w->current_flow && w->current_flow->transport == TRANSPORT_DTLS;
    if ((bad && !(bad == REASON_STUN_NO_COOKIE && dtls)) || !request.classic)
        return false;
    if (reply.len > 44 || memcmp(reply.data + 4, request.transaction, STUN_TRANSACTION_LEN) != 0)
        world_fail("an answer to a classic request is too big, or of another transaction");
    return true;
}

void invariant_reply(struct world *w, const struct outbox_entry *e, struct slice reply)
{
    struct stun_msg m;
    check_padding(reply);
    if (is_classic_answer(w, reply)) {
        w->replies++;
        w->current_replies++;
        return;
    }
    if (stun_parse(&m, reply) != REASON_NONE)
        world_fail("a reply that is no STUN message");
    if (m.class == STUN_INDICATION) {
        w->reports++;
        if (m.method != STUN_DATA || !stun_has(&m, STUN_ATTR_ICMP))
            world_fail("an indication that is neither media nor an ICMP report");
        return;
    }
    if (m.class == STUN_REQUEST)
        world_fail("a server sends requests");
    w->replies++;
    if (w->current_flow) {
        w->current_replies++;
        if (!addr_equal(&w->current_flow->remote, &e->flow.remote))
            world_fail("an answer goes elsewhere than the request came from");
        if (!addr_equal(&w->current_flow->local, &e->flow.local))
            world_fail("an answer leaves from another address than the request came to");
    }
    const bool proven = m.integrity_offset != 0 || m.integrity256_offset != 0;
    if (!proven && m.class == STUN_SUCCESS && m.method != STUN_BINDING)
        world_fail("a success without integrity");
    if (!proven && reply.len > unproven_max(&m)) {
        fprintf(stderr, "world: %zu bytes, at most %zu are allowed\n", reply.len, unproven_max(&m));
        world_fail("an answer to an unproven source is too big");
    }
    if (m.class == STUN_SUCCESS)
        note_success(w, &m, &e->flow.remote);
}

static void require_grant(struct world *w, const struct addr *client, const struct addr *peer)
{
    const struct addr seen = as_clients_see(w, peer);
    const struct grant *g = grant_find(w, client, &seen);
    if (!g || w->now.mono_us - g->at_us > GRANT_US)
        world_fail("media passed without a permission");
}

/* The source that a client is told: of a Data indication its XOR-PEER-ADDRESS. False: ChannelData,
 * which names none. */
static bool named_peer(const struct outbox_entry *e, struct addr *peer)
{
    if (e->head.len < STUN_HEADER_LEN)
        return false;
    struct stun_msg m = {.bytes = e->head};
    memcpy(m.transaction, e->head.data + 4, STUN_TRANSACTION_LEN);
    size_t at = STUN_HEADER_LEN;
    while (at + 4 <= e->head.len) {
        const unsigned type = (unsigned)e->head.data[at] << 8 | e->head.data[at + 1];
        const size_t len = (size_t)e->head.data[at + 2] << 8 | e->head.data[at + 3];
        if (type == STUN_ATTR_XOR_PEER_ADDRESS && at + 4 + len <= e->head.len)
            return stun_read_xor_addr(&m, slice_of(e->head.data + at + 4, len), peer);
        at += 4 + padded(len);
    }
    world_fail("a Data indication without XOR-PEER-ADDRESS");
}

void invariant_media(struct world *w, const struct outbox_entry *e, const struct addr *peer,
    const struct addr *client)
{
    struct addr named;
    if (w->blind)
        return;
    if (peer && w->current_flow)
        require_grant(w, &w->current_flow->remote, peer);
    else if (client && named_peer(e, &named))
        require_grant(w, client, &named);
}

void invariant_sockets(struct world *w)
{
    for (uint32_t i = 0; i < w->sockets.used; i++) {
        const struct fake_socket *s = &w->sockets.slots[i];
        if (!s->open)
            continue;
        const struct port_map *map = port_maps_find(w->shared.ports, &s->local);
        if (!map)
            world_fail("a socket on an address without a port map");
        if (port_map_is_live(map, s->local.port) != (s->owner != HANDLE_NONE))
            world_fail("a port is live without an owner, or has one without being live");
    }
}
