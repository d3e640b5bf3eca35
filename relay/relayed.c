/*
 * Opening relayed transport addresses: a random port of a relayed address, claimed in the map, then
 * bound. A port that another program holds is left alone and another is tried. Called by
 * allocate.c.
 */
#include "relay/core.h"

#include <errno.h>

#define BIND_TRIES 32

struct claims {
    struct port_map *map;
    uint16_t ports[2 * BIND_TRIES];
    unsigned count;
};

static enum reason reason_of(int error)
{
    switch (error) {
    case -EADDRNOTAVAIL:
    case -EADDRINUSE:
        return REASON_PORTS_EXHAUSTED;
    case -EMFILE:
    case -ENFILE:
        return REASON_FILES_EXHAUSTED;
    case -ENOMEM:
    case -ENOBUFS:
        return REASON_MEMORY_EXHAUSTED;
    case -EIO:
        return REASON_RANDOM_FAILED;
    default:
        return REASON_SOCKET_FAILED;
    }
}

static void fill_leg(struct relay_leg *leg, struct port_map *map, uint16_t port, uint64_t socket)
{
    *leg = (struct relay_leg){
        .map = map, .socket = socket, .port = port, .family = port_map_local(map)->family};
    port_map_set_live(map, port, true);
}

static int claim(struct relay *r, struct port_map *map, enum relayed_parity parity, uint16_t *port)
{
    uint16_t min = r->snapshot->relay.port_min, max = r->snapshot->relay.port_max;
    switch (parity) {
    case RELAYED_PAIR:
        return port_map_claim_pair(map, min, max, r->deps.random, port);
    case RELAYED_EVEN:
        return port_map_claim_even(map, min, max, r->deps.random, port);
    case RELAYED_ANY:
        break;
    }
    return port_map_claim(map, min, max, r->deps.random, port);
}

/* One try on one address: 0, -EADDRINUSE (the claim is kept in `held` so that it is not tried
 * again), or another -errno. */
static int try_open(
    struct relay *r, struct claims *held, enum relayed_parity parity, struct relay_leg legs[2])
{
    struct relay_sockets *sockets = &r->deps.sockets;
    struct addr local = *port_map_local(held->map);
    uint64_t handles[2];
    int error = claim(r, held->map, parity, &local.port);
    if (error) {
        return error;
    }
    bool pair = parity == RELAYED_PAIR;
    error = pair ? sockets->open_pair(sockets->ctx, &local, HANDLE_NONE, handles)
                 : sockets->open(sockets->ctx, &local, HANDLE_NONE, &handles[0]);
    if (error) {
        held->ports[held->count++] = local.port;
        if (pair) {
            held->ports[held->count++] = local.port + 1;
        }
        return error;
    }
    fill_leg(&legs[0], held->map, local.port, handles[0]);
    if (pair) {
        fill_leg(&legs[1], held->map, local.port + 1, handles[1]);
        port_map_set_live(held->map, local.port + 1, false);
    }
    return 0;
}

static int open_on(
    struct relay *r, struct port_map *map, enum relayed_parity parity, struct relay_leg legs[2])
{
    struct claims held = {.map = map};
    int error = -EADDRINUSE;
    for (unsigned i = 0; i < BIND_TRIES && error == -EADDRINUSE; i++) {
        error = try_open(r, &held, parity, legs);
    }
    for (unsigned i = 0; i < held.count; i++) {
        port_map_release(map, held.ports[i]);
    }
    return error;
}

bool relayed_family_supported(const struct relay *r, uint8_t family)
{
    for (size_t i = 0; i < r->snapshot->relayed_count; i++) {
        if (r->snapshot->relayed[i].address.local.family == family) {
            return true;
        }
    }
    return false;
}

enum reason relayed_open(
    struct relay *r, uint8_t family, enum relayed_parity parity, struct relay_leg legs[2])
{
    size_t count = r->snapshot->relayed_count;
    uint32_t start;
    if (count == 0 || random_below(r->deps.random, (uint32_t)count, &start)) {
        return count == 0 ? REASON_FAMILY_UNSUPPORTED : REASON_RANDOM_FAILED;
    }
    int error = -EADDRNOTAVAIL;
    for (size_t i = 0; i < count; i++) {
        struct port_map *map = r->snapshot->relayed[(start + i) % count].ports;
        if (port_map_local(map)->family != family) {
            continue;
        }
        error = open_on(r, map, parity, legs);
        if (error != -EADDRNOTAVAIL && error != -EADDRINUSE) {
            break;
        }
    }
    return error ? reason_of(error) : REASON_NONE;
}

void relayed_close(struct relay *r, struct relay_leg *leg)
{
    if (leg->map) {
        r->deps.sockets.release(r->deps.sockets.ctx, leg->socket);
        port_map_release(leg->map, leg->port);
        *leg = (struct relay_leg){0};
    }
}
