/*
 * Usage records on their way from the workers to a file: a thread of its own takes them out of the
 * workers' rings, so that a disk that is slow or full stops nothing. Control thread, but for what
 * that thread does.
 */
#ifndef DAEMON_USAGE_WRITER_H
#define DAEMON_USAGE_WRITER_H

#include "auth/auth_settings.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/slice.h"
#include "relay/usage.h"
#include "relay/usage_settings.h"

/* Lines that wait for Redis. */
#define USAGE_LINES_MAX 8192u

/* Hands a record on to Redis, as fleet_usage_add. */
typedef int usage_send_fn(void *ctx, struct slice id, struct slice record, uint32_t max);

/* How long a stop waits for the disk. */
#define USAGE_END_US (2000 * US_PER_MS)

struct usage_writer;

/* Whether the file can be appended to; makes it. 0, or -errno with a line in `error`. */
int usage_writer_check(const struct usage_settings *settings, char *error, size_t error_cap);

/* Rings for so many workers, at most 64; nothing runs yet. NULL: no memory or no randomness. */
struct usage_writer *usage_writer_new(
    unsigned workers, struct counters *counters, const struct random_source *random);
/* Valid until usage_writer_free. */
struct usage_ring *usage_writer_ring(struct usage_writer *u, unsigned worker);
/* Opens the file and starts the thread. 0, or -errno with a line in `error`. */
int usage_writer_start(struct usage_writer *u, const struct usage_settings *settings,
    const struct auth_settings *auth, char *error, size_t error_cap);
/* There is another configuration; copied. A file that cannot be opened is tried again and again,
 * and the one before goes on meanwhile. */
void usage_writer_configure(struct usage_writer *u, const struct usage_settings *settings,
    const struct auth_settings *auth);
/* Opens the file again, soon: it may have been moved away. */
void usage_writer_reopen(struct usage_writer *u);
/* Brings metrics up to date, and hands lines for Redis to `send` until it says -EAGAIN. `sent`: so
 * many are there by now. Once a second or so. */
void usage_writer_tick(struct usage_writer *u, usage_send_fn *send, void *ctx, uint64_t sent);
/* When the workers have been joined: hurries the thread on. Returns how many records it has not
 * taken out of the rings yet or `send` has not taken. */
uint32_t usage_writer_hurry(struct usage_writer *u);
/* When no worker has allocations any more: writes everything that is left, waits `wait_us` at most,
 * of which half for a disk that answers but takes nothing, and ends the thread. NULL: nothing
 * happens. */
void usage_writer_end(struct usage_writer *u, uint64_t wait_us);
/* After usage_writer_end. */
void usage_writer_free(struct usage_writer *u);

#endif
