/* What a connection costs that stands and does nothing. */
#ifndef BENCH_IDLE_CONNECTIONS_H
#define BENCH_IDLE_CONNECTIONS_H

#include "bench/connections.h"
#include "bench/options.h"
#include "bench/usage.h"

struct idle_connections {
    struct usage before, after; /* the connections were made in between */
    struct connections_stats stats;
};

/* Makes options->work.allocations connections without an allocation, each of which has answered one
 * Binding request, and looks at the server before and after. 0, or -errno. */
int idle_connections_run(const struct options *options, struct idle_connections *out);

#endif
