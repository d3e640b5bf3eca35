/*
 * The network of a world: datagrams in, outboxes out, with the counting that net/ does. What one
 * relay socket sends to another of the same world becomes a datagram from a peer. Called by world.c
 * and, through the outboxes, by relay/.
 */
#include "tests/scenario/world.h"

#include <stdlib.h>

struct hop {
    struct hop *next;
    struct addr source, destination;
    uint8_t tos;
    size_t len;
    uint8_t bytes[];
};

static void *checked(void *p)
{
    if (!p)
        world_fail("out of memory");
    return p;
}

/* A copy that ends where its memory ends, odd-aligned for every other datagram. */
static struct slice lend(struct world_worker *k, struct slice bytes)
{
    const size_t shift = k->borrowed_count % 2;
    uint8_t *copy = checked(malloc(bytes.len + shift ? bytes.len + shift : 1));
    if (bytes.len > 0)
        memcpy(copy + shift, bytes.data, bytes.len);
    if (k->borrowed_count == k->borrowed_cap) {
        k->borrowed_cap = k->borrowed_cap ? 2 * k->borrowed_cap : 16;
        k->borrowed = checked(realloc(k->borrowed, k->borrowed_cap * sizeof(k->borrowed[0])));
    }
    k->borrowed[k->borrowed_count++] = copy;
    return slice_of(copy + shift, bytes.len);
}

void world_from_client(struct world *w, const struct world_datagram *d)
{
    struct world_worker *k = &w->worker[d->worker];
    counters_add(&k->counters, METRIC_RECEIVED_CLIENT, 1);
    counters_add(&k->counters, METRIC_BYTES_RECEIVED_CLIENT, d->bytes.len);
    const struct packet p = {.bytes = lend(k, d->bytes),
        .flow = d->flow,
        .realm = d->realm,
        .realms = d->realms ? d->realms : 1ull << d->realm,
        .tos = d->tos};
    w->blind |= w->hold_outbox;
    invariant_begin_client(w, d);
    relay_from_client(k->relay, &p, &w->now);
    if (!w->hold_outbox)
        outbox_flush(&k->outbox);
    invariant_end_client(w);
    world_run(w);
}

static bool from_peer(struct world *w, const struct addr *peer, const struct addr *local,
    struct slice bytes, uint8_t tos)
{
    const struct fake_socket *socket = fake_sockets_at(&w->sockets, local);
    if (!socket || socket->in_parcel)
        return false;
    struct world_worker *k = &w->worker[socket->worker];
    counters_add(&k->counters, METRIC_RECEIVED_PEER, 1);
    counters_add(&k->counters, METRIC_BYTES_RECEIVED_PEER, bytes.len);
    if (socket->owner == HANDLE_NONE) {
        /* relay/sockets.h: "HANDLE_NONE: what arrives is counted and dropped". */
        counters_drop(&k->counters, REASON_RELAY_CLOSED);
        return true;
    }
    const struct peer_packet p = {.bytes = lend(k, bytes),
        .socket = fake_socket_handle(&w->sockets, socket),
        .owner = socket->owner,
        .source = *peer,
        .tos = tos};
    relay_from_peer(k->relay, &p, &w->now);
    return true;
}

bool world_from_peer(struct world *w, const struct addr *peer, const struct addr *relayed,
    struct slice bytes, uint8_t tos)
{
    const bool there = from_peer(w, peer, relayed, bytes, tos);
    world_run(w);
    return there;
}

bool world_icmp(struct world *w, const struct addr *relayed, const struct addr *destination,
    const uint8_t type_code[2], uint32_t mtu)
{
    const struct fake_socket *socket = fake_sockets_at(&w->sockets, relayed);
    if (!socket || socket->in_parcel || socket->owner == HANDLE_NONE)
        return false;
    struct world_worker *k = &w->worker[socket->worker];
    const struct icmp_error e = {.socket = fake_socket_handle(&w->sockets, socket),
        .owner = socket->owner,
        .destination = *destination,
        .type = type_code[0],
        .code = type_code[1],
        .mtu = mtu};
    counters_add(&k->counters, METRIC_ICMP_RECEIVED, 1);
    relay_icmp(k->relay, &e, &w->now);
    world_run(w);
    return true;
}

static struct sent *copy_entry(struct world_worker *k, const struct outbox_entry *e)
{
    struct sent *s = checked(calloc(1, sizeof(*s)));
    s->target = e->target;
    s->media = e->media;
    s->dont_fragment = e->dont_fragment;
    s->tos = e->tos;
    s->worker = k->number;
    s->flow = e->flow;
    s->len = e->header_len + e->head.len + e->body.len + e->padding;
    s->bytes = checked(calloc(1, s->len ? s->len : 1));
    uint8_t *p = s->bytes;
    memcpy(p, e->header, e->header_len);
    p += e->header_len;
    if (e->head.len > 0)
        memcpy(p, e->head.data, e->head.len);
    p += e->head.len;
    if (e->body.len > 0)
        memcpy(p, e->body.data, e->body.len);
    return s;
}

static void record(struct world *w, struct sent *s)
{
    if (w->forget) {
        free(s->bytes);
        free(s);
        return;
    }
    if (w->sent_count == w->sent_cap) {
        w->sent_cap = w->sent_cap ? 2 * w->sent_cap : 64;
        w->sent = checked(realloc(w->sent, w->sent_cap * sizeof(w->sent[0])));
    }
    w->sent[w->sent_count++] = s;
}

static void hop_append(struct world *w, const struct sent *s)
{
    struct hop *h = checked(calloc(1, sizeof(*h) + s->len));
    h->source = s->from;
    h->destination = s->to;
    h->tos = s->tos;
    h->len = s->len;
    memcpy(h->bytes, s->bytes, s->len);
    *w->hops_end = h;
    w->hops_end = &h->next;
}

bool world_deliver_hop(struct world *w)
{
    struct hop *h = w->hops;
    if (!h)
        return false;
    w->hops = h->next;
    if (!w->hops)
        w->hops_end = &w->hops;
    from_peer(w, &h->source, &h->destination, slice_of(h->bytes, h->len), h->tos);
    free(h);
    return true;
}

static void send_to_peer(struct world_worker *k, const struct outbox_entry *e, struct sent *s)
{
    struct world *w = k->world;
    const struct fake_socket *socket = fake_sockets_get(&w->sockets, e->socket);
    if (!e->media)
        world_fail("a peer is sent what is no media");
    if (!socket) {
        counters_drop(&k->counters, REASON_RELAY_CLOSED);
        free(s->bytes);
        free(s);
        return;
    }
    if (socket->worker != k->number)
        world_fail("a worker sends from another worker's socket");
    if (e->peer.family != socket->local.family)
        world_fail("a peer of another family than the socket");
    s->from = socket->local;
    s->to = e->peer;
    invariant_media(w, e, &e->peer, NULL);
    counters_add(&k->counters, METRIC_RELAYED_TO_PEER, 1);
    counters_add(&k->counters, METRIC_BYTES_TO_PEER, s->len);
    w->media_to_peer++;
    const struct fake_socket *target = fake_sockets_at(&w->sockets, &e->peer);
    if (target && addr_equal(&target->local, &e->peer) && !w->no_hops)
        hop_append(w, s);
    record(w, s);
}

static void send_to_client(struct world_worker *k, const struct outbox_entry *e, struct sent *s)
{
    struct world *w = k->world;
    s->from = e->flow.local;
    s->to = e->flow.remote;
    if (e->media) {
        counters_add(&k->counters, METRIC_RELAYED_TO_CLIENT, 1);
        counters_add(&k->counters, METRIC_BYTES_TO_CLIENT, s->len);
        w->media_to_client++;
        invariant_media(w, e, NULL, &e->flow.remote);
    } else {
        counters_add(&k->counters, METRIC_REPLIES_SENT, 1);
        invariant_reply(w, e, slice_of(s->bytes, s->len));
    }
    record(w, s);
}

void world_send_outbox(void *ctx, struct outbox *outbox)
{
    struct world_worker *k = ctx;
    for (unsigned i = 0; i < outbox->count; i++) {
        const struct outbox_entry *e = &outbox->entries[i];
        struct sent *s = copy_entry(k, e);
        if (e->target == OUTBOX_TO_PEER)
            send_to_peer(k, e, s);
        else
            send_to_client(k, e, s);
    }
}

static const struct sent *take(
    struct world *w, enum outbox_target target, const struct addr *client)
{
    for (size_t i = 0; i < w->sent_count; i++) {
        struct sent *s = w->sent[i];
        if (s->taken || s->target != target || (client && !addr_equal(&s->to, client)))
            continue;
        s->taken = true;
        return s;
    }
    return NULL;
}

const struct sent *world_take_to_peer(struct world *w)
{
    return take(w, OUTBOX_TO_PEER, NULL);
}

const struct sent *world_take_to_client(struct world *w, const struct addr *client)
{
    return take(w, OUTBOX_TO_CLIENT, client);
}

void world_clear(struct world *w)
{
    for (size_t i = 0; i < w->sent_count; i++) {
        free(w->sent[i]->bytes);
        free(w->sent[i]);
    }
    w->sent_count = 0;
}

void world_net_deinit(struct world *w)
{
    world_clear(w);
    free(w->sent);
    while (w->hops) {
        struct hop *h = w->hops;
        w->hops = h->next;
        free(h);
    }
}
