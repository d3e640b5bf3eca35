/*
 * Listening sockets that a service manager hands over, as sd_listen_fds(3) describes: descriptors
 * from 3 on, counted by LISTEN_FDS, for the process that LISTEN_PID names. They are bound already,
 * and the manager keeps them: what connects while the daemon restarts waits in them. Each is
 * matched by the address it is bound to. Control thread.
 */
#ifndef DAEMON_ACTIVATION_H
#define DAEMON_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "base/addr.h"

#define ACTIVATION_MAX 64

struct activation_socket {
    int fd;           /* owned; -1: somebody has it */
    struct addr addr; /* of TCP; family ADDR_NONE: a unix socket */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
};

/* Zero-initialised: none. */
struct activation {
    struct activation_socket list[ACTIVATION_MAX];
    size_t count;
};

/*
 * Takes the sockets and LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of the environment, before
 * there are other threads that may read it. 0, also where there are none or they are another
 * process's; or -EINVAL with a line in `error`: not a stream socket over IPv4, IPv6 or a path; one
 * that takes IPv4 over IPv6, whose clients would have addresses of another family than their
 * listener; or too many.
 */
int activation_init(struct activation *a, char *error, size_t error_cap);
/* Those bound to `addr`, not more than `max`; the caller owns them. Returns how many. */
size_t activation_take_tcp(struct activation *a, const struct addr *addr, int *fds, size_t max);
/* The one bound to `path`, which the caller owns; -ENOENT: none. */
int activation_take_path(struct activation *a, const char *path);
/*
 * When everything that listens has taken its own. 0, or -EINVAL with a line in `error`: somebody
 * could connect to one that is left, and would wait for ever.
 */
int activation_check(const struct activation *a, char *error, size_t error_cap);
/* Closes what nobody has taken. */
void activation_deinit(struct activation *a);

#endif
