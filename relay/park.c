/*
 * Requests that wait: for another worker's reservation, or for an answer of the store. Only a
 * request whose nonce has verified is parked: a copy, its flow, a deadline, and what was learned
 * meanwhile. The re-run starts from the top, so what changed meanwhile is seen; it charges nothing
 * again, and may have to wait once more, for the other thing. A second request with the same flow
 * and transaction is a retransmission and is dropped.
 *
 * What always holds: every parked request waits for exactly one thing and has an armed deadline,
 * but for one that is running; how many wait is bounded for either thing; what a wait has charged
 * is given back when it is over. Called by reservation.c, authenticate.c and relay.c.
 */
#include "relay/core.h"

#include <stdlib.h>

#include "relay/flow_key.h"

struct same {
    struct flow_key flow;
    const uint8_t *transaction; /* NULL: any that waits */
};

static uint64_t hash_of(const struct relay *r, const struct flow *flow)
{
    const struct flow_key key = flow_key_of(flow);
    return flow_key_hash(r->deps.shared->hash_key, &key);
}

/* One that runs has nothing more to wait for, and is not forgotten under its own feet. */
static bool match(uint32_t slot, const void *key, void *ctx)
{
    const struct parked *p = slab_at(((struct relay *)ctx)->parked, slot);
    const struct same *same = key;
    const struct flow_key flow = flow_key_of(&p->packet.flow);
    if (!flow_key_equal(&flow, &same->flow)) {
        return false;
    }
    return same->transaction
               ? memcmp(p->transaction, same->transaction, sizeof(p->transaction)) == 0
               : p->wait != PARKED_RUNNING;
}

static struct parked *find(struct relay *r, const struct flow *flow, const uint8_t *transaction)
{
    const struct same same = {flow_key_of(flow), transaction};
    uint32_t slot = table_find(r->waiting, hash_of(r, flow), match, &same, r);
    return slot == TABLE_NOT_FOUND ? NULL : slab_at(r->parked, slot);
}

/* Whatever it waits for, it no longer does. */
static void leave(struct parked *p)
{
    struct relay *r = p->relay;
    wheel_disarm(r->wheel, &p->deadline);
    if (p->wait == PARKED_FOR_STORE) {
        question_leave(p);
        counters_gauge(r->deps.counters, GAUGE_REQUESTS_PARKED, -1);
        parking_counts_close(r->deps.shared->parking, &p->store.charge);
    } else if (p->wait == PARKED_FOR_CLAIM) {
        r->claims_waiting--;
    }
    p->wait = PARKED_RUNNING;
}

static void end(struct parked *p)
{
    struct relay *r = p->relay;
    leave(p);
    if (p->claim.parcel.fd >= 0) {
        reservation_discard(r, &p->claim.parcel, &p->claim.charge);
    }
    table_remove(r->waiting, hash_of(r, &p->packet.flow), handle_slot(p->handle));
    free((void *)p->packet.bytes.data);
    slab_release(r->parked, p->handle);
}

/* From the top, with what was learned; a parcel that the handler did not take is given up by end().
 * Replies are built in the outbox's arena, so nothing borrows from the copy that end() frees. */
static void run_again(struct parked *p, const struct instant *now)
{
    leave(p);
    requests_handle(p->relay, &p->packet, now, p);
    if (p->wait == PARKED_RUNNING) {
        end(p);
    }
}

static void fire(struct wheel_timer *timer, void *ctx)
{
    struct parked *p = container_of(timer, struct parked, deadline);
    if (p->wait == PARKED_FOR_CLAIM) {
        p->claim.settled = p->claim.late = true;
    } else {
        p->store.asked = true;
    }
    run_again(p, &((struct relay *)ctx)->now);
}

static enum reason copy_request(const struct request *q, struct parked **out)
{
    struct relay *r = q->relay;
    uint64_t handle;
    struct parked *p = slab_alloc(r->parked, &handle);
    uint8_t *copy = p ? malloc(q->packet->bytes.len) : NULL;
    if (!copy || table_insert(r->waiting, hash_of(r, &q->packet->flow), handle_slot(handle))) {
        free(copy);
        slab_release(r->parked, p ? handle : HANDLE_NONE);
        return REASON_MEMORY_EXHAUSTED;
    }
    memcpy(copy, q->packet->bytes.data, q->packet->bytes.len);
    p->handle = handle;
    p->relay = r;
    p->packet = *q->packet;
    p->packet.bytes.data = copy;
    p->arrived = *q->now;
    memcpy(p->transaction, q->msg.transaction, sizeof(p->transaction));
    p->claim.parcel.fd = -1;
    p->deadline.fire = fire;
    *out = p;
    return REASON_NONE;
}

bool park_has(const struct request *q)
{
    return !q->parked && find(q->relay, &q->packet->flow, q->msg.transaction);
}

/* The request's copy: a new one, or that of a re-run. */
static enum reason keep(const struct request *q, struct parked **out)
{
    if (q->parked) {
        *out = q->parked;
        return REASON_NONE;
    }
    return park_has(q) ? REASON_PARKED_DUPLICATE : copy_request(q, out);
}

static void wait_for(struct parked *p, enum parked_wait wait, const struct instant *now)
{
    p->wait = (uint8_t)wait;
    p->judged = wait == PARKED_FOR_CLAIM; /* its credentials were good */
    wheel_arm(p->relay->wheel, &p->deadline, now->mono_us + PARKED_DEADLINE_US);
}

enum reason park_for_claim(struct request *q, uint64_t *handle)
{
    struct relay *r = q->relay;
    struct parked *p;
    enum reason refused = r->claims_waiting < PARKED_CLAIMS_MAX ? keep(q, &p) : REASON_PARKING_FULL;
    if (refused) {
        return refused;
    }
    r->claims_waiting++;
    p->store.asked = false; /* its key may be forgotten meanwhile */
    wait_for(p, PARKED_FOR_CLAIM, q->now);
    *handle = p->handle;
    return REASON_NONE;
}

enum reason park_for_store(struct request *q, const struct store_need *need)
{
    struct relay *r = q->relay;
    struct parked *p;
    if (!r->deps.ask) {
        return REASON_STORE_UNREACHABLE;
    }
    enum reason refused = keep(q, &p);
    if (refused) {
        return refused;
    }
    refused =
        parking_counts_open(r->deps.shared->parking, &p->store.charge, &p->packet.flow.remote);
    if (!refused) {
        refused = question_join(p, need, q->now);
    }
    if (!refused) {
        wait_for(p, PARKED_FOR_STORE, q->now);
        counters_gauge(r->deps.counters, GAUGE_REQUESTS_PARKED, 1);
        return REASON_NONE;
    }
    parking_counts_close(r->deps.shared->parking, &p->store.charge);
    if (!q->parked) {
        end(p);
    }
    return refused;
}

bool park_resume(struct relay *r, struct relay_message *m, const struct instant *now)
{
    struct parked *p = slab_get(r->parked, m->parked);
    if (!p || p->wait != PARKED_FOR_CLAIM) {
        return false;
    }
    p->claim.settled = true;
    p->claim.parcel = m->parcel;
    p->claim.charge = m->charge;
    run_again(p, now);
    return true;
}

void park_answered(struct parked *p, const struct instant *now)
{
    p->store.asked = true;
    run_again(p, now);
}

void park_cancel(struct request *q, uint64_t handle)
{
    struct parked *p = slab_get(q->relay->parked, handle);
    if (p && p == q->parked) {
        leave(p); /* it runs on, and ends then */
    } else if (p) {
        end(p);
    }
}

void park_cancel_flow(struct relay *r, const struct flow *flow)
{
    struct parked *p;
    while (slab_count(r->parked) > 0 && (p = find(r, flow, NULL))) {
        /* It was counted as consumed when it was parked, so it is no drop. */
        counters_refuse(r->deps.counters, REASON_FLOW_GONE);
        end(p);
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
