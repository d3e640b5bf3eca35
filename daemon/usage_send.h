/* Usage records on their way from the writer's thread to Redis. Control thread. */
#ifndef DAEMON_USAGE_SEND_H
#define DAEMON_USAGE_SEND_H

#include "daemon/sharing.h"
#include "daemon/usage_writer.h"

/* How long a stop waits for Redis. */
#define USAGE_SEND_LAST_US (1000 * US_PER_MS)

/* What is there goes to Redis, so far as there is room; metrics of usage come up to date. Once a
 * second or so. */
void usage_send(struct usage_writer *usage, struct sharing *sharing);
/*
 * When all workers have been joined, and before the link to Redis ends: ends their allocations, and
 * runs the loop until Redis has the records of them all, no longer than the
 * link is up and until `by_us` (clock_now().mono_us).
 */
void usage_send_last(uv_loop_t *loop, const struct worker_list *workers, struct usage_writer *usage,
    struct sharing *sharing, uint64_t by_us);

#endif
