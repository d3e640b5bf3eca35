/*
 * The way out: entries of the outbox become datagrams, one system call for a run of entries on the
 * same socket.
 *
 * Always: entries leave in their order on each socket; nothing waits: what a full socket does not
 * take is dropped and counted. Called by sender.c on the worker's thread.
 */
#include "net/udp_out.h"

#include <errno.h>
#include <stdlib.h>

#include "net/cmsg.h"

/* Header, body, padding. */
#define PARTS 3

struct udp_out {
    struct io *io;
    struct relay_socket_set *sockets;
    const struct udp_listener_list *listeners;
    struct mmsghdr messages[OUTBOX_ENTRIES];
    struct iovec parts[OUTBOX_ENTRIES][PARTS];
    struct sockaddr_storage names[OUTBOX_ENTRIES];
    _Alignas(struct cmsghdr) uint8_t control[OUTBOX_ENTRIES][CMSG_ROOM];
};

struct udp_out *udp_out_new(
    struct io *io, struct relay_socket_set *sockets, const struct udp_listener_list *listeners)
{
    struct udp_out *out = calloc(1, sizeof(*out));
    if (out) {
        out->io = io;
        out->sockets = sockets;
        out->listeners = listeners;
    }
    return out;
}

void udp_out_free(struct udp_out *out)
{
    free(out);
}

static void udp_out_failed(struct udp_out *out, const struct outbox_entry *e, int error)
{
    enum reason why = REASON_SEND_FAILED;
    if (error == EAGAIN || error == ENOBUFS) {
        why = REASON_SEND_WOULD_BLOCK;
    } else if (error == EMSGSIZE) {
        why = REASON_SEND_TOO_BIG;
    } else if (error == EBADF) {
        why = REASON_RELAY_CLOSED;
    }
    io_failed(out->io, e, why);
}

/* Fills in message `i` from its entry. */
static void udp_out_build(struct udp_out *out, unsigned i, const struct outbox_entry *e)
{
    static const uint8_t zeros[3];
    struct msghdr *m = &out->messages[i].msg_hdr;
    struct iovec *parts = out->parts[i];
    unsigned count = 0;
    if (e->header_len > 0) {
        parts[count++] = (struct iovec){(void *)(uintptr_t)e->header, e->header_len};
    } else if (e->head.len > 0) {
        parts[count++] = (struct iovec){(void *)(uintptr_t)e->head.data, e->head.len};
    }
    if (e->body.len > 0) {
        parts[count++] = (struct iovec){(void *)(uintptr_t)e->body.data, e->body.len};
    }
    if (e->padding > 0) {
        parts[count++] = (struct iovec){(void *)(uintptr_t)zeros, e->padding};
    }
    const struct addr *source = NULL;
    if (e->target == OUTBOX_TO_CLIENT &&
        out->listeners->items[e->flow.listener]->endpoint->wildcard) {
        source = &e->flow.local;
    }
    const struct addr *to = e->target == OUTBOX_TO_PEER ? &e->peer : &e->flow.remote;
    *m = (struct msghdr){.msg_name = &out->names[i], .msg_iov = parts, .msg_iovlen = count};
    m->msg_namelen = addr_to_sockaddr(to, &out->names[i]);
    cmsg_write(m, out->control[i], source, to->family, e->tos);
}

/* The descriptor an entry leaves by, or -EBADF. */
static int udp_out_fd(const struct udp_out *out, const struct outbox_entry *e)
{
    if (e->target == OUTBOX_TO_PEER) {
        return relay_socket_fd(out->sockets, e->socket);
    }
    const struct udp_listener *l =
        e->flow.listener < out->listeners->count ? out->listeners->items[e->flow.listener] : NULL;
    return l ? l->fd : -EBADF;
}

/* True where an entry leaves by the same socket, with the same options, as the one before it. */
static bool udp_out_joins(const struct outbox_entry *before, const struct outbox_entry *e)
{
    if (before->target != e->target) {
        return false;
    }
    if (e->target == OUTBOX_TO_PEER) {
        return before->socket == e->socket && before->dont_fragment == e->dont_fragment;
    }
    return before->flow.listener == e->flow.listener;
}

/* One call for messages [from, to). Returns how many were taken, or −errno about the first. */
static int udp_out_call(struct udp_out *out, int fd, unsigned from, unsigned to)
{
    counters_add(out->io->counters, METRIC_SEND_CALLS, 1);
    if (to - from > 1) {
        /*
         * An error after the first message ends the call early and is forgotten: the next call
         * meets it again.
         */
        int n = sendmmsg(fd, out->messages + from, to - from, MSG_DONTWAIT);
        return n < 0 ? -errno : n;
    }
    ssize_t n = sendmsg(fd, &out->messages[from].msg_hdr, MSG_DONTWAIT);
    if (n < 0) {
        return -errno;
    }
    out->messages[from].msg_len = (unsigned)n;
    return 1;
}

/* Sends messages [from, to) of one socket. */
static void udp_out_run(
    struct udp_out *out, int fd, const struct outbox_entry *entries, unsigned from, unsigned to)
{
    bool retried = false;
    while (from < to) {
        int n = udp_out_call(out, fd, from, to);
        if (n > 0) {
            for (int i = 0; i < n; i++, from++) {
                io_sent(out->io, &entries[from], out->messages[from].msg_len);
            }
            retried = false;
            continue;
        }
        if (n == -EINTR) {
            continue;
        }
        if (n == -EAGAIN || n == -ENOBUFS || n == 0) {
            while (from < to) {
                udp_out_failed(out, &entries[from++], EAGAIN);
            }
            return;
        }
        /*
         * An ICMP error about an earlier datagram is reported by the next send, whatever that is
         * about, and is gone then. With DF the size is the send's own fault.
         */
        if (!retried && !(n == -EMSGSIZE && entries[from].dont_fragment)) {
            retried = true;
            continue;
        }
        udp_out_failed(out, &entries[from++], -n);
        retried = false;
    }
}

void udp_out_send(
    struct udp_out *out, const struct outbox_entry *entries, unsigned from, unsigned end)
{
    while (from < end) {
        int fd = udp_out_fd(out, &entries[from]);
        unsigned to = from;
        do {
            if (fd >= 0) {
                udp_out_build(out, to, &entries[to]);
            } else {
                udp_out_failed(out, &entries[to], EBADF);
            }
            to++;
        } while (to < end && udp_out_joins(&entries[to - 1], &entries[to]));
        if (fd >= 0) {
            if (entries[from].target == OUTBOX_TO_PEER) {
                relay_socket_dont_fragment(
                    out->sockets, entries[from].socket, entries[from].dont_fragment);
            }
            delay_handed(&out->io->delay, out->io->counters, from, to);
            udp_out_run(out, fd, entries, from, to);
        }
        from = to;
    }
}
