/*
 * Sockets from the service manager.
 *
 * Always: every descriptor from 3 on that is ours by LISTEN_FDS is taken by one listener, or the
 * start fails: the manager listens on it, whether somebody accepts there or not. Called by control.
 */
#include "daemon/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* SD_LISTEN_FDS_START. */
#define FIRST 3

/* A number and nothing else; -1: not one. */
static long number_of(const char *text)
{
    char *end;
    errno = 0;
    const long value = text && text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : -1;
    return value < 0 || errno != 0 || *end != '\0' ? -1 : value;
}

/* How many are ours; negative: more than can be. */
static long activation_count(void)
{
    const char *count = getenv("LISTEN_FDS");
    if (!count || number_of(getenv("LISTEN_PID")) != (long)getpid()) {
        return 0;
    }
    const long n = number_of(count);
    return n > ACTIVATION_MAX ? -1 : n;
}

static int option_of(int fd, int level, int option)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, level, option, &value, &len) == 0 ? value : -1;
}

/* What is wrong with where the socket is, or NULL with that in *out. */
static const char *activation_read_place(struct activation_socket *out, int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);
    if (option_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM) {
        return "is a datagram socket: the daemon binds those itself, one for each of its workers";
    }
    if (option_of(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
        return "is no stream socket";
    }
    if (sa.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&sa;
        if (len <= offsetof(struct sockaddr_un, sun_path) || un->sun_path[0] != '/') {
            return "is a unix socket without a path";
        }
        /* With a NUL where there is room for one; behind the longest path the kernel counts one
         * more than a sockaddr_un has. */
        snprintf(out->path, sizeof(out->path), "%.*s", (int)sizeof(un->sun_path), un->sun_path);
        return NULL;
    }
    if (addr_from_sockaddr(&out->addr, (struct sockaddr *)&sa) < 0) {
        return "is of no family that the daemon knows";
    }
    if (sa.ss_family == AF_INET6 && addr_is_unspecified(&out->addr) &&
        option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0) {
        return "takes IPv4 too: BindIPv6Only=ipv6-only, and a socket of its own for 0.0.0.0";
    }
    return NULL;
}

/* What is wrong with the socket, or NULL with its place in *out. */
static const char *activation_read(struct activation_socket *out, int fd)
{
    const char *wrong = activation_read_place(out, fd);
    /* A connection is at the address of the listener that it came in at. */
    return !wrong && option_of(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1
               ? "does not listen: Accept=no is needed"
               : wrong;
}

/* Takes descriptor `fd` over. 0 or -EINVAL. */
static int activation_add(struct activation *a, int fd, char *error, size_t error_cap)
{
    struct activation_socket s = {.fd = fd};
    const char *wrong = activation_read(&s, fd);
    const int flags = fcntl(fd, F_GETFL);
    if (!wrong && (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
                      fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)) {
        wrong = "cannot be set up";
    }
    if (wrong) {
        snprintf(error, error_cap, "socket activation: descriptor %d %s", fd, wrong);
        return -EINVAL;
    }
    a->list[a->count++] = s;
    return 0;
}

int activation_init(struct activation *a, char *error, size_t error_cap)
{
    const long n = activation_count();
    int r = 0;
    *a = (struct activation){0};
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (n < 0) {
        snprintf(error, error_cap, "socket activation: LISTEN_FDS is not a number up to %d",
            ACTIVATION_MAX);
        return -EINVAL;
    }
    for (long i = 0; i < n && r == 0; i++) {
        r = activation_add(a, FIRST + (int)i, error, error_cap);
    }
    return r;
}

size_t activation_take_tcp(struct activation *a, const struct addr *addr, int *fds, size_t max)
{
    size_t taken = 0;
    for (size_t i = 0; i < a->count && taken < max; i++) {
        struct activation_socket *s = &a->list[i];
        if (s->fd >= 0 && s->addr.family != ADDR_NONE && addr_equal(&s->addr, addr)) {
            fds[taken++] = s->fd;
            s->fd = -1;
        }
    }
    return taken;
}

int activation_take_path(struct activation *a, const char *path)
{
    for (size_t i = 0; i < a->count; i++) {
        struct activation_socket *s = &a->list[i];
        if (s->fd >= 0 && s->addr.family == ADDR_NONE && strcmp(s->path, path) == 0) {
            const int fd = s->fd;
            s->fd = -1;
            return fd;
        }
    }
    return -ENOENT;
}

int activation_check(const struct activation *a, char *error, size_t error_cap)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct activation_socket *s = &a->list[i];
        char text[ADDR_TEXT_MAX];
        if (s->fd >= 0) {
            snprintf(error, error_cap,
                "socket activation: nothing in the configuration listens at %s",
                s->addr.family == ADDR_NONE ? s->path : addr_format(&s->addr, text, sizeof(text)));
            return -EINVAL;
        }
    }
    return 0;
}

void activation_deinit(struct activation *a)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->list[i].fd >= 0) {
            close(a->list[i].fd);
        }
    }
    *a = (struct activation){0};
}
