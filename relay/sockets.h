/*
 * How relay/ opens and releases relay sockets. net/ implements it over real sockets, tests over
 * fakes. Handles are worker:slot:generation. All calls on the owner's thread; none blocks.
 */
#ifndef RELAY_SOCKETS_H
#define RELAY_SOCKETS_H

#include "base/addr.h"

/* A relay socket on its way from one worker to another. Owns the descriptor until adopted or
 * closed. */
struct parcel {
    int fd;            /* -1: none */
    struct addr local; /* bound address and port */
};

struct relay_sockets {
    void *ctx;
    /*
     * Binds a UDP socket to exactly `local` (IP and port), without SO_REUSEPORT: another program's
     * socket on the port is an error, never shared. `owner` comes back with every packet. 0;
     * -EADDRINUSE: try another port; -EMFILE/-ENFILE: file limit; any other -errno.
     */
    int (*open)(void *ctx, const struct addr *local, uint64_t owner, uint64_t *handle);
    /* `even` and the port above it: both or neither. The second is opened without an owner
     * (HANDLE_NONE): what arrives there is counted and dropped. */
    int (*open_pair)(void *ctx, const struct addr *even, uint64_t owner, uint64_t handles[2]);
    /* Gives a socket another owner; HANDLE_NONE: what arrives is counted and dropped. */
    void (*set_owner)(void *ctx, uint64_t handle, uint64_t owner);
    /* Closes. A stale handle: nothing happens. */
    void (*release)(void *ctx, uint64_t handle);
    /* Takes the socket out of this worker. 0, or -EBADF for a stale handle. */
    int (*detach)(void *ctx, uint64_t handle, struct parcel *out);
    /* Takes a parcel over; on failure (-ENOMEM, -EIO) the caller keeps it. */
    int (*adopt)(void *ctx, struct parcel *parcel, uint64_t owner, uint64_t *handle);
    /* Closes a parcel that nobody adopts. */
    void (*discard)(void *ctx, struct parcel *parcel);
};

#endif
