/* admin/problem: what a refusal of the API looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "admin/problem.h"

static void assert_problem(unsigned status, const char *line, size_t len, const char *expected)
{
    char *copy = line ? malloc(len + 1) : NULL;
    if (copy)
        memcpy(copy, line, len);
    char *text = admin_problem_take(status, copy, &len);
    assert_non_null(text);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, len);
    free(text);
}

#define PROBLEM(title, status)                                                                     \
    "{\n  \"type\": \"about:blank\",\n  \"title\": \"" title "\",\n  \"status\": " status

static void test_problem_detail_is_the_first_line(void **state)
{
    assert_problem(404, "no such realm\n", 14,
        PROBLEM("Not Found", "404") ",\n  \"detail\": \"no such realm\"\n}\n");
    assert_problem(
        503, "a\nb\n", 4, PROBLEM("Service Unavailable", "503") ",\n  \"detail\": \"a\"\n}\n");
    assert_problem(422, "say \"x\"\t\\", 9,
        PROBLEM("Unprocessable Content", "422") ",\n  \"detail\": \"say \\\"x\\\"\\t\\\\\"\n}\n");
}

static void test_problem_without_a_line_or_utf8_has_no_detail(void **state)
{
    assert_problem(500, NULL, 0, PROBLEM("Internal Server Error", "500") "\n}\n");
    assert_problem(409, "\n", 1, PROBLEM("Conflict", "409") "\n}\n");
    assert_problem(499, "\xff\n", 2, PROBLEM("Error", "499") "\n}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problem_detail_is_the_first_line),
        cmocka_unit_test(test_problem_without_a_line_or_utf8_has_no_detail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
