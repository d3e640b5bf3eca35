/*
 * Runs a loop out, within a deadline.
 *
 * Always: it takes no longer than it may, even if nothing happens in the loop any more. Called by
 * control.c.
 */
#include "daemon/loop_end.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Behind the deadline, until the clock agrees with libuv's. */
#define WAKE_AGAIN_MS 10

static void wake(uv_timer_t *timer)
{
    (void)timer;
}

static void name_one(uv_handle_t *handle, void *ctx)
{
    char *left = ctx;
    const size_t len = strlen(left);
    const char *type = uv_handle_type_name(handle->type);
    if (uv_has_ref(handle) && (uv_is_active(handle) || uv_is_closing(handle))) {
        snprintf(
            left + len, LOOP_END_LEFT_MAX - len, "%s%s", len ? " " : "", type ? type : "unknown");
    }
}

bool loop_end_run(uv_loop_t *loop, uint64_t most_ms, char left[LOOP_END_LEFT_MAX])
{
    const uint64_t until_us = clock_now().mono_us + most_ms * 1000;
    uv_timer_t alarm;
    uv_timer_init(loop, &alarm);
    uv_update_time(loop);
    uv_timer_start(&alarm, wake, most_ms, WAKE_AGAIN_MS);
    uv_unref((uv_handle_t *)&alarm);
    int alive;
    do {
        alive = uv_run(loop, UV_RUN_ONCE);
    } while (alive && clock_now().mono_us < until_us);
    if (alive) {
        left[0] = '\0';
        uv_walk(loop, name_one, left);
    }
    uv_close((uv_handle_t *)&alarm, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    return !alive;
}
