/*
 * Clients' datagrams: received in batches from the listening sockets and handed to relay/, one
 * packet on the stack each.
 *
 * Always: every datagram that the kernel hands over is counted once as received, then given to
 * relay/ or dropped with a reason. A wake-up takes a bounded number of batches, so that a flooded
 * listener leaves the relay sockets their turn. Endpoints are made by control before any worker
 * polls them; the rest runs on the worker's thread.
 */
#include "net/udp_listener.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/cmsg.h"
#include "net/dtls_sessions.h"

#define BATCHES_A_WAKEUP 4

struct udp_batch {
    struct mmsghdr messages[IO_BATCH];
    struct iovec slots[IO_BATCH];
    struct sockaddr_storage sources[IO_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[IO_BATCH][CMSG_ROOM];
};

/*
 * Options before the bind. IP_RECVERR is left off on purpose: an unconnected UDP socket without it
 * hears nothing of ICMP errors, and a listener has no use for them: what a client does not take is
 * lost. OMIT sets no DF and does not believe in path MTUs either: one forged "fragmentation needed"
 * would else fragment a client's media for ten minutes.
 */
static bool udp_endpoint_options(int fd, const struct udp_endpoint *e, uint32_t receive_buffer)
{
    const int one = 1, never_df = IP_PMTUDISC_OMIT, size = (int)(receive_buffer & 0x3fffffffu);
    bool ok;
    if (e->addr.family == ADDR_IPV4) {
        ok = setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)) == 0 &&
             setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &never_df, sizeof(never_df)) == 0 &&
             (!e->wildcard || setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) == 0);
    } else {
        ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0 &&
             setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one)) == 0 &&
             (!e->wildcard ||
                 setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one)) == 0);
    }
    if (size > 0) {
        /*
         * FORCE goes over net.core.rmem_max and needs CAP_NET_ADMIN; else the system's ceiling
         * holds. All clients share this socket in both directions, so it sends with as much.
         */
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0) {
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        }
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0) {
            (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        }
    }
    return ok;
}

/* The socket of worker `index`. A bound descriptor or -errno. */
static int udp_endpoint_bind(const struct udp_endpoint *e, unsigned index, uint32_t receive_buffer)
{
    const int one = 1;
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&e->addr, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    bool ok = udp_endpoint_options(fd, e, receive_buffer);
    /*
     * A set option before the first bind would let this group join that of another process of the
     * same user.
     */
    if (index > 0) {
        ok = ok && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0;
    }
    ok = ok && bind(fd, (struct sockaddr *)&sa, len) == 0;
    if (index == 0) {
        ok = ok && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0;
    }
    if (!ok) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int udp_endpoint_open(
    struct udp_endpoint **out, const struct addr *addr, unsigned workers, uint32_t receive_buffer)
{
    struct udp_endpoint *e = calloc(1, sizeof(*e) + workers * sizeof(e->fds[0]));
    if (!e) {
        return -ENOMEM;
    }
    e->addr = *addr;
    e->wildcard = addr_is_unspecified(addr);
    for (unsigned i = 0; i < workers; i++) {
        int fd = udp_endpoint_bind(e, i, receive_buffer);
        if (fd < 0) {
            udp_endpoint_close(e);
            return fd;
        }
        e->fds[i] = fd;
        e->workers = i + 1;
    }
    *out = e;
    return 0;
}

void udp_endpoint_close(struct udp_endpoint *e)
{
    if (!e) {
        return;
    }
    for (unsigned i = 0; i < e->workers; i++) {
        close(e->fds[i]);
    }
    free(e);
}

struct udp_batch *udp_batch_new(void)
{
    struct udp_batch *b = calloc(1, sizeof(*b));
    for (unsigned i = 0; b && i < IO_BATCH; i++) {
        b->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &b->sources[i],
            .msg_iov = &b->slots[i],
            .msg_iovlen = 1,
            .msg_control = b->control[i],
        };
    }
    return b;
}

void udp_batch_free(struct udp_batch *b)
{
    free(b);
}

static void udp_listener_deliver(
    struct udp_listener *l, const struct mmsghdr *message, const struct instant *now)
{
    struct io *io = l->io;
    struct packet packet = {
        .bytes = {message->msg_hdr.msg_iov->iov_base, message->msg_len},
        .flow = {.transport = TRANSPORT_UDP, .listener = l->index, .local = l->endpoint->addr},
        .realm = l->realm,
        .realms = l->realms,
    };
    counters_add(io->counters, METRIC_RECEIVED_CLIENT, 1);
    counters_add(io->counters, METRIC_BYTES_RECEIVED_CLIENT, message->msg_len);
    if (message->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
        addr_from_sockaddr(&packet.flow.remote, message->msg_hdr.msg_name) != 0) {
        counters_drop(io->counters, REASON_RECEIVE_TRUNCATED);
        return;
    }
    cmsg_read(&message->msg_hdr, &packet.flow.local, &packet.tos);
    if (l->dtls && dtls_sessions_take(l->dtls, l, &packet)) {
        return;
    }
    io->handlers.from_client(io->handlers.ctx, &packet, now);
}

/* One recvmmsg. Returns how many datagrams came. */
static unsigned udp_listener_receive(struct udp_listener *l)
{
    struct udp_batch *b = l->batch;
    uint8_t *room = io_room(l->io, (size_t)IO_BATCH * IO_SLOT);
    for (unsigned i = 0; i < IO_BATCH; i++) {
        b->slots[i] = (struct iovec){room + (size_t)i * IO_SLOT, IO_SLOT};
        b->messages[i].msg_hdr.msg_namelen = sizeof(b->sources[i]);
        b->messages[i].msg_hdr.msg_controllen = sizeof(b->control[i]);
    }
    const bool stamped = delay_begin(&l->io->delay, l->fd, &l->io->now);
    int n = recvmmsg(l->fd, b->messages, IO_BATCH, MSG_DONTWAIT, NULL);
    if (stamped) {
        delay_end(l->fd);
    }
    counters_add(l->io->counters, METRIC_RECEIVE_CALLS, 1);
    if (n <= 0) {
        return 0;
    }
    io_keep(l->io, (size_t)n * IO_SLOT);
    const struct instant *now = io_now_fresh(l->io);
    for (int i = 0; i < n; i++) {
        const unsigned before = l->io->outbox->count;
        udp_listener_deliver(l, &b->messages[i], now);
        if (stamped) {
            delay_follow(&l->io->delay, l->io->outbox, before, &b->messages[i].msg_hdr);
        }
    }
    return (unsigned)n;
}

static void udp_listener_on_event(uv_poll_t *poll, int status, int events)
{
    struct udp_listener *l = poll->data;
    if (status < 0) {
        /* libuv has stopped polling at an error on the socket; take the error off and go on. */
        int error;
        socklen_t len = sizeof(error);
        (void)getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        (void)uv_poll_start(poll, UV_READABLE, udp_listener_on_event);
    }
    for (unsigned i = 0; i < BATCHES_A_WAKEUP && udp_listener_receive(l) == IO_BATCH; i++) {
    }
}

int udp_listener_start(struct udp_listener *l, struct io *io, struct udp_batch *batch,
    const struct udp_endpoint *endpoint, unsigned worker)
{
    l->io = io;
    l->batch = batch;
    l->endpoint = endpoint;
    l->fd = endpoint->fds[worker];
    int r = uv_poll_init(io->loop, &l->poll, l->fd);
    if (r < 0) {
        return r;
    }
    l->poll.data = l;
    return uv_poll_start(&l->poll, UV_READABLE, udp_listener_on_event);
}

void udp_listener_stop(struct udp_listener *l)
{
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, NULL);
}
