/*
 * How many relay sockets the process may hold, over all workers: what the file limit leaves after a
 * reserve for reloads, logs and the admin server, and what epoll may still watch. libuv ends the
 * process when epoll refuses a descriptor, so a socket that could be refused is never opened. Any
 * thread.
 */
#ifndef NET_SOCKET_BUDGET_H
#define NET_SOCKET_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct socket_budget {
    _Atomic int64_t left;
};

/* Reads the limits of this process and system; `in_use`: descriptors held already. */
void socket_budget_init(struct socket_budget *b, uint64_t in_use);
/* The arithmetic of it: RLIMIT_NOFILE, fs.epoll.max_user_watches (0: unknown), held already. */
int64_t socket_budget_size(uint64_t files, uint64_t watches, uint64_t in_use);
/* False: none is left. */
bool socket_budget_take(struct socket_budget *b);
void socket_budget_give(struct socket_budget *b);

#endif
