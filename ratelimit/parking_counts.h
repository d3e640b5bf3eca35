/*
 * How many requests wait for an answer of the store or to hear of other instances, in all and of a
 * client's prefix, over all workers: a slow store must not become a queue without end, nor one
 * prefix's own. Atomics, no lock. Any thread. What is taken is given back by its owner;
 * parking_counts_free asserts it.
 */
#ifndef RATELIMIT_PARKING_COUNTS_H
#define RATELIMIT_PARKING_COUNTS_H

#include "base/addr.h"
#include "base/counters.h"

#define PARKING_TOTAL   1000
#define PARKING_PREFIX  8  /* of a /24 or /64 */
#define PARKING_NETWORK 64 /* of a /48, IPv6 only */

struct parking_counts;

/* What one request has taken. Zero-initialised: nothing. */
struct parking_charge {
    uint32_t prefix, network; /* entries; network only where has_network */
    bool open, has_network;
};

/* `key`: 16 random bytes. NULL: out of memory. */
struct parking_counts *parking_counts_new(const uint8_t key[16]);
void parking_counts_free(struct parking_counts *c); /* NULL: nothing happens */
/* REASON_NONE, or REASON_PARKING_FULL with the charge as before. */
enum reason parking_counts_open(
    struct parking_counts *c, struct parking_charge *charge, const struct addr *client);
/* Gives back what the charge holds, and empties it. Not open: nothing happens. */
void parking_counts_close(struct parking_counts *c, struct parking_charge *charge);
uint32_t parking_counts_total(const struct parking_counts *c);

#endif
