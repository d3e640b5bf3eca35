/* The pool of streams: who is found, who is kept, and who makes room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "srtp/streams.h"

#define CAP     4
#define NOW     (1000 * US_PER_S)
#define SILENCE (STREAM_SILENT_S * US_PER_S)

static struct srtp_streams *pool;
static struct srtp_stream_list list, other;

static int setup(void **state)
{
    list = other = (struct srtp_stream_list){0};
    pool = srtp_streams_new(100, CAP);
    return pool == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    srtp_streams_release(pool, &list);
    srtp_streams_release(pool, &other);
    srtp_streams_free(pool);
    return 0;
}

static struct srtp_stream *get(uint32_t ssrc, uint64_t now)
{
    return srtp_streams_get(pool, &list, SRTP_TO_PEER, ssrc, now);
}

/* One RTCP packet of it passes. */
static void hear(uint32_t ssrc, uint64_t now)
{
    struct srtp_stream *stream = get(ssrc, now);
    assert_non_null(stream);
    srtp_stream_rtcp(stream, now);
}

/* The list holds these, in this order. */
static void check_order(const uint32_t *ssrcs, size_t count)
{
    const struct srtp_stream *stream = NULL;
    for (size_t i = 0; i < count; i++) {
        stream = srtp_streams_next(pool, &list, stream);
        assert_non_null(stream);
        assert_int_equal(stream->ssrc, ssrcs[i]);
    }
    assert_null(srtp_streams_next(pool, &list, stream));
}

static void test_streams_get_makes_an_empty_one_and_finds_it_again(void **state)
{
    struct srtp_stream *stream = get(7, NOW);
    assert_int_equal(stream->ssrc, 7);
    assert_int_equal(stream->direction, SRTP_TO_PEER);
    assert_int_equal(stream->packets, 0);
    assert_int_equal(stream->first_us, NOW);
    assert_int_equal(stream->last_us, NOW);
    assert_int_equal(srtp_stream_lost(stream), 0);
    stream->dropped = 5;
    hear(7, NOW + 3);
    assert_ptr_equal(get(7, NOW + 9), stream);
    assert_int_equal(stream->dropped, 5);
    assert_int_equal(stream->rtcp_packets, 1);
    assert_int_equal(stream->last_us, NOW + 3);
    assert_int_equal(list.count[SRTP_TO_PEER], 1);
}

static void test_streams_directions_are_apart(void **state)
{
    struct srtp_stream *back = srtp_streams_get(pool, &list, SRTP_TO_CLIENT, 7, NOW);
    struct srtp_stream *forth = get(7, NOW);
    assert_ptr_not_equal(back, forth);
    assert_int_equal(back->direction, SRTP_TO_CLIENT);
    assert_int_equal(list.count[SRTP_TO_PEER], 1);
    assert_int_equal(list.count[SRTP_TO_CLIENT], 1);
    assert_ptr_equal(srtp_streams_next(pool, &list, NULL), forth);
    assert_ptr_equal(srtp_streams_next(pool, &list, forth), back);
    assert_null(srtp_streams_next(pool, &list, back));
}

static void test_streams_the_latest_comes_first(void **state)
{
    for (uint32_t ssrc = 1; ssrc <= 4; ssrc++)
        assert_non_null(get(ssrc, NOW));
    check_order((const uint32_t[]){4, 3, 2, 1}, 4);
    (void)get(2, NOW);
    check_order((const uint32_t[]){2, 4, 3, 1}, 4);
    (void)get(1, NOW);
    check_order((const uint32_t[]){1, 2, 4, 3}, 4);
    (void)get(1, NOW);
    check_order((const uint32_t[]){1, 2, 4, 3}, 4);
}

static void test_streams_empty_list_has_none(void **state)
{
    assert_null(srtp_streams_next(pool, &list, NULL));
    (void)srtp_streams_get(pool, &list, SRTP_TO_CLIENT, 9, NOW);
    assert_int_equal(srtp_streams_next(pool, &list, NULL)->ssrc, 9);
    assert_null(srtp_streams_next(pool, &other, NULL));
}

static void test_streams_over_the_cap_are_counted_and_not_kept(void **state)
{
    for (uint32_t ssrc = 1; ssrc <= CAP; ssrc++)
        assert_non_null(get(ssrc, NOW));
    for (uint32_t ssrc = 100; ssrc < 110; ssrc++)
        assert_null(get(ssrc, NOW));
    assert_int_equal(list.untracked, 10);
    assert_int_equal(list.count[SRTP_TO_PEER], CAP);
    check_order((const uint32_t[]){4, 3, 2, 1}, 4);
    assert_non_null(get(1, NOW));
    assert_int_equal(list.untracked, 10);
    assert_non_null(srtp_streams_get(pool, &list, SRTP_TO_CLIENT, 100, NOW));
    assert_non_null(srtp_streams_get(pool, &other, SRTP_TO_PEER, 100, NOW));
    list.untracked = UINT32_MAX;
    assert_null(get(100, NOW));
    assert_int_equal(list.untracked, UINT32_MAX);
}

static void test_streams_find_makes_none_and_moves_none(void **state)
{
    assert_null(srtp_streams_find(pool, &list, SRTP_TO_PEER, 1));
    for (uint32_t ssrc = 1; ssrc <= 3; ssrc++)
        hear(ssrc, NOW);
    for (uint32_t ssrc = 1; ssrc <= 3; ssrc++)
        assert_int_equal(srtp_streams_find(pool, &list, SRTP_TO_PEER, ssrc)->ssrc, ssrc);
    assert_null(srtp_streams_find(pool, &list, SRTP_TO_PEER, 4));
    assert_null(srtp_streams_find(pool, &list, SRTP_TO_CLIENT, 1));
    check_order((const uint32_t[]){3, 2, 1}, 3);
    assert_int_equal(list.untracked, 0);
}

static void test_streams_set_cap_raises_and_lowers(void **state)
{
    for (uint32_t ssrc = 1; ssrc <= CAP; ssrc++)
        assert_non_null(get(ssrc, NOW));
    srtp_streams_set_cap(pool, CAP + 1);
    assert_non_null(get(5, NOW));
    assert_null(get(6, NOW));
    srtp_streams_set_cap(pool, 1);
    for (uint32_t ssrc = 1; ssrc <= CAP + 1; ssrc++)
        assert_non_null(get(ssrc, NOW));
    assert_null(get(6, NOW));
}

static void test_streams_silent_one_makes_room(void **state)
{
    for (uint32_t ssrc = 1; ssrc <= CAP; ssrc++)
        hear(ssrc, NOW);
    get(1, NOW)->dropped = 3;
    hear(1, NOW + 1);
    assert_null(get(50, NOW + SILENCE - 1));
    struct srtp_stream *stream = get(50, NOW + SILENCE);
    assert_non_null(stream);
    assert_int_equal(stream->ssrc, 50);
    assert_int_equal(stream->rtcp_packets, 0);
    assert_int_equal(stream->first_us, NOW + SILENCE);
    check_order((const uint32_t[]){50, 1, 4, 3}, 4); /* 2 was asked for longest ago */
    assert_int_equal(list.count[SRTP_TO_PEER], CAP);
    assert_int_equal(list.untracked, 1);
    assert_int_equal(get(1, NOW)->dropped, 3);
}

static void test_streams_strangers_displace_none_that_runs(void **state)
{
    uint32_t stranger = 1000;
    for (uint64_t s = 0; s < 600; s += 10) {
        for (uint32_t ssrc = 1; ssrc <= CAP; ssrc++)
            hear(ssrc, NOW + s * US_PER_S);
        for (unsigned i = 0; i < 100; i++)
            assert_null(get(stranger++, NOW + (s + 9) * US_PER_S));
    }
    assert_int_equal(list.untracked, 6000);
    /* And what they did take, they lose again. */
    for (uint32_t i = 0; i < CAP; i++)
        assert_non_null(srtp_streams_get(pool, &other, SRTP_TO_PEER, stranger++, NOW));
    for (uint32_t ssrc = 1; ssrc <= CAP; ssrc++)
        assert_non_null(srtp_streams_get(pool, &other, SRTP_TO_PEER, ssrc, NOW + SILENCE));
}

static void test_streams_lone_silent_one_is_replaced(void **state)
{
    srtp_streams_set_cap(pool, 1);
    hear(1, NOW);
    assert_non_null(get(2, NOW + SILENCE));
    check_order((const uint32_t[]){2}, 1);
}

static void test_streams_full_pool_takes_from_the_own_list_only(void **state)
{
    struct srtp_streams *small = srtp_streams_new(3, 100);
    assert_non_null(small);
    assert_non_null(srtp_streams_get(small, &list, SRTP_TO_PEER, 1, NOW));
    assert_non_null(srtp_streams_get(small, &list, SRTP_TO_PEER, 2, NOW));
    assert_non_null(srtp_streams_get(small, &other, SRTP_TO_PEER, 3, NOW));
    assert_null(srtp_streams_get(small, &other, SRTP_TO_PEER, 4, NOW));
    assert_int_equal(other.untracked, 1);
    assert_null(srtp_streams_get(small, &other, SRTP_TO_CLIENT, 4, NOW + SILENCE));
    assert_non_null(srtp_streams_get(small, &other, SRTP_TO_PEER, 4, NOW + SILENCE));
    assert_int_equal(other.count[SRTP_TO_PEER], 1);
    assert_int_equal(list.count[SRTP_TO_PEER], 2);
    srtp_streams_release(small, &list);
    assert_int_equal(list.count[SRTP_TO_PEER], 0);
    assert_non_null(srtp_streams_get(small, &other, SRTP_TO_CLIENT, 4, NOW));
    srtp_streams_release(small, &other);
    assert_int_equal(other.untracked, 0);
    srtp_streams_free(small);
}

static void test_streams_release_gives_all_back_empty(void **state)
{
    struct srtp_streams *small = srtp_streams_new(8, 4);
    assert_non_null(small);
    for (unsigned round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < 8; i++) {
            struct srtp_stream *stream = srtp_streams_get(
                small, &list, i % 2 == 0 ? SRTP_TO_PEER : SRTP_TO_CLIENT, round * 8 + i, NOW);
            assert_non_null(stream);
            assert_int_equal(stream->packets, 0);
            const struct rtp_header h = {.sequence = (uint16_t)(i * 20000), .payload_type = 96};
            srtp_stream_rtp(stream, &h, 50, NOW);
            assert_int_equal(stream->expected, 1);
            assert_int_equal(stream->clock_rate, 0);
        }
        srtp_streams_release(small, &list);
        assert_null(srtp_streams_next(small, &list, NULL));
    }
    srtp_streams_free(small);
    srtp_streams_free(NULL);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_streams_get_makes_an_empty_one_and_finds_it_again),
        CASE(test_streams_directions_are_apart),
        CASE(test_streams_the_latest_comes_first),
        CASE(test_streams_empty_list_has_none),
        CASE(test_streams_over_the_cap_are_counted_and_not_kept),
        CASE(test_streams_find_makes_none_and_moves_none),
        CASE(test_streams_set_cap_raises_and_lowers),
        CASE(test_streams_silent_one_makes_room),
        CASE(test_streams_strangers_displace_none_that_runs),
        CASE(test_streams_lone_silent_one_is_replaced),
        CASE(test_streams_full_pool_takes_from_the_own_list_only),
        CASE(test_streams_release_gives_all_back_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
