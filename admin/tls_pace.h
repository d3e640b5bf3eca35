/*
 * How many connections a second the admin server takes over TLS: a handshake costs a signature, and
 * each is one request. Times are microseconds of the monotonic clock. Control thread.
 */
#ifndef ADMIN_TLS_PACE_H
#define ADMIN_TLS_PACE_H

#include "base/addr.h"
#include "ratelimit/gcra.h"

/* Of one /24 or /64 each; this machine's own addresses are not held to it. */
#define ADMIN_TLS_PACE_OF_NETWORK       20
#define ADMIN_TLS_PACE_OF_NETWORK_BURST 40
/* Of everybody together. */
#define ADMIN_TLS_PACE       200
#define ADMIN_TLS_PACE_BURST 160
/* Networks that are remembered. One that is at rest is forgotten, which one admission of it is
 * after 50 ms, n of them after n times that; so the pace of all together lets fewer than this be
 * remembered at once: 160 and 10 for the first 50 ms, and 10/n for each n up to 40 after that. */
#define ADMIN_TLS_PACE_NETWORKS 256

struct admin_tls_pace {
    struct gcra network, all;
    uint64_t all_tat_us;
    struct {
        struct addr network;
        uint64_t tat_us; /* not in the future: the place is free */
    } of[ADMIN_TLS_PACE_NETWORKS];
};

void admin_tls_pace_init(struct admin_tls_pace *p);
/* One connection from `from`, of `network`, is let in, and is charged then only. */
bool admin_tls_pace_admit(
    struct admin_tls_pace *p, const struct addr *from, const struct addr *network, uint64_t now_us);

#endif
