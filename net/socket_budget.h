/*
 * How many relay sockets and clients' connections the process may hold, over all workers: what the
 * file limit leaves after a reserve for reloads, logs and the admin server, and what epoll may
 * still watch. libuv ends the process when epoll refuses a descriptor, so a socket that could be
 * refused is never opened. Whoever connects has proven nothing, so connections get half of it at
 * most: the other half is left to those who authenticate. Any thread.
 */
#ifndef NET_SOCKET_BUDGET_H
#define NET_SOCKET_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct socket_budget {
    _Atomic int64_t left;
    _Atomic int64_t connections; /* of those left, as many as connections may still take */
};

/* Reads the limits of this process and system; `in_use`: descriptors held already. */
void socket_budget_init(struct socket_budget *b, uint64_t in_use);
/* Keeps `files` more from both, for good; who has one keeps it. */
void socket_budget_reserve(struct socket_budget *b, uint32_t files);
/* The arithmetic of it: RLIMIT_NOFILE, fs.epoll.max_user_watches (0: unknown), held already. */
int64_t socket_budget_size(uint64_t files, uint64_t watches, uint64_t in_use);
/* For a relay socket. False: none is left. */
bool socket_budget_take(struct socket_budget *b);
void socket_budget_give(struct socket_budget *b);
/* For a client's connection. False: none is left, or not for one. */
bool socket_budget_take_connection(struct socket_budget *b);
void socket_budget_give_connection(struct socket_budget *b);

#endif
