/* The media guard by its levels, with a verifier that says what a test wants. */
#include "tests/unit/guard_bench.h"

static const struct {
    const char *bytes;
    size_t len;
    enum metric kind;
    enum reason bad;
} samples[] = {
    {"\x00\x01\x00\x00\x21\x12\xa4\x42"
     "123456789012",
        20, METRIC_MEDIA_STUN, REASON_NONE},
    {"\x00\x01\x00\x00\x21\x12\xa4\x43"
     "123456789012",
        20, METRIC_MEDIA_STUN, REASON_GUARD_STUN_MALFORMED},
    {"\x17\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01x", 14, METRIC_MEDIA_DTLS, REASON_NONE},
    {"\x17\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01x", 14, METRIC_MEDIA_DTLS,
        REASON_GUARD_DTLS_MALFORMED},
    {"\x40\x00\x00\x01x", 5, METRIC_MEDIA_CHANNEL, REASON_NONE},
    {"\x40\x00\x00\x02x", 5, METRIC_MEDIA_CHANNEL, REASON_GUARD_CHANNEL_MALFORMED},
    {"\x81\x60\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01", 12, METRIC_MEDIA_RTP,
        REASON_GUARD_RTP_MALFORMED},
    {"\x80\xc8\x00\x06\x00\x00\x00\x01", 8, METRIC_MEDIA_RTCP, REASON_GUARD_RTCP_MALFORMED},
    {"SSH-2.0-OpenSSH_9.2\r\n", 21, METRIC_MEDIA_OTHER, REASON_GUARD_NOT_MEDIA},
    {"", 0, METRIC_MEDIA_OTHER, REASON_GUARD_NOT_MEDIA},
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void test_guard_off_looks_at_nothing(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    fake_verdicts[1] = SRTP_FAILED;
    for (size_t i = 0; i < SAMPLES; i++)
        assert_int_equal(judge(b, SRTP_GUARD_OFF, SRTP_TO_PEER,
                             slice_of((const uint8_t *)samples[i].bytes, samples[i].len)),
            REASON_NONE);
    assert_int_equal(judge_rtp(b, SRTP_GUARD_OFF, SRTP_TO_PEER, SSRC, 1), REASON_NONE);
    for (unsigned m = 0; m < METRIC_COUNT; m++)
        assert_int_equal(metric(b, m), 0);
    assert_int_equal(streams(b), 0);
    assert_int_equal(fakes[0].judged, 0);
}

static void test_guard_observe_counts_and_classify_drops_what_is_no_media(void **state)
{
    struct bench *b = *state;
    for (uint8_t level = SRTP_GUARD_OBSERVE; level <= SRTP_GUARD_VERIFY_REQUIRED; level++) {
        for (size_t i = 0; i < SAMPLES; i++) {
            const uint64_t before = metric(b, samples[i].kind);
            assert_int_equal(judge(b, level, SRTP_TO_CLIENT,
                                 slice_of((const uint8_t *)samples[i].bytes, samples[i].len)),
                level >= SRTP_GUARD_CLASSIFY ? samples[i].bad : REASON_NONE);
            assert_int_equal(metric(b, samples[i].kind), before + 1);
        }
    }
    assert_int_equal(streams(b), 0);
    assert_int_equal(metric(b, METRIC_SRTP_UNVERIFIED), 0);
}

static void test_guard_keeps_streams_of_each_direction(void **state)
{
    struct bench *b = *state;
    for (uint16_t i = 0; i < 10; i++) {
        assert_int_equal(judge_rtp(b, SRTP_GUARD_OBSERVE, SRTP_TO_PEER, SSRC, i), REASON_NONE);
        if (i % 2 == 0)
            assert_int_equal(
                judge_rtp(b, SRTP_GUARD_CLASSIFY, SRTP_TO_CLIENT, SSRC, i), REASON_NONE);
    }
    assert_int_equal(judge_rtcp(b, SRTP_GUARD_OBSERVE, SRTP_TO_PEER, SSRC), REASON_NONE);
    assert_int_equal(streams(b), 2);
    const struct srtp_stream *s = NULL;
    while ((s = srtp_guard_next_stream(b->guard, &b->session, s))) {
        const bool out = s->direction == SRTP_TO_PEER;
        assert_int_equal(s->ssrc, SSRC);
        assert_int_equal(s->packets, out ? 10 : 5);
        assert_int_equal(s->bytes, s->packets * 20);
        assert_int_equal(srtp_stream_lost(s), out ? 0 : 4);
        assert_int_equal(s->rtcp_packets, out);
        assert_int_equal(s->dropped, 0);
    }
    assert_int_equal(metric(b, METRIC_MEDIA_RTP), 15);
    assert_int_equal(metric(b, METRIC_MEDIA_RTCP), 1);
}

static void test_guard_ssrcs_beyond_the_cap_pass_and_are_counted(void **state)
{
    struct bench *b = *state;
    for (uint32_t ssrc = 0; ssrc < 7; ssrc++)
        assert_int_equal(judge_rtp(b, SRTP_GUARD_CLASSIFY, SRTP_TO_PEER, ssrc, 1), REASON_NONE);
    assert_int_equal(judge_rtp(b, SRTP_GUARD_CLASSIFY, SRTP_TO_CLIENT, 9, 1), REASON_NONE);
    assert_int_equal(streams(b), 4 + 1);
    assert_int_equal(metric(b, METRIC_STREAMS_UNTRACKED), 3);
    b->policy.streams_per_direction = 6;
    srtp_guard_set_policy(b->guard, &b->policy);
    for (uint32_t ssrc = 0; ssrc < 7; ssrc++)
        judge_rtp(b, SRTP_GUARD_CLASSIFY, SRTP_TO_PEER, ssrc, 2);
    assert_int_equal(streams(b), 6 + 1);
    assert_int_equal(metric(b, METRIC_STREAMS_UNTRACKED), 4);
}

static void test_guard_without_keys_passes_unless_they_are_required(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_CLASSIFY, SRTP_TO_PEER, SSRC, 1), REASON_NONE);
    assert_int_equal(metric(b, METRIC_SRTP_UNVERIFIED), 0);
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 2), REASON_NONE);
    assert_int_equal(judge_rtcp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC), REASON_NONE);
    assert_int_equal(metric(b, METRIC_SRTP_UNVERIFIED), 2);
    const uint8_t level = SRTP_GUARD_VERIFY_REQUIRED;
    assert_int_equal(judge_rtp(b, level, SRTP_TO_PEER, SSRC, 3), REASON_SRTP_UNVERIFIED);
    assert_int_equal(judge_rtcp(b, level, SRTP_TO_PEER, SSRC), REASON_SRTP_UNVERIFIED);
    assert_int_equal(judge_rtp(b, level, SRTP_TO_PEER, OTHER, 3), REASON_SRTP_UNVERIFIED);
    assert_int_equal(metric(b, METRIC_SRTP_UNVERIFIED), 5);
    assert_int_equal(streams(b), 1);
    const struct srtp_stream *s = srtp_guard_next_stream(b->guard, &b->session, NULL);
    assert_int_equal(s->packets, 2);
    assert_int_equal(s->rtcp_packets, 1);
    assert_int_equal(s->dropped, 2);
}

static const struct {
    enum srtp_verdict verdict;
    enum metric metric;      /* METRIC_COUNT: none */
    enum reason drop, count; /* by the policy on replays */
    enum reason required;    /* under verify_required, replays are dropped */
} verdicts[SRTP_VERDICT_COUNT] = {
    {SRTP_VERIFIED, METRIC_SRTP_VERIFIED, REASON_NONE, REASON_NONE, REASON_NONE},
    {SRTP_REPLAYED, METRIC_SRTP_REPLAYED, REASON_SRTP_REPLAYED, REASON_NONE, REASON_SRTP_REPLAYED},
    {SRTP_SEEN, METRIC_SRTP_REPLAYED, REASON_SRTP_REPLAYED, REASON_SRTP_REPLAYED,
        REASON_SRTP_REPLAYED},
    {SRTP_TOO_OLD, METRIC_SRTP_REPLAYED, REASON_SRTP_TOO_OLD, REASON_SRTP_TOO_OLD,
        REASON_SRTP_TOO_OLD},
    {SRTP_FAILED, METRIC_SRTP_FAILED, REASON_SRTP_FAILED, REASON_SRTP_FAILED, REASON_SRTP_FAILED},
    {SRTP_UNVERIFIED, METRIC_SRTP_UNVERIFIED, REASON_NONE, REASON_NONE, REASON_SRTP_UNVERIFIED},
    {SRTP_CROWDED, METRIC_COUNT, REASON_SRTP_CROWDED, REASON_SRTP_CROWDED, REASON_SRTP_CROWDED},
};

static void set_replay(struct bench *b, enum srtp_replay_policy replay)
{
    b->policy.replay = (uint8_t)replay;
    srtp_guard_set_policy(b->guard, &b->policy);
}

/* One packet; says which metric of SRTP went up, and that it was one at most. */
static enum reason judge_metric(struct bench *b, uint8_t level, enum metric *moved)
{
    static const enum metric all[] = {
        METRIC_SRTP_VERIFIED, METRIC_SRTP_FAILED, METRIC_SRTP_REPLAYED, METRIC_SRTP_UNVERIFIED};
    uint64_t before[4];
    for (unsigned i = 0; i < 4; i++)
        before[i] = metric(b, all[i]);
    const enum reason reason = judge_rtp(b, level, SRTP_TO_PEER, SSRC, 1);
    unsigned count = 0;
    *moved = METRIC_COUNT;
    for (unsigned i = 0; i < 4; i++) {
        if (metric(b, all[i]) != before[i]) {
            *moved = all[i];
            count += (unsigned)(metric(b, all[i]) - before[i]);
        }
    }
    assert_true(count <= 1);
    return reason;
}

static void test_guard_verdicts_have_their_reasons(void **state)
{
    struct bench *b = *state;
    enum metric moved;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 0);
    const struct srtp_stream *s = srtp_guard_next_stream(b->guard, &b->session, NULL);
    for (unsigned i = 0; i < SRTP_VERDICT_COUNT; i++) {
        fake_verdicts[1] = verdicts[i].verdict;
        set_replay(b, SRTP_REPLAY_DROP);
        const uint64_t packets = s->packets, dropped = s->dropped;
        assert_int_equal(judge_metric(b, SRTP_GUARD_VERIFY, &moved), verdicts[i].drop);
        assert_int_equal(moved, verdicts[i].metric);
        assert_int_equal(s->packets - packets, verdicts[i].drop == REASON_NONE);
        assert_int_equal(s->dropped - dropped, verdicts[i].drop != REASON_NONE);
        assert_int_equal(judge_metric(b, SRTP_GUARD_VERIFY_REQUIRED, &moved), verdicts[i].required);
        assert_int_equal(moved, verdicts[i].metric);
        set_replay(b, SRTP_REPLAY_COUNT);
        assert_int_equal(judge_metric(b, SRTP_GUARD_VERIFY, &moved), verdicts[i].count);
        assert_int_equal(moved, verdicts[i].metric);
        assert_int_equal(judge_metric(b, SRTP_GUARD_CLASSIFY, &moved), REASON_NONE);
        assert_int_equal(moved, METRIC_COUNT);
    }
    assert_int_equal(streams(b), 1);
}

static void test_guard_options_are_those_of_the_deposit(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(fakes[0].options.window, 512);
    assert_int_equal(fakes[0].options.streams, 4);
    assert_false(fakes[0].options.tell_duplicates);
    set_replay(b, SRTP_REPLAY_COUNT);
    assert_int_equal(deposit(b, SRTP_TO_CLIENT, 2), 0);
    assert_true(fakes[1].options.tell_duplicates);
}

static void test_guard_dropped_packets_make_no_stream(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    fake_verdicts[1] = SRTP_FAILED;
    for (uint32_t ssrc = 0; ssrc < 100; ssrc++)
        assert_int_equal(
            judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, ssrc, 1), REASON_SRTP_FAILED);
    assert_int_equal(streams(b), 0);
    assert_int_equal(metric(b, METRIC_STREAMS_UNTRACKED), 0);
}

/* Of two keys that one packet may be under, either may be the right one. */
static void test_guard_best_verdict_of_several_keys_counts(void **state)
{
    static const enum srtp_verdict order[SRTP_VERDICT_COUNT] = {SRTP_VERIFIED, SRTP_REPLAYED,
        SRTP_SEEN, SRTP_TOO_OLD, SRTP_UNVERIFIED, SRTP_CROWDED, SRTP_FAILED};
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    for (unsigned i = 0; i < SRTP_VERDICT_COUNT; i++) {
        for (unsigned k = 0; k < SRTP_VERDICT_COUNT; k++) {
            const enum srtp_verdict best = order[i < k ? i : k];
            enum metric moved;
            unsigned row = 0;
            if (order[i] == SRTP_VERIFIED && order[k] == SRTP_REPLAYED)
                continue; /* no tag is right under two keys */
            while (verdicts[row].verdict != best)
                row++;
            fake_verdicts[1] = order[i];
            fake_verdicts[2] = order[k];
            assert_int_equal(judge_metric(b, SRTP_GUARD_VERIFY, &moved), verdicts[row].drop);
            assert_int_equal(moved, verdicts[row].metric);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARD_TEST(test_guard_off_looks_at_nothing),
        GUARD_TEST(test_guard_observe_counts_and_classify_drops_what_is_no_media),
        GUARD_TEST(test_guard_keeps_streams_of_each_direction),
        GUARD_TEST(test_guard_ssrcs_beyond_the_cap_pass_and_are_counted),
        GUARD_TEST(test_guard_without_keys_passes_unless_they_are_required),
        GUARD_TEST(test_guard_verdicts_have_their_reasons),
        GUARD_TEST(test_guard_options_are_those_of_the_deposit),
        GUARD_TEST(test_guard_dropped_packets_make_no_stream),
        GUARD_TEST(test_guard_best_verdict_of_several_keys_counts),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
