/*
 * Listening sockets of TCP and TLS.
 *
 * Always: a port that another program has is refused even where that program would share it.
 * Called by control before any worker polls.
 */
#include "net/stream_endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
/* A dead client's connection, and the allocation behind it, ends after some two minutes. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES     4
/* The same where data is on its way to it, which keep-alive leaves to retransmission. */
#define UNACKNOWLEDGED_MS 120000
/* What the kernel takes beyond what is on its way: media that waits longer is worth nothing, and
 * our own queue knows messages, which the kernel's does not. */
#define UNSENT_BYTES (128 * 1024)

static bool stream_endpoint_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool stream_endpoint_connection_options(int fd)
{
    return stream_endpoint_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           stream_endpoint_set(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
           stream_endpoint_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S) &&
           stream_endpoint_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S) &&
           stream_endpoint_set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES) &&
           stream_endpoint_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS) &&
           stream_endpoint_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
}

/*
 * REUSEADDR, because connections of the process before may still be in TIME_WAIT; a set REUSEPORT
 * before the first bind would let this group join that of another process of the same user.
 */
static bool stream_endpoint_options(int fd, const struct addr *addr, unsigned index)
{
    return (addr->family != ADDR_IPV6 || stream_endpoint_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
           stream_endpoint_set(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
           (index == 0 || stream_endpoint_set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
           stream_endpoint_connection_options(fd);
}

/* The socket of worker `index`, bound. A descriptor or -errno. */
static int stream_endpoint_bind(const struct addr *addr, unsigned index)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(addr, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    bool ok =
        stream_endpoint_options(fd, addr, index) && bind(fd, (struct sockaddr *)&sa, len) == 0;
    if (index == 0) {
        ok = ok && stream_endpoint_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (!ok) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int stream_endpoint_open(struct stream_endpoint **out, const struct addr *addr, unsigned workers)
{
    struct stream_endpoint *e = calloc(1, sizeof(*e) + workers * sizeof(e->fds[0]));
    if (!e) {
        return -ENOMEM;
    }
    e->addr = *addr;
    int r = 0;
    for (unsigned i = 0; i < workers && r == 0; i++) {
        int fd = stream_endpoint_bind(addr, i);
        if (fd < 0) {
            r = fd;
        } else {
            e->fds[i] = fd;
            e->workers = i + 1;
        }
    }
    /* Nobody may connect before every socket of the group is there. */
    for (unsigned i = 0; i < workers && r == 0; i++) {
        r = listen(e->fds[i], BACKLOG) == 0 ? 0 : -errno;
    }
    if (r < 0) {
        stream_endpoint_close(e);
        return r;
    }
    *out = e;
    return 0;
}

int stream_endpoint_adopt(struct stream_endpoint **out, const struct addr *addr, unsigned workers,
    const int *fds, unsigned count)
{
    struct stream_endpoint *e = calloc(1, sizeof(*e) + workers * sizeof(e->fds[0]));
    int r = e ? 0 : -ENOMEM;
    for (unsigned i = 0; i < workers && r == 0; i++) {
        int fd = fcntl(fds[i % count], F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            r = -errno;
        } else {
            e->fds[i] = fd;
            e->workers = i + 1;
            r = stream_endpoint_connection_options(fd) && listen(fd, BACKLOG) == 0 ? 0 : -errno;
        }
    }
    if (r < 0) {
        stream_endpoint_close(e);
        return r;
    }
    for (unsigned i = 0; i < count; i++) {
        close(fds[i]);
    }
    e->addr = *addr;
    *out = e;
    return 0;
}

void stream_endpoint_close(struct stream_endpoint *e)
{
    if (!e) {
        return;
    }
    for (unsigned i = 0; i < e->workers; i++) {
        close(e->fds[i]);
    }
    free(e);
}
