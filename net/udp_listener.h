/*
 * UDP listeners: one address and port with one socket a worker, all in one reuse-port group, so
 * that a client's 5-tuple always reaches the same worker. Sockets are bound by control (endpoint),
 * polled by a worker (listener).
 */
#ifndef NET_UDP_LISTENER_H
#define NET_UDP_LISTENER_H

#include "net/io.h"

/* One address and port. Made and freed by control; workers borrow it, and it outlives them. */
struct udp_endpoint {
    struct addr addr;
    bool wildcard; /* the address that was hit comes with each datagram, and replies name it */
    unsigned workers;
    int fds[]; /* one a worker */
};

/*
 * Binds a socket for each worker. The first is bound alone, so that a port that another program has
 * is an error even where that program runs as the same user and would share it; the group opens
 * afterwards. `receive_buffer`: bytes, 0 for the system's. 0; -EADDRINUSE or another -errno.
 * -EAFNOSUPPORT or -EADDRNOTAVAIL for "::" means a host without IPv6.
 */
int udp_endpoint_open(
    struct udp_endpoint **out, const struct addr *addr, unsigned workers, uint32_t receive_buffer);
/* Closes the sockets. NULL: nothing happens. */
void udp_endpoint_close(struct udp_endpoint *e);

/* Room for one recvmmsg; shared by the listeners of a worker. */
struct udp_batch;
struct udp_batch *udp_batch_new(void); /* NULL: out of memory */
void udp_batch_free(struct udp_batch *b);

struct dtls_sessions;

/*
 * One worker's share of an endpoint. Embedded; must stay where it is until udp_listener_stop's
 * closing has run.
 */
struct udp_listener {
    uv_poll_t poll;
    struct io *io;
    struct udp_batch *batch;
    const struct udp_endpoint *endpoint;
    int fd;         /* borrowed from the endpoint */
    uint16_t index; /* in the worker's list: flow.listener */
    uint32_t realm; /* these two as in snapshot.h */
    uint64_t realms;
    struct dtls_sessions *dtls; /* sees each datagram first; borrowed; NULL: none does */
    bool dtls_only;             /* what is no DTLS is dropped */
};

/* Starts to poll. 0 or libuv's error. */
int udp_listener_start(struct udp_listener *l, struct io *io, struct udp_batch *batch,
    const struct udp_endpoint *endpoint, unsigned worker);
/* Stops to poll; the descriptor stays the endpoint's. */
void udp_listener_stop(struct udp_listener *l);

#endif
