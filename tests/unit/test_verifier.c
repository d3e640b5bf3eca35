/* Packets that libsrtp2 has protected, as they came and with each kind of damage, in all suites. */
#include "tests/unit/srtp_sender.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SSRC 0x12345678u

struct pair {
    struct srtp_keys keys;
    struct sender tx;
    struct srtp_verifier *v;
};

static const struct srtp_verifier_options usual = {
    .window = 1024, .streams = 8, .tell_duplicates = true};

static struct pair *pair_new(const struct srtp_keys *keys, const struct srtp_verifier_options *o)
{
    struct pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->keys = *keys;
    assert_true(sender_init(&p->tx, keys));
    assert_int_equal(srtp_verifier_new(&p->v, keys, o), 0);
    return p;
}

/* Under roll-over counter 0, which is told: what fits no counter fails at once. */
static struct pair *pair_of_suite(unsigned suite)
{
    struct srtp_keys keys = sender_keys((enum srtp_suite)suite, 1);
    keys.has_roc = true;
    return pair_new(&keys, &usual);
}

static void pair_free(struct pair *p)
{
    sender_deinit(&p->tx);
    srtp_verifier_free(p->v);
    free(p);
}

static void send_rtp(struct pair *p, uint32_t ssrc, uint16_t sequence, struct sent *out)
{
    assert_true(sender_rtp(&p->tx, ssrc, sequence, 160, out));
}

static void expect_rtp(struct pair *p, uint32_t ssrc, uint16_t sequence, enum srtp_verdict verdict)
{
    static struct sent sent;
    send_rtp(p, ssrc, sequence, &sent);
    assert_int_equal(judge_sent(p->v, &sent, false, 0), verdict);
}

static void expect_rtcp(struct pair *p, uint32_t ssrc, enum srtp_verdict verdict)
{
    static struct sent sent;
    assert_true(sender_rtcp(&p->tx, ssrc, &sent));
    assert_int_equal(judge_sent(p->v, &sent, true, 0), verdict);
}

/* Judged in memory of exactly its size, `shift` bytes behind a boundary; and then it must be as it
 * was. */
static enum srtp_verdict judge_shifted(
    struct srtp_verifier *v, const struct sent *sent, bool rtcp, unsigned shift)
{
    uint8_t *memory = malloc(shift + sent->len + 1);
    assert_non_null(memory);
    memcpy(memory + shift, sent->u.bytes, sent->len);
    const enum srtp_verdict verdict =
        srtp_verifier_judge(v, slice_of(memory + shift, sent->len), rtcp, 0);
    assert_memory_equal(memory + shift, sent->u.bytes, sent->len);
    free(memory);
    return verdict;
}

static void test_verifier_ten_thousand_packets_of_each_suite_verify_and_stay_as_they_are(void **s)
{
    static struct sent sent;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair *p = pair_of_suite(suite);
        for (unsigned i = 0; i < 10000; i++) {
            assert_true(sender_rtp(&p->tx, SSRC, (uint16_t)i, i % 300, &sent));
            assert_int_equal(judge_shifted(p->v, &sent, false, i % 5), SRTP_VERIFIED);
            if (i % 10 != 0)
                continue;
            assert_true(sender_rtcp(&p->tx, SSRC, &sent));
            assert_int_equal(judge_shifted(p->v, &sent, true, i % 7), SRTP_VERIFIED);
        }
        pair_free(p);
    }
}

static void test_verifier_any_flipped_bit_fails_and_the_packet_verifies_afterwards(void **s)
{
    static struct sent sent, changed;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair *p = pair_of_suite(suite);
        expect_rtp(p, SSRC, 100, SRTP_VERIFIED);
        expect_rtcp(p, SSRC, SRTP_VERIFIED);
        for (unsigned rtcp = 0; rtcp < 2; rtcp++) {
            if (rtcp)
                assert_true(sender_rtcp(&p->tx, SSRC, &sent));
            else
                send_rtp(p, SSRC, 101, &sent);
            for (unsigned bit = 0; bit < 8 * sent.len; bit++) {
                changed = sent;
                changed.u.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_equal(judge_shifted(p->v, &changed, rtcp, 0), SRTP_FAILED);
            }
            assert_int_equal(judge_sent(p->v, &sent, rtcp, 0), SRTP_VERIFIED);
        }
        pair_free(p);
    }
}

static void test_verifier_a_truncated_or_longer_packet_fails(void **s)
{
    static struct sent sent, changed;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair *p = pair_of_suite(suite);
        expect_rtp(p, SSRC, 100, SRTP_VERIFIED);
        for (unsigned rtcp = 0; rtcp < 2; rtcp++) {
            if (rtcp)
                assert_true(sender_rtcp(&p->tx, SSRC, &sent));
            else
                send_rtp(p, SSRC, 101, &sent);
            for (changed = sent; changed.len-- > 0;)
                assert_int_equal(judge_shifted(p->v, &changed, rtcp, 0), SRTP_FAILED);
            changed = sent;
            changed.u.bytes[changed.len++] = 0;
            assert_int_equal(judge_sent(p->v, &changed, rtcp, 0), SRTP_FAILED);
            assert_int_equal(judge_sent(p->v, &sent, rtcp, 0), SRTP_VERIFIED);
        }
        pair_free(p);
    }
}

static void test_verifier_another_key_or_suite_fails(void **s)
{
    static struct sent sent;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair *p = pair_of_suite(suite);
        for (unsigned other = 0; other < SRTP_SUITE_COUNT; other++) {
            struct srtp_keys keys = sender_keys((enum srtp_suite)other, 2);
            keys.has_roc = true;
            struct srtp_verifier *v = NULL;
            assert_int_equal(srtp_verifier_new(&v, &keys, &usual), 0);
            send_rtp(p, SSRC, (uint16_t)(10 + other), &sent);
            assert_int_equal(judge_sent(v, &sent, false, 0), SRTP_FAILED);
            assert_true(sender_rtcp(&p->tx, SSRC, &sent));
            assert_int_equal(judge_sent(v, &sent, true, 0), SRTP_FAILED);
            srtp_verifier_free(v);
        }
        pair_free(p);
    }
}

static void test_verifier_a_seen_index_is_a_replay_or_a_forgery_by_its_tag(void **s)
{
    static struct sent sent, forged;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair *p = pair_of_suite(suite);
        for (unsigned rtcp = 0; rtcp < 2; rtcp++) {
            if (rtcp)
                assert_true(sender_rtcp(&p->tx, SSRC, &sent));
            else
                send_rtp(p, SSRC, 101, &sent);
            forged = sent;
            forged.u.bytes[20] ^= 1;
            assert_int_equal(judge_sent(p->v, &sent, rtcp, 0), SRTP_VERIFIED);
            assert_int_equal(judge_sent(p->v, &forged, rtcp, 0), SRTP_FAILED);
            assert_int_equal(judge_shifted(p->v, &sent, rtcp, 1), SRTP_REPLAYED);
            assert_int_equal(judge_sent(p->v, &forged, rtcp, 0), SRTP_FAILED);
        }
        pair_free(p);
    }
}

static void test_verifier_a_seen_index_is_just_seen_where_duplicates_are_not_told(void **s)
{
    static struct sent sent;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        const struct srtp_keys keys = sender_keys((enum srtp_suite)suite, 1);
        const struct srtp_verifier_options o = {.window = 128, .streams = 1};
        struct pair *p = pair_new(&keys, &o);
        for (unsigned rtcp = 0; rtcp < 2; rtcp++) {
            if (rtcp)
                assert_true(sender_rtcp(&p->tx, SSRC, &sent));
            else
                send_rtp(p, SSRC, 101, &sent);
            assert_int_equal(judge_sent(p->v, &sent, rtcp, 0), SRTP_VERIFIED);
            assert_int_equal(judge_sent(p->v, &sent, rtcp, 0), SRTP_SEEN);
            sent.u.bytes[20] ^= 1;
            assert_int_equal(judge_sent(p->v, &sent, rtcp, 0), SRTP_SEEN);
        }
        pair_free(p);
    }
}

/* A duplicate from before the sequence wrapped, and one after it: the counter differs. */
static void test_verifier_duplicates_around_a_wrap_are_told(void **s)
{
    static struct sent before, after;
    struct pair *p = pair_of_suite(SRTP_AES_128_SHA1_80);
    send_rtp(p, SSRC, 65535, &before);
    assert_int_equal(judge_sent(p->v, &before, false, 0), SRTP_VERIFIED);
    send_rtp(p, SSRC, 0, &after);
    assert_int_equal(judge_sent(p->v, &after, false, 0), SRTP_VERIFIED);
    expect_rtp(p, SSRC, 1, SRTP_VERIFIED);
    assert_int_equal(judge_sent(p->v, &before, false, 0), SRTP_REPLAYED);
    assert_int_equal(judge_sent(p->v, &after, false, 0), SRTP_REPLAYED);
    before.u.bytes[30] ^= 4;
    assert_int_equal(judge_sent(p->v, &before, false, 0), SRTP_FAILED);
    pair_free(p);
}

static void test_verifier_the_window_is_as_wide_as_it_says(void **s)
{
    static struct sent last, first;
    const uint32_t windows[] = {128, 1024, 16384};
    for (unsigned w = 0; w < 3; w++) {
        struct srtp_keys keys = sender_keys(SRTP_AES_128_SHA1_80, 1);
        const struct srtp_verifier_options o = {.window = windows[w], .streams = 1};
        struct pair *p = pair_new(&keys, &o);
        const uint16_t highest = 40000;
        send_rtp(p, SSRC, (uint16_t)(highest - windows[w]), &first);
        send_rtp(p, SSRC, (uint16_t)(highest - windows[w] + 1), &last);
        expect_rtp(p, SSRC, highest, SRTP_VERIFIED);
        assert_int_equal(judge_sent(p->v, &first, false, 0), SRTP_TOO_OLD);
        assert_int_equal(judge_sent(p->v, &last, false, 0), SRTP_VERIFIED);
        assert_int_equal(judge_sent(p->v, &last, false, 0), SRTP_SEEN);
        pair_free(p);
    }
}

static void test_verifier_the_window_of_rtcp_is_128_packets(void **s)
{
    static struct sent reports[129], sent;
    struct pair *p = pair_of_suite(SRTP_AEAD_128_GCM);
    for (unsigned i = 0; i < 129; i++)
        assert_true(sender_rtcp(&p->tx, SSRC, &reports[i]));
    assert_int_equal(judge_sent(p->v, &reports[128], true, 0), SRTP_VERIFIED);
    assert_int_equal(judge_sent(p->v, &reports[1], true, 0), SRTP_VERIFIED);
    assert_int_equal(judge_sent(p->v, &reports[1], true, 0), SRTP_REPLAYED);
    assert_true(sender_rtcp(&p->tx, SSRC, &sent));
    assert_int_equal(judge_sent(p->v, &sent, true, 0), SRTP_VERIFIED);
    assert_int_equal(judge_sent(p->v, &reports[0], true, 0), SRTP_TOO_OLD);
    assert_int_equal(judge_sent(p->v, &reports[1], true, 0), SRTP_TOO_OLD);
    pair_free(p);
}

static void test_verifier_more_ssrcs_than_may_be_are_crowded_and_the_others_go_on(void **s)
{
    static struct sent sent;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        const struct srtp_keys keys = sender_keys((enum srtp_suite)suite, 1);
        const struct srtp_verifier_options o = {.window = 128, .streams = 3};
        struct pair *p = pair_new(&keys, &o);
        assert_true(sender_set_roc(&p->tx, 2, 3));
        expect_rtp(p, 1, 1, SRTP_VERIFIED);
        expect_rtp(p, 2, 1, SRTP_VERIFIED);
        expect_rtcp(p, 3, SRTP_VERIFIED);
        expect_rtp(p, 4, 1, SRTP_CROWDED);
        expect_rtcp(p, 5, SRTP_CROWDED);
        send_rtp(p, 4, 2, &sent);
        sent.u.bytes[40] ^= 1;
        assert_int_equal(judge_sent(p->v, &sent, false, 0), SRTP_UNVERIFIED);
        assert_true(sender_rtcp(&p->tx, 5, &sent));
        sent.u.bytes[10] ^= 1;
        assert_int_equal(judge_sent(p->v, &sent, true, 0), SRTP_FAILED);
        for (uint32_t ssrc = 1; ssrc <= 3; ssrc++) {
            expect_rtp(p, ssrc, 2, SRTP_VERIFIED);
            expect_rtcp(p, ssrc, SRTP_VERIFIED);
        }
        pair_free(p);
    }
}

static void test_verifier_masters_are_told_apart_by_their_mki(void **s)
{
    static struct sent sent, first;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        for (uint8_t mki_len = 1; mki_len <= SRTP_MKI_MAX; mki_len += 5) {
            const struct srtp_keys keys = sender_keys_mki((enum srtp_suite)suite, 1, mki_len);
            struct pair *p = pair_new(&keys, &usual);
            assert_true(sender_set_roc(&p->tx, 9, 5));
            for (unsigned i = 0; i < 4; i++) {
                p->tx.mki = i % 2;
                expect_rtcp(p, SSRC, SRTP_VERIFIED);
                expect_rtp(p, SSRC, (uint16_t)(10 + i), SRTP_VERIFIED);
                expect_rtp(p, 9, (uint16_t)(10 + i), SRTP_VERIFIED);
                expect_rtcp(p, 9, SRTP_VERIFIED);
            }
            send_rtp(p, SSRC, 20, &first);
            assert_int_equal(judge_sent(p->v, &first, false, 0), SRTP_VERIFIED);
            assert_int_equal(judge_sent(p->v, &first, false, 0), SRTP_REPLAYED);
            /* An MKI that is nobody's; the other's; none at all. */
            const size_t end = srtp_suites[suite].aead ? 0 : srtp_suites[suite].tag_len;
            for (uint8_t mki = 0; mki < 4; mki++) {
                send_rtp(p, SSRC, (uint16_t)(30 + mki), &sent);
                sent.u.bytes[sent.len - end - 1] = mki;
                assert_int_equal(judge_sent(p->v, &sent, false, 0),
                    mki == p->tx.mki + 1 ? SRTP_VERIFIED : SRTP_FAILED);
            }
            pair_free(p);
        }
    }
}

static void test_verifier_csrcs_and_extensions_are_part_of_the_header(void **s)
{
    static struct sent sent;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair *p = pair_of_suite(suite);
        for (unsigned i = 0; i < 4; i++) {
            sender_write_rtp(sent.u.bytes, SSRC, (uint16_t)i, 100);
            sent.u.bytes[0] = (uint8_t)(0x80 | (i & 1 ? 3 : 0) | (i & 2 ? 0x10 : 0));
            const unsigned extension = 12 + 4 * (i & 1 ? 3 : 0);
            memcpy(sent.u.bytes + extension, (uint8_t[]){0xbe, 0xde, 0, 4}, 4);
            int len = 112;
            assert_int_equal(srtp_protect(p->tx.session, sent.u.bytes, &len), 0);
            sent.len = (size_t)len;
            assert_int_equal(judge_shifted(p->v, &sent, false, i), SRTP_VERIFIED);
            assert_int_equal(judge_shifted(p->v, &sent, false, i), SRTP_REPLAYED);
        }
        pair_free(p);
    }
}

static void test_verifier_the_largest_datagrams_are_judged(void **s)
{
    static struct sent sent;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair *p = pair_of_suite(suite);
        const size_t payload = 65507 - 12 - srtp_suites[suite].tag_len;
        const size_t sizes[] = {2047 - 12 - srtp_suites[suite].tag_len, 2048, 2049, payload};
        for (unsigned i = 0; i < 4; i++) {
            assert_true(sender_rtp(&p->tx, SSRC, (uint16_t)i, sizes[i], &sent));
            assert_int_equal(judge_shifted(p->v, &sent, false, i % 2), SRTP_VERIFIED);
        }
        assert_int_equal(sent.len, 65507);
        sent.u.bytes[60000] ^= 1;
        sent.u.bytes[3]++;
        assert_int_equal(judge_shifted(p->v, &sent, false, 3), SRTP_FAILED);
        pair_free(p);
    }
}

/* Authentication in place writes nothing: a write would end this process. */
static void test_verifier_a_packet_in_read_only_memory_is_judged(void **s)
{
    static struct sent sent;
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        struct pair *p = pair_of_suite(suite);
        for (unsigned i = 0; i < 8; i++) {
            uint8_t *page =
                mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            assert_true(page != MAP_FAILED);
            send_rtp(p, SSRC + i, (uint16_t)i, &sent);
            memcpy(page, sent.u.bytes, sent.len);
            assert_int_equal(mprotect(page, size, PROT_READ), 0);
            assert_int_equal(
                srtp_verifier_judge(p->v, slice_of(page, sent.len), false, 0), SRTP_VERIFIED);
            munmap(page, size);
        }
        pair_free(p);
    }
}

/* Any bytes of any small length, which a sanitizer sees the end of. */
static void test_verifier_short_packets_fail(void **s)
{
    static struct sent sent;
    uint32_t state = 1;
    for (unsigned suite = 0; suite < 2 * SRTP_SUITE_COUNT; suite++) {
        const bool mki = suite >= SRTP_SUITE_COUNT;
        struct srtp_keys keys = mki ? sender_keys_mki(suite % SRTP_SUITE_COUNT, 1, 4)
                                    : sender_keys((enum srtp_suite)suite, 1);
        keys.has_roc = true;
        struct pair *p = pair_new(&keys, &usual);
        expect_rtp(p, SSRC, 1, SRTP_VERIFIED);
        expect_rtcp(p, SSRC, SRTP_VERIFIED);
        for (unsigned i = 0; i < 4000; i++) {
            for (unsigned b = 0; b < 80; b++)
                sent.u.bytes[b] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
            sent.u.bytes[0] = (uint8_t)(0x80 | (i % 3 == 0 ? sent.u.bytes[0] & 0x1f : 0));
            const uint32_t net = htonl(SSRC);
            memcpy(sent.u.bytes + (i % 2 ? 4 : 8), &net, 4);
            if (i % 2)
                memcpy(sent.u.bytes, (uint8_t[]){0x80, 200, 0, 1}, 4);
            sent.len = i % 80;
            const enum srtp_verdict verdict = judge_shifted(p->v, &sent, i % 2, i % 4);
            assert_true(verdict == SRTP_FAILED || verdict == SRTP_TOO_OLD);
        }
        pair_free(p);
    }
}

static void test_verifier_keys_and_options_that_cannot_be_are_refused(void **s)
{
    const struct srtp_keys good = sender_keys(SRTP_AES_128_SHA1_80, 1);
    struct srtp_verifier *v = NULL;
    struct srtp_keys keys = good;
    keys.suite = SRTP_SUITE_COUNT;
    assert_int_equal(srtp_verifier_new(&v, &keys, &usual), -EINVAL);
    keys = good;
    keys.count = 0;
    assert_int_equal(srtp_verifier_new(&v, &keys, &usual), -EINVAL);
    keys.count = SRTP_MASTERS_MAX + 1;
    assert_int_equal(srtp_verifier_new(&v, &keys, &usual), -EINVAL);
    keys.count = 2; /* two without MKI */
    assert_int_equal(srtp_verifier_new(&v, &keys, &usual), -EINVAL);
    keys = sender_keys_mki(SRTP_AES_128_SHA1_80, 1, 4);
    keys.masters[1].mki_len = 3;
    assert_int_equal(srtp_verifier_new(&v, &keys, &usual), -EINVAL);
    keys.masters[0].mki_len = keys.masters[1].mki_len = SRTP_MKI_MAX + 1;
    assert_int_equal(srtp_verifier_new(&v, &keys, &usual), -EINVAL);
    const struct srtp_verifier_options options[] = {{.window = 0, .streams = 1},
        {.window = 16385, .streams = 1}, {.window = 128}, {.window = 128, .streams = 1025}};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(srtp_verifier_new(&v, &good, &options[i]), -EINVAL);
    assert_null(v);
    srtp_verifier_free(NULL);
}

static int set_up(void **state)
{
    return srtp_verifier_available() && srtp_verifier_init() == 0 && srtp_verifier_init() == 0 ? 0
                                                                                               : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_verifier_ten_thousand_packets_of_each_suite_verify_and_stay_as_they_are),
        cmocka_unit_test(test_verifier_any_flipped_bit_fails_and_the_packet_verifies_afterwards),
        cmocka_unit_test(test_verifier_a_truncated_or_longer_packet_fails),
        cmocka_unit_test(test_verifier_another_key_or_suite_fails),
        cmocka_unit_test(test_verifier_a_seen_index_is_a_replay_or_a_forgery_by_its_tag),
        cmocka_unit_test(test_verifier_a_seen_index_is_just_seen_where_duplicates_are_not_told),
        cmocka_unit_test(test_verifier_duplicates_around_a_wrap_are_told),
        cmocka_unit_test(test_verifier_the_window_is_as_wide_as_it_says),
        cmocka_unit_test(test_verifier_the_window_of_rtcp_is_128_packets),
        cmocka_unit_test(test_verifier_more_ssrcs_than_may_be_are_crowded_and_the_others_go_on),
        cmocka_unit_test(test_verifier_masters_are_told_apart_by_their_mki),
        cmocka_unit_test(test_verifier_csrcs_and_extensions_are_part_of_the_header),
        cmocka_unit_test(test_verifier_the_largest_datagrams_are_judged),
        cmocka_unit_test(test_verifier_a_packet_in_read_only_memory_is_judged),
        cmocka_unit_test(test_verifier_short_packets_fail),
        cmocka_unit_test(test_verifier_keys_and_options_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
