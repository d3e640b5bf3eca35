/*
 * Sends datagrams of the outbox: to clients through the listener their datagrams came to, to peers
 * through their relay socket.
 */
#ifndef NET_UDP_OUT_H
#define NET_UDP_OUT_H

#include "net/io.h"
#include "net/relay_socket.h"
#include "net/udp_listener.h"

struct udp_out;

/* A worker's listeners as udp_out looks them up: the worker changes them as snapshots come. */
struct udp_listener_list {
    struct udp_listener **items; /* by flow.listener; NULL: it is no UDP listener */
    size_t count;
};

/* All borrowed for life. NULL: out of memory. */
struct udp_out *udp_out_new(
    struct io *io, struct relay_socket_set *sockets, const struct udp_listener_list *listeners);
void udp_out_free(struct udp_out *out);

/*
 * Sends entries [from, end) of an outbox: to peers, or to clients over UDP. Every entry is counted
 * once: sent, or dropped with its reason.
 */
void udp_out_send(
    struct udp_out *out, const struct outbox_entry *entries, unsigned from, unsigned end);

#endif
