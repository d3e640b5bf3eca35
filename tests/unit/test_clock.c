/* base/clock: times as people read them. The clocks themselves are the system's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

static void test_clock_utc_text_is_rfc_3339(void **state)
{
    static const struct {
        int64_t wall_s;
        const char *text;
    } rows[] = {{0, "1970-01-01T00:00:00Z"}, {1800000000, "2027-01-15T08:00:00Z"},
        {253402300799, "9999-12-31T23:59:59Z"}, {253402300800, "?"}, {INT64_MAX, "?"},
        {INT64_MIN, "?"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[CLOCK_UTC_MAX];
        assert_ptr_equal(clock_utc_text(rows[i].wall_s, out), out);
        assert_string_equal(out, rows[i].text);
    }
}

/* The first row is RFC 9110's own example. */
static void test_clock_http_text_is_imf_fixdate(void **state)
{
    static const struct {
        int64_t wall_s;
        const char *text;
    } rows[] = {{784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"}, {253402300800, ""}, {INT64_MAX, ""},
        {INT64_MIN, ""}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[CLOCK_UTC_MAX];
        assert_ptr_equal(clock_http_text(rows[i].wall_s, out), out);
        assert_string_equal(out, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clock_utc_text_is_rfc_3339),
        cmocka_unit_test(test_clock_http_text_is_imf_fixdate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
