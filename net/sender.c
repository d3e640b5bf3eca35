/*
 * Sends a full or finished outbox: datagrams in runs, streams once a connection.
 *
 * Always: entries of one destination leave in their order. Called by outbox_flush on the worker's
 * thread.
 */
#include "net/sender.h"

static bool sender_is_stream(const struct outbox_entry *e)
{
    return e->target == OUTBOX_TO_CLIENT && transport_is_stream(e->flow.transport);
}

void sender_send(void *ctx, struct outbox *outbox)
{
    struct sender *s = ctx;
    const struct outbox_entry *entries = outbox->entries;
    for (unsigned from = 0, to; from < outbox->count; from = to) {
        to = from;
        while (to < outbox->count && !sender_is_stream(&entries[to])) {
            to++;
        }
        udp_out_send(s->udp, entries, from, to);
        for (; to < outbox->count && sender_is_stream(&entries[to]); to++) {
            connections_put(s->connections, entries, to);
        }
    }
    connections_write(s->connections, entries);
    delay_forget(&s->io->delay);
}
