/* Loss, duplicates, reordering, resets, clock rates and jitter of one stream, against RFC 3550
 * appendix A.1, A.3 and A.8 and against a model that remembers everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "srtp/streams.h"

#define SEEDS   100
#define OPUS    111
#define PCMU    0
#define START   (1000 * US_PER_S)
#define PACKETS 4000 /* that a generated stream sends */

static struct srtp_streams *pool;
static struct srtp_stream_list list;
static struct srtp_stream *stream;

static int setup(void **state)
{
    list = (struct srtp_stream_list){0};
    pool = srtp_streams_new(4, 4);
    stream = pool == NULL ? NULL : srtp_streams_get(pool, &list, SRTP_TO_PEER, 7, START);
    return stream == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    srtp_streams_release(pool, &list);
    srtp_streams_free(pool);
    return 0;
}

/* Forgets all that was told so far. */
static void begin(void)
{
    (void)teardown(NULL);
    assert_int_equal(setup(NULL), 0);
}

static void take(uint8_t type, uint16_t sequence, uint32_t timestamp, uint64_t now_us)
{
    const struct rtp_header h = {
        .ssrc = 7, .sequence = sequence, .timestamp = timestamp, .payload_type = type};
    srtp_stream_rtp(stream, &h, 100, now_us);
}

/* One whose timing does not matter. */
static void take_number(uint32_t sequence)
{
    take(PCMU, (uint16_t)sequence, sequence * 160, START + sequence * 20000ull);
}

static void check(uint64_t lost, uint64_t duplicates, uint64_t late, uint64_t resets)
{
    assert_int_equal(srtp_stream_lost(stream), lost);
    assert_int_equal(stream->duplicates, duplicates);
    assert_int_equal(stream->late, late);
    assert_int_equal(stream->resets, resets);
}

/* xorshift64*: the same numbers everywhere. */
static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 0x2545f4914f6cdd1dull;
}

static uint32_t below(uint64_t *seed, uint32_t bound)
{
    return (uint32_t)(draw(seed) >> 33) % bound;
}

static void test_stream_first_packet_counts(void **state)
{
    take(PCMU, 0, 0, START + 5);
    assert_int_equal(stream->packets, 1);
    assert_int_equal(stream->bytes, 100);
    assert_int_equal(stream->expected, 1);
    assert_int_equal(stream->first_us, START);
    assert_int_equal(stream->last_us, START + 5);
    check(0, 0, 0, 0);
}

static void test_stream_wraps_without_loss(void **state)
{
    for (uint32_t i = 65000; i < 65000 + 150000; i++)
        take_number(i);
    assert_int_equal(stream->packets, 150000);
    assert_int_equal(stream->expected, 150000);
    check(0, 0, 0, 0);
}

static void test_stream_loss_is_counted_over_the_wrap(void **state)
{
    for (uint32_t i = 65000; i <= 65000 + 3000; i++) {
        if (i % 3 != 1)
            take_number(i);
    }
    assert_int_equal(stream->expected, 3001);
    check(1000, 0, 0, 0);
}

static void test_stream_duplicates_hide_no_loss(void **state)
{
    take_number(100);
    take_number(100);
    take_number(103);
    take_number(100);
    take_number(103);
    assert_int_equal(stream->packets, 5);
    check(2, 3, 0, 0);
}

static void test_stream_late_packet_fills_its_hole_once(void **state)
{
    take_number(65534);
    take_number(65537);
    check(2, 0, 0, 0);
    take_number(65535);
    check(1, 0, 1, 0);
    take_number(65535);
    check(1, 1, 1, 0);
    take_number(65536);
    check(0, 1, 2, 0);
}

static void test_stream_packet_before_the_first_hides_no_loss(void **state)
{
    take_number(100);
    take_number(102);
    take_number(99);
    check(1, 0, 1, 0);
    take_number(99);
    check(1, 1, 1, 0);
    take_number(0);
    check(1, 1, 2, 0);
}

static void test_stream_window_ends_at_512(void **state)
{
    for (uint32_t i = 1000; i <= 2000; i++)
        take_number(i);
    take_number(2000 - 511);
    check(0, 1, 0, 0);
    take_number(2000 - 512);
    check(0, 1, 0, 0);
    assert_int_equal(stream->expected, 1002); /* for itself */
}

static void test_stream_gap_leaves_no_trace_of_what_was_before(void **state)
{
    for (uint32_t gap = 1; gap < 1200; gap += gap < 530 ? 1 : 61) {
        begin();
        for (uint32_t i = 1000; i < 2000; i++)
            take_number(i);
        take_number(1999 + gap);
        check(gap - 1, 0, 0, 0);
        uint32_t late = 0, duplicates = 0;
        for (uint32_t behind = 1; behind < 512; behind++) {
            take_number(1999 + gap - behind);
            late += behind < gap;
            duplicates += behind >= gap;
        }
        check(gap - 1 - late, duplicates, late, 0);
    }
}

static void test_stream_jump_below_3000_is_loss(void **state)
{
    take_number(10);
    take_number(10 + 2999);
    check(2998, 0, 0, 0);
    take_number(10 + 2999 + 3000);
    check(2998, 0, 0, 0);
    assert_int_equal(stream->expected, 3001);
}

static void test_stream_far_off_packet_changes_nothing_else(void **state)
{
    for (uint32_t i = 0; i < 100; i++)
        take_number(i);
    const struct srtp_stream before = *stream;
    take(OPUS, 30000, 77, START + 2 * US_PER_S);
    assert_int_equal(stream->packets, 101);
    assert_int_equal(stream->payload_type, PCMU);
    assert_int_equal(stream->clock_rate, 8000);
    assert_int_equal(stream->jitter, before.jitter);
    for (uint32_t i = 100; i < 200; i++)
        take_number(i);
    take(OPUS, 30001, 77, START + 5 * US_PER_S); /* not next to the other one */
    check(0, 0, 0, 0);
    assert_int_equal(stream->jitter, 0);
}

static void test_stream_two_in_sequence_begin_anew(void **state)
{
    take_number(100);
    take_number(102);
    take_number(40000);
    take_number(40001);
    check(1, 0, 0, 1);
    take_number(40003);
    check(2, 0, 0, 1);
    take_number(40000);
    check(2, 1, 0, 1);
    take_number(39999);
    check(2, 1, 1, 1);
    take_number(102); /* of the old one */
    check(2, 1, 1, 1);
    for (uint32_t i = 65535; i < 65540; i++) /* over the wrap: 65535 and 0 */
        take_number(i);
    check(2, 1, 1, 2);
}

/* What a receiver would know that has all the memory in the world. */
struct model {
    bool seen[PACKETS];
    uint32_t first, highest;
    uint64_t packets, duplicates, late, before_first;
    double jitter, transit;
};

static void model_take(struct model *m, uint32_t index, double sent, double arrived)
{
    const double transit = arrived - sent;
    if (m->packets == 0)
        m->first = m->highest = index;
    else
        m->jitter +=
            ((transit > m->transit ? transit - m->transit : m->transit - transit) - m->jitter) / 16;
    m->transit = transit;
    m->packets++;
    if (m->seen[index]) {
        m->duplicates++;
    } else if (index < m->highest) {
        m->late++;
        m->before_first += index < m->first;
    }
    m->seen[index] = true;
    m->highest = index > m->highest ? index : m->highest;
}

static uint64_t model_lost(const struct model *m)
{
    return m->highest - m->first + 1 + m->before_first - (m->packets - m->duplicates);
}

struct arrival {
    uint32_t index;
    uint64_t us;
};

static int by_time(const void *a, const void *b)
{
    const struct arrival *x = a, *y = b;
    return x->us < y->us ? -1 : x->us > y->us;
}

/* 20 ms apart, a third lost, one in ten twice, a fifth up to 3 s late: 150 numbers. */
static size_t network(struct arrival *out, uint64_t *seed)
{
    size_t n = 0;
    for (uint32_t i = 0; i < PACKETS; i++) {
        if (below(seed, 100) < 30)
            continue;
        const unsigned copies = below(seed, 10) == 0 ? 2 : 1;
        for (unsigned copy = 0; copy < copies; copy++) {
            const uint32_t late = below(seed, 5) == 0 ? 3000000 : 15000;
            out[n++] = (struct arrival){i, START + i * 20000ull + below(seed, late)};
        }
    }
    qsort(out, n, sizeof(*out), by_time);
    return n;
}

static void test_stream_equals_the_model_for_100_seeds(void **state)
{
    static struct arrival arrivals[2 * PACKETS];
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15ull;
        const uint32_t sequence = below(&random, 0x10000), timestamp = (uint32_t)draw(&random);
        static struct model m;
        m = (struct model){0};
        begin();
        const size_t n = network(arrivals, &random);
        for (size_t i = 0; i < n; i++) {
            const struct arrival *a = &arrivals[i];
            take(PCMU, (uint16_t)(sequence + a->index), timestamp + a->index * 160, a->us);
            model_take(&m, a->index, a->index * 160.0, (double)(a->us - START) * 8000 / 1e6);
            assert_in_range(stream->jitter + 2, (uint32_t)m.jitter, (uint32_t)m.jitter + 4);
        }
        assert_int_equal(stream->packets, n);
        check(model_lost(&m), m.duplicates, m.late, 0);
        assert_in_range(srtp_stream_lost(stream), PACKETS / 4, PACKETS / 3);
        assert_true(m.jitter > 100);
    }
}

static void test_stream_steady_stream_has_no_jitter(void **state)
{
    for (uint32_t i = 0; i < 1000; i++)
        take_number(i);
    assert_int_equal(stream->clock_rate, 8000);
    assert_int_equal(stream->jitter, 0);
    /* One packet 10 ms late: D is 80 units, then 80 back. */
    take(PCMU, 1000, 160000, START + 1000 * 20000 + 10000);
    assert_int_equal(stream->jitter, 80 / 16);
    take(PCMU, 1001, 160160, START + 1001 * 20000);
    assert_int_equal(stream->jitter, 155 / 16);
}

static void test_stream_timestamp_jump_is_no_jitter(void **state)
{
    for (uint32_t i = 0; i < 100; i++)
        take_number(i);
    for (uint32_t i = 100; i < 200; i++)
        take(PCMU, (uint16_t)i, i * 160 + 0x90000000u, START + i * 20000);
    assert_int_equal(stream->jitter, 0);
    /* Nor is an hour's silence. */
    take(PCMU, 200, 0, START + 3600 * US_PER_S);
    assert_int_equal(stream->jitter, 0);
    /* 4 s are a very bad network. */
    take(PCMU, 201, 160, START + 3604 * US_PER_S + 20000);
    assert_int_equal(stream->jitter, 4 * 8000 / 16);
}

static void test_stream_static_types_have_their_rates(void **state)
{
    static const struct {
        uint8_t type;
        uint32_t rate;
    } known[] = {{0, 8000}, {3, 8000}, {6, 16000}, {8, 8000}, {9, 8000}, {10, 44100}, {11, 44100},
        {13, 8000}, {14, 90000}, {16, 11025}, {17, 22050}, {18, 8000}, {25, 90000}, {26, 90000},
        {28, 90000}, {31, 90000}, {32, 90000}, {33, 90000}, {34, 90000}, {1, 0}, {2, 0}, {19, 0},
        {20, 0}, {24, 0}, {27, 0}, {30, 0}, {35, 0}, {96, 0}, {127, 0}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        begin();
        take(known[i].type, 1, 1, START);
        assert_int_equal(stream->clock_rate, known[i].rate);
    }
}

/* `seconds` of packets 20 ms apart that are up to 40 ms on their way. */
static void play(uint8_t type, uint32_t rate, uint32_t from_ms, uint32_t to_ms, uint64_t *seed)
{
    for (uint32_t ms = from_ms; ms < to_ms; ms += 20) {
        take(type, (uint16_t)(65400 + ms / 20), 0xfffff000u + ms * (rate / 100) / 10,
            START + ms * US_PER_MS + below(seed, 40000));
    }
}

static void test_stream_clock_rate_of_dynamic_types_is_inferred(void **state)
{
    static const uint32_t rates[] = {8000, 16000, 24000, 32000, 44100, 48000, 90000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            uint64_t random = seed * 0x9e3779b97f4a7c15ull;
            begin();
            play(OPUS, rates[i], 0, 950, &random);
            assert_int_equal(stream->clock_rate, 0);
            assert_int_equal(stream->jitter, 0);
            play(OPUS, rates[i], 960, 10000, &random);
            assert_int_equal(stream->clock_rate, rates[i]);
            /* The mean difference of two even draws from 40 ms is a third of that. */
            assert_in_range(stream->jitter, rates[i] / 1000 * 8, rates[i] / 1000 * 20);
        }
    }
}

static void test_stream_clock_rate_mends_what_a_slow_first_packet_did(void **state)
{
    take(OPUS, 0, 0, START + 85 * US_PER_MS);
    for (uint32_t i = 5; i < 500; i++)
        take(OPUS, (uint16_t)i, i * 882, START + i * 20 * US_PER_MS);
    assert_int_equal(stream->clock_rate, 44100);
    assert_int_equal(stream->jitter, 0);
}

static void test_stream_clock_rate_outlives_jumps_and_is_none_of_nonsense(void **state)
{
    uint64_t random = 1;
    play(OPUS, 48000, 0, 1500, &random);
    assert_int_equal(stream->clock_rate, 48000);
    for (uint32_t i = 0; i < 500; i++) /* a clock of 1 Hz */
        take(OPUS, (uint16_t)(65400 + 75 + i), i / 50, START + (1500 + i * 20) * US_PER_MS);
    assert_int_equal(stream->clock_rate, 48000);
    begin();
    for (uint32_t i = 0; i < 500; i++)
        take(OPUS, (uint16_t)i, 0, START + i * 20 * US_PER_MS);
    assert_int_equal(stream->clock_rate, 0);
    begin();
    for (uint32_t i = 0; i < 500; i++) /* 65 kHz: between two */
        take(OPUS, (uint16_t)i, i * 1300, START + i * 20 * US_PER_MS);
    assert_int_equal(stream->clock_rate, 0);
}

static void test_stream_another_type_brings_its_own_rate(void **state)
{
    uint64_t random = 1;
    play(PCMU, 8000, 0, 5000, &random);
    assert_int_equal(stream->clock_rate, 8000);
    assert_true(stream->jitter > 0);
    play(OPUS, 48000, 5000, 5500, &random);
    assert_int_equal(stream->clock_rate, 8000);
    play(OPUS, 48000, 5500, 12000, &random);
    assert_int_equal(stream->clock_rate, 48000);
    assert_int_equal(stream->payload_type, OPUS);
    play(PCMU, 8000, 12000, 12020, &random);
    assert_int_equal(stream->clock_rate, 8000);
    assert_int_equal(stream->jitter, 0);
}

static void test_stream_hostile_headers_keep_the_books(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15ull, now = START;
        begin();
        for (unsigned i = 0; i < 2000; i++) {
            const uint32_t how = below(&random, 8);
            const uint16_t sequence = (uint16_t)(how < 4 ? i * 499 : how < 6 ? i : draw(&random));
            now += how == 7 ? draw(&random) >> below(&random, 64) >> 16 : below(&random, 100000);
            take((uint8_t)(how < 6 ? 96 : below(&random, 128)), sequence,
                (uint32_t)(draw(&random) >> below(&random, 64)), now);
            assert_true(stream->packets - stream->duplicates <= stream->expected);
            assert_true(stream->jitter <= 5 * 90000);
        }
        assert_int_equal(stream->packets, 2000);
        assert_true(stream->expected < 2000 * 3000);
    }
}

static void test_stream_time_that_stands_still_or_goes_back_is_no_harm(void **state)
{
    take(PCMU, 1, 0, UINT64_MAX);
    take(PCMU, 2, 160, 0);
    take(PCMU, 3, 320, UINT64_MAX);
    take(OPUS, 4, 480, UINT64_MAX);
    take(OPUS, 5, 480, 5);
    assert_int_equal(stream->packets, 5);
    check(0, 0, 0, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_stream_first_packet_counts),
        CASE(test_stream_wraps_without_loss),
        CASE(test_stream_loss_is_counted_over_the_wrap),
        CASE(test_stream_duplicates_hide_no_loss),
        CASE(test_stream_late_packet_fills_its_hole_once),
        CASE(test_stream_packet_before_the_first_hides_no_loss),
        CASE(test_stream_window_ends_at_512),
        CASE(test_stream_gap_leaves_no_trace_of_what_was_before),
        CASE(test_stream_jump_below_3000_is_loss),
        CASE(test_stream_far_off_packet_changes_nothing_else),
        CASE(test_stream_two_in_sequence_begin_anew),
        CASE(test_stream_equals_the_model_for_100_seeds),
        CASE(test_stream_steady_stream_has_no_jitter),
        CASE(test_stream_timestamp_jump_is_no_jitter),
        CASE(test_stream_static_types_have_their_rates),
        CASE(test_stream_clock_rate_of_dynamic_types_is_inferred),
        CASE(test_stream_clock_rate_mends_what_a_slow_first_packet_did),
        CASE(test_stream_clock_rate_outlives_jumps_and_is_none_of_nonsense),
        CASE(test_stream_another_type_brings_its_own_rate),
        CASE(test_stream_hostile_headers_keep_the_books),
        CASE(test_stream_time_that_stands_still_or_goes_back_is_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
