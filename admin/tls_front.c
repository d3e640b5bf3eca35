/*
 * All TLS connections of the admin server: how many there may be, and for how long.
 *
 * Always: who is still in its handshake can be closed for somebody new, and whoever fills those
 * places from one network closes its own; who comes too often is not shaken hands with; a
 * connection whose answer has not begun is the server's to end. Answers that nobody reads keep
 * nobody out. Called by admin.c.
 */
#include "admin/tls_front.h"

#include <stdlib.h>
#include <unistd.h>

#include "admin/server.h"
#include "admin/tls_link.h"
#include "admin/tls_pace.h"
#include "base/clock.h"

#define IPV4_NETWORK 24
#define IPV6_NETWORK 64

struct admin_tls_front {
    struct admin_tls_front_on on;
    struct admin_tls_pace pace;
    struct admin_tls_link *links[ADMIN_TLS_CONNECTIONS]; /* NULL: a free place */
};

struct admin_tls_front *admin_tls_front_new(const struct admin_tls_front_on *on)
{
    struct admin_tls_front *f = calloc(1, sizeof(*f));
    if (f) {
        f->on = *on;
        admin_tls_pace_init(&f->pace);
    }
    return f;
}

static void on_gone(void *ctx, struct admin_tls_link *link)
{
    struct admin_tls_front *f = ctx;
    for (size_t i = 0; i < ADMIN_TLS_CONNECTIONS; i++) {
        if (f->links[i] == link) {
            f->links[i] = NULL;
        }
    }
}

static struct addr network_of(const struct admin_peer *peer)
{
    return addr_masked(&peer->from, peer->from.family == ADDR_IPV4 ? IPV4_NETWORK : IPV6_NETWORK);
}

static bool is_shaking(const struct admin_tls_link *l)
{
    return l && admin_tls_link_state(l) == ADMIN_TLS_SHAKING;
}

/* Nothing but the client holds it up: the server has answered. */
static bool is_answered(const struct admin_tls_link *l)
{
    return l && (admin_tls_link_state(l) >= ADMIN_TLS_ENDING || admin_tls_link_answering(l));
}

static void displace(struct admin_tls_front *f, struct admin_tls_link *l)
{
    if (l) {
        counters_add(f->on.own, METRIC_ADMIN_CLOSED_FULL, 1);
        admin_tls_link_drop(l);
    }
}

static bool is_older(const struct admin_tls_link *l, const struct admin_tls_link *than)
{
    return !than || admin_tls_link_since(l) < admin_tls_link_since(than);
}

/* How many are in their handshake from this network, and who has been longest. */
static size_t crowd_of(
    const struct admin_tls_front *f, const struct addr *network, struct admin_tls_link **oldest)
{
    size_t count = 0;
    *oldest = NULL;
    for (size_t i = 0; i < ADMIN_TLS_CONNECTIONS; i++) {
        struct admin_tls_link *l = f->links[i];
        const struct addr from = is_shaking(l) ? network_of(admin_tls_link_peer(l)) : *network;
        if (!is_shaking(l) || !addr_equal_ip(&from, network)) {
            continue;
        }
        count++;
        *oldest = is_older(l, *oldest) ? l : *oldest;
    }
    return count;
}

/* Of as many handshakes as there may be, one goes: of the network that has most, so that whoever
 * comes from few of them keeps nobody else out. */
static void make_room_for_handshake(struct admin_tls_front *f)
{
    struct admin_tls_link *shaking[ADMIN_TLS_CONNECTIONS], *victim = NULL;
    struct addr network[ADMIN_TLS_CONNECTIONS];
    size_t all = 0, most = 0;
    for (size_t i = 0; i < ADMIN_TLS_CONNECTIONS; i++) {
        if (is_shaking(f->links[i])) {
            network[all] = network_of(admin_tls_link_peer(f->links[i]));
            shaking[all++] = f->links[i];
        }
    }
    for (size_t i = 0; all >= ADMIN_TLS_HANDSHAKES && i < all; i++) {
        size_t crowd = 0;
        for (size_t k = 0; k < all; k++) {
            crowd += addr_equal_ip(&network[k], &network[i]);
        }
        if (crowd > most || (crowd == most && is_older(shaking[i], victim))) {
            most = crowd;
            victim = shaking[i];
        }
    }
    displace(f, victim);
}

/* Where all places are taken, the oldest goes that has been answered. */
static void make_room(struct admin_tls_front *f)
{
    struct admin_tls_link *oldest = NULL;
    for (size_t i = 0; i < ADMIN_TLS_CONNECTIONS; i++) {
        struct admin_tls_link *l = f->links[i];
        if (!l) {
            return;
        }
        oldest = is_answered(l) && is_older(l, oldest) ? l : oldest;
    }
    displace(f, oldest);
}

static struct admin_tls_link **free_place(struct admin_tls_front *f)
{
    for (size_t i = 0; i < ADMIN_TLS_CONNECTIONS; i++) {
        if (!f->links[i]) {
            return &f->links[i];
        }
    }
    return NULL;
}

void admin_tls_front_accept(struct admin_tls_front *f, int fd, const struct admin_peer *peer,
    const struct admin_tls_terms *terms, uint64_t now_us)
{
    const struct addr network = network_of(peer);
    struct admin_tls_link *oldest;
    if (!admin_tls_pace_admit(&f->pace, &peer->from, &network, now_us)) {
        counters_add(f->on.own, METRIC_ADMIN_CLOSED_RATE, 1);
        close(fd);
        return;
    }
    if (crowd_of(f, &network, &oldest) >= ADMIN_TLS_HANDSHAKES_OF_NETWORK) {
        displace(f, oldest);
    }
    make_room_for_handshake(f);
    make_room(f);
    struct admin_tls_link **place = free_place(f);
    if (!place) {
        counters_add(f->on.own, METRIC_ADMIN_CLOSED_FULL, 1);
        close(fd);
        return;
    }
    const struct admin_tls_link_on on = {.front = &f->on, .gone = on_gone, .ctx = f};
    *place = admin_tls_link_new(&on, fd, peer, terms, now_us);
}

/* Seconds that its state may last; 0: the server decides. */
static uint64_t patience_s(const struct admin_tls_link *l)
{
    switch (admin_tls_link_state(l)) {
    case ADMIN_TLS_SHAKING:
        return ADMIN_REQUEST_S;
    case ADMIN_TLS_OPEN:
        return admin_tls_link_answering(l) ? ADMIN_RESPONSE_S : 0;
    case ADMIN_TLS_ENDING:
        return ADMIN_RESPONSE_S;
    case ADMIN_TLS_LINGERING:
        return ADMIN_TLS_LINGER_S;
    }
    return 0;
}

void admin_tls_front_tick(struct admin_tls_front *f, uint64_t now_us)
{
    for (size_t i = 0; i < ADMIN_TLS_CONNECTIONS; i++) {
        struct admin_tls_link *l = f->links[i];
        const uint64_t patience = l ? patience_s(l) : 0;
        if (!patience || now_us < admin_tls_link_since(l) + patience * US_PER_S) {
            continue;
        }
        if (admin_tls_link_state(l) != ADMIN_TLS_LINGERING) {
            counters_add(f->on.own, METRIC_ADMIN_CLOSED_LATE, 1);
        }
        admin_tls_link_drop(l);
    }
}

void admin_tls_front_close(struct admin_tls_front *f)
{
    for (size_t i = 0; f && i < ADMIN_TLS_CONNECTIONS; i++) {
        if (f->links[i]) {
            admin_tls_link_drop(f->links[i]);
        }
    }
}

void admin_tls_front_free(struct admin_tls_front *f)
{
    free(f);
}
