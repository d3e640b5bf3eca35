/*
 * Allocations ended by an operator, by id, by user, or by a peer that they may send to.
 *
 * Always: a call looks at SLOTS_AT_ONCE slots and ends ENDS_AT_ONCE allocations at most. One that
 * comes while a kick goes on may be spared, as if it had come a moment later. Called by net/worker
 * when control asks.
 */
#include "relay/kick.h"

#include "relay/core.h"

/* Each may be a cache miss or two, and an end closes one or two sockets: a millisecond. */
#define SLOTS_AT_ONCE 1024
#define ENDS_AT_ONCE  64

static bool is_meant(struct allocation *a, const struct kick *k, const struct instant *now)
{
    if (k->only_id != 0) {
        return a->id == k->only_id;
    }
    if (k->peer.family != ADDR_NONE) {
        return permission_find(&a->permissions, &k->peer, now->mono_us);
    }
    const struct identity id = allocation_identity(a);
    const struct slice user = slice_of(k->user, k->user_len);
    return k->user_len > 0 && id.realm == k->realm &&
           (slice_equal(id.user, user) || slice_equal(identity_account(&id), user));
}

void relay_kick(struct relay *r, struct kick *k, const struct instant *now)
{
    const uint32_t slots = slab_slots(r->allocations);
    uint32_t slot = k->only_id ? handle_slot(k->only_id) : k->next_slot, ended = 0;
    uint32_t end = k->only_id ? slot + 1 : slot + SLOTS_AT_ONCE;
    end = end < slots ? end : slots;
    r->now = *now;
    for (; slot < end && ended < ENDS_AT_ONCE; slot++) {
        struct allocation *a = slab_at(r->allocations, slot);
        if (a && is_meant(a, k, now)) {
            allocation_end(a, END_KICKED, now);
            ended++;
        }
    }
    k->kicked += ended;
    k->next_slot = slot;
    k->more = !k->only_id && slot < slots;
}
