/*
 * The receive ring and the clock of one worker.
 *
 * Always: bytes that an outbox entry borrows stay as they are until the outbox has been flushed:
 * the ring goes back to its start in the same step as the flush, nowhere else. Called by the
 * sockets of the worker and by its loop.
 */
#include "net/io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int io_init(struct io *io, uv_loop_t *loop, struct outbox *outbox, struct counters *counters)
{
    /* Pages that no datagram has reached stay unbacked. */
    uint8_t *ring = malloc(IO_RING);
    if (!ring) {
        return -ENOMEM;
    }
    *io = (struct io){.loop = loop, .outbox = outbox, .counters = counters, .ring = ring};
    delay_init(&io->delay);
    return 0;
}

void io_deinit(struct io *io)
{
    if (io->ring) {
        delay_deinit(&io->delay);
    }
    free(io->ring);
    io->ring = NULL;
}

uint8_t *io_room(struct io *io, size_t len)
{
    assert(len <= IO_RING);
    if (len > IO_RING - io->ring_used) {
        io_flush(io);
    }
    return io->ring + io->ring_used;
}

void io_keep(struct io *io, size_t len)
{
    assert(len <= IO_RING - io->ring_used);
    size_t aligned = (len + 63) & ~(size_t)63;
    io->ring_used = aligned < IO_RING - io->ring_used ? io->ring_used + aligned : IO_RING;
}

void io_flush(struct io *io)
{
    outbox_flush(io->outbox);
    io->ring_used = 0;
}

void io_sent(struct io *io, const struct outbox_entry *e, size_t bytes)
{
    if (!e->media) {
        counters_add(io->counters, METRIC_REPLIES_SENT, 1);
        return;
    }
    bool peer = e->target == OUTBOX_TO_PEER;
    counters_add(io->counters, peer ? METRIC_RELAYED_TO_PEER : METRIC_RELAYED_TO_CLIENT, 1);
    counters_add(io->counters, peer ? METRIC_BYTES_TO_PEER : METRIC_BYTES_TO_CLIENT, bytes);
}

void io_failed(struct io *io, const struct outbox_entry *e, enum reason why)
{
    if (e->media) {
        counters_drop(io->counters, why);
    } else {
        counters_add(io->counters, METRIC_REPLIES_FAILED, 1);
    }
}

const struct instant *io_now(struct io *io)
{
    return io->now_known ? &io->now : io_now_fresh(io);
}

const struct instant *io_now_fresh(struct io *io)
{
    io->now = clock_now();
    io->now_known = true;
    return &io->now;
}
