/*
 * Sends a full or finished outbox: datagrams in runs, DTLS one by one, streams once a connection.
 *
 * Always: entries of one destination leave in their order. Called by outbox_flush on the worker's
 * thread.
 */
#include "net/sender.h"

static enum transport sender_transport(const struct outbox_entry *e)
{
    return e->target == OUTBOX_TO_PEER ? TRANSPORT_UDP : (enum transport)e->flow.transport;
}

/* An entry that is no plain datagram. */
static void sender_one(struct sender *s, const struct outbox_entry *entries, unsigned index)
{
    if (transport_is_stream(sender_transport(&entries[index]))) {
        connections_put(s->connections, entries, index);
        return;
    }
    delay_handed(&s->io->delay, s->io->counters, index, index + 1);
    dtls_sessions_send(s->dtls, &entries[index]);
}

void sender_send(void *ctx, struct outbox *outbox)
{
    struct sender *s = ctx;
    const struct outbox_entry *entries = outbox->entries;
    for (unsigned from = 0, to; from < outbox->count; from = to) {
        to = from;
        while (to < outbox->count && sender_transport(&entries[to]) == TRANSPORT_UDP) {
            to++;
        }
        udp_out_send(s->udp, entries, from, to);
        for (; to < outbox->count && sender_transport(&entries[to]) != TRANSPORT_UDP; to++) {
            sender_one(s, entries, to);
        }
    }
    connections_write(s->connections, entries);
    delay_forget(&s->io->delay);
}
