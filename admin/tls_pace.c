/*
 * Buckets of connections over TLS, one of all and one a network.
 *
 * Always: who is refused is charged nothing, so a network that is over its own pace takes nothing
 * of the common one. Called by tls_front.c.
 */
#include "admin/tls_pace.h"

void admin_tls_pace_init(struct admin_tls_pace *p)
{
    const struct rate network = {.count = ADMIN_TLS_PACE_OF_NETWORK,
        .period_s = 1,
        .burst = ADMIN_TLS_PACE_OF_NETWORK_BURST};
    const struct rate all = {.count = ADMIN_TLS_PACE, .period_s = 1, .burst = ADMIN_TLS_PACE_BURST};
    *p = (struct admin_tls_pace){.network = gcra_of(&network), .all = gcra_of(&all)};
}

/* Its place, or a free one; ADMIN_TLS_PACE_NETWORKS where there is neither. */
static size_t place_of(const struct admin_tls_pace *p, const struct addr *network, uint64_t now_us)
{
    size_t place = ADMIN_TLS_PACE_NETWORKS;
    for (size_t i = 0; i < ADMIN_TLS_PACE_NETWORKS; i++) {
        if (gcra_drained(&p->network, p->of[i].tat_us, now_us)) {
            place = i;
        } else if (addr_equal_ip(&p->of[i].network, network)) {
            return i;
        }
    }
    return place;
}

bool admin_tls_pace_admit(
    struct admin_tls_pace *p, const struct addr *from, const struct addr *network, uint64_t now_us)
{
    const bool ours = addr_is_loopback(from);
    const size_t place = ours ? 0 : place_of(p, network, now_us);
    if (place == ADMIN_TLS_PACE_NETWORKS) {
        return false;
    }
    uint64_t tat_us = p->of[place].tat_us;
    if (!ours && !gcra_admit(&p->network, &tat_us, now_us)) {
        return false;
    }
    if (!gcra_admit(&p->all, &p->all_tat_us, now_us)) {
        return false;
    }
    if (!ours) {
        p->of[place].network = *network;
        p->of[place].tat_us = tat_us;
    }
    return true;
}
