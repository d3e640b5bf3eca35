/*
 * The shared maps of relayed ports: bit `port % 64` of word `port / 64`, once for claimed and once
 * for live. 64 is even, so an even port and the next one always lie in the same word, and one
 * compare-and-swap claims both or neither. What always holds: a live port is claimed; a bit is set
 * by whoever found it clear in the same atomic step. Called by every worker (claim, release, live)
 * and by control (add).
 */
#include "relay/ports.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    PORT_MAPS_MAX = 32,
    PORT_WORDS = 65536 / 64,
    /* With half of the range taken, sixteen draws all miss once in 65536 claims; the exact way
       costs a microsecond or two. */
    PORT_PROBES = 16
};

#define EVEN_BITS UINT64_C(0x5555555555555555)

struct port_map {
    _Alignas(64) _Atomic uint64_t claimed[PORT_WORDS];
    _Atomic uint64_t live[PORT_WORDS];
    struct addr local, public;
};

/* What port_maps_find compares: an IP as two words, so that a miss costs a few instructions. */
struct port_key {
    uint64_t high, low;
    uint8_t family;
    uint8_t map;
};

struct port_maps {
    atomic_uint key_count; /* published after the key and its map are whole */
    struct port_key keys[2 * PORT_MAPS_MAX];
    struct port_map *maps[PORT_MAPS_MAX];
    unsigned map_count; /* control only */
};

/* What may be claimed: `count` units, the first at port `first`, one every `stride` ports, `bits`
 * wide. */
struct port_want {
    uint32_t first, last; /* inclusive: ports at which a unit may begin */
    unsigned stride;
    uint64_t bits;
};

struct port_maps *port_maps_new(void)
{
    return calloc(1, sizeof(struct port_maps));
}

void port_maps_free(struct port_maps *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->map_count; i++) {
        assert(port_map_claimed(m->maps[i]) == 0);
        free(m->maps[i]);
    }
    free(m);
}

static struct port_key port_key_of(const struct addr *addr)
{
    struct port_key key = {.family = addr->family};

    memcpy(&key.high, addr->ip, 8);
    memcpy(&key.low, addr->ip + 8, 8);
    return key;
}

static void port_maps_publish(struct port_maps *m, const struct addr *addr, unsigned map)
{
    unsigned at = atomic_load_explicit(&m->key_count, memory_order_relaxed);

    m->keys[at] = port_key_of(addr);
    m->keys[at].map = (uint8_t)map;
    atomic_store_explicit(&m->key_count, at + 1, memory_order_release);
}

struct port_map *port_maps_add(
    struct port_maps *m, const struct addr *local, const struct addr *public_ip)
{
    struct port_map *known = port_maps_find(m, local), *other = port_maps_find(m, public_ip);

    if (known || other) {
        bool same = known == other && addr_equal_ip(&known->local, local) &&
                    addr_equal_ip(&known->public, public_ip);
        return same ? known : NULL;
    }
    if (m->map_count == PORT_MAPS_MAX || local->family != public_ip->family)
        return NULL;

    struct port_map *map = aligned_alloc(64, sizeof *map);
    if (!map)
        return NULL;
    memset(map, 0, sizeof *map);
    map->local = *local;
    map->public = *public_ip;
    map->local.port = map->public.port = 0;
    map->local.scope = map->public.scope = 0;
    m->maps[m->map_count] = map;
    port_maps_publish(m, &map->local, m->map_count);
    if (!addr_equal_ip(local, public_ip))
        port_maps_publish(m, &map->public, m->map_count);
    m->map_count++;
    return map;
}

bool port_maps_conflict(
    const struct port_maps *m, const struct addr *local, const struct addr *public_ip)
{
    const struct port_map *known = port_maps_find(m, local), *other = port_maps_find(m, public_ip);

    if (local->family != public_ip->family || known != other)
        return true;
    return known &&
           !(addr_equal_ip(&known->local, local) && addr_equal_ip(&known->public, public_ip));
}

unsigned port_maps_room(const struct port_maps *m)
{
    return PORT_MAPS_MAX - m->map_count;
}

struct port_map *port_maps_find(const struct port_maps *m, const struct addr *addr)
{
    struct port_key want = port_key_of(addr);
    unsigned count = atomic_load_explicit(&m->key_count, memory_order_acquire);

    for (unsigned i = 0; i < count; i++) {
        const struct port_key *key = &m->keys[i];
        if (key->low == want.low && key->high == want.high && key->family == want.family)
            return m->maps[key->map];
    }
    return NULL;
}

const struct addr *port_map_local(const struct port_map *map)
{
    return &map->local;
}

const struct addr *port_map_public(const struct port_map *map)
{
    return &map->public;
}

static bool port_map_try(struct port_map *map, const struct port_want *want, uint32_t port)
{
    _Atomic uint64_t *word = &map->claimed[port / 64];
    uint64_t bits = want->bits << (port % 64);
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);

    while ((seen & bits) == 0) {
        if (atomic_compare_exchange_weak_explicit(
                word, &seen, seen | bits, memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
    return false;
}

/* The ports of a word at which a unit is free now, as bits. */
static uint64_t port_map_free_units(
    const struct port_map *map, const struct port_want *want, uint32_t word)
{
    uint64_t units = ~atomic_load_explicit(&map->claimed[word], memory_order_relaxed);

    if (want->bits == 3)
        units &= units >> 1;
    if (want->stride == 2)
        units &= EVEN_BITS;
    if (word == want->first / 64)
        units &= UINT64_MAX << (want->first % 64);
    if (word == want->last / 64)
        units &= UINT64_MAX >> (63 - want->last % 64);
    return units;
}

static uint32_t port_map_count_free(const struct port_map *map, const struct port_want *want)
{
    uint32_t count = 0;

    for (uint32_t word = want->first / 64; word <= want->last / 64; word++)
        count += (uint32_t)__builtin_popcountll(port_map_free_units(map, want, word));
    return count;
}

/* The port of the free unit number `rank`; want->last if others took so many meanwhile that there
 * is none. */
static uint32_t port_map_free_at(
    const struct port_map *map, const struct port_want *want, uint32_t rank)
{
    for (uint32_t word = want->first / 64; word <= want->last / 64; word++) {
        uint64_t units = port_map_free_units(map, want, word);
        uint32_t here = (uint32_t)__builtin_popcountll(units);
        if (rank >= here) {
            rank -= here;
            continue;
        }
        for (; rank > 0; rank--)
            units &= units - 1;
        return word * 64 + (uint32_t)__builtin_ctzll(units);
    }
    return want->last;
}

/* Draws among the units that are free, so that a nearly full range stays unpredictable too; from
 * there on, whatever others leave. */
static int port_map_claim_exact(struct port_map *map, const struct port_want *want,
    const struct random_source *random, uint16_t *port)
{
    uint32_t free_units = port_map_count_free(map, want),
             units = (want->last - want->first) / want->stride + 1, rank;

    if (free_units == 0)
        return -EADDRNOTAVAIL;
    if (random_below(random, free_units, &rank) < 0)
        return -EIO;
    uint32_t at = port_map_free_at(map, want, rank);
    for (uint32_t i = 0; i < units; i++) {
        if (port_map_try(map, want, at)) {
            *port = (uint16_t)at;
            return 0;
        }
        at = at == want->last ? want->first : at + want->stride;
    }
    return -EADDRNOTAVAIL;
}

/* "an unpredictable port": every free one is equally likely, before (probes) and after (exact) the
 * range fills up. */
static int port_map_claim_unit(struct port_map *map, const struct port_want *want,
    const struct random_source *random, uint16_t *port)
{
    uint32_t units = (want->last - want->first) / want->stride + 1, unit;

    for (int probe = 0; probe < PORT_PROBES; probe++) {
        if (random_below(random, units, &unit) < 0)
            return -EIO;
        uint32_t at = want->first + unit * want->stride;
        if (port_map_try(map, want, at)) {
            *port = (uint16_t)at;
            return 0;
        }
    }
    return port_map_claim_exact(map, want, random, port);
}

int port_map_claim(struct port_map *map, uint16_t min, uint16_t max,
    const struct random_source *random, uint16_t *port)
{
    struct port_want want = {
        .first = min ? min : 1, .last = max, .stride = 1, .bits = 1}; /* port 0 is no port */

    return want.first > want.last ? -EADDRNOTAVAIL : port_map_claim_unit(map, &want, random, port);
}

int port_map_claim_even(struct port_map *map, uint16_t min, uint16_t max,
    const struct random_source *random, uint16_t *port)
{
    struct port_want want = {
        .first = min ? (min + 1u) & ~1u : 2, .last = max & ~1u, .stride = 2, .bits = 1};

    return want.first > want.last ? -EADDRNOTAVAIL : port_map_claim_unit(map, &want, random, port);
}

int port_map_claim_pair(struct port_map *map, uint16_t min, uint16_t max,
    const struct random_source *random, uint16_t *even)
{
    if (max == 0)
        return -EADDRNOTAVAIL;

    struct port_want want = {
        .first = min ? (min + 1u) & ~1u : 2, .last = (max - 1u) & ~1u, .stride = 2, .bits = 3};
    return want.first > want.last ? -EADDRNOTAVAIL : port_map_claim_unit(map, &want, random, even);
}

void port_map_release(struct port_map *map, uint16_t port)
{
    uint64_t bit = UINT64_C(1) << (port % 64);

    /* Live ends first: nobody may see a port that is live and free. */
    atomic_fetch_and_explicit(&map->live[port / 64], ~bit, memory_order_release);
    uint64_t before =
        atomic_fetch_and_explicit(&map->claimed[port / 64], ~bit, memory_order_acq_rel);
    assert(before & bit);
    (void)before;
}

void port_map_set_live(struct port_map *map, uint16_t port, bool live)
{
    uint64_t bit = UINT64_C(1) << (port % 64);

    assert(atomic_load_explicit(&map->claimed[port / 64], memory_order_relaxed) & bit);
    if (live)
        atomic_fetch_or_explicit(&map->live[port / 64], bit, memory_order_release);
    else
        atomic_fetch_and_explicit(&map->live[port / 64], ~bit, memory_order_release);
}

bool port_map_is_live(const struct port_map *map, uint16_t port)
{
    return (atomic_load_explicit(&map->live[port / 64], memory_order_acquire) >> (port % 64)) & 1;
}

uint32_t port_map_claimed(const struct port_map *map)
{
    uint32_t count = 0;

    for (unsigned word = 0; word < PORT_WORDS; word++)
        count += (uint32_t)__builtin_popcountll(
            atomic_load_explicit(&map->claimed[word], memory_order_relaxed));
    return count;
}
