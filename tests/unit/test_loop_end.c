/* A loop runs out, or it does not: then what is left is named, in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "daemon/loop_end.h"

static void on_timer(uv_timer_t *timer)
{
    if (timer->data)
        uv_close((uv_handle_t *)timer, NULL);
}

static void test_loop_end_waits_for_what_closes_and_no_longer(void **state)
{
    char left[LOOP_END_LEFT_MAX] = "as before";
    uv_loop_t loop;
    uv_timer_t timer;
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    timer.data = &timer;
    uv_timer_start(&timer, on_timer, 20, 0);
    const uint64_t from_us = clock_now().mono_us;
    assert_true(loop_end_run(&loop, 60000, left));
    assert_true(clock_now().mono_us - from_us < 30 * US_PER_S);
    assert_string_equal(left, "as before");
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_loop_end_gives_up_and_says_on_what(void **state)
{
    char left[LOOP_END_LEFT_MAX];
    uv_loop_t loop;
    uv_timer_t forever, often;
    uv_idle_t stopped;
    uv_loop_init(&loop);
    uv_timer_init(&loop, &forever);
    uv_timer_init(&loop, &often);
    uv_idle_init(&loop, &stopped);
    forever.data = often.data = NULL;
    uv_timer_start(&forever, on_timer, 1000 * 1000, 0);
    uv_timer_start(&often, on_timer, 1, 1);
    const uint64_t from_us = clock_now().mono_us;
    assert_false(loop_end_run(&loop, 50, left));
    assert_true(clock_now().mono_us - from_us >= 50000);
    assert_string_equal(left, "timer timer");
    uv_close((uv_handle_t *)&forever, NULL);
    uv_close((uv_handle_t *)&often, NULL);
    uv_close((uv_handle_t *)&stopped, NULL);
    assert_true(loop_end_run(&loop, 60000, left));
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_end_waits_for_what_closes_and_no_longer),
        cmocka_unit_test(test_loop_end_gives_up_and_says_on_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
