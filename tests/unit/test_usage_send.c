/*
 * What a stop waits for: workers, a writer and a link that the test plays itself, the link on the
 * loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/usage_send.h"

#define PATIENCE_US (10 * US_PER_S)

static struct {
    uv_loop_t loop;
    uv_idle_t link; /* answers one record in each turn */
    bool up, frozen;
    uint32_t to_end, in_rings, lines, unsent, sent;
    unsigned settled, turns, down_at;
    struct worker_list workers;
} g;

uint32_t worker_settle(struct worker *w)
{
    g.settled++;
    return 0;
}

/* One that ends at a time finds room. */
bool worker_end_allocations(struct worker *w)
{
    if (g.to_end > 0) {
        g.to_end--;
        g.in_rings++;
    }
    return g.to_end > 0;
}

uint32_t usage_writer_hurry(struct usage_writer *u)
{
    const uint32_t left = g.in_rings + g.lines;
    g.lines += g.in_rings;
    g.in_rings = 0;
    return left;
}

void usage_writer_tick(struct usage_writer *u, usage_send_fn *send, void *ctx, uint64_t sent)
{
    assert_int_equal(sent, g.sent);
    while (g.lines > 0 && send(ctx, slice_of_string("id"), slice_of_string("{}"), 7) == 0) {
        g.lines--;
    }
}

int sharing_usage(struct sharing *s, struct slice id, struct slice record, uint32_t max)
{
    assert_int_equal(max, 7);
    g.unsent++;
    return 0;
}

uint64_t sharing_usage_sent(const struct sharing *s)
{
    return g.sent;
}

uint32_t sharing_usage_waiting(const struct sharing *s)
{
    return g.unsent;
}

bool sharing_is_up(const struct sharing *s)
{
    return g.up;
}

static void on_turn(uv_idle_t *link)
{
    g.turns++;
    g.up = g.up && g.turns != g.down_at;
    if (g.unsent > 0 && !g.frozen) {
        g.unsent--;
        g.sent++;
    }
}

static int set_up(void **state)
{
    memset(&g, 0, sizeof(g));
    g.up = true;
    g.workers.count = 1;
    return uv_loop_init(&g.loop) < 0 || uv_idle_init(&g.loop, &g.link) < 0 ||
           uv_idle_start(&g.link, on_turn) < 0;
}

static int tear_down(void **state)
{
    uv_close((uv_handle_t *)&g.link, NULL);
    while (uv_run(&g.loop, UV_RUN_DEFAULT) != 0) {
    }
    return uv_loop_close(&g.loop);
}

/* Returns what was logged. */
static const char *stop_within(uint64_t us)
{
    static char said[512];
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    usage_send_last(&g.loop, &g.workers, NULL, NULL, clock_now().mono_us + us);
    log_deinit();
    close(fds[1]);
    const ssize_t len = read(fds[0], said, sizeof(said) - 1);
    close(fds[0]);
    assert_true(len >= 0);
    said[len] = '\0';
    return said;
}

static void test_usage_send_last_waits_until_redis_has_everything(void **state)
{
    g.to_end = 5;
    g.lines = 3;
    g.unsent = 2;
    assert_string_equal(stop_within(PATIENCE_US), "");
    assert_int_equal(g.sent, 10);
    assert_int_equal(g.to_end + g.in_rings + g.lines + g.unsent, 0);
    assert_in_range(g.settled, 5, g.turns + 1);
}

static void test_usage_send_last_with_nothing_to_send_takes_no_turn(void **state)
{
    assert_string_equal(stop_within(PATIENCE_US), "");
    assert_int_equal(g.turns, 0);
}

static void test_usage_send_last_says_what_redis_did_not_take_in_time(void **state)
{
    g.frozen = true;
    g.lines = 3;
    const uint64_t since = clock_now().mono_us;
    const char *said = stop_within(50 * US_PER_MS);
    assert_true(clock_now().mono_us - since >= 50 * US_PER_MS);
    assert_non_null(strstr(said, "usage_not_sent records=3 why=shutdown"));
    assert_true(g.turns > 1);
}

static void test_usage_send_last_does_not_wait_for_a_link_that_is_down(void **state)
{
    g.frozen = true;
    g.lines = 3;
    g.down_at = 3;
    (void)stop_within(PATIENCE_US);
    assert_int_equal(g.turns, 3);
    (void)stop_within(PATIENCE_US);
    assert_int_equal(g.turns, 3);
}

#define SEND(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEND(test_usage_send_last_waits_until_redis_has_everything),
        SEND(test_usage_send_last_with_nothing_to_send_takes_no_turn),
        SEND(test_usage_send_last_says_what_redis_did_not_take_in_time),
        SEND(test_usage_send_last_does_not_wait_for_a_link_that_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
