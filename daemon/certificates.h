/* What operators are told about certificates: when they end, and before. Control thread. */
#ifndef DAEMON_CERTIFICATES_H
#define DAEMON_CERTIFICATES_H

#include "base/counters.h"
#include "tls/context.h"

struct certificates {
    int64_t next_look_s; /* seconds since the epoch; 0: at once */
};

/* These are in force from now on: one line each, a warning for what ends soon, and the gauge
 * (`counters` NULL: not of these). `context` may be NULL: there are none. */
void certificates_take(
    struct certificates *c, const struct tls_context *context, struct counters *counters);
/* Warns again once a day. Call it as often as you like. */
void certificates_watch(struct certificates *c, const struct tls_context *context);

#endif
