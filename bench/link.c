/*
 * A stream that the server does not read makes the generator wait here, and the row late: nothing
 * of a stream can be dropped. Rows keep far less in flight than a socket buffer holds.
 *
 * Called by connections.c, and by tls_client.c for the records of TLS and DTLS.
 */
#include "bench/link.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_BUFFER (1024 * 1024)
#define ROOM_WAIT_MS  2000
#define CONTROL_BYTES 128

static int configure(const struct link *l)
{
    int on = 1, buffer = SOCKET_BUFFER;

    if (l->stream) {
        if (setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0) {
            return -errno;
        }
    } else if (setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) < 0) {
        return -errno;
    }
    /* Addresses of clients are used again while the kernel still remembers their last port. */
    if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(l->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
        setsockopt(l->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0) {
        return -errno;
    }
    return 0;
}

int link_open(struct link *l, bool stream, struct in_addr from, const struct sockaddr_in *to)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = from};
    int type = (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, rc;

    l->fd = socket(AF_INET, type, 0);
    if (l->fd < 0) {
        return -errno;
    }
    l->stream = stream;
    l->drained = false;
    l->ending = false;
    rc = configure(l);
    if (rc == 0 && (bind(l->fd, (struct sockaddr *)&local, sizeof(local)) < 0 ||
                       (connect(l->fd, (const struct sockaddr *)to, sizeof(*to)) < 0 &&
                           errno != EINPROGRESS))) {
        rc = -errno;
    }
    if (rc < 0) {
        link_close(l);
    }
    return rc;
}

int link_connected(const struct link *l)
{
    int error = 0;
    socklen_t len = sizeof(error);

    return getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
}

void link_close(struct link *l)
{
    if (l->fd < 0) {
        return;
    }
    if (l->output != NULL && l->output->to == l) {
        link_flush(l->output);
    }
    close(l->fd);
    l->fd = -1;
}

static uint64_t arrival(struct msghdr *msg)
{
    struct timespec t = {0};

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            memcpy(&t, CMSG_DATA(c), sizeof(t));
        }
    }
    if (t.tv_sec == 0) {
        clock_gettime(CLOCK_REALTIME, &t);
    }
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

ssize_t link_receive(struct link *l, uint8_t *out, size_t cap)
{
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
    struct iovec iov = {out, cap};
    struct msghdr msg = {.msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control)};

    if (l->drained) {
        return -EAGAIN;
    }
    ssize_t len = recvmsg(l->fd, &msg, MSG_DONTWAIT);
    if (len < 0) {
        l->drained = errno == EAGAIN;
        return -errno;
    }
    l->drained = l->stream && !l->ending && (size_t)len < cap && len > 0;
    l->arrived_ns = arrival(&msg);
    return len;
}

static void send_all(const struct link *l, const uint8_t *bytes, size_t len)
{
    struct pollfd room = {.fd = l->fd, .events = POLLOUT};

    while (len > 0) {
        ssize_t sent = send(l->fd, bytes, len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        } else if (errno != EAGAIN || poll(&room, 1, ROOM_WAIT_MS) <= 0) {
            return;
        }
    }
}

void link_send(struct link *l, struct slice bytes)
{
    struct link_output *o = l->output;

    if (!l->stream) {
        send_all(l, bytes.data, bytes.len);
        return;
    }
    if (o->to != l || o->len + bytes.len > sizeof(o->bytes)) {
        link_flush(o);
    }
    if (bytes.len > sizeof(o->bytes)) {
        send_all(l, bytes.data, bytes.len);
        return;
    }
    o->to = l;
    memcpy(o->bytes + o->len, bytes.data, bytes.len);
    o->len += bytes.len;
}

void link_flush(struct link_output *output)
{
    if (output->len > 0) {
        send_all(output->to, output->bytes, output->len);
    }
    output->to = NULL;
    output->len = 0;
}
