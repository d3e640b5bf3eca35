/*
 * From DTLS sessions to the listener's socket.
 *
 * Always: nothing waits; what the socket does not take is lost, as with plain UDP, and the client
 * or OpenSSL's timer asks again. Nothing is closed here, only marked. Called by sender.c within a
 * flush, and by the engine while it shakes hands.
 */
#include <errno.h>
#include <string.h>

#include "net/cmsg.h"
#include "net/dtls_client.h"

void dtls_out_datagram(struct dtls_sessions *set, const struct udp_listener *via,
    const struct flow *flow, struct slice datagram)
{
    struct sockaddr_storage name;
    struct iovec part = {(void *)(uintptr_t)datagram.data, datagram.len};
    _Alignas(struct cmsghdr) uint8_t control[CMSG_ROOM];
    struct msghdr m = {.msg_name = &name, .msg_iov = &part, .msg_iovlen = 1};
    m.msg_namelen = addr_to_sockaddr(&flow->remote, &name);
    cmsg_write(&m, control, via->endpoint->wildcard ? &flow->local : NULL, flow->remote.family,
        set->out.tos);
    counters_add(set->io->counters, METRIC_SEND_CALLS, 1);
    set->out.error = sendmsg(via->fd, &m, MSG_DONTWAIT) < 0 ? errno : 0;
    set->out.bytes = datagram.len;
}

void dtls_out_send(void *ctx, struct slice datagram)
{
    struct dtls_client *c = ctx;
    c->sent++;
    dtls_out_datagram(c->set, c->via, &c->flow, datagram);
}

static enum reason reason_of(int error)
{
    if (error == EAGAIN || error == ENOBUFS) {
        return REASON_SEND_WOULD_BLOCK;
    }
    return error == EMSGSIZE ? REASON_SEND_TOO_BIG : REASON_SEND_FAILED;
}

/* The message of an entry in one piece; false: no record holds it. Padding is for streams. */
static bool gather(uint8_t *record, const struct outbox_entry *e, struct slice *message)
{
    const struct slice head = e->header_len ? slice_of(e->header, e->header_len) : e->head;
    if (head.len > DTLS_MESSAGE_MAX || e->body.len > DTLS_MESSAGE_MAX - head.len) {
        return false;
    }
    if (e->body.len == 0 || head.len == 0) {
        *message = e->body.len == 0 ? head : e->body;
        return true;
    }
    memcpy(record, head.data, head.len);
    memcpy(record + head.len, e->body.data, e->body.len);
    *message = slice_of(record, head.len + e->body.len);
    return true;
}

void dtls_sessions_send(struct dtls_sessions *set, const struct outbox_entry *e)
{
    struct slice message;
    struct dtls_client *c = slab_get(set->slab, e->flow.connection);
    if (!c || c->ending) {
        io_failed(set->io, e, REASON_CONNECTION_GONE);
        return;
    }
    if (!gather(set->out.record, e, &message)) {
        io_failed(set->io, e, REASON_DATAGRAM_TOO_BIG);
        return;
    }
    set->out.tos = e->tos;
    set->out.error = 0;
    if (dtls_session_write(c->tls, message) < 0) {
        dtls_client_end(c, REASON_TLS_FAILED);
        io_failed(set->io, e, REASON_CONNECTION_GONE);
    } else if (set->out.error) {
        io_failed(set->io, e, reason_of(set->out.error));
    } else {
        io_sent(set->io, e, set->out.bytes);
    }
}
