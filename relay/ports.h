/*
 * Which relayed ports are taken, one map for each relayed (local) address, shared by all workers:
 * two atomic bits a port. `claimed` means that an allocation or a reservation of this instance has
 * it, `live` that an allocation relays on it now: a send to another client of this relay must know
 * that (THREATS row 1). An even pair is claimed in one step. Any thread.
 */
#ifndef RELAY_PORTS_H
#define RELAY_PORTS_H

#include "base/addr.h"
#include "base/random.h"

struct port_maps;
struct port_map;

struct port_maps *port_maps_new(void);    /* NULL: out of memory */
void port_maps_free(struct port_maps *m); /* asserts that no port is claimed */
/* Control only: adds the map of a relayed address (local and public IP; both find it). At most 32
 * in the life of a process; an existing pair returns its map. NULL: out of memory, full, or the
 * address belongs to another pair. */
struct port_map *port_maps_add(
    struct port_maps *m, const struct addr *local, const struct addr *public_ip);
/* Why port_maps_add would refuse: one of the IPs belongs to another pair, or the families differ.
 */
bool port_maps_conflict(
    const struct port_maps *m, const struct addr *local, const struct addr *public_ip);
/* Maps that may still be added. */
unsigned port_maps_room(const struct port_maps *m);
/* The map whose local or public IP is that of `addr`, or NULL. Lock-free, a handful of compares. */
struct port_map *port_maps_find(const struct port_maps *m, const struct addr *addr);
const struct addr *port_map_local(const struct port_map *map);
const struct addr *port_map_public(const struct port_map *map);

/* Claims a random free port in [min, max] (uniform over the free ones). 0; -EADDRNOTAVAIL: none
 * free; -EIO: no randomness. */
int port_map_claim(struct port_map *map, uint16_t min, uint16_t max,
    const struct random_source *random, uint16_t *port);
/* Even ports only. */
int port_map_claim_even(struct port_map *map, uint16_t min, uint16_t max,
    const struct random_source *random, uint16_t *port);
/* An even port and the next one, both inside [min, max]. */
int port_map_claim_pair(struct port_map *map, uint16_t min, uint16_t max,
    const struct random_source *random, uint16_t *even);
/* Claimed and, if it was, live end. Asserts that it was claimed. */
void port_map_release(struct port_map *map, uint16_t port);
void port_map_set_live(struct port_map *map, uint16_t port, bool live);
bool port_map_is_live(const struct port_map *map, uint16_t port);
uint32_t port_map_claimed(const struct port_map *map);

#endif
