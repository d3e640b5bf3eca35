/*
 * A worker's relay as a whole: made, fed and ended here; the work is in the files named after what
 * they do. Called by net/ on the worker's thread only.
 */
#include "relay/core.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"

static uint32_t at_least_one(uint32_t n)
{
    return n ? n : 1;
}

/* Random for each process, the same in its workers. */
static uint16_t origin_of(const struct relay_shared *shared)
{
    static const char label[] = "nonce origin";
    return (uint16_t)crypto_siphash(shared->hash_key, label, sizeof(label));
}

static void find_limits(struct relay *r)
{
    r->limiting = NULL;
    for (unsigned i = 0; i < AUTH_REALMS_MAX; i++) {
        if (r->snapshot->bandwidth[i].any) {
            r->limiting = r->lease;
        }
    }
}

struct relay *relay_new(
    const struct relay_deps *deps, const struct relay_snapshot *snapshot, const struct instant *now)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (!r) {
        return NULL;
    }
    uint32_t cap = at_least_one(deps->max_allocations);
    r->deps = *deps;
    r->snapshot = snapshot;
    r->now = *now;
    r->usage_reserve = deps->usage ? usage_ring_room(deps->usage) / 4 : 0;
    r->usage.round_us = now->mono_us;
    r->auth = auth_worker_new(deps->crypto, origin_of(deps->shared));
    r->allocations = slab_new(deps->worker, sizeof(struct allocation), cap);
    r->flows = table_new(cap);
    r->reservations = reservation_slab_new(deps->worker, cap);
    r->tokens = table_new(cap);
    r->parked = slab_new(deps->worker, sizeof(struct parked), PARKED_MAX);
    r->waiting = table_new(PARKED_MAX);
    r->questions = question_slab_new(deps->worker);
    r->asked = table_new(QUESTIONS_MAX);
    r->wheel = wheel_new(now->mono_us, r);
    struct bandwidth_table *bandwidth = deps->shared->bandwidth;
    r->lease = bandwidth ? bandwidth_lease_new(bandwidth) : NULL;
    if ((bandwidth && !r->lease) || !r->auth || !r->allocations || !r->flows || !r->reservations ||
        !r->tokens || !r->parked || !r->waiting || !r->questions || !r->asked || !r->wheel ||
        !media_init(r, cap)) {
        relay_free(r, now);
        return NULL;
    }
    find_limits(r);
    return r;
}

bool relay_end_allocations(struct relay *r, const struct instant *now)
{
    r->now = *now;
    r->usage.ending = true;
    for (uint32_t i = 0; i < slab_slots(r->allocations); i++) {
        struct allocation *a = slab_at(r->allocations, i);
        if (a) {
            allocation_end(a, END_SHUTDOWN, now);
        }
    }
    return usage_tell_ends(r, now);
}

void relay_free(struct relay *r, const struct instant *now)
{
    if (!r) {
        return;
    }
    if (r->allocations) {
        (void)relay_end_allocations(r, now);
    }
    usage_close(r, now);
    if (r->parked) {
        park_end_all(r);
        assert(slab_count(r->parked) == 0 && r->claims_waiting == 0 && !r->limits_waiting.first);
        assert(!r->waiting || table_count(r->waiting) == 0);
        assert(!r->questions || slab_count(r->questions) == 0);
    }
    if (r->reservations) {
        reservation_end_all(r);
    }
    media_deinit(r);
    wheel_free(r->wheel);
    slab_free(r->parked);
    table_free(r->waiting);
    slab_free(r->questions);
    table_free(r->asked);
    slab_free(r->reservations);
    table_free(r->tokens);
    table_free(r->flows);
    slab_free(r->allocations);
    bandwidth_lease_free(r->lease);
    auth_worker_free(r->auth);
    free(r);
}

void relay_set_snapshot(struct relay *r, const struct relay_snapshot *snapshot)
{
    r->snapshot = snapshot;
    find_limits(r);
    media_set_policy(r);
    auth_worker_forget(r->auth);
}

void relay_tick(struct relay *r, const struct instant *now)
{
    r->now = *now;
    revoke_tick(r, now);
    drain_advance(r, now);
    park_tick(r, now);
    media_tick(r, now);
    usage_tick(r, now);
    wheel_advance(r->wheel, now->mono_us);
}

void relay_message(struct relay *r, struct relay_message *m, const struct instant *now)
{
    r->now = *now;
    switch ((enum relay_message_kind)m->kind) {
    case RELAY_CLAIM:
        reservation_answer(r, m);
        return;
    case RELAY_REFUSED:
        park_resume(r, m, now);
        return;
    case RELAY_GRANTED:
        if (!park_resume(r, m, now)) {
            /* The asker's deadline passed first: nobody will come back for the port. */
            reservation_discard(r, &m->parcel, &m->charge);
        }
        return;
    }
}

void relay_store_answer(
    struct relay *r, const struct store_answer *answer, const struct instant *now)
{
    r->now = *now;
    auth_worker_learn(r->auth, r->snapshot->auth, answer, now);
    question_answered(r, &answer->question, now);
}

void relay_limits_answered(struct relay *r, const struct instant *now)
{
    r->now = *now;
    park_limits_answered(r, now);
}

void relay_store_secrets(struct relay *r, const struct store_secrets *secrets)
{
    if (auth_worker_set_secrets(r->auth, r->snapshot->auth, secrets)) {
        log_event(LOG_ERROR, "store_secrets_not_kept", log_str("why", "out of memory"),
            log_bytes("realm", auth_realm_name(r->snapshot->auth, secrets->realm)));
    }
}

/* "Also, TCP has explicit connection teardown; while for UDP, the firewall has to use timers to
 * guess when the flow is finished." (RFC 8656 section 3.1) Nobody can come back on a 5-tuple that
 * names a dead connection, so its ports and quota are free at once. */
void relay_connection_closed(struct relay *r, const struct flow *flow, const struct instant *now)
{
    r->now = *now;
    park_cancel_flow(r, flow);
    struct allocation *a = allocation_find(r, flow);
    if (a) {
        allocation_end(a, END_CONNECTION_CLOSED, now);
    }
}

bool relay_flow_in_use(const struct relay *r, const struct flow *flow)
{
    return allocation_find(r, flow) != NULL;
}

uint32_t relay_allocations(const struct relay *r)
{
    return (uint32_t)slab_count(r->allocations);
}
