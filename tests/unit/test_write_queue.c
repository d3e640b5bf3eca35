/* net/write_queue: order, the limit, and no memory while it is empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/write_queue.h"

static void add(struct write_queue *q, uint8_t from, size_t len)
{
    static uint8_t bytes[70000];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(from + i);
    const struct iovec parts[3] = {{bytes, len / 3}, {NULL, 0}, {bytes + len / 3, len - len / 3}};
    assert_int_equal(write_queue_add(q, parts, 3), 0);
}

static void test_write_queue_bytes_leave_in_their_order(void **state)
{
    struct write_queue q = {0};
    uint8_t in = 0, out = 0;
    size_t expected = 0;
    for (unsigned round = 0; round < 3000; round++) {
        size_t len = 1 + (round * 37) % 500;
        add(&q, in, len);
        in = (uint8_t)(in + len);
        expected += len;
        struct slice front = write_queue_front(&q);
        assert_int_equal(front.len, expected);
        size_t take = round % 3 == 2 ? (front.len * 2) / 3 : front.len / 7;
        for (size_t i = 0; i < take; i++)
            assert_int_equal(front.data[i], out++);
        write_queue_take(&q, take);
        expected -= take;
        /* What has left does not pile up in front. */
        assert_true(q.cap <= 8192 + 4 * expected);
    }
    assert_true(expected > 0);
    write_queue_clear(&q);
}

static void test_write_queue_empty_holds_no_memory(void **state)
{
    struct write_queue q = {0};
    assert_int_equal(write_queue_front(&q).len, 0);
    add(&q, 0, 5000);
    write_queue_take(&q, 4999);
    assert_non_null(q.data);
    write_queue_take(&q, 1);
    assert_null(q.data);
    assert_int_equal(q.cap, 0);
    add(&q, 0, 0);
    assert_null(q.data);
}

static void test_write_queue_fits_up_to_the_limit_and_one_message_where_empty(void **state)
{
    struct write_queue q = {0};
    assert_true(write_queue_fits(&q, 100, 65536));
    add(&q, 0, 60);
    assert_true(write_queue_fits(&q, 100, 40));
    assert_false(write_queue_fits(&q, 100, 41));
    assert_false(write_queue_fits(&q, 100, SIZE_MAX));
    add(&q, 0, 60);
    assert_false(write_queue_fits(&q, 100, 0));
    write_queue_clear(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_queue_bytes_leave_in_their_order),
        cmocka_unit_test(test_write_queue_empty_holds_no_memory),
        cmocka_unit_test(test_write_queue_fits_up_to_the_limit_and_one_message_where_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
