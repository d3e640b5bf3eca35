/*
 * How many connections (or DTLS sessions) there are in all, of a client's prefix, and half open of
 * a prefix, over all workers: the kernel spreads one prefix's connections over them. Atomics, no
 * lock. Any thread. What is taken is given back by its owner; connection_counts_free asserts it.
 */
#ifndef RATELIMIT_CONNECTION_COUNTS_H
#define RATELIMIT_CONNECTION_COUNTS_H

#include "base/addr.h"
#include "base/counters.h"

struct connection_counts;

/* What one connection has taken. Zero-initialised: nothing. */
struct connection_charge {
    uint32_t prefix;            /* entry of its prefix, where has_prefix */
    bool counted;               /* in all */
    bool has_prefix, half_open; /* half open until it has proven more than its address */
};

/* 0: no limit of that kind. */
struct connection_limits {
    uint32_t total, per_prefix;
    uint32_t half_open_per_prefix; /* enforced while more than half of `total` is taken */
};

/* Room for `max` connections at once, at most 2^24 - 2. `key`: 16 random bytes. NULL: out of
 * memory, or more than that. */
struct connection_counts *connection_counts_new(uint32_t max, const uint8_t key[16]);
void connection_counts_free(struct connection_counts *c);

/* No more than `most` can be reached, because files end before: "half of `total`" below is half of
 * that then. Before others use it. */
void connection_counts_reach(struct connection_counts *c, uint64_t most);

/* One more connection. REASON_NONE or REASON_CONNECTION_CAP. */
enum reason connection_counts_open(struct connection_counts *c, struct connection_charge *charge,
    const struct connection_limits *limits);
/*
 * Now its client is known: one more of that /24 or /64, half open at first. REASON_NONE,
 * REASON_CONNECTION_PREFIX_CAP or REASON_HALF_OPEN_CAP: the charge is as before.
 */
enum reason connection_counts_place(struct connection_counts *c, struct connection_charge *charge,
    const struct connection_limits *limits, const struct addr *client);
/* It is no longer half open. Was not: nothing happens. */
void connection_counts_proven(struct connection_counts *c, struct connection_charge *charge);
/* Gives back everything that the charge holds, and empties it. */
void connection_counts_close(struct connection_counts *c, struct connection_charge *charge);

/* What it was made for. */
uint32_t connection_counts_max(const struct connection_counts *c);
uint32_t connection_counts_total(const struct connection_counts *c);

#endif
