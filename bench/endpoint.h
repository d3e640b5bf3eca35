/*
 * A UDP socket of the generator that costs little: sends and receives in batches, never waits, and
 * learns from the kernel when each datagram arrived, so that nobody has to be woken to look. One
 * socket speaks for thousands of clients: each datagram may leave from another local address.
 */
#ifndef BENCH_ENDPOINT_H
#define BENCH_ENDPOINT_H

#include "base/slice.h"

#include <netinet/in.h>

#define ENDPOINT_BATCH       64
#define ENDPOINT_DATAGRAM    65536 /* longest coalesced datagram, bytes */
#define ENDPOINT_RECEIVE_MAX 16    /* receives of one call, each of up to ENDPOINT_DATAGRAM */

struct endpoint;

/* Called for each datagram; those that arrived coalesced are taken apart first. The bytes are
 * borrowed. `arrived_ns`: CLOCK_REALTIME at which the kernel received it. */
struct endpoint_reader {
    void (*datagram)(void *ctx, struct slice bytes, uint64_t arrived_ns);
    void *ctx;
};

/* Where one datagram goes. */
struct endpoint_route {
    struct sockaddr_in to;
    struct in_addr from; /* local address to send from; 0: the socket's */
};

/* Bound to `local`, in the network namespace whose file is `netns` (NULL: this one). NULL after one
 * line on stderr. */
struct endpoint *endpoint_new(struct in_addr local, const char *netns);
void endpoint_free(struct endpoint *e);

struct sockaddr_in endpoint_local(const struct endpoint *e);

/* Room for a datagram of `len` bytes in the batch, to be filled in before the next call; a full
 * batch is sent first. `segment` over 0: sent as one, to be cut into pieces of `segment` bytes. */
uint8_t *endpoint_append(
    struct endpoint *e, const struct endpoint_route *route, size_t len, size_t segment);
/* Sends the batch. Datagrams that the kernel refuses are dropped and counted. */
void endpoint_flush(struct endpoint *e);
uint64_t endpoint_refused(const struct endpoint *e);

/* From now on the kernel keeps only datagrams whose byte at `offset` is a multiple of `every` (a
 * power of two), and drops the others where they arrive. 0 or -errno. */
int endpoint_sample(struct endpoint *e, size_t offset, uint8_t every);

/* Receives what has arrived. */
void endpoint_receive(struct endpoint *e, const struct endpoint_reader *reader);

#endif
