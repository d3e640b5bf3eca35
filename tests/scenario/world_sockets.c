/*
 * Fake relay sockets: a map of bound addresses that keeps the contract of relay/sockets.h, and
 * fails on demand. Handles are worker:slot:generation as the real ones; slots are shared by the
 * workers, so that a parcel keeps its slot. Called by relay/.
 */
#include "tests/scenario/world.h"

#include <errno.h>
#include <stdlib.h>

#define FD_BASE 100000 /* never a descriptor of this process */
#define PORTS   65536u

void fake_sockets_init(struct fake_sockets *s, struct world *w)
{
    memset(s, 0, sizeof(*s));
    s->world = w;
}

void fake_sockets_deinit(struct fake_sockets *s)
{
    for (unsigned i = 0; i < RELAY_ADDRESSES_MAX; i++)
        free(s->index[i].slot_of_port);
    free(s->slots);
}

static uint32_t *slot_of(struct fake_sockets *s, const struct addr *local, bool make)
{
    for (unsigned i = 0; i < RELAY_ADDRESSES_MAX; i++) {
        if (!s->index[i].slot_of_port) {
            if (!make)
                return NULL;
            s->index[i].ip = *local;
            s->index[i].slot_of_port = calloc(PORTS, sizeof(uint32_t));
            if (!s->index[i].slot_of_port)
                world_fail("out of memory");
        }
        if (addr_equal_ip(&s->index[i].ip, local))
            return &s->index[i].slot_of_port[local->port];
    }
    return NULL;
}

struct fake_socket *fake_sockets_at(struct fake_sockets *s, const struct addr *local)
{
    struct addr bound = *local;
    const struct port_map *map = port_maps_find(s->world->shared.ports, local);
    if (map) {
        bound = *port_map_local(map);
        bound.port = local->port;
    }
    const uint32_t *slot = slot_of(s, &bound, false);
    return slot && *slot ? &s->slots[*slot - 1] : NULL;
}

uint64_t fake_socket_handle(const struct fake_sockets *s, const struct fake_socket *socket)
{
    const uint64_t slot = (uint64_t)(socket - s->slots);
    return (uint64_t)socket->worker << 56 | slot << 32 | socket->generation;
}

struct fake_socket *fake_sockets_get(struct fake_sockets *s, uint64_t handle)
{
    const uint32_t slot = handle_slot(handle);
    if (handle == HANDLE_NONE || slot >= s->used)
        return NULL;
    struct fake_socket *socket = &s->slots[slot];
    const bool same = socket->open && !socket->in_parcel &&
                      socket->generation == (uint32_t)handle &&
                      socket->worker == handle_worker(handle);
    return same ? socket : NULL;
}

static struct fake_socket *free_slot(struct fake_sockets *s)
{
    /* Newest first: a slot is used again at once, which is what stale handles must survive. */
    for (uint32_t i = s->used; i-- > 0 && s->used - i < 64;)
        if (!s->slots[i].open)
            return &s->slots[i];
    if (s->used == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->slots = realloc(s->slots, s->cap * sizeof(s->slots[0]));
        if (!s->slots)
            world_fail("out of memory");
    }
    s->slots[s->used] = (struct fake_socket){.generation = s->world->settings.first_generation};
    return &s->slots[s->used++];
}

static bool is_occupied(const struct fake_sockets *s, const struct addr *local)
{
    for (unsigned i = 0; i < s->occupied_count; i++)
        if (addr_equal(&s->occupied[i], local))
            return true;
    return false;
}

/* Counts down to the failure that a test asked for. */
static bool fails_now(unsigned *in)
{
    return *in > 0 && --*in == 0;
}

static int fake_bind(
    struct world_worker *worker, const struct addr *local, uint64_t owner, uint64_t *handle)
{
    struct fake_sockets *s = &worker->world->sockets;
    if (local->port == 0 || addr_is_unspecified(local))
        world_fail("a relay socket without an address of its own");
    uint32_t *slot = slot_of(s, local, true);
    if (!slot)
        world_fail("more relayed addresses than a world holds");
    if (*slot || is_occupied(s, local))
        return -EADDRINUSE;
    struct fake_socket *socket = free_slot(s);
    socket->open = true;
    socket->in_parcel = false;
    socket->generation++;
    socket->worker = worker->number;
    socket->local = *local;
    socket->owner = owner;
    *slot = (uint32_t)(socket - s->slots) + 1;
    *handle = fake_socket_handle(s, socket);
    s->opened++;
    return 0;
}

static void fake_unbind(struct fake_sockets *s, struct fake_socket *socket)
{
    *slot_of(s, &socket->local, false) = 0;
    socket->open = socket->in_parcel = false;
    socket->generation++;
    s->closed++;
}

static int fake_open(void *ctx, const struct addr *local, uint64_t owner, uint64_t *handle)
{
    struct world_worker *worker = ctx;
    struct fake_sockets *s = &worker->world->sockets;
    if (fails_now(&s->fail_open_in))
        return s->fail_open_with;
    return fake_bind(worker, local, owner, handle);
}

static int fake_open_pair(void *ctx, const struct addr *even, uint64_t owner, uint64_t handles[2])
{
    struct world_worker *worker = ctx;
    struct fake_sockets *s = &worker->world->sockets;
    if (even->port % 2 != 0)
        world_fail("a pair that begins at an odd port");
    if (fails_now(&s->fail_open_in))
        return s->fail_open_with;
    struct addr odd = *even;
    odd.port++;
    uint64_t first, second;
    int rc = fake_bind(worker, even, owner, &first);
    if (rc != 0)
        return rc;
    rc = fake_bind(worker, &odd, HANDLE_NONE, &second);
    if (rc != 0) {
        fake_unbind(s, fake_sockets_get(s, first));
        return rc;
    }
    handles[0] = first;
    handles[1] = second;
    return 0;
}

static void fake_set_owner(void *ctx, uint64_t handle, uint64_t owner)
{
    struct world_worker *worker = ctx;
    struct fake_socket *socket = fake_sockets_get(&worker->world->sockets, handle);
    if (!socket || socket->worker != worker->number)
        world_fail("set_owner of a socket that is not this worker's");
    socket->owner = owner;
}

static void fake_release(void *ctx, uint64_t handle)
{
    struct world_worker *worker = ctx;
    struct fake_socket *socket = fake_sockets_get(&worker->world->sockets, handle);
    if (!socket)
        return;
    if (socket->worker != worker->number)
        world_fail("release of another worker's socket");
    fake_unbind(&worker->world->sockets, socket);
}

static int fake_detach(void *ctx, uint64_t handle, struct parcel *out)
{
    struct world_worker *worker = ctx;
    struct fake_sockets *s = &worker->world->sockets;
    struct fake_socket *socket = fake_sockets_get(s, handle);
    if (!socket || socket->worker != worker->number)
        return -EBADF;
    socket->in_parcel = true;
    socket->owner = HANDLE_NONE;
    socket->generation++;
    *out = (struct parcel){.fd = FD_BASE + (int)(socket - s->slots), .local = socket->local};
    return 0;
}

static struct fake_socket *of_parcel(struct fake_sockets *s, const struct parcel *p)
{
    if (p->fd < FD_BASE || (uint32_t)(p->fd - FD_BASE) >= s->used)
        world_fail("a parcel that holds no socket");
    struct fake_socket *socket = &s->slots[p->fd - FD_BASE];
    if (!socket->open || !socket->in_parcel || !addr_equal(&socket->local, &p->local))
        world_fail("a parcel that was opened before");
    return socket;
}

static int fake_adopt(void *ctx, struct parcel *parcel, uint64_t owner, uint64_t *handle)
{
    struct world_worker *worker = ctx;
    struct fake_sockets *s = &worker->world->sockets;
    struct fake_socket *socket = of_parcel(s, parcel);
    if (fails_now(&s->fail_adopt_in))
        return s->fail_adopt_with;
    socket->in_parcel = false;
    socket->worker = worker->number;
    socket->owner = owner;
    socket->generation++;
    parcel->fd = -1;
    *handle = fake_socket_handle(s, socket);
    return 0;
}

static void fake_discard(void *ctx, struct parcel *parcel)
{
    struct world_worker *worker = ctx;
    struct fake_sockets *s = &worker->world->sockets;
    if (parcel->fd == -1) /* "-1: none" */
        return;
    fake_unbind(s, of_parcel(s, parcel));
    parcel->fd = -1;
}

struct relay_sockets fake_sockets_interface(struct world_worker *worker)
{
    return (struct relay_sockets){.ctx = worker,
        .open = fake_open,
        .open_pair = fake_open_pair,
        .set_owner = fake_set_owner,
        .release = fake_release,
        .detach = fake_detach,
        .adopt = fake_adopt,
        .discard = fake_discard};
}
