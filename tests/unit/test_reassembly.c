/* bench/reassembly: what the benchmark's clients make of a stream, in whatever pieces it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "bench/reassembly.h"

#include <errno.h>

/* ChannelData of 5 bytes with 3 of padding, a Binding success response without attributes,
 * ChannelData of 4 bytes. */
static const uint8_t stream[] = {0x40, 0x00, 0x00, 0x05, 'a', 'b', 'c', 'd', 'e', 0, 0, 0, /**/
    0x01, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, /**/
    0x40, 0x01, 0x00, 0x04, 'w', 'x', 'y', 'z'};
static const size_t lengths[] = {9, 20, 8}; /* of the messages, without padding */
static const size_t starts[] = {0, 12, 32};

#define MESSAGES 3
#define LATE_NS  7
#define EARLY_NS 5

struct seen {
    unsigned count;
    uint64_t last_arrived_ns;
};

static void see(void *ctx, struct slice bytes, uint64_t arrived_ns)
{
    struct seen *seen = ctx;
    unsigned which = seen->count++ % MESSAGES;

    assert_int_equal(bytes.len, lengths[which]);
    assert_memory_equal(bytes.data, stream + starts[which], bytes.len);
    seen->last_arrived_ns = arrived_ns;
}

/* A copy of its own, so that a sanitizer sees what is read beyond the piece. */
static int feed(struct reassembly *r, size_t from, size_t len, struct seen *seen)
{
    const struct endpoint_reader reader = {see, seen};
    uint8_t *piece = malloc(len > 0 ? len : 1);

    assert_non_null(piece);
    memcpy(piece, stream + from, len);
    int rc = reassembly_feed(r, slice_of(piece, len), EARLY_NS, &reader);
    free(piece);
    return rc;
}

static void test_reassembly_whole_messages_are_handed_over_and_nothing_is_kept(void **state)
{
    struct reassembly r = {0};
    struct seen seen = {0};

    assert_int_equal(feed(&r, 0, sizeof(stream), &seen), 0);
    assert_int_equal(seen.count, MESSAGES);
    assert_int_equal(r.len, 0);
    assert_null(r.bytes);
    assert_int_equal(feed(&r, 0, 0, &seen), 0);
    assert_int_equal(seen.count, MESSAGES);
    reassembly_deinit(&r);
}

static void test_reassembly_byte_by_byte_gives_the_same_messages(void **state)
{
    struct reassembly r = {0};
    struct seen seen = {0};

    for (unsigned turn = 1; turn <= 3; turn++) {
        for (size_t i = 0; i < sizeof(stream); i++) {
            assert_int_equal(feed(&r, i, 1, &seen), 0);
        }
        assert_int_equal(seen.count, turn * MESSAGES);
        assert_int_equal(r.len, 0);
    }
    reassembly_deinit(&r);
}

static void test_reassembly_any_two_pieces_give_the_same_messages(void **state)
{
    for (size_t cut = 1; cut < sizeof(stream); cut++) {
        struct reassembly r = {0};
        struct seen seen = {0};

        assert_int_equal(feed(&r, 0, cut, &seen), 0);
        /* The padding belongs to the message before it. */
        assert_int_equal(seen.count, cut < 12 ? 0 : cut < 32 ? 1 : 2);
        assert_int_equal(feed(&r, cut, sizeof(stream) - cut, &seen), 0);
        assert_int_equal(seen.count, MESSAGES);
        assert_int_equal(r.len, 0);
        reassembly_deinit(&r);
        assert_int_equal(r.cap, 0);
    }
}

static void test_reassembly_piece_that_ends_one_message_may_begin_another(void **state)
{
    for (size_t first = 1; first < sizeof(stream); first++) {
        for (size_t second = first + 1; second < sizeof(stream); second++) {
            struct reassembly r = {0};
            struct seen seen = {0};

            assert_int_equal(feed(&r, 0, first, &seen), 0);
            assert_int_equal(feed(&r, first, second - first, &seen), 0);
            assert_int_equal(feed(&r, second, sizeof(stream) - second, &seen), 0);
            assert_int_equal(seen.count, MESSAGES);
            assert_int_equal(r.len, 0);
            reassembly_deinit(&r);
        }
    }
}

static void test_reassembly_message_is_as_late_as_its_last_piece(void **state)
{
    struct reassembly r = {0};
    struct seen seen = {0};
    const struct endpoint_reader reader = {see, &seen};

    assert_int_equal(feed(&r, 0, 4, &seen), 0);
    assert_int_equal(reassembly_feed(&r, slice_of(stream + 4, 8), LATE_NS, &reader), 0);
    assert_int_equal(seen.last_arrived_ns, LATE_NS);
    reassembly_deinit(&r);
}

static void test_reassembly_what_is_no_message_fails(void **state)
{
    static const uint8_t tls_alert[] = {0x95, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28};
    struct reassembly r = {0};
    struct seen seen = {0};
    const struct endpoint_reader reader = {see, &seen};

    assert_int_equal(
        reassembly_feed(&r, slice_of(tls_alert, sizeof(tls_alert)), 0, &reader), -EPROTO);
    assert_int_equal(feed(&r, 0, 10, &seen), 0);
    assert_int_equal(seen.count, 0);
    /* Its padding first, so that the alert stands where a message begins. */
    assert_int_equal(feed(&r, 10, 2, &seen), 0);
    assert_int_equal(feed(&r, 12, 3, &seen), 0);
    assert_int_equal(
        reassembly_feed(&r, slice_of(tls_alert, sizeof(tls_alert)), 0, &reader), -EPROTO);
    assert_int_equal(seen.count, 1);
    reassembly_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reassembly_whole_messages_are_handed_over_and_nothing_is_kept),
        cmocka_unit_test(test_reassembly_byte_by_byte_gives_the_same_messages),
        cmocka_unit_test(test_reassembly_any_two_pieces_give_the_same_messages),
        cmocka_unit_test(test_reassembly_piece_that_ends_one_message_may_begin_another),
        cmocka_unit_test(test_reassembly_message_is_as_late_as_its_last_piece),
        cmocka_unit_test(test_reassembly_what_is_no_message_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
