/* Replies as bytes: each kind, in pieces of any size, too large, and no RESP at all. And commands,
 * which are the other way round. */
#include "fleet/redis_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "fleet/redis_buffer.h"

#define REPLY_MAX 4096

static struct redis_reader *reader;

static int setup(void **state)
{
    reader = redis_reader_new(REPLY_MAX);
    return reader ? 0 : -1;
}

static int teardown(void **state)
{
    redis_reader_free(reader);
    return 0;
}

/* In memory of exactly its size, so that a sanitizer sees any byte read too far. */
static void feed(const char *bytes, size_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, bytes, len);
    redis_reader_feed(reader, slice_of(exact, len));
    free(exact);
}

static struct redis_reply *read_one(const char *text)
{
    struct redis_reply *reply = NULL;
    feed(text, strlen(text));
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READ_REPLY);
    return reply;
}

static void test_redis_reply_each_kind_is_read(void **state)
{
    struct redis_reply *r = read_one("+OK\r\n");
    assert_int_equal(r->kind, REDIS_KIND_STATUS);
    assert_true(redis_reply_is(r, "OK") && !redis_reply_is(r, "O") && !redis_reply_is(r, "OKK"));
    redis_reply_free(r);
    r = read_one("-NOSCRIPT none\r\n");
    assert_int_equal(r->kind, REDIS_KIND_ERROR);
    assert_true(redis_reply_is_error(r, "NOSCRIPT"));
    assert_false(redis_reply_is_error(r, "NOSCRIP") || redis_reply_is_error(r, "NOSCRIPTS"));
    assert_false(redis_reply_is(r, "NOSCRIPT none"));
    redis_reply_free(r);
    r = read_one("-ERR\r\n");
    assert_true(redis_reply_is_error(r, "ERR"));
    redis_reply_free(r);
    r = read_one(":-9223372036854775808\r\n");
    assert_int_equal(r->kind, REDIS_KIND_INTEGER);
    assert_true(r->integer == INT64_MIN);
    redis_reply_free(r);
    r = read_one("$-1\r\n");
    assert_int_equal(r->kind, REDIS_KIND_NIL);
    redis_reply_free(r);
    r = read_one("*-1\r\n");
    assert_int_equal(r->kind, REDIS_KIND_NIL);
    redis_reply_free(r);
    r = read_one("*0\r\n");
    assert_int_equal(r->kind, REDIS_KIND_ARRAY);
    assert_int_equal(r->count, 0);
    assert_int_equal(redis_reply_string(r, 0).len, 0);
    redis_reply_free(r);
    redis_reply_free(NULL);
}

static const char nested[] =
    "*4\r\n$5\r\na\0\r\nb\r\n*2\r\n:1\r\n*1\r\n$-1\r\n+st\r\n$0\r\n\r\n+next\r\n";

static void check_nested(const struct redis_reply *r)
{
    assert_int_equal(r->count, 4);
    assert_int_equal(redis_reply_string(r, 0).len, 5);
    assert_memory_equal(redis_reply_string(r, 0).data, "a\0\r\nb", 6); /* and a NUL */
    assert_int_equal(r->elements[1]->count, 2);
    assert_int_equal(r->elements[1]->elements[1]->elements[0]->kind, REDIS_KIND_NIL);
    assert_int_equal(redis_reply_string(r, 2).len, 0); /* a status is no string */
    assert_int_equal(r->elements[3]->kind, REDIS_KIND_STRING);
    assert_int_equal(redis_reply_string(r, 4).len, 0);
}

static void test_redis_reply_pieces_of_any_size_give_the_same(void **state)
{
    for (size_t piece = 1; piece < sizeof(nested); piece++) {
        unsigned replies = 0;
        for (size_t at = 0; at < sizeof(nested) - 1; at += piece) {
            const size_t rest = sizeof(nested) - 1 - at;
            struct redis_reply *r;
            feed(nested + at, rest < piece ? rest : piece);
            enum redis_read outcome;
            while ((outcome = redis_reader_next(reader, &r)) == REDIS_READ_REPLY) {
                if (replies++ == 0)
                    check_nested(r);
                else
                    assert_true(redis_reply_is(r, "next"));
                redis_reply_free(r);
            }
            assert_int_equal(outcome, REDIS_READ_MORE);
        }
        assert_int_equal(replies, 2);
    }
}

static void assert_refused(const char *bytes, size_t len, enum redis_read expected)
{
    struct redis_reply *r = NULL;
    redis_reader_reset(reader);
    feed(bytes, len);
    enum redis_read outcome;
    while ((outcome = redis_reader_next(reader, &r)) == REDIS_READ_REPLY)
        redis_reply_free(r);
    if (outcome != expected)
        fail_msg("%.*s: %s", (int)(len < 40 ? len : 40), bytes, redis_read_text(outcome));
    feed("+OK\r\n", 5); /* it stays so */
    assert_int_equal(redis_reader_next(reader, &r), expected);
    redis_reader_reset(reader);
    r = read_one("+OK\r\n");
    redis_reply_free(r);
}

static void test_redis_reply_what_is_no_resp_is_refused(void **state)
{
    static const char *const bad[] = {"x", "HTTP/1.1 400 Bad Request\r\n", "\r\n", ":x\r\n",
        ":\r\n", ":9223372036854775808\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", "*x\r\n",
        "*4294967296\r\n", "*99999999999999999999\r\n", "$99999999999999999999\r\n",
        "%1\r\n+a\r\n+b\r\n", "_\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "*2\r\n:1\r\nx"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(bad[i], strlen(bad[i]), REDIS_READ_BAD);
}

/* What is announced takes no memory: 16 GiB of pointers, and the like. */
static void test_redis_reply_too_large_is_refused_before_it_is_made(void **state)
{
    static char many[REPLY_MAX * 4];
    size_t len = 0;
    assert_refused("*2147483647\r\n", 13, REDIS_READ_TOO_LARGE);
    assert_refused("*1\r\n*512\r\n", 10, REDIS_READ_TOO_LARGE);
    /* Many small ones within one reply; and a string that is longer than it may be. */
    len += (size_t)snprintf(many, sizeof(many), "*200\r\n");
    for (unsigned i = 0; i < 200; i++)
        len += (size_t)snprintf(many + len, sizeof(many) - len, ":1\r\n");
    assert_refused(many, len, REDIS_READ_TOO_LARGE);
    len = (size_t)snprintf(many, sizeof(many), "$1000000000\r\n");
    memset(many + len, 'x', REPLY_MAX + 1);
    assert_refused(many, len + REPLY_MAX + 1, REDIS_READ_TOO_LARGE);
    memset(many, 'x', REPLY_MAX + 2); /* a line that does not end */
    many[0] = '+';
    assert_refused(many, REPLY_MAX + 2, REDIS_READ_TOO_LARGE);
}

static void test_redis_reply_bound_is_for_each_reply(void **state)
{
    char text[3100];
    memset(text, 'x', sizeof(text));
    const int head = snprintf(text, sizeof(text), "$3000\r\n");
    text[head] = 'x';
    memcpy(text + head + 3000, "\r\n", 2);
    for (unsigned turn = 0; turn < 100; turn++) {
        struct redis_reply *r;
        feed(text, (size_t)head + 3002);
        assert_int_equal(redis_reader_next(reader, &r), REDIS_READ_REPLY);
        assert_int_equal(r->text.len, 3000);
        redis_reply_free(r);
        assert_int_equal(redis_reader_next(reader, &r), REDIS_READ_MORE);
    }
}

/* A large buffer is given back; what comes behind is read as before. */
static void test_redis_reply_small_ones_behind_a_large_one_are_read(void **state)
{
    const size_t size = 1u << 20;
    struct redis_reader *large = redis_reader_new(size + 4096);
    char *text = malloc(size + 64);
    const int head = snprintf(text, 64, "$%zu\r\n", size);
    memset(text + head, 'y', size);
    memcpy(text + head + size, "\r\n:7\r\n", 6);
    struct redis_reply *r;
    for (unsigned turn = 0; turn < 3; turn++) {
        redis_reader_feed(large, slice_of(text, (size_t)head + size + 6));
        assert_int_equal(redis_reader_next(large, &r), REDIS_READ_REPLY);
        assert_int_equal(r->text.len, size);
        redis_reply_free(r);
        assert_int_equal(redis_reader_next(large, &r), REDIS_READ_REPLY);
        assert_int_equal(r->integer, 7);
        redis_reply_free(r);
        assert_int_equal(redis_reader_next(large, &r), REDIS_READ_MORE);
    }
    free(text);
    redis_reader_free(large);
}

static void test_redis_buffer_commands_are_written_by_length(void **state)
{
    struct redis_buffer b = {0};
    const struct slice argv[] = {
        slice_of_string("SET"), slice_of("\r\n\0%s", 5), slice_of(NULL, 0)};
    static const char expected[] = "*3\r\n$3\r\nSET\r\n$5\r\n\r\n\0%s\r\n$0\r\n\r\n";
    for (size_t n = 1; n <= 500; n++) { /* it grows */
        assert_int_equal(redis_buffer_append_command(&b, argv, 3), 0);
        assert_int_equal(b.len, n * (sizeof(expected) - 1));
        assert_memory_equal(
            b.data + b.len - (sizeof(expected) - 1), expected, sizeof(expected) - 1);
    }
    assert_true(redis_command_len_max(argv, 3) >= sizeof(expected) - 1);
    assert_int_equal(redis_buffer_append_command(&b, argv, 0), -E2BIG);
    const struct slice huge[] = {
        slice_of(expected, SIZE_MAX / 2), slice_of(expected, SIZE_MAX / 2)};
    assert_int_equal(redis_buffer_append_command(&b, huge, 2), -E2BIG);
    redis_buffer_clear(&b);
    assert_int_equal(b.len, 0);
    redis_buffer_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_redis_reply_each_kind_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_redis_reply_pieces_of_any_size_give_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_redis_reply_what_is_no_resp_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_redis_reply_too_large_is_refused_before_it_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redis_reply_bound_is_for_each_reply, setup, teardown),
        cmocka_unit_test(test_redis_reply_small_ones_behind_a_large_one_are_read),
        cmocka_unit_test(test_redis_buffer_commands_are_written_by_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
