/*
 * Usage records on their way into the stream PREFIX/usage: entries with the fields "id" and
 * "record". At least once: one whose answer got lost is added again, under the same "id". While the
 * link is down they wait, so many as there is room for. Control thread.
 *
 * Rights: XADD.
 */
#ifndef FLEET_REDIS_USAGE_H
#define FLEET_REDIS_USAGE_H

#include "fleet/redis_link.h"

/* That wait at once, and their bytes. */
#define REDIS_USAGE_RECORDS_MAX 8192u
#define REDIS_USAGE_BYTES_MAX   (8u << 20)

struct redis_usage;

/* `link` outlives it, but for the callbacks of its end; `prefix`: 1 to 64 characters, copied. NULL:
 * out of memory. */
struct redis_usage *redis_usage_new(struct redis_link *link, const char *prefix);
/* After the link; what waits is lost. NULL: nothing happens. */
void redis_usage_free(struct redis_usage *u);
/* Copied. `max`: of the stream's entries about so many are kept. 0; -EAGAIN: there is no room now;
 * -ENOMEM. */
int redis_usage_add(struct redis_usage *u, struct slice id, struct slice record, uint32_t max);
/* Tries again what did not go. Once a second or so. */
void redis_usage_tick(struct redis_usage *u);
/* Records that it has not. */
uint32_t redis_usage_waiting(const struct redis_usage *u);
/* Records that Redis has. */
uint64_t redis_usage_sent(const struct redis_usage *u);

#endif
