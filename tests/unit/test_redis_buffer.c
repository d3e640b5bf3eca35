/* What commands look like on their way to Redis (fleet/redis_buffer.c). */
#include "fleet/redis_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>

static void assert_text(const struct redis_buffer *b, const char *text, size_t len)
{
    assert_int_equal(b->len, len);
    assert_memory_equal(b->data, text, len);
}

static void test_redis_buffer_command_has_every_length_in_front(void **state)
{
    static const char text[] =
        "*4\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\na\0b\r\n\r\n$10\r\n0123456789\r\n";
    const struct slice argv[] = {slice_of_string("SET"), slice_of(NULL, 0), slice_of("a\0b\r\n", 5),
        slice_of_string("0123456789")};
    struct redis_buffer b = {0};
    assert_int_equal(redis_buffer_append_command(&b, argv, 4), 0);
    assert_text(&b, text, sizeof(text) - 1);
    redis_buffer_deinit(&b);
}

static void test_redis_buffer_command_stands_behind_the_one_before(void **state)
{
    static const char text[] = "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n";
    const struct slice argv[] = {slice_of_string("PING")};
    struct redis_buffer b = {0};
    assert_int_equal(redis_buffer_append_command(&b, argv, 1), 0);
    assert_int_equal(redis_buffer_append_command(&b, argv, 1), 0);
    assert_text(&b, text, sizeof(text) - 1);
    redis_buffer_deinit(&b);
}

/* Of as many arguments as there may be, each of another length: room is reckoned before. */
static void test_redis_buffer_command_fits_what_was_reckoned(void **state)
{
    static char letters[2 * REDIS_ARGUMENTS_MAX];
    struct slice argv[REDIS_ARGUMENTS_MAX];
    struct redis_buffer b = {0};
    memset(letters, 'x', sizeof(letters));
    for (size_t i = 0; i < REDIS_ARGUMENTS_MAX; i++)
        argv[i] = slice_of(letters, 2 * i);
    assert_int_equal(redis_buffer_append_command(&b, argv, REDIS_ARGUMENTS_MAX), 0);
    assert_true(b.len <= redis_command_len_max(argv, REDIS_ARGUMENTS_MAX));
    assert_memory_equal(b.data, "*256\r\n$0\r\n\r\n$2\r\nxx\r\n", 20);
    assert_memory_equal(b.data + b.len - 4, "xx\r\n", 4);
    redis_buffer_deinit(&b);
}

static void test_redis_buffer_command_that_cannot_be_leaves_nothing(void **state)
{
    static struct slice argv[REDIS_ARGUMENTS_MAX + 1];
    struct redis_buffer b = {0};
    assert_int_equal(redis_buffer_append_command(&b, argv, 0), -E2BIG);
    assert_int_equal(redis_buffer_append_command(&b, argv, REDIS_ARGUMENTS_MAX + 1), -E2BIG);
    argv[0] = slice_of("x", 512u * 1024 * 1024 + 1);
    assert_int_equal(redis_buffer_append_command(&b, argv, 1), -E2BIG);
    assert_int_equal(b.len, 0);
    redis_buffer_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_buffer_command_has_every_length_in_front),
        cmocka_unit_test(test_redis_buffer_command_stands_behind_the_one_before),
        cmocka_unit_test(test_redis_buffer_command_fits_what_was_reckoned),
        cmocka_unit_test(test_redis_buffer_command_that_cannot_be_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
