/*
 * The relay sockets of one worker: relay/sockets.h over real UDP sockets. Each is bound to exactly
 * one address and port, shared with nobody, and reports ICMP errors through its error queue. One
 * thread.
 */
#ifndef NET_RELAY_SOCKET_H
#define NET_RELAY_SOCKET_H

#include "net/io.h"
#include "relay/sockets.h"

struct relay_socket_set;
struct socket_budget;

/*
 * Room for `max` sockets. `io` and `budget` (shared by all workers; NULL: no limit) are borrowed
 * for life. NULL: out of memory.
 */
struct relay_socket_set *relay_socket_set_new(
    struct io *io, struct socket_budget *budget, unsigned worker, size_t max);
/*
 * When every socket has been released and the loop has run the close callbacks. NULL: nothing
 * happens.
 */
void relay_socket_set_free(struct relay_socket_set *set);
/* The interface for relay/; its ctx is the set. */
struct relay_sockets relay_socket_set_interface(struct relay_socket_set *set);
/* Sockets that are open. */
size_t relay_socket_set_count(const struct relay_socket_set *set);

/* The descriptor to send with, or -EBADF for a stale handle. */
int relay_socket_fd(const struct relay_socket_set *set, uint64_t handle);
/*
 * Makes the next sends of this socket carry DF (IPv4) or leave here unfragmented (IPv6), or not;
 * does nothing when they already do.
 * With DF a pending ICMP error is taken off the socket, so that -EMSGSIZE of the send is about the
 * send. A stale handle: nothing happens.
 */
void relay_socket_dont_fragment(struct relay_socket_set *set, uint64_t handle, bool on);

#endif
