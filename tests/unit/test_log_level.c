/* A level of the log that an operator has asked for: what counts, for how long, and over a reload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "daemon/log_level.h"

#define AT(seconds) ((seconds)*US_PER_S)

static void test_log_level_goes_back_by_itself(void **state)
{
    struct log_level_state l = {0};
    log_level_configure(&l, LOG_WARN, LOG_TEXT, AT(1));
    assert_int_equal(log_level_in_force(&l), LOG_WARN);
    assert_int_equal(log_level_seconds(&l, AT(1)), 0);
    log_level_ask(&l, LOG_DEBUG, 60, AT(10));
    assert_int_equal(log_level_in_force(&l), LOG_DEBUG);
    assert_int_equal(log_level_seconds(&l, AT(10)), 60);
    log_level_tick(&l, AT(70) - 1);
    assert_int_equal(log_level_in_force(&l), LOG_DEBUG);
    assert_int_equal(log_level_seconds(&l, AT(70) - 1), 1);
    log_level_tick(&l, AT(70));
    assert_int_equal(log_level_in_force(&l), LOG_WARN);
    assert_int_equal(log_level_seconds(&l, AT(70)), 0);
}

static void test_log_level_counts_on_over_a_reload(void **state)
{
    struct log_level_state l = {0};
    log_level_configure(&l, LOG_INFO, LOG_TEXT, AT(1));
    log_level_ask(&l, LOG_DEBUG, 60, AT(10));
    log_level_configure(&l, LOG_ERROR, LOG_JSON, AT(20));
    assert_int_equal(log_level_in_force(&l), LOG_DEBUG);
    assert_int_equal(l.format, LOG_JSON);
    log_level_tick(&l, AT(70));
    assert_int_equal(log_level_in_force(&l), LOG_ERROR);
}

static void test_log_level_is_taken_back_and_prolonged(void **state)
{
    struct log_level_state l = {0};
    log_level_configure(&l, LOG_INFO, LOG_TEXT, AT(1));
    log_level_ask(&l, LOG_INFO, 0, AT(2));
    assert_int_equal(log_level_seconds(&l, AT(2)), 0);
    log_level_ask(&l, LOG_ERROR, 60, AT(10));
    log_level_ask(&l, LOG_DEBUG, 600, AT(20));
    log_level_tick(&l, AT(70));
    assert_int_equal(log_level_in_force(&l), LOG_DEBUG);
    assert_int_equal(log_level_seconds(&l, AT(70)), 550);
    log_level_ask(&l, LOG_ERROR, 0, AT(71));
    assert_int_equal(log_level_in_force(&l), LOG_INFO);
    assert_int_equal(log_level_seconds(&l, AT(71)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_level_goes_back_by_itself),
        cmocka_unit_test(test_log_level_counts_on_over_a_reload),
        cmocka_unit_test(test_log_level_is_taken_back_and_prolonged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
