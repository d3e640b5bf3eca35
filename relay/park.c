/*
 * Requests that wait for another worker. Only a request whose nonce verified and whose integrity
 * matched is parked: a copy, its flow, and a deadline. The re-run starts from the top: what changed
 * meanwhile is seen. A second request with the same flow and transaction is a retransmission and is
 * dropped. Called by reservation.c and relay.c.
 */
#include "relay/core.h"

#include <stdlib.h>

static bool same_flow(const struct flow *a, const struct flow *b)
{
    return a->transport == b->transport && a->connection == b->connection &&
           addr_equal(&a->remote, &b->remote) && addr_equal(&a->local, &b->local);
}

static bool is_parked(const struct request *q)
{
    const struct relay *r = q->relay;
    for (uint32_t i = 0; i < slab_slots(r->parked); i++) {
        const struct parked *p = slab_at(r->parked, i);
        if (p && same_flow(&p->packet.flow, &q->packet->flow) &&
            memcmp(p->transaction, q->msg.transaction, sizeof(p->transaction)) == 0) {
            return true;
        }
    }
    return false;
}

static void end(struct parked *p)
{
    struct relay *r = p->relay;
    wheel_disarm(r->wheel, &p->deadline);
    if (p->parcel.fd >= 0) {
        reservation_discard(r, &p->parcel, &p->charge);
    }
    free((void *)p->packet.bytes.data);
    slab_release(r->parked, p->handle);
}

/* From the top, with what was learned; a parcel that the handler did not take is given up by end().
 * Replies are built in the outbox's arena, so nothing borrows from the copy that end() frees. */
static void run_again(struct parked *p, const struct instant *now)
{
    requests_handle(p->relay, &p->packet, now, p);
    end(p);
}

static void fire(struct wheel_timer *timer, void *ctx)
{
    struct parked *p = container_of(timer, struct parked, deadline);
    p->late = true;
    run_again(p, &((struct relay *)ctx)->now);
}

enum reason park_request(struct request *q, uint64_t *handle)
{
    struct relay *r = q->relay;
    if (is_parked(q)) {
        return REASON_PARKED_DUPLICATE;
    }
    struct parked *p = slab_alloc(r->parked, handle);
    if (!p) {
        return REASON_PARKING_FULL;
    }
    uint8_t *copy = malloc(q->packet->bytes.len);
    if (!copy) {
        slab_release(r->parked, *handle);
        return REASON_MEMORY_EXHAUSTED;
    }
    memcpy(copy, q->packet->bytes.data, q->packet->bytes.len);
    p->handle = *handle;
    p->relay = r;
    p->packet = *q->packet;
    p->packet.bytes.data = copy;
    p->arrived = *q->now;
    memcpy(p->transaction, q->msg.transaction, sizeof(p->transaction));
    p->parcel.fd = -1;
    p->deadline.fire = fire;
    wheel_arm(r->wheel, &p->deadline, q->now->mono_us + PARKED_DEADLINE_US);
    return REASON_NONE;
}

bool park_resume(struct relay *r, struct relay_message *m, const struct instant *now)
{
    struct parked *p = slab_get(r->parked, m->parked);
    if (!p) {
        return false;
    }
    p->parcel = m->parcel;
    p->charge = m->charge;
    run_again(p, now);
    return true;
}

void park_cancel(struct relay *r, uint64_t handle)
{
    struct parked *p = slab_get(r->parked, handle);
    if (p) {
        end(p);
    }
}

void park_cancel_flow(struct relay *r, const struct flow *flow)
{
    for (uint32_t i = 0; i < slab_slots(r->parked); i++) {
        struct parked *p = slab_at(r->parked, i);
        if (p && same_flow(&p->packet.flow, flow)) {
            /* It was counted as consumed when it was parked, so it is no drop. */
            counters_refuse(r->deps.counters, REASON_FLOW_GONE);
            end(p);
        }
    }
}

void park_end_all(struct relay *r)
{
    for (uint32_t i = 0; i < slab_slots(r->parked); i++) {
        struct parked *p = slab_at(r->parked, i);
        if (p) {
            end(p);
        }
    }
}
