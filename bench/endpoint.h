/*
 * What the generator sends and receives through, and that costs little: sends in batches, never
 * waits to receive, and learns from the kernel when each message arrived, so that nobody has to be
 * woken to look. One endpoint speaks for thousands of clients, each from an address of its own: by
 * one UDP socket, or by one connection each over TCP, TLS or DTLS.
 */
#ifndef BENCH_ENDPOINT_H
#define BENCH_ENDPOINT_H

#include "bench/connections.h"
#include "bench/reader.h"

#include <netinet/in.h>

#define ENDPOINT_BATCH       64
#define ENDPOINT_DATAGRAM    65536 /* longest coalesced datagram, bytes */
#define ENDPOINT_RECEIVE_MAX 16    /* receives of one call, each of up to ENDPOINT_DATAGRAM */

struct endpoint;

/* Where one message goes. */
struct endpoint_route {
    struct sockaddr_in to;
    struct in_addr from; /* local address to send from; 0: the socket's */
    unsigned connection; /* which one; of no meaning where there are none */
};

/* Bound to `local`, in the network namespace whose file is `netns` (NULL: this one). NULL after one
 * line on stderr. */
struct endpoint *endpoint_new(struct in_addr local, const char *netns);
/* Connections in place of the socket, all to one server. NULL after one line on stderr. */
struct endpoint *endpoint_new_connected(const struct connections_settings *settings);
void endpoint_free(struct endpoint *e);

/* Of an endpoint with a socket. */
struct sockaddr_in endpoint_local(const struct endpoint *e);

/* Room for a message of `len` bytes in the batch, to be filled in before the next call; a full
 * batch is sent first. In streams it is followed by its padding. `segment` over 0, with a socket
 * only: sent as one, to be cut into pieces of `segment` bytes. */
uint8_t *endpoint_append(
    struct endpoint *e, const struct endpoint_route *route, size_t len, size_t segment);
/* Sends the batch. Datagrams that the kernel refuses are dropped and counted; consecutive messages
 * of one stream leave together. */
void endpoint_flush(struct endpoint *e);
uint64_t endpoint_refused(const struct endpoint *e);

/* Ends the client's connection; its next message makes another. Nothing happens with a socket. */
void endpoint_restart(struct endpoint *e, unsigned connection);
/* All zero with a socket. */
struct connections_stats endpoint_connections(const struct endpoint *e);

/* From now on the kernel keeps only datagrams whose byte at `offset` is a multiple of `every` (a
 * power of two), and drops the others where they arrive. 0 or -errno; -ENOTSUP with connections. */
int endpoint_sample(struct endpoint *e, size_t offset, uint8_t every);

/* Receives what has arrived. */
void endpoint_receive(struct endpoint *e, const struct endpoint_reader *reader);

#endif
