/*
 * Requests that wait: for another worker's reservation, for an answer of the store, or for what
 * other instances have admitted, where limits of the fleet cannot be judged without. Only a
 * request whose nonce has verified is parked: a copy, its flow, a deadline, and what was learned
 * meanwhile. The re-run starts from the top, so what changed meanwhile is seen; it charges nothing
 * again, and may have to wait once more, for another thing. A second request with the same flow
 * and transaction is a retransmission and is dropped.
 *
 * Who waits for limits stays in the order of arrival while it runs again. After an answer those run
 * for which the bucket has something to say; at the tick all that have waited longer than a silence
 * lasts, which the tables then decide alone. So a lost word costs a tick, and all of it together no
 * more than the deadline, which counts from the first wait.
 *
 * What always holds: every parked request waits for exactly one thing and has an armed deadline,
 * but for one that is running; how many wait is bounded for each thing; what a wait has charged is
 * given back when it is over. Called by allocate.c, reservation.c, authenticate.c and relay.c.
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

static void enqueue(struct parked *p)
{
    struct park_queue *queue = &p->relay->limits_waiting;
    p->limits.before = queue->last;
    p->limits.after = NULL;
    *(queue->last ? &queue->last->limits.after : &queue->first) = p;
    queue->last = p;
    p->limits.queued = true;
}

static void dequeue(struct parked *p)
{
    struct park_queue *queue = &p->relay->limits_waiting;
    if (!p->limits.queued) {
        return;
    }
    if (queue->next == p) {
        queue->next = p->limits.after;
    }
    *(p->limits.before ? &p->limits.before->limits.after : &queue->first) = p->limits.after;
    *(p->limits.after ? &p->limits.after->limits.before : &queue->last) = p->limits.before;
    p->limits.queued = false;
}

/* Whatever it waits for, it no longer does. */
static void leave(struct parked *p)
{
    struct relay *r = p->relay;
    wheel_disarm(r->wheel, &p->deadline);
    if (p->wait == PARKED_FOR_STORE || p->wait == PARKED_FOR_LIMITS) {
        counters_gauge(r->deps.counters, GAUGE_REQUESTS_PARKED, -1);
        parking_counts_close(r->deps.shared->parking, &p->charge);
    }
    if (p->wait == PARKED_FOR_STORE) {
        question_leave(p);
    } else if (p->wait == PARKED_FOR_CLAIM) {
        r->claims_waiting--;
    }
    p->wait = PARKED_RUNNING;
}

static void end(struct parked *p)
{
    struct relay *r = p->relay;
    leave(p);
    dequeue(p);
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
    } else if (p->wait == PARKED_FOR_LIMITS) {
        p->limits.late = true;
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
    return !q->parked && slab_count(q->relay->parked) > 0 &&
           find(q->relay, &q->packet->flow, q->msg.transaction);
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

static void wait_for(struct parked *p, enum parked_wait wait, uint64_t since_us)
{
    if (wait != PARKED_FOR_LIMITS) {
        dequeue(p);
    }
    p->wait = (uint8_t)wait;
    p->judged = wait != PARKED_FOR_STORE; /* its credentials were good */
    wheel_arm(p->relay->wheel, &p->deadline, since_us + PARKED_DEADLINE_US);
}

/* A place among those whose number is bounded over all workers. */
static enum reason take_place(struct parked *p)
{
    struct relay *r = p->relay;
    return parking_counts_open(r->deps.shared->parking, &p->charge, &p->packet.flow.remote);
}

/* It does not wait after all. */
static void give_up(const struct request *q, struct parked *p)
{
    parking_counts_close(p->relay->deps.shared->parking, &p->charge);
    if (!q->parked) {
        end(p);
    }
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
    p->limits.paid = true;
    p->store.asked = false; /* its key may be forgotten meanwhile */
    wait_for(p, PARKED_FOR_CLAIM, q->now->mono_us);
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
    refused = take_place(p);
    if (!refused) {
        refused = question_join(p, need, q->now);
    }
    if (!refused) {
        wait_for(p, PARKED_FOR_STORE, q->now->mono_us);
        counters_gauge(r->deps.counters, GAUGE_REQUESTS_PARKED, 1);
        return REASON_NONE;
    }
    give_up(q, p);
    return refused;
}

enum reason park_for_limits(struct request *q, bool paid, const struct allocation_level *level)
{
    struct relay *r = q->relay;
    struct parked *p;
    enum reason refused = r->deps.shared->parking ? keep(q, &p) : REASON_PARKING_FULL;
    if (refused) {
        return refused;
    }
    refused = p->limits.late ? REASON_PARKING_TIMEOUT : take_place(p);
    if (refused) {
        give_up(q, p);
        return refused;
    }
    p->limits.since_us = p->limits.since_us ? p->limits.since_us : q->now->mono_us;
    p->limits.paid = paid;
    p->limits.level = *level;
    p->store.asked = false; /* as above */
    wait_for(p, PARKED_FOR_LIMITS, p->limits.since_us);
    counters_gauge(r->deps.counters, GAUGE_REQUESTS_PARKED, 1);
    if (!p->limits.queued) {
        enqueue(p);
    }
    return REASON_NONE;
}

void park_heed_answers(struct relay *r)
{
    const uint64_t mine = 1ull << (r->deps.worker < 63 ? r->deps.worker : 63);
    _Atomic uint64_t *awaited = &r->deps.shared->limits_awaited;
    if (!(atomic_load(awaited) & mine)) {
        atomic_fetch_or(awaited, mine);
    }
}

/* The next of those that wait for limits and have not been looked at. */
static struct parked *next_of(struct park_queue *queue)
{
    struct parked *p = queue->next;
    if (p) {
        queue->next = p->limits.after;
    }
    return p;
}

static bool is_still_pending(const struct parked *p, const struct instant *now)
{
    const struct relay *r = p->relay;
    const struct rate_ask ask = {now->mono_us, r->snapshot->limits.deny_alone};
    return p->limits.level.limit.count > 0 &&
           allocation_rates_pending(r->deps.shared->rates, &p->limits.level, &ask);
}

/* From the first on. False: nobody waits. */
static bool look_at_all(struct relay *r)
{
    struct park_queue *queue = &r->limits_waiting;
    if (!queue->first) {
        return false;
    }
    park_heed_answers(r);
    queue->next = queue->first;
    return true;
}

void park_limits_answered(struct relay *r, const struct instant *now)
{
    struct park_queue *queue = &r->limits_waiting;
    struct parked *p;
    if (!look_at_all(r)) {
        return;
    }
    for (unsigned runs = 0; runs < PARKED_AGAIN_MAX && (p = next_of(queue));) {
        if (!is_still_pending(p, now)) {
            run_again(p, now);
            runs++;
        }
    }
    queue->next = NULL;
}

void park_tick(struct relay *r, const struct instant *now)
{
    struct parked *p;
    if (!look_at_all(r)) {
        return;
    }
    while ((p = next_of(&r->limits_waiting))) {
        if (now->mono_us - p->limits.since_us > RATE_SILENCE_US) {
            run_again(p, now);
        }
    }
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
