/* Roll-over counters of SSRCs that are new: told by the deposit, or searched for within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/srtp_sender.h"

#define SSRC         0x12345678u
#define MINUTE_US    60000000ull
#define ELSEWHERE_US 5000000ull
#define SEARCHES     8
#define SEARCH_STEPS 147 /* packets until 1024 counters were tried, 7 new ones each */

static const struct srtp_verifier_options usual = {.window = 1024, .streams = 64};

struct pair {
    struct sender tx;
    struct srtp_verifier *v;
};

static void pair_init(struct pair *p, unsigned suite, const uint32_t *roc)
{
    struct srtp_keys keys = sender_keys((enum srtp_suite)suite, 3);
    assert_true(sender_init(&p->tx, &keys));
    keys.has_roc = roc != NULL;
    keys.roc = roc ? *roc : 0;
    assert_int_equal(srtp_verifier_new(&p->v, &keys, &usual), 0);
}

static void pair_deinit(struct pair *p)
{
    sender_deinit(&p->tx);
    srtp_verifier_free(p->v);
}

static enum srtp_verdict judge_next(
    struct pair *p, uint32_t ssrc, uint16_t sequence, uint64_t now_us)
{
    static struct sent sent;
    assert_true(sender_rtp(&p->tx, ssrc, sequence, 20, &sent));
    return judge_sent(p->v, &sent, false, now_us);
}

static void test_verifier_a_told_counter_is_taken_and_the_ones_beside_it(void **state)
{
    const struct {
        uint32_t told, is;
        enum srtp_verdict verdict;
    } cases[] = {{0, 0, SRTP_VERIFIED}, {0, 1, SRTP_VERIFIED}, {0, 2, SRTP_FAILED},
        {9, 9, SRTP_VERIFIED}, {9, 8, SRTP_VERIFIED}, {9, 10, SRTP_VERIFIED}, {9, 0, SRTP_VERIFIED},
        {9, 1, SRTP_VERIFIED}, {9, 2, SRTP_FAILED}, {9, 7, SRTP_FAILED}, {9, 11, SRTP_FAILED},
        {4000000000u, 4000000000u, SRTP_VERIFIED}, {UINT32_MAX, UINT32_MAX, SRTP_VERIFIED}};
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct pair p;
            pair_init(&p, suite, &cases[i].told);
            assert_true(sender_set_roc(&p.tx, SSRC, cases[i].is));
            for (uint16_t n = 10; n < 14; n++)
                assert_int_equal(judge_next(&p, SSRC, n, 0), cases[i].verdict);
            pair_deinit(&p);
        }
    }
}

static void test_verifier_a_counter_is_found_by_search(void **state)
{
    const uint32_t rocs[] = {0, 1, 7, 8, 14, 15, 100, 500, 1023};
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite += 2) {
        struct pair p;
        pair_init(&p, suite, NULL);
        for (unsigned i = 0; i < sizeof(rocs) / sizeof(rocs[0]); i++) {
            assert_true(sender_set_roc(&p.tx, SSRC + i, rocs[i]));
            /* The first packet tries 0 to 7, and each further one seven new ones. */
            const unsigned unverified = rocs[i] == 0 ? 0 : (rocs[i] - 1) / 7;
            for (unsigned n = 0; n < unverified + 5; n++)
                assert_int_equal(judge_next(&p, SSRC + i, (uint16_t)(50 + n), 0),
                    n < unverified ? SRTP_UNVERIFIED : SRTP_VERIFIED);
        }
        pair_deinit(&p);
    }
}

static void test_verifier_a_sequence_that_wraps_while_it_is_searched_for_is_found(void **state)
{
    for (unsigned before = 0; before < 9; before++) {
        struct pair p;
        pair_init(&p, SRTP_AEAD_128_GCM, NULL);
        for (uint32_t roc = 5; roc < 60; roc++) {
            assert_true(sender_set_roc(&p.tx, roc, roc));
            unsigned verified = 0;
            for (unsigned n = 0; n < 12; n++) {
                const enum srtp_verdict verdict =
                    judge_next(&p, roc, (uint16_t)(65536 - before + n), 0);
                assert_true(verdict == SRTP_VERIFIED || (verdict == SRTP_UNVERIFIED && n < 10));
                verified += verdict == SRTP_VERIFIED;
            }
            assert_true(verified >= 12 - roc / 7 - 1);
        }
        pair_deinit(&p);
    }
}

/* SRTCP has no counter to search for, and its stream is the one that SRTP then uses. */
static void test_verifier_rtcp_verifies_while_a_counter_is_searched_for(void **state)
{
    static struct sent sent;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair p;
        pair_init(&p, suite, NULL);
        for (uint32_t roc = 0; roc < 40; roc += 13) {
            assert_true(sender_set_roc(&p.tx, SSRC + roc, roc));
            for (unsigned n = 0; n < 12; n++) {
                assert_true(sender_rtcp(&p.tx, SSRC + roc, &sent));
                assert_int_equal(judge_sent(p.v, &sent, true, 0), SRTP_VERIFIED);
                assert_int_equal(judge_sent(p.v, &sent, true, 0), SRTP_SEEN);
                const enum srtp_verdict verdict = judge_next(&p, SSRC + roc, (uint16_t)n, 0);
                assert_int_equal(verdict, n * 7 + 7 < roc ? SRTP_UNVERIFIED : SRTP_VERIFIED);
            }
        }
        pair_deinit(&p);
    }
}

static void test_verifier_a_search_ends_and_fails_for_a_minute(void **state)
{
    struct pair p;
    pair_init(&p, SRTP_AES_128_SHA1_80, NULL);
    assert_true(sender_set_roc(&p.tx, SSRC, 5000));
    uint16_t n = 0;
    for (; n < SEARCH_STEPS - 1; n++)
        assert_int_equal(judge_next(&p, SSRC, n, n * 1000), SRTP_UNVERIFIED);
    const uint64_t end = n * 1000;
    assert_int_equal(judge_next(&p, SSRC, n++, end), SRTP_FAILED);
    assert_int_equal(judge_next(&p, SSRC, n++, end + 1), SRTP_FAILED);
    assert_int_equal(judge_next(&p, SSRC, n++, end + MINUTE_US - 1), SRTP_FAILED);
    assert_int_equal(judge_next(&p, SSRC, n++, end + MINUTE_US), SRTP_UNVERIFIED);
    pair_deinit(&p);
}

static void test_verifier_more_searches_than_may_be_fail_unless_the_first_counters_fit(void **state)
{
    struct pair p;
    pair_init(&p, SRTP_AES_128_SHA1_80, NULL);
    for (uint32_t i = 0; i <= SEARCHES; i++)
        assert_true(sender_set_roc(&p.tx, SSRC + i, 20));
    for (uint32_t i = 0; i < SEARCHES; i++)
        assert_int_equal(judge_next(&p, SSRC + i, 1, 1000), SRTP_UNVERIFIED);
    assert_int_equal(judge_next(&p, SSRC + SEARCHES, 1, 1000), SRTP_FAILED);
    assert_int_equal(judge_next(&p, 1, 1, 1000), SRTP_VERIFIED);
    /* One is found, which gives its place back. */
    assert_int_equal(judge_next(&p, SSRC, 2, 2000), SRTP_UNVERIFIED);
    assert_int_equal(judge_next(&p, SSRC, 3, 3000), SRTP_VERIFIED);
    assert_int_equal(judge_next(&p, SSRC + SEARCHES, 2, 4000), SRTP_UNVERIFIED);
    /* The others fell silent. */
    assert_true(sender_set_roc(&p.tx, 2, 20));
    assert_int_equal(judge_next(&p, 2, 1, 1000 + MINUTE_US - 1), SRTP_FAILED);
    assert_int_equal(judge_next(&p, 2, 2, 1000 + MINUTE_US), SRTP_UNVERIFIED);
    pair_deinit(&p);
}

static void test_verifier_a_forger_with_new_ssrcs_gets_through_only_so_often(void **state)
{
    static struct sent sent;
    struct pair p;
    pair_init(&p, SRTP_AES_256_SHA1_32, NULL);
    const unsigned packets = 20000;
    for (unsigned ssrcs = 1; ssrcs <= packets; ssrcs *= 100) {
        unsigned unverified = 0;
        for (unsigned n = 0; n < packets; n++) {
            sent.len = sender_write_rtp(sent.u.bytes, 1 + n % ssrcs, (uint16_t)n, 40);
            const enum srtp_verdict verdict = judge_sent(p.v, &sent, false, ssrcs * MINUTE_US + n);
            assert_true(verdict == SRTP_UNVERIFIED || verdict == SRTP_FAILED);
            unverified += verdict == SRTP_UNVERIFIED;
        }
        assert_true(unverified <= SEARCHES * (SEARCH_STEPS - 1));
    }
    pair_deinit(&p);
}

/* Not while a search goes on, and not when it has ended. */
static void test_verifier_a_forger_who_is_first_cannot_keep_out_a_stream_that_begins(void **state)
{
    static struct sent sent;
    for (unsigned packets = 1; packets <= 1000; packets *= 10) {
        struct pair p;
        pair_init(&p, SRTP_AEAD_256_GCM, NULL);
        for (unsigned n = 0; n < packets; n++) {
            sent.len = sender_write_rtp(sent.u.bytes, SSRC, (uint16_t)n, 40);
            assert_int_not_equal(judge_sent(p.v, &sent, false, n), SRTP_VERIFIED);
        }
        assert_int_equal(judge_next(&p, SSRC, 1, packets), SRTP_VERIFIED);
        pair_deinit(&p);
    }
}

/* A new key under which an SSRC goes on, or begins anew, before which come packets of the old. */
static void test_verifier_a_new_key_takes_the_counters_of_the_one_before(void **state)
{
    static struct sent sent;
    const uint32_t rocs[][2] = {{700, 700}, {700, 701}, {700, 699}, {700, 0}, {0, 0}, {0, 1}};
    for (unsigned i = 0; i < sizeof(rocs) / sizeof(rocs[0]); i++) {
        struct pair old, new;
        pair_init(&old, SRTP_AES_128_SHA1_80, &rocs[i][0]);
        assert_true(sender_set_roc(&old.tx, SSRC, rocs[i][0]));
        assert_int_equal(judge_next(&old, SSRC, 1, 0), SRTP_VERIFIED);
        const struct srtp_keys keys = sender_keys(SRTP_AES_128_SHA1_80, 4);
        struct srtp_verifier_options options = usual;
        options.before = old.v;
        assert_int_equal(srtp_verifier_new(&new.v, &keys, &options), 0);
        assert_true(sender_init(&new.tx, &keys));
        for (uint16_t n = 2; n < 300; n++) {
            assert_true(sender_rtp(&old.tx, SSRC, n, 20, &sent));
            assert_int_equal(judge_sent(new.v, &sent, false, 0), SRTP_FAILED);
            assert_int_equal(judge_sent(old.v, &sent, false, 0), SRTP_VERIFIED);
        }
        pair_deinit(&old);
        assert_true(sender_set_roc(&new.tx, SSRC, rocs[i][1]));
        assert_int_equal(judge_next(&new, SSRC, 300, 0), SRTP_VERIFIED);
        /* One that the key before does not know is searched for. */
        assert_true(sender_set_roc(&new.tx, 1, 9));
        assert_int_equal(judge_next(&new, 1, 1, 0), SRTP_UNVERIFIED);
        assert_int_equal(judge_next(&new, 1, 2, 0), SRTP_VERIFIED);
        pair_deinit(&new);
    }
}

/* Media takes another way for a while, as where ICE changes its pair, or nobody verifies. */
static void test_verifier_a_stream_that_was_elsewhere_goes_on(void **state)
{
    static struct sent replayed;
    const uint32_t gaps[] = {1, 2, 3, 8, 9, 40, 700};
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair p;
        pair_init(&p, suite, NULL);
        uint32_t roc = 0;
        uint64_t now = 0;
        for (uint16_t n = 40000; n < 40010; n++)
            assert_int_equal(judge_next(&p, SSRC, n, now), SRTP_VERIFIED);
        assert_true(sender_rtp(&p.tx, SSRC, 40010, 20, &replayed));
        assert_int_equal(judge_sent(p.v, &replayed, false, now), SRTP_VERIFIED);
        for (unsigned i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
            roc += gaps[i];
            assert_true(sender_set_roc(&p.tx, SSRC, roc));
            /* Sequence numbers that seem to be of packets before, of ones ahead and of others. */
            const uint16_t first = (uint16_t)(39000 + 13000 * i);
            now += ELSEWHERE_US;
            unsigned lost = 0;
            while (lost <= gaps[i] &&
                   judge_next(&p, SSRC, (uint16_t)(first + lost), now) != SRTP_VERIFIED)
                lost++;
            assert_true(lost <= (gaps[i] + 1) / 7);
            for (uint16_t n = 1; n < 10; n++)
                assert_int_equal(
                    judge_next(&p, SSRC, (uint16_t)(first + lost + n), now), SRTP_VERIFIED);
            assert_int_not_equal(judge_sent(p.v, &replayed, false, now), SRTP_VERIFIED);
        }
        pair_deinit(&p);
    }
}

/* Just as far ahead as behind: libsrtp2 would keep that counter, whatever comes. */
static void test_verifier_half_the_sequence_numbers_away_is_passed_over(void **state)
{
    struct pair p;
    pair_init(&p, SRTP_AES_256_SHA1_80, NULL);
    assert_int_equal(judge_next(&p, SSRC, 40000, 0), SRTP_VERIFIED);
    /* At the sender, who has sent what is missing here, it is not so. */
    const struct srtp_keys keys = sender_keys(SRTP_AES_256_SHA1_80, 3);
    sender_deinit(&p.tx);
    assert_true(sender_init(&p.tx, &keys));
    assert_true(sender_set_roc(&p.tx, SSRC, 1));
    assert_int_not_equal(judge_next(&p, SSRC, 40000 - 32768, ELSEWHERE_US), SRTP_VERIFIED);
    for (uint32_t n = 40001 - 32768; n < 3 * 65536; n += 1000)
        assert_int_equal(judge_next(&p, SSRC, (uint16_t)n, ELSEWHERE_US), SRTP_VERIFIED);
    pair_deinit(&p);
}

/* What is forged costs no more than a packet of a new SSRC, and nothing at all while media runs. */
static void test_verifier_a_stream_that_runs_has_one_counter(void **state)
{
    struct pair p;
    pair_init(&p, SRTP_AES_128_SHA1_80, NULL);
    assert_int_equal(judge_next(&p, SSRC, 1, 0), SRTP_VERIFIED);
    assert_true(sender_set_roc(&p.tx, SSRC, 1));
    assert_int_equal(judge_next(&p, SSRC, 40000, ELSEWHERE_US - 1), SRTP_FAILED);
    assert_int_equal(judge_next(&p, SSRC, 40001, ELSEWHERE_US), SRTP_VERIFIED);
    pair_deinit(&p);
}

/* Once an SSRC has begun, it knows better. */
static void test_verifier_a_counter_that_is_told_later_is_for_who_has_not_begun(void **state)
{
    struct pair p;
    const uint32_t roc = 500;
    struct srtp_keys said = {.has_roc = true, .roc = roc};
    pair_init(&p, SRTP_AEAD_128_GCM, NULL);
    assert_int_equal(judge_next(&p, SSRC, 7, 0), SRTP_VERIFIED);
    assert_true(sender_set_roc(&p.tx, SSRC + 1, roc));
    assert_int_equal(judge_next(&p, SSRC + 1, 1, 0), SRTP_UNVERIFIED);
    srtp_verifier_tell_roc(p.v, &said);
    assert_int_equal(judge_next(&p, SSRC + 1, 2, 0), SRTP_VERIFIED);
    assert_int_equal(judge_next(&p, SSRC, 8, 0), SRTP_VERIFIED);
    said.has_roc = false;
    srtp_verifier_tell_roc(p.v, &said);
    assert_true(sender_set_roc(&p.tx, SSRC + 2, 9));
    assert_int_equal(judge_next(&p, SSRC + 2, 1, 0), SRTP_UNVERIFIED);
    assert_int_equal(judge_next(&p, SSRC + 2, 2, 0), SRTP_VERIFIED);
    pair_deinit(&p);
}

static int set_up(void **state)
{
    return srtp_verifier_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verifier_a_told_counter_is_taken_and_the_ones_beside_it),
        cmocka_unit_test(test_verifier_a_counter_is_found_by_search),
        cmocka_unit_test(test_verifier_a_sequence_that_wraps_while_it_is_searched_for_is_found),
        cmocka_unit_test(test_verifier_rtcp_verifies_while_a_counter_is_searched_for),
        cmocka_unit_test(test_verifier_a_search_ends_and_fails_for_a_minute),
        cmocka_unit_test(
            test_verifier_more_searches_than_may_be_fail_unless_the_first_counters_fit),
        cmocka_unit_test(test_verifier_a_forger_who_is_first_cannot_keep_out_a_stream_that_begins),
        cmocka_unit_test(test_verifier_a_new_key_takes_the_counters_of_the_one_before),
        cmocka_unit_test(test_verifier_a_forger_with_new_ssrcs_gets_through_only_so_often),
        cmocka_unit_test(test_verifier_a_stream_that_was_elsewhere_goes_on),
        cmocka_unit_test(test_verifier_half_the_sequence_numbers_away_is_passed_over),
        cmocka_unit_test(test_verifier_a_stream_that_runs_has_one_counter),
        cmocka_unit_test(test_verifier_a_counter_that_is_told_later_is_for_who_has_not_begun),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
