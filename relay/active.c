/*
 * Which allocations live: each stands in the gauge of its client's transport and of the families
 * that it has a relayed address of, and in no other. Called by allocation.c and allocate.c after
 * every change of the legs.
 */
#include "relay/allocation.h"

#include "relay/core.h"

_Static_assert(GAUGE_ALLOCATIONS_DTLS_IPV4 - GAUGE_ALLOCATIONS_UDP_IPV4 == 3 * TRANSPORT_DTLS &&
                   GAUGE_ALLOCATIONS_UDP_DUAL - GAUGE_ALLOCATIONS_UDP_IPV4 == 2 &&
                   GAUGE_COUNT < UINT8_MAX,
    "gauges stand in the order of enum transport, three each");

/* 1 + the gauge, 0: it has no leg. */
static uint8_t gauge_of(struct allocation *a)
{
    bool ipv4 = allocation_leg(a, ADDR_IPV4) != NULL;
    bool ipv6 = allocation_leg(a, ADDR_IPV6) != NULL;
    if (!ipv4 && !ipv6) {
        return 0;
    }
    unsigned family = ipv4 && ipv6 ? 2 : ipv6 ? 1 : 0;
    return (uint8_t)(1 + GAUGE_ALLOCATIONS_UDP_IPV4 + 3 * a->flow.transport + family);
}

void allocation_count(struct allocation *a)
{
    struct counters *counters = a->relay->deps.counters;
    uint8_t now = gauge_of(a);
    if (a->counted) {
        counters_gauge(counters, a->counted - 1u, -1);
    }
    if (now) {
        counters_gauge(counters, now - 1u, 1);
    }
    a->counted = now;
}
