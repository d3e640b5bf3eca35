/*
 * The end of a loop whose handles have all been told to close, but where a library may have lost
 * sight of one.
 */
#ifndef DAEMON_LOOP_END_H
#define DAEMON_LOOP_END_H

#include <stdbool.h>

#include <uv.h>

/* Bytes for what is left. */
#define LOOP_END_LEFT_MAX 256

/*
 * Runs `loop` until nothing is alive in it, for `most_ms` at most. True; or false with what is left
 * named in `left`, "timer poll". The loop must not run again then.
 */
bool loop_end_run(uv_loop_t *loop, uint64_t most_ms, char left[LOOP_END_LEFT_MAX]);

#endif
