/*
 * Always: what Redis has no room for stays with the writer, and what a stop does not get to Redis
 * in time is in the file, where there is one. Called by control.
 */
#include "daemon/usage_send.h"

#include <poll.h>

#include "base/clock.h"
#include "base/log.h"

/* The writer's thread answers no event of the loop. */
#define TURN_MS 5

/* usage_send_fn */
static int send_one(void *ctx, struct slice id, struct slice record, uint32_t max)
{
    return sharing_usage(ctx, id, record, max);
}

void usage_send(struct usage_writer *usage, struct sharing *sharing)
{
    usage_writer_tick(usage, send_one, sharing, sharing_usage_sent(sharing));
}

/* What comes late from another worker or from Redis may begin one more. True: records wait. */
static bool end_allocations(const struct worker_list *workers)
{
    bool waiting = false;
    for (unsigned i = 0; i < workers->count; i++) {
        (void)worker_settle(workers->items[i]);
        waiting |= worker_end_allocations(workers->items[i]);
    }
    return waiting;
}

void usage_send_last(uv_loop_t *loop, const struct worker_list *workers, struct usage_writer *usage,
    struct sharing *sharing, uint64_t by_us)
{
    struct pollfd events = {.fd = uv_backend_fd(loop), .events = POLLIN};
    while (sharing_is_up(sharing)) {
        const bool waiting = end_allocations(workers);
        usage_send(usage, sharing);
        const uint32_t left = usage_writer_hurry(usage);
        const uint32_t unsent = sharing_usage_waiting(sharing);
        if (!waiting && left == 0 && unsent == 0) {
            return;
        }
        if (clock_now().mono_us >= by_us) {
            log_event(LOG_WARN, "usage_not_sent", log_u64("records", left + unsent),
                log_str("why", "shutdown"));
            return;
        }
        (void)poll(&events, 1, TURN_MS);
        (void)uv_run(loop, UV_RUN_NOWAIT);
    }
}
