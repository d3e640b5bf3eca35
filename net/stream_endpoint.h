/*
 * Where TCP and TLS connections come in: one address and port with one listening socket a worker,
 * all in one reuse-port group, so that the kernel spreads connections over the workers. Made and
 * freed by control; workers borrow it, and it outlives them.
 */
#ifndef NET_STREAM_ENDPOINT_H
#define NET_STREAM_ENDPOINT_H

#include "base/addr.h"

struct stream_endpoint {
    struct addr addr;
    unsigned workers;
    int fds[]; /* one a worker, listening; accepted connections inherit TCP_NODELAY, keep-alive and
                  the bounds on what the kernel keeps unsent and unacknowledged */
};

/*
 * Binds and listens for each worker; like udp_endpoint_open: a port that another program has is an
 * error. 0; -EADDRINUSE or another -errno. -EAFNOSUPPORT or -EADDRNOTAVAIL for "::" means a host
 * without IPv6.
 */
int stream_endpoint_open(struct stream_endpoint **out, const struct addr *addr, unsigned workers);
/*
 * The same of `count` sockets, at least one and not more than workers, that somebody else has bound
 * to `addr`: workers beyond `count` share them, and whoever wakes first accepts. They are ours on
 * success only. 0 or -errno.
 */
int stream_endpoint_adopt(struct stream_endpoint **out, const struct addr *addr, unsigned workers,
    const int *fds, unsigned count);
/* Closes the sockets. NULL: nothing happens. */
void stream_endpoint_close(struct stream_endpoint *e);

#endif
