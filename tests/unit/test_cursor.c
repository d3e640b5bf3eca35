/* base/cursor: big-endian reads and writes, the latched failure, nothing past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cursor.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};

static void test_cursor_numbers_are_big_endian_at_any_alignment(void **state)
{
    struct cursor c;
    cursor_init(&c, slice_of(bytes, sizeof(bytes)));
    assert_int_equal(cursor_u8(&c), 0x01);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u32(&c), 0x04050607);
    assert_true(cursor_u64(&c) == 0x08090a0b0c0d0e0full);
    assert_int_equal(cursor_left(&c), 3);
    cursor_skip(&c, 1);
    struct slice rest = cursor_bytes(&c, 2);
    assert_ptr_equal(rest.data, bytes + 16);
    assert_int_equal(rest.len, 2);
    assert_int_equal(cursor_left(&c), 0);
    assert_false(c.failed);
}

/* On the heap and of exact size: a read past the end is the sanitizer's. */
static void test_cursor_short_input_latches_and_gives_zeros(void **state)
{
    for (size_t len = 0; len < 8; len++) {
        uint8_t *heap = malloc(len ? len : 1);
        memset(heap, 0xff, len ? len : 1);
        struct cursor c;
        cursor_init(&c, slice_of(heap, len));
        assert_true(cursor_u64(&c) == 0);
        assert_true(c.failed);
        assert_int_equal(cursor_left(&c), 0);
        assert_int_equal(cursor_u8(&c), 0);
        assert_int_equal(cursor_bytes(&c, 1).len, 0);
        assert_true(c.failed);
        free(heap);
    }
}

static void test_cursor_huge_length_fails_without_wrapping(void **state)
{
    struct cursor c;
    cursor_init(&c, slice_of(bytes, sizeof(bytes)));
    cursor_skip(&c, SIZE_MAX);
    assert_true(c.failed);
    cursor_init(&c, slice_of(bytes, sizeof(bytes)));
    struct slice s = cursor_bytes(&c, SIZE_MAX - 3);
    assert_true(c.failed);
    assert_int_equal(s.len, 0);
    assert_null(s.data);
}

static void test_cursor_exact_end_is_no_failure(void **state)
{
    struct cursor c;
    cursor_init(&c, slice_of(bytes, 4));
    assert_int_equal(cursor_u32(&c), 0x01020304);
    assert_int_equal(cursor_bytes(&c, 0).len, 0);
    cursor_skip(&c, 0);
    assert_false(c.failed);
    cursor_skip(&c, 1);
    assert_true(c.failed);
}

static void test_cursor_empty_null_slice_is_fine(void **state)
{
    struct cursor c;
    cursor_init(&c, slice_of(NULL, 0));
    assert_int_equal(cursor_left(&c), 0);
    assert_int_equal(cursor_bytes(&c, 0).len, 0);
    assert_false(c.failed);
    assert_int_equal(cursor_u8(&c), 0);
    assert_true(c.failed);
}

static void test_writer_writes_big_endian_and_counts(void **state)
{
    uint8_t out[24];
    memset(out, 0xee, sizeof(out));
    struct writer w;
    writer_init(&w, out, 18);
    writer_u8(&w, 0x01);
    writer_u16(&w, 0x0203);
    writer_u32(&w, 0x04050607);
    writer_u64(&w, 0x08090a0b0c0d0e0full);
    assert_int_equal(writer_len(&w), 15);
    writer_bytes(&w, "\x10", 1);
    writer_zeros(&w, 2);
    writer_bytes(&w, NULL, 0);
    writer_zeros(&w, 0);
    assert_int_equal(writer_len(&w), 18);
    assert_false(w.failed);
    assert_memory_equal(out, bytes, 16);
    assert_memory_equal(out + 16, "\0\0\xee\xee\xee\xee\xee\xee", 8);
}

static void test_writer_overflow_latches_and_writes_nothing_more(void **state)
{
    uint8_t out[8];
    memset(out, 0xee, sizeof(out));
    struct writer w;
    writer_init(&w, out, 3);
    writer_u16(&w, 0x0102);
    writer_u16(&w, 0x0304);
    assert_true(w.failed);
    assert_int_equal(writer_len(&w), 0);
    writer_u8(&w, 5); /* would have fitted */
    writer_bytes(&w, "x", 1);
    writer_zeros(&w, 1);
    writer_bytes(&w, "x", SIZE_MAX);
    assert_int_equal(writer_len(&w), 0);
    assert_memory_equal(out, "\x01\x02\xee\xee\xee\xee\xee\xee", 8);
}

static void test_writer_empty_buffer_takes_nothing(void **state)
{
    struct writer w;
    writer_init(&w, NULL, 0);
    writer_bytes(&w, "", 0);
    assert_false(w.failed);
    writer_u8(&w, 1);
    assert_true(w.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor_numbers_are_big_endian_at_any_alignment),
        cmocka_unit_test(test_cursor_short_input_latches_and_gives_zeros),
        cmocka_unit_test(test_cursor_huge_length_fails_without_wrapping),
        cmocka_unit_test(test_cursor_exact_end_is_no_failure),
        cmocka_unit_test(test_cursor_empty_null_slice_is_fine),
        cmocka_unit_test(test_writer_writes_big_endian_and_counts),
        cmocka_unit_test(test_writer_overflow_latches_and_writes_nothing_more),
        cmocka_unit_test(test_writer_empty_buffer_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
