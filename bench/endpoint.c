/*
 * Batches over sendmmsg and recvmmsg. Segmented sends reach the server's veth as one packet, and
 * segmented packets from the server are taken whole (UDP_GRO): otherwise the kernel would cut them
 * on the server's core, at its cost. With connections the batch only waits to be sent message by
 * message, and the rest is connections.c's.
 *
 * Called by the TURN client and by the media rows, from one thread.
 */
#include "bench/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_BUFFER (32 * 1024 * 1024)
#define SEND_SLOT     10240u /* bytes of buffer of a datagram in a batch; longer ones go alone */
#define CONTROL_BYTES 128
#define PADDED_TO     4u /* bytes, of ChannelData in streams: RFC 8656 section 12.5 */
#define UDP_HEADER    8  /* which a socket filter sees in front of the payload */

struct control {
    _Alignas(struct cmsghdr) uint8_t bytes[CONTROL_BYTES];
};

struct endpoint {
    int fd;                          /* -1 with connections */
    struct connections *connections; /* NULL with a socket */
    bool padded;                     /* streams */
    struct sockaddr_in local;
    uint64_t refused;
    unsigned pending; /* datagrams in the batch */
    size_t used;      /* bytes of out_bytes that they fill */
    struct mmsghdr out[ENDPOINT_BATCH];
    struct iovec out_iov[ENDPOINT_BATCH];
    struct sockaddr_in out_to[ENDPOINT_BATCH];
    struct endpoint_route out_route[ENDPOINT_BATCH]; /* with connections */
    struct control out_control[ENDPOINT_BATCH];
    struct mmsghdr in[ENDPOINT_RECEIVE_MAX];
    struct iovec in_iov[ENDPOINT_RECEIVE_MAX];
    struct control in_control[ENDPOINT_RECEIVE_MAX];
    uint8_t out_bytes[ENDPOINT_BATCH * SEND_SLOT];
    uint8_t in_bytes[ENDPOINT_RECEIVE_MAX][ENDPOINT_DATAGRAM];
};

/* A socket made inside the namespace stays there when the thread goes back. */
static int socket_in(const char *netns)
{
    int fd = -1;
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int away = netns != NULL ? open(netns, O_RDONLY | O_CLOEXEC) : -1;

    if (home < 0 || (netns != NULL && away < 0)) {
        goto out;
    }
    if (netns != NULL && setns(away, CLONE_NEWNET) < 0) {
        goto out;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (netns != NULL && setns(home, CLONE_NEWNET) < 0) {
        perror("turnpike-bench: back into the own network namespace");
        abort();
    }
out:
    if (away >= 0) {
        close(away);
    }
    if (home >= 0) {
        close(home);
    }
    return fd;
}

/* Buffers as large as allowed: what is lost shall be lost by the server. */
static int configure(int fd)
{
    int on = 1, buffer = SOCKET_BUFFER;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) < 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    }
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0 ||
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) < 0) {
        return -errno;
    }
    return 0;
}

static void prepare_receive(struct endpoint *e)
{
    for (unsigned i = 0; i < ENDPOINT_RECEIVE_MAX; i++) {
        e->in_iov[i] = (struct iovec){e->in_bytes[i], sizeof(e->in_bytes[i])};
        e->in[i].msg_hdr = (struct msghdr){.msg_iov = &e->in_iov[i], .msg_iovlen = 1};
    }
}

struct endpoint *endpoint_new(struct in_addr local, const char *netns)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = local};
    socklen_t len = sizeof(address);
    struct endpoint *e = calloc(1, sizeof(*e));

    if (e == NULL) {
        return NULL;
    }
    e->fd = socket_in(netns);
    if (e->fd < 0 || bind(e->fd, (struct sockaddr *)&address, len) < 0 || configure(e->fd) < 0 ||
        getsockname(e->fd, (struct sockaddr *)&address, &len) < 0) {
        perror("turnpike-bench: socket");
        endpoint_free(e);
        return NULL;
    }
    e->local = address;
    prepare_receive(e);
    return e;
}

struct endpoint *endpoint_new_connected(const struct connections_settings *settings)
{
    struct endpoint *e = calloc(1, sizeof(*e));

    if (e == NULL) {
        return NULL;
    }
    e->fd = -1;
    e->padded = transport_is_stream(settings->transport);
    e->connections = connections_new(settings);
    if (e->connections == NULL) {
        endpoint_free(e);
        return NULL;
    }
    return e;
}

void endpoint_free(struct endpoint *e)
{
    if (e == NULL) {
        return;
    }
    connections_free(e->connections);
    if (e->fd >= 0) {
        close(e->fd);
    }
    free(e);
}

struct sockaddr_in endpoint_local(const struct endpoint *e)
{
    return e->local;
}

uint64_t endpoint_refused(const struct endpoint *e)
{
    return e->refused + endpoint_connections(e).dropped;
}

void endpoint_restart(struct endpoint *e, unsigned connection)
{
    if (e->connections != NULL) {
        connections_restart(e->connections, connection);
    }
}

struct connections_stats endpoint_connections(const struct endpoint *e)
{
    return e->connections != NULL ? connections_stats(e->connections)
                                  : (struct connections_stats){0};
}

/* Returns the bytes of control data. */
static size_t write_control(struct control *control, struct in_addr from, size_t segment)
{
    struct msghdr msg = {.msg_control = control->bytes, .msg_controllen = sizeof(control->bytes)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    size_t len = 0;

    memset(control, 0, sizeof(*control));
    if (from.s_addr != 0) {
        struct in_pktinfo info = {.ipi_spec_dst = from};
        cmsg->cmsg_level = IPPROTO_IP;
        cmsg->cmsg_type = IP_PKTINFO;
        cmsg->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
        len += CMSG_SPACE(sizeof(info));
        cmsg = CMSG_NXTHDR(&msg, cmsg);
    }
    if (segment != 0) {
        uint16_t bytes = (uint16_t)segment;
        cmsg->cmsg_level = IPPROTO_UDP;
        cmsg->cmsg_type = UDP_SEGMENT;
        cmsg->cmsg_len = CMSG_LEN(sizeof(bytes));
        memcpy(CMSG_DATA(cmsg), &bytes, sizeof(bytes));
        len += CMSG_SPACE(sizeof(bytes));
    }
    return len;
}

/* Room in the batch for a connection. */
static uint8_t *append_message(struct endpoint *e, const struct endpoint_route *route, size_t len)
{
    size_t padding = e->padded ? (PADDED_TO - len % PADDED_TO) % PADDED_TO : 0;
    unsigned i = e->pending++;
    uint8_t *out = e->out_bytes + e->used;

    e->out_route[i] = *route;
    e->out_iov[i] = (struct iovec){out, len + padding};
    memset(out + len, 0, padding);
    e->used += len + padding;
    return out;
}

static void flush_messages(struct endpoint *e)
{
    for (unsigned i = 0; i < e->pending; i++) {
        const struct endpoint_route *route = &e->out_route[i];
        connections_send(e->connections, route->connection, route->from,
            slice_of(e->out_iov[i].iov_base, e->out_iov[i].iov_len));
    }
    connections_flush(e->connections);
}

uint8_t *endpoint_append(
    struct endpoint *e, const struct endpoint_route *route, size_t len, size_t segment)
{
    if (e->pending == ENDPOINT_BATCH || e->used + len + PADDED_TO > sizeof(e->out_bytes)) {
        endpoint_flush(e);
    }
    if (e->connections != NULL) {
        return append_message(e, route, len);
    }
    unsigned i = e->pending++;
    struct msghdr *msg = &e->out[i].msg_hdr;

    e->out_to[i] = route->to;
    e->out_iov[i] = (struct iovec){e->out_bytes + e->used, len};
    *msg = (struct msghdr){.msg_name = &e->out_to[i],
        .msg_namelen = sizeof(e->out_to[i]),
        .msg_iov = &e->out_iov[i],
        .msg_iovlen = 1};
    if (route->from.s_addr != 0 || segment != 0) {
        msg->msg_controllen = write_control(&e->out_control[i], route->from, segment);
        msg->msg_control = e->out_control[i].bytes;
    }
    e->used += len;
    return e->out_iov[i].iov_base;
}

void endpoint_flush(struct endpoint *e)
{
    unsigned done = 0;

    if (e->connections != NULL) {
        flush_messages(e);
        done = e->pending;
    }
    while (done < e->pending) {
        int sent = sendmmsg(e->fd, e->out + done, e->pending - done, 0);
        if (sent > 0) {
            done += (unsigned)sent;
        } else if (errno != EINTR) {
            e->refused++;
            done++;
        }
    }
    e->pending = 0;
    e->used = 0;
}

int endpoint_sample(struct endpoint *e, size_t offset, uint8_t every)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(UDP_HEADER + offset)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, every - 1u, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (e->connections != NULL) {
        return -ENOTSUP;
    }
    return setsockopt(e->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
                                                                                          : 0;
}

/* When it arrived, and into which pieces it is to be cut (0: it is whole). */
static uint64_t read_control(struct msghdr *msg, size_t *segment)
{
    uint64_t arrived = 0;

    *segment = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof(t));
            arrived = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int bytes;
            memcpy(&bytes, CMSG_DATA(c), sizeof(bytes));
            *segment = bytes > 0 ? (size_t)bytes : 0;
        }
    }
    return arrived;
}

static void hand_over(struct endpoint *e, unsigned index, const struct endpoint_reader *reader)
{
    struct mmsghdr *m = &e->in[index];
    size_t segment, len = m->msg_len, offset = 0;
    uint64_t arrived = read_control(&m->msg_hdr, &segment);

    if (segment == 0) {
        segment = len;
    }
    while (offset < len) {
        size_t piece = len - offset < segment ? len - offset : segment;
        reader->datagram(reader->ctx, slice_of(e->in_bytes[index] + offset, piece), arrived);
        offset += piece;
    }
}

void endpoint_receive(struct endpoint *e, const struct endpoint_reader *reader)
{
    int count;

    if (e->connections != NULL) {
        connections_receive(e->connections, reader);
        return;
    }
    do {
        for (unsigned i = 0; i < ENDPOINT_RECEIVE_MAX; i++) {
            e->in[i].msg_hdr.msg_control = e->in_control[i].bytes;
            e->in[i].msg_hdr.msg_controllen = sizeof(e->in_control[i].bytes);
        }
        count = recvmmsg(e->fd, e->in, ENDPOINT_RECEIVE_MAX, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) {
            hand_over(e, (unsigned)i, reader);
        }
    } while (count == ENDPOINT_RECEIVE_MAX);
}
