/*
 * Listening sockets of the admin server.
 *
 * Always: accepting never spins. Where it fails, because no descriptor is left, polling stops until
 * the next tick: the pending connection would wake the loop again and again. Called by admin.c.
 */
#include "admin/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64
/* Of one wake-up: the loop has other things to do. */
#define ACCEPTS_AT_ONCE 16

struct admin_listen {
    uv_poll_t poll;
    int fd;
    bool local, paused;
    struct admin_listen_on on;
    struct sockaddr_un path; /* of a unix socket */
    struct stat file;        /* what was bound there: another's file is not ours to remove */
};

/* Of a unix socket: who may use it without a token. */
static bool peer_is_trusted(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && len == sizeof(peer) &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static struct addr end_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct addr addr = {0};
    if (name(fd, (struct sockaddr *)&sa, &len) == 0) {
        (void)addr_from_sockaddr(&addr, (struct sockaddr *)&sa);
    }
    return addr;
}

static struct admin_peer peer_of(int fd, bool local)
{
    if (local) {
        return (struct admin_peer){.local = true, .trusted = peer_is_trusted(fd), .secure = true};
    }
    struct admin_peer peer = {.at = end_of(fd, getsockname), .from = end_of(fd, getpeername)};
    peer.secure = addr_is_loopback(&peer.at);
    return peer;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct admin_listen *l = poll->data;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                uv_poll_stop(poll);
                l->paused = true;
            }
            return;
        }
        const struct admin_peer peer = peer_of(fd, l->local);
        l->on.accept(l->on.ctx, fd, &peer);
    }
}

void admin_listen_resume(struct admin_listen *l)
{
    if (l && l->paused) {
        l->paused = uv_poll_start(&l->poll, UV_READABLE, on_readable) < 0;
    }
}

/* Takes `fd` over in any case. */
static int start(struct admin_listen **out, const struct admin_listen_on *on, int fd, bool local)
{
    struct admin_listen *l = calloc(1, sizeof(*l));
    int r = l ? 0 : -ENOMEM;
    if (r == 0 && listen(fd, BACKLOG) < 0) {
        r = -errno;
    }
    if (r == 0) {
        r = uv_poll_init(on->loop, &l->poll, fd);
    }
    if (r < 0) {
        free(l);
        close(fd);
        return r;
    }
    l->fd = fd;
    l->local = local;
    l->on = *on;
    l->poll.data = l;
    l->paused = uv_poll_start(&l->poll, UV_READABLE, on_readable) < 0;
    *out = l;
    return 0;
}

/* A descriptor, or negative: it must be bound. */
static int given(const struct admin_listen_on *on, const struct addr *addr, const char *path)
{
    return on->given ? on->given(on->given_ctx, addr, path) : -ENOENT;
}

int admin_listen_tcp(
    struct admin_listen **out, const struct admin_listen_on *on, const struct addr *addr)
{
    const int bound = given(on, addr, NULL);
    if (bound >= 0) {
        return start(out, on, bound, false);
    }
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(addr, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    /* Only against addresses in TIME_WAIT: two that listen still exclude each other. */
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&sa, len) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return start(out, on, fd, false);
}

/* 0: nobody listens there, and nothing is in the way any more. */
static int clear_path(const struct sockaddr_un *path)
{
    struct stat file;
    if (lstat(path->sun_path, &file) < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (!S_ISSOCK(file.st_mode)) {
        return -ENOTSOCK;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int r = connect(fd, (const struct sockaddr *)path, sizeof(*path)) == 0 ? 0 : -errno;
    close(fd);
    if (r != -ECONNREFUSED) {
        /* Connected, or its queue is full (EAGAIN): someone is there. */
        return r == 0 || r == -EAGAIN ? -EADDRINUSE : r;
    }
    return unlink(path->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* The file appears with its mode: nobody else can connect in between. */
static int bind_private(int fd, const struct sockaddr_un *path)
{
    mode_t before = umask(0117);
    int r = bind(fd, (const struct sockaddr *)path, sizeof(*path)) == 0 ? 0 : -errno;
    umask(before);
    return r;
}

int admin_listen_unix(struct admin_listen **out, const struct admin_listen_on *on, const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(sa.sun_path)) {
        return -ENAMETOOLONG;
    }
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    const int bound = given(on, NULL, path);
    if (bound >= 0) {
        return start(out, on, bound, true);
    }
    int r = clear_path(&sa);
    if (r < 0) {
        return r;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    struct stat file = {0};
    r = bind_private(fd, &sa);
    if (r < 0) {
        close(fd);
        return r;
    }
    if (lstat(sa.sun_path, &file) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    r = start(out, on, fd, true);
    if (r < 0) {
        unlink(sa.sun_path);
        return r;
    }
    (*out)->path = sa;
    (*out)->file = file;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void admin_listen_close(struct admin_listen *l)
{
    if (!l) {
        return;
    }
    struct stat file;
    if (l->local && lstat(l->path.sun_path, &file) == 0 && file.st_dev == l->file.st_dev &&
        file.st_ino == l->file.st_ino) {
        unlink(l->path.sun_path);
    }
    uv_poll_stop(&l->poll);
    close(l->fd);
    uv_close((uv_handle_t *)&l->poll, on_closed);
}
