/*
 * Accepts connections.
 *
 * Always: a wake-up accepts a bounded number. Where accept fails for want of files or memory, the
 * connection stays in the backlog and the socket readable: the listener pauses until the next tick
 * instead of spinning. Called by the worker.
 */
#include "net/stream_listener.h"

#include <errno.h>

#define ACCEPTS_A_WAKEUP 32

/* True where another try makes sense at once. */
static bool stream_listener_failed(struct stream_listener *l, int error)
{
    switch (error) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        counters_add(l->io->counters, METRIC_ACCEPT_PAUSED, 1);
        l->paused = true;
        uv_poll_stop(&l->poll);
        return false;
    default:
        /* "Linux accept() … passes already-pending network errors on the new socket as an error
         * code from accept()" (accept(2)): that connection is gone, the next may be fine. */
        return true;
    }
}

/* False: nothing more is there, or may be had now. */
static bool stream_listener_accept(struct stream_listener *l)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct addr remote = {0};
    int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return stream_listener_failed(l, errno);
    }
    (void)addr_from_sockaddr(&remote, (struct sockaddr *)&sa);
    connections_accept(l->connections, fd, l->index, &remote);
    return true;
}

static void stream_listener_on_event(uv_poll_t *poll, int status, int events)
{
    struct stream_listener *l = poll->data;
    if (status < 0) {
        /* libuv has stopped polling; the next tick goes on. */
        l->paused = true;
        return;
    }
    for (unsigned i = 0; i < ACCEPTS_A_WAKEUP && stream_listener_accept(l); i++) {
    }
}

int stream_listener_start(struct stream_listener *l, struct io *io, struct connections *connections,
    const struct stream_endpoint *endpoint, unsigned worker)
{
    l->io = io;
    l->connections = connections;
    l->fd = endpoint->fds[worker];
    int r = uv_poll_init(io->loop, &l->poll, l->fd);
    if (r < 0) {
        return r;
    }
    l->poll.data = l;
    return uv_poll_start(&l->poll, UV_READABLE, stream_listener_on_event);
}

void stream_listener_resume(struct stream_listener *l)
{
    if (l->paused) {
        l->paused = false;
        (void)uv_poll_start(&l->poll, UV_READABLE, stream_listener_on_event);
    }
}

void stream_listener_stop(struct stream_listener *l)
{
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, NULL);
}
