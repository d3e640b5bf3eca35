/*
 * Credentials that are no longer good: what they have made ends at once. auth refuses them from now
 * on, so a request that waits meets the refusal when it runs again.
 *
 * What always holds: however many revocations come at once (an instance that was cut off learns all
 * of them together), the allocations are walked twice a tick at most: by the first alone, and at
 * the tick by all that auth then knows. Called by relay.c.
 */
#include <errno.h>

#include "base/log.h"
#include "relay/core.h"

/* `v` NULL: by any revocation that is in force. */
static bool is_covered(struct relay *r, const struct allocation_owner *owner,
    const struct revocation *v, const struct instant *now)
{
    const struct identity identity = allocation_owner_identity(owner);
    return v ? revocation_covers(v, &identity) : auth_worker_covers(r->auth, &identity, now);
}

static void end_covered(struct relay *r, const struct revocation *v, const struct instant *now)
{
    for (uint32_t i = 0; i < slab_slots(r->allocations); i++) {
        struct allocation *a = slab_at(r->allocations, i);
        if (a && is_covered(r, &a->owner, v, now)) {
            allocation_end(a, END_REVOKED, now);
        }
    }
    for (uint32_t i = 0; i < slab_slots(r->reservations); i++) {
        struct reservation *reservation = slab_at(r->reservations, i);
        if (reservation && is_covered(r, &reservation->owner, v, now)) {
            reservation_end(reservation);
        }
    }
    r->revoke.walked_us = now->mono_us;
    r->revoke.again = false;
}

void relay_revoke(struct relay *r, const struct revocation *v, const struct instant *now)
{
    r->now = *now;
    int rc = auth_worker_revoke(r->auth, v, now);
    if (rc && log_once_a_minute(now->mono_us, &r->revoke.logged_us, &r->revoke.failures)) {
        log_event(LOG_ERROR, "revocation_not_kept",
            log_str("why", rc == -ENOSPC ? "too many" : "out of memory"),
            log_u64("held_back", r->revoke.failures));
        r->revoke.failures = 0;
    }
    if (v->until <= now->wall_s) {
        return; /* takes one back */
    }
    if (rc || r->revoke.walked_us == 0 || now->mono_us - r->revoke.walked_us >= WHEEL_TICK_US) {
        end_covered(r, v, now);
    } else {
        r->revoke.again = true;
    }
}

void revoke_tick(struct relay *r, const struct instant *now)
{
    if (r->revoke.again) {
        end_covered(r, NULL, now);
    }
}
