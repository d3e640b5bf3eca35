/*
 * What the sockets of one worker share: its loop, outbox, counters, the ring that datagrams are
 * received into, and the time of this loop turn. One thread.
 */
#ifndef NET_IO_H
#define NET_IO_H

#include <uv.h>

#include "base/clock.h"
#include "base/counters.h"
#include "net/delay.h"
#include "relay/outbox.h"
#include "relay/packet.h"

/* Datagrams of one recvmmsg. */
#define IO_BATCH 32
/*
 * One datagram of any size; off a power of two, so that the heads of a batch do not all fall into
 * the same cache sets.
 */
#define IO_SLOT (65536 + 192)
/*
 * A batch, and room for some hundreds of usual datagrams from peers before the outbox must be
 * flushed.
 */
#define IO_RING (IO_BATCH * IO_SLOT + (1u << 20))

/* Where what arrives goes: relay/ in the daemon, a fake in tests. */
struct io_handlers {
    void *ctx;
    void (*from_client)(void *ctx, const struct packet *packet, const struct instant *now);
    void (*from_peer)(void *ctx, const struct peer_packet *packet, const struct instant *now);
    void (*icmp)(void *ctx, const struct icmp_error *error, const struct instant *now);
    /* Of streams and DTLS: one that has delivered messages is gone; one may be kept though it is
     * idle. */
    void (*connection_closed)(void *ctx, const struct flow *flow, const struct instant *now);
    bool (*flow_in_use)(void *ctx, const struct flow *flow);
    /* Of DTLS, before an address is proven: why nothing of this flow is ever answered, or
     * REASON_NONE; and whether its budget allows one answer more, which it then takes. */
    enum reason (*judge_source)(void *ctx, const struct flow *flow);
    bool (*charge_answer)(void *ctx, const struct addr *source, const struct instant *now);
    /* Of TLS and DTLS, once it is proven: whether one handshake more may begin. */
    bool (*charge_handshake)(void *ctx, const struct addr *source, const struct instant *now);
};

struct io {
    uv_loop_t *loop;
    struct outbox *outbox;
    struct counters *counters;
    struct io_handlers handlers;
    uint8_t *ring; /* IO_RING bytes */
    size_t ring_used;
    struct delay delay;
    struct instant now;
    bool now_known; /* in this loop turn */
};

/* 0 or -ENOMEM. Pointers are borrowed for life. */
int io_init(struct io *io, uv_loop_t *loop, struct outbox *outbox, struct counters *counters);
void io_deinit(struct io *io);

/*
 * Room for `len` bytes in the ring, flushing the outbox first when there is none; bytes that were
 * kept stay until then.
 */
uint8_t *io_room(struct io *io, size_t len);
/* Keeps the first `len` bytes of what io_room gave until the next flush. */
void io_keep(struct io *io, size_t len);
/* Sends everything; what was received may be written over. */
void io_flush(struct io *io);
/* Counts an entry of the outbox that left with so many bytes, or failed for a reason: media counts
 * as relayed or dropped, replies and ICMP reports as sent or failed. */
void io_sent(struct io *io, const struct outbox_entry *e, size_t bytes);
void io_failed(struct io *io, const struct outbox_entry *e, enum reason why);
/* The time, read once a loop turn. */
const struct instant *io_now(struct io *io);
/* The time, read now: after a batch, where a turn may have taken long. */
const struct instant *io_now_fresh(struct io *io);

#endif
