/* The Refresh method (RFC 8656 section 8.2): extend an allocation's time to expiry, or end it. */
#include "relay/core.h"

#include "base/secret.h"

static void end(struct request *q, enum addr_family family)
{
    struct allocation *a = q->allocation;
    if (family != ADDR_NONE && allocation_is_dual(a)) {
        allocation_end_leg(a, allocation_leg(a, family));
        allocation_arm(a);
        return;
    }
    allocation_end(a, END_DELETED, q->now);
    q->allocation = NULL;
}

/* "The client MUST use the new token to refresh existing allocations." (RFC 7635 section 9) From
 * now on the allocation lives by it: its kid, its end, its mac_key, and its id for revocations. */
static bool take_token(struct request *q)
{
    struct allocation_owner *owner = &q->allocation->owner, fresh = {0};
    if (!q->auth.renews) {
        return true;
    }
    if (usage_begin(q->allocation, (uint16_t)q->auth.identity.user.len, q->now) < 0 ||
        allocation_owner_copy(&fresh, &q->auth.identity) < 0) {
        return false;
    }
    fresh.key = q->auth.key;
    allocation_owner_wipe(owner);
    *owner = fresh;
    secret_cleanse(&fresh, sizeof(fresh));
    return true;
}

struct verdict refresh_handle(struct request *q, struct reply_fields *reply)
{
    const struct relay_settings *settings = &q->relay->snapshot->relay;
    struct slice value;
    enum addr_family family = ADDR_NONE;
    uint32_t lifetime_s = 0;
    bool mismatch = false;
    if (stun_find(&q->msg, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, &value)) {
        if (!stun_read_family(value, &family)) {
            return verdict_error(400, REASON_MALFORMED_ATTRIBUTE);
        }
        /* "If the server receives a Refresh Request with a REQUESTED-ADDRESS-FAMILY attribute and
         * the attribute value does not match the address family of the allocation, the server MUST
         * reply with a 443" */
        mismatch = family == ADDR_NONE || !allocation_leg(q->allocation, family);
    }
    bool asked = stun_find(&q->msg, STUN_ATTR_LIFETIME, &value);
    if (asked && !stun_read_u32(value, &lifetime_s)) {
        return verdict_error(400, REASON_MALFORMED_ATTRIBUTE);
    }
    reply->has_lifetime = true;
    if (mismatch) {
        /* The family ended by a first transmission of this request: "The server MUST respond to
         * retransmissions such that […] the overall state on the client and server is identical"
         * (RFC 8489 section 6.3.1). */
        bool again = asked && lifetime_s == 0 && family != ADDR_NONE &&
                     family == (enum addr_family)q->allocation->ended_family;
        return again ? verdict_success() : verdict_error(443, REASON_FAMILY_MISMATCH);
    }
    if (asked && lifetime_s == 0) {
        end(q, family);
        return verdict_success();
    }
    if (!take_token(q)) {
        return verdict_error(508, REASON_MEMORY_EXHAUSTED);
    }
    int64_t expires_at = q->allocation->owner.expires_at;
    const bool ends = settings->end_on_expiry || q->allocation->owner.source == AUTH_SOURCE_OAUTH;
    if (ends && expires_at != 0 && q->now->wall_s >= expires_at) {
        return verdict_error(401, REASON_CREDENTIAL_EXPIRED);
    }
    reply->lifetime_s = allocation_set_lifetime(
        q->allocation, family, allocation_desired_lifetime(settings, lifetime_s), q->now);
    return verdict_success();
}
