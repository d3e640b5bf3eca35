/*
 * Relay sockets: one UDP socket an allocation, under uv_poll_t on our own descriptor.
 *
 * Always: a descriptor is closed at once at release, after libuv has stopped polling it, while the
 * memory under uv_poll_t lives until libuv's close callback; a released socket delivers nothing. An
 * ICMP error never makes a socket deaf: with IP_RECVERR and SO_SELECT_ERR_QUEUE the kernel raises
 * EPOLLPRI beside EPOLLERR, and libuv, asked for UV_PRIORITIZED, hands both over instead of
 * stopping the poll with EBADF. Called by relay/ through relay/sockets.h and by udp_out.
 */
#include "net/relay_socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slab.h"
#include "net/cmsg.h"
#include "net/socket_budget.h"

/* ICMP errors read at one wake-up: a peer that draws many must not hold up the others. */
#define ERRORS_A_WAKEUP 8

struct relay_socket {
    uv_poll_t poll;
    struct relay_socket_set *set;
    uint64_t handle;
    uint64_t owner; /* HANDLE_NONE: what arrives is counted and dropped */
    struct addr local;
    int fd;       /* -1: released, waiting for libuv's close callback */
    int discover; /* IP_MTU_DISCOVER or IPV6_MTU_DISCOVER as it is set */
};

struct relay_socket_set {
    struct io *io;
    struct socket_budget *budget; /* NULL: no limit */
    struct slab *sockets;
    size_t open;
    uint64_t limit_logged_us, limit_suppressed;
};

struct relay_socket_set *relay_socket_set_new(
    struct io *io, struct socket_budget *budget, unsigned worker, size_t max)
{
    struct relay_socket_set *set = calloc(1, sizeof(*set));
    if (!set) {
        return NULL;
    }
    set->io = io;
    set->budget = budget;
    set->sockets = slab_new(worker, sizeof(struct relay_socket), max);
    if (!set->sockets) {
        free(set);
        return NULL;
    }
    return set;
}

void relay_socket_set_free(struct relay_socket_set *set)
{
    if (set) {
        slab_free(set->sockets);
        free(set);
    }
}

size_t relay_socket_set_count(const struct relay_socket_set *set)
{
    return set->open;
}

static struct relay_socket *relay_socket_get(const struct relay_socket_set *set, uint64_t handle)
{
    struct relay_socket *s = slab_get(set->sockets, handle);
    return s && s->fd >= 0 ? s : NULL;
}

static void relay_socket_on_closed(uv_handle_t *poll)
{
    struct relay_socket *s = poll->data;
    slab_release(s->set->sockets, s->handle);
}

/* Stops polling and gives the descriptor back; the handle is stale from now on. */
static int relay_socket_unhook(struct relay_socket *s)
{
    int fd = s->fd;
    s->fd = -1;
    s->set->open--;
    /*
     * libuv takes the descriptor out of epoll and out of the events at hand, so it may be closed at
     * once.
     */
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, relay_socket_on_closed);
    return fd;
}

/*
 * The ICMP error in ancillary data; false: none that a network sent, nor the kernel's own about the
 * size.
 */
static bool relay_socket_icmp(const struct msghdr *msg, struct icmp_error *out)
{
    struct msghdr *m = (struct msghdr *)(uintptr_t)msg;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
        bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
        if ((!v4 && !v6) || c->cmsg_len < CMSG_LEN(sizeof(struct sock_extended_err))) {
            continue;
        }
        struct sock_extended_err e;
        memcpy(&e, CMSG_DATA(c), sizeof(e));
        if (e.ee_origin == SO_EE_ORIGIN_LOCAL && e.ee_errno == EMSGSIZE) {
            /* What the first router would have said, had the kernel not known the path already. */
            out->type = v4 ? 3 : 2;
            out->code = v4 ? 4 : 0;
        } else if (e.ee_origin == (v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6)) {
            out->type = e.ee_type;
            out->code = e.ee_code;
        } else {
            return false;
        }
        bool too_big = v4 ? out->type == 3 && out->code == 4 : out->type == 2;
        out->mtu = too_big ? e.ee_info : 0;
        return true;
    }
    return false;
}

/* One entry of the error queue. False: it is empty. */
static bool relay_socket_read_error(struct relay_socket *s)
{
    struct sockaddr_storage destination;
    _Alignas(struct cmsghdr) uint8_t control[512];
    uint8_t start[1]; /* of the datagram that drew the error; not needed */
    struct iovec iov = {start, sizeof(start)};
    struct msghdr msg = {.msg_name = &destination,
        .msg_namelen = sizeof(destination),
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control)};
    struct io *io = s->set->io;

    if (recvmsg(s->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
        return false;
    }
    struct icmp_error error = {.socket = s->handle, .owner = s->owner};
    if (!relay_socket_icmp(&msg, &error) || msg.msg_namelen == 0 ||
        addr_from_sockaddr(&error.destination, (const struct sockaddr *)&destination) != 0) {
        return true;
    }
    counters_add(io->counters, METRIC_ICMP_RECEIVED, 1);
    if (s->owner == HANDLE_NONE) {
        counters_drop(io->counters, REASON_RELAY_CLOSED);
    } else {
        io->handlers.icmp(io->handlers.ctx, &error, io_now(io));
    }
    return true;
}

static void relay_socket_read(struct relay_socket *s)
{
    struct sockaddr_storage source;
    _Alignas(struct cmsghdr) uint8_t control[CMSG_ROOM];
    struct io *io = s->set->io;
    uint8_t *room = io_room(io, IO_SLOT);
    struct iovec iov = {room, IO_SLOT};
    struct msghdr msg = {.msg_name = &source,
        .msg_namelen = sizeof(source),
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control)};

    const bool stamped = delay_begin(&io->delay, s->fd, &io->now);
    ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT);
    if (stamped) {
        delay_end(s->fd);
    }
    counters_add(io->counters, METRIC_RECEIVE_CALLS, 1);
    if (n < 0) {
        /*
         * Nothing there, or a pending ICMP error, which this call has taken off; the next wake-up
         * reads what is left.
         */
        return;
    }
    counters_add(io->counters, METRIC_RECEIVED_PEER, 1);
    counters_add(io->counters, METRIC_BYTES_RECEIVED_PEER, (uint64_t)n);
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        counters_drop(io->counters, REASON_RECEIVE_TRUNCATED);
        return;
    }
    struct peer_packet packet = {
        .bytes = {room, (size_t)n}, .socket = s->handle, .owner = s->owner};
    struct addr local = {0};
    cmsg_read(&msg, &local, &packet.tos);
    if (s->owner == HANDLE_NONE ||
        addr_from_sockaddr(&packet.source, (const struct sockaddr *)&source) != 0) {
        counters_drop(io->counters, REASON_RELAY_CLOSED);
        return;
    }
    io_keep(io, (size_t)n);
    const unsigned before = io->outbox->count;
    io->handlers.from_peer(io->handlers.ctx, &packet, io_now(io));
    if (stamped) {
        delay_follow(&io->delay, io->outbox, before, &msg);
    }
}

static void relay_socket_on_event(uv_poll_t *poll, int status, int events)
{
    struct relay_socket *s = poll->data;
    if (status < 0) {
        /* libuv has stopped polling; whatever it was is read here, and the socket goes on. */
        int error;
        socklen_t len = sizeof(error);
        (void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        (void)uv_poll_start(poll, UV_READABLE | UV_PRIORITIZED, relay_socket_on_event);
        events = UV_READABLE | UV_PRIORITIZED;
    }
    if (events & UV_PRIORITIZED) {
        /* A handler may release the socket: its fd is then -1. */
        for (unsigned i = 0; i < ERRORS_A_WAKEUP && s->fd >= 0 && relay_socket_read_error(s); i++) {
        }
    }
    if (s->fd >= 0 && (events & UV_READABLE)) {
        relay_socket_read(s);
    }
}

/*
 * Of sends without DF. OMIT sets none, like DONT, but reports "fragmentation needed" about a send
 * with DF that came before, and does not fragment by a path MTU that anybody may have forged. Over
 * IPv6 the system's default: only the sender can fragment there.
 */
static int discover_by_default(const struct addr *local)
{
    return local->family == ADDR_IPV4 ? IP_PMTUDISC_OMIT : IPV6_PMTUDISC_WANT;
}

_Static_assert(IP_PMTUDISC_DO == IPV6_PMTUDISC_DO, "one number for both families");

/* A bound socket with every option, or -errno. */
static int relay_socket_bind(const struct addr *local)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(local, &sa);
    const int one = 1, never_df = IP_PMTUDISC_OMIT;
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    bool ok = setsockopt(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, &one, sizeof(one)) == 0;
    if (local->family == ADDR_IPV4) {
        ok = ok && setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)) == 0 &&
             setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)) == 0 &&
             setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &never_df, sizeof(never_df)) == 0;
    } else {
        ok = ok && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0 &&
             setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one)) == 0 &&
             setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one)) == 0;
    }
    if (!ok || bind(fd, (struct sockaddr *)&sa, len) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/*
 * Takes `fd` over into a slot of the set and polls it. 0, or -errno with the descriptor still the
 * caller's.
 */
static int relay_socket_hook(struct relay_socket_set *set, int fd, const struct addr *local,
    uint64_t owner, uint64_t *handle)
{
    uint64_t h;
    struct relay_socket *s = slab_alloc(set->sockets, &h);
    if (!s) {
        return -ENOMEM;
    }
    s->set = set;
    s->handle = h;
    s->owner = owner;
    s->local = *local;
    s->fd = fd;
    s->discover = discover_by_default(local);
    int r = uv_poll_init(set->io->loop, &s->poll, fd);
    if (r < 0) {
        slab_release(set->sockets, h);
        return r;
    }
    s->poll.data = s;
    set->open++;
    r = uv_poll_start(&s->poll, UV_READABLE | UV_PRIORITIZED, relay_socket_on_event);
    if (r < 0) {
        (void)relay_socket_unhook(s);
        return r;
    }
    *handle = h;
    return 0;
}

static void sockets_give_back(struct relay_socket_set *set)
{
    if (set->budget) {
        socket_budget_give(set->budget);
    }
}

static void sockets_log_limit(struct relay_socket_set *set)
{
    uint64_t now_us = io_now(set->io)->mono_us;
    if (log_once_a_minute(now_us, &set->limit_logged_us, &set->limit_suppressed)) {
        log_event(LOG_WARN, "file_limit_reached", log_u64("open_relay_sockets", set->open),
            log_u64("suppressed", set->limit_suppressed));
        set->limit_suppressed = 0;
    }
}

static int sockets_open(void *ctx, const struct addr *local, uint64_t owner, uint64_t *handle)
{
    struct relay_socket_set *set = ctx;
    if (set->budget && !socket_budget_take(set->budget)) {
        sockets_log_limit(set);
        return -EMFILE;
    }
    int fd = relay_socket_bind(local);
    int r = fd < 0 ? fd : relay_socket_hook(set, fd, local, owner, handle);
    if (r < 0) {
        sockets_give_back(set);
    }
    if (fd == -EMFILE || fd == -ENFILE) {
        sockets_log_limit(set);
    }
    if (r < 0 && fd >= 0) {
        close(fd);
    }
    return r;
}

static void sockets_release(void *ctx, uint64_t handle)
{
    struct relay_socket *s = relay_socket_get(ctx, handle);
    if (s) {
        close(relay_socket_unhook(s));
        sockets_give_back(ctx);
    }
}

static int sockets_open_pair(
    void *ctx, const struct addr *even, uint64_t owner, uint64_t handles[2])
{
    uint64_t opened[2];
    struct addr odd = *even;
    odd.port++;
    int r = sockets_open(ctx, even, owner, &opened[0]);
    if (r < 0) {
        return r;
    }
    r = sockets_open(ctx, &odd, HANDLE_NONE, &opened[1]);
    if (r < 0) {
        sockets_release(ctx, opened[0]);
        return r;
    }
    memcpy(handles, opened, sizeof(opened));
    return 0;
}

static void sockets_set_owner(void *ctx, uint64_t handle, uint64_t owner)
{
    struct relay_socket *s = relay_socket_get(ctx, handle);
    if (s) {
        s->owner = owner;
    }
}

static int sockets_detach(void *ctx, uint64_t handle, struct parcel *out)
{
    struct relay_socket *s = relay_socket_get(ctx, handle);
    if (!s) {
        return -EBADF;
    }
    relay_socket_dont_fragment(ctx, handle, false);
    *out = (struct parcel){.local = s->local};
    out->fd = relay_socket_unhook(s);
    return 0;
}

static int sockets_adopt(void *ctx, struct parcel *parcel, uint64_t owner, uint64_t *handle)
{
    int r = relay_socket_hook(ctx, parcel->fd, &parcel->local, owner, handle);
    if (r == 0) {
        parcel->fd = -1;
        return 0;
    }
    return r == -ENOMEM ? r : -EIO;
}

static void sockets_discard(void *ctx, struct parcel *parcel)
{
    if (parcel->fd >= 0) {
        close(parcel->fd);
        parcel->fd = -1;
        sockets_give_back(ctx);
    }
}

struct relay_sockets relay_socket_set_interface(struct relay_socket_set *set)
{
    return (struct relay_sockets){
        .ctx = set,
        .open = sockets_open,
        .open_pair = sockets_open_pair,
        .set_owner = sockets_set_owner,
        .release = sockets_release,
        .detach = sockets_detach,
        .adopt = sockets_adopt,
        .discard = sockets_discard,
    };
}

int relay_socket_fd(const struct relay_socket_set *set, uint64_t handle)
{
    const struct relay_socket *s = relay_socket_get(set, handle);
    return s ? s->fd : -EBADF;
}

void relay_socket_dont_fragment(struct relay_socket_set *set, uint64_t handle, bool on)
{
    struct relay_socket *s = relay_socket_get(set, handle);
    if (!s) {
        return;
    }
    if (on) {
        int error;
        socklen_t len = sizeof(error);
        (void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
    const bool v4 = s->local.family == ADDR_IPV4;
    int want = on ? IP_PMTUDISC_DO : discover_by_default(&s->local);
    if (want != s->discover &&
        setsockopt(s->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
            &want, sizeof(want)) == 0) {
        s->discover = want;
    }
}
