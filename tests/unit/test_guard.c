/* The media guard by its levels, with a verifier that says what a test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "srtp/guard.h"
#include "tests/unit/fake_verifier.h"

#define SSRC  0x11223344u
#define OTHER 0x55667788u
#define GRACE 30

struct bench {
    struct counters counters;
    struct srtp_guard *guard;
    struct srtp_session session;
    struct srtp_policy policy;
    struct instant now;
};

static int open_bench(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    fakes_reset();
    b->now = (struct instant){.mono_us = 1000 * US_PER_S, .wall_s = 1800000000};
    b->policy = (struct srtp_policy){SRTP_REPLAY_DROP, 512, 4, GRACE};
    b->guard = srtp_guard_new(&b->counters, 100);
    assert_non_null(b->guard);
    srtp_guard_set_policy(b->guard, &b->policy);
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    srtp_guard_end(b->guard, &b->session);
    assert_int_equal(fakes_live, 0);
    assert_null(srtp_guard_next_stream(b->guard, &b->session, NULL));
    srtp_guard_free(b->guard);
    free(b);
    return 0;
}

static uint64_t metric(const struct bench *b, enum metric m)
{
    return atomic_load(&b->counters.metric[m]);
}

/* Bytes that are exactly as long as the packet. */
static enum reason judge(struct bench *b, uint8_t level, uint8_t direction, struct slice bytes)
{
    uint8_t *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    const struct srtp_packet p = {slice_of(copy, bytes.len), direction, level, &b->now};
    fake_asked = 0;
    const enum reason reason = srtp_guard_judge(b->guard, &b->session, &p);
    assert_memory_equal(copy, bytes.data, bytes.len);
    free(copy);
    return reason;
}

static enum reason judge_rtp(
    struct bench *b, uint8_t level, uint8_t direction, uint32_t ssrc, uint16_t sequence)
{
    const uint8_t rtp[20] = {0x80, 96, (uint8_t)(sequence >> 8), (uint8_t)sequence, 0, 0, 0, 1,
        (uint8_t)(ssrc >> 24), (uint8_t)(ssrc >> 16), (uint8_t)(ssrc >> 8), (uint8_t)ssrc};
    return judge(b, level, direction, slice_of(rtp, sizeof(rtp)));
}

static enum reason judge_rtcp(struct bench *b, uint8_t level, uint8_t direction, uint32_t ssrc)
{
    const uint8_t rtcp[28] = {0x80, 200, 0, 6, (uint8_t)(ssrc >> 24), (uint8_t)(ssrc >> 16),
        (uint8_t)(ssrc >> 8), (uint8_t)ssrc};
    return judge(b, level, direction, slice_of(rtcp, sizeof(rtcp)));
}

static struct srtp_deposit deposit_of(const struct bench *b, uint8_t direction, uint8_t name)
{
    struct srtp_deposit d = {.until = b->now.wall_s + 3600,
        .binding = {.allocation = 7, .direction = direction},
        .keys = {.suite = SRTP_AEAD_128_GCM, .count = 1}};
    d.keys.masters[0].key_and_salt[0] = name;
    return d;
}

static int deposit(struct bench *b, uint8_t direction, uint8_t name)
{
    const struct srtp_deposit d = deposit_of(b, direction, name);
    return srtp_guard_deposit(b->guard, &b->session, &d, &b->now);
}

static int deposit_for(struct bench *b, uint8_t direction, uint8_t name, uint32_t ssrc)
{
    struct srtp_deposit d = deposit_of(b, direction, name);
    d.binding.has_ssrc = true;
    d.binding.ssrc = ssrc;
    return srtp_guard_deposit(b->guard, &b->session, &d, &b->now);
}

static unsigned streams(const struct bench *b)
{
    unsigned n = 0;
    const struct srtp_stream *s = NULL;
    while ((s = srtp_guard_next_stream(b->guard, &b->session, s)))
        n++;
    return n;
}

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

static void test_guard_keys_are_of_a_direction_and_an_ssrc(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(deposit_for(b, SRTP_TO_CLIENT, 2, SSRC), 0);
    assert_int_equal(srtp_guard_key_count(&b->session), 2);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, OTHER, 1);
    judge_rtcp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC);
    assert_int_equal(fakes[0].judged, 2);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_CLIENT, SSRC, 1);
    judge_rtcp(b, SRTP_GUARD_VERIFY, SRTP_TO_CLIENT, SSRC);
    assert_int_equal(fakes[1].judged, 2);
    assert_int_equal(metric(b, METRIC_SRTP_VERIFIED), 4);
    assert_int_equal(
        judge_rtp(b, SRTP_GUARD_VERIFY_REQUIRED, SRTP_TO_CLIENT, OTHER, 1), REASON_SRTP_UNVERIFIED);
    assert_int_equal(fakes[0].judged + fakes[1].judged, 4);
}

static void test_guard_key_of_an_ssrc_comes_before_that_of_all(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(deposit_for(b, SRTP_TO_PEER, 2, SSRC), 0);
    fake_verdicts[1] = fake_verdicts[2] = SRTP_FAILED;
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1);
    assert_int_equal(fake_asked, 2);
    assert_int_equal(fake_order[0], 2);
    assert_int_equal(fake_order[1], 1);
    assert_int_equal(metric(b, METRIC_SRTP_FAILED), 1);
    /* What the first has settled the second is not asked. */
    fake_verdicts[2] = SRTP_VERIFIED;
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1);
    assert_int_equal(fake_asked, 1);
}

/* Of two keys that one packet may be under, either may be the right one. */
static void test_guard_best_verdict_of_several_keys_counts(void **state)
{
    static const enum srtp_verdict order[SRTP_VERDICT_COUNT] = {SRTP_VERIFIED, SRTP_REPLAYED,
        SRTP_SEEN, SRTP_UNVERIFIED, SRTP_CROWDED, SRTP_TOO_OLD, SRTP_FAILED};
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

static void test_guard_new_key_is_tried_before_the_one_it_replaces(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    assert_int_equal(srtp_guard_key_count(&b->session), 1);
    fake_verdicts[1] = SRTP_VERIFIED;
    fake_verdicts[2] = SRTP_FAILED;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1), REASON_NONE);
    assert_int_equal(fake_order[0], 2);
    assert_int_equal(fake_order[1], 1);
    /* To the last moment of the grace, also where no tick comes. */
    b->now.mono_us += GRACE * US_PER_S - 1;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 2), REASON_NONE);
    srtp_guard_tick(b->guard, &b->session, &b->now);
    assert_int_equal(fakes_live, 2);
    b->now.mono_us += 1;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 3), REASON_SRTP_FAILED);
    srtp_guard_tick(b->guard, &b->session, &b->now);
    assert_int_equal(fakes_live, 1);
    assert_int_equal(srtp_guard_key_count(&b->session), 1);
}

static void test_guard_without_grace_the_key_before_ends_at_once(void **state)
{
    struct bench *b = *state;
    b->policy.key_grace_s = 0;
    srtp_guard_set_policy(b->guard, &b->policy);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    assert_int_equal(fakes_live, 1);
    assert_true(fakes[1].live);
}

/* Only the last but one goes on: who replaces keys fast does not pile them up. */
static void test_guard_third_key_ends_the_first(void **state)
{
    struct bench *b = *state;
    for (uint8_t name = 1; name <= 3; name++)
        assert_int_equal(deposit(b, SRTP_TO_PEER, name), 0);
    assert_int_equal(fakes_live, 2);
    assert_false(fakes[0].live);
}

static void test_guard_same_key_again_prolongs_it(void **state)
{
    struct bench *b = *state;
    struct srtp_deposit d = deposit_of(b, SRTP_TO_PEER, 1);
    d.until = b->now.wall_s + 10;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    d.until = b->now.wall_s + 20;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_int_equal(fakes_made, 1);
    b->now.wall_s += 19;
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1);
    assert_int_equal(metric(b, METRIC_SRTP_VERIFIED), 1);
    /* At its end it is no key any more, also where no tick comes; a tick wipes it. */
    b->now.wall_s += 1;
    assert_int_equal(
        judge_rtp(b, SRTP_GUARD_VERIFY_REQUIRED, SRTP_TO_PEER, SSRC, 2), REASON_SRTP_UNVERIFIED);
    assert_int_equal(fakes_live, 1);
    srtp_guard_tick(b->guard, &b->session, &b->now);
    assert_int_equal(fakes_live, 0);
    assert_null(b->session.keys);
}

/* Else what was sent under it could be sent again. */
static void test_guard_key_that_comes_back_has_what_it_saw(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(fakes_made, 2);
    fake_verdicts[1] = fake_verdicts[2] = SRTP_FAILED;
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1);
    assert_int_equal(fake_order[0], 1);
    assert_int_equal(fake_order[1], 2);
    b->now.mono_us += GRACE * US_PER_S;
    srtp_guard_tick(b->guard, &b->session, &b->now);
    assert_true(fakes[0].live);
    assert_false(fakes[1].live);
}

static void test_guard_key_before_does_not_outlive_its_own_end(void **state)
{
    struct bench *b = *state;
    struct srtp_deposit d = deposit_of(b, SRTP_TO_PEER, 1);
    d.until = b->now.wall_s + 5;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    fake_verdicts[2] = SRTP_FAILED;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1), REASON_NONE);
    b->now.wall_s += 5;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 2), REASON_SRTP_FAILED);
}

static void test_guard_past_deposit_takes_the_key_back(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    assert_int_equal(deposit(b, SRTP_TO_CLIENT, 3), 0);
    struct srtp_deposit d = {
        .until = b->now.wall_s, .binding = {.allocation = 7, .direction = SRTP_TO_PEER}};
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_int_equal(fakes_live, 1);
    assert_int_equal(srtp_guard_key_count(&b->session), 1);
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_int_equal(fakes_live, 1);
}

static void test_guard_binding_by_user_stands_beside_that_by_allocation(void **state)
{
    struct bench *b = *state;
    struct srtp_deposit d = deposit_of(b, SRTP_TO_PEER, 2);
    d.binding = (struct srtp_binding){
        .has_ssrc = true, .ssrc = SSRC, .direction = SRTP_TO_PEER, .user_len = 1, .user = "a"};
    assert_int_equal(deposit_for(b, SRTP_TO_PEER, 1, SSRC), 0);
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_int_equal(srtp_guard_key_count(&b->session), 2);
    d.until = b->now.wall_s;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_int_equal(srtp_guard_key_count(&b->session), 1);
    assert_true(fakes[0].live);
}

static int deposit_user(struct bench *b, uint8_t name, uint32_t ssrc)
{
    struct srtp_deposit d = deposit_of(b, SRTP_TO_PEER, name);
    d.binding = (struct srtp_binding){
        .has_ssrc = true, .ssrc = ssrc, .direction = SRTP_TO_PEER, .user_len = 1, .user = "a"};
    return srtp_guard_deposit(b->guard, &b->session, &d, &b->now);
}

/* Of all allocations of the user one sends it. */
static void test_guard_key_of_a_user_is_opened_by_the_first_packet_for_it(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit_user(b, 1, SSRC), 0);
    assert_int_equal(deposit_user(b, 2, SSRC), 0);
    assert_int_equal(srtp_guard_key_count(&b->session), 1);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, OTHER, 1);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_CLIENT, SSRC, 1);
    assert_int_equal(fakes_made, 0);
    fake_verdicts[2] = SRTP_FAILED;
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1);
    assert_int_equal(fakes_made, 2);
    assert_int_equal(fake_order[0], 2);
    assert_int_equal(fake_order[1], 1);
    assert_int_equal(metric(b, METRIC_SRTP_VERIFIED), 1);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 2);
    assert_int_equal(fakes_made, 2);
}

/* What cannot be opened is no key, and is not tried for every packet. */
static void test_guard_key_of_a_user_that_cannot_be_opened_is_none(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit_user(b, 1, SSRC), 0);
    fake_refuses = -ENOMEM;
    assert_int_equal(
        judge_rtp(b, SRTP_GUARD_VERIFY_REQUIRED, SRTP_TO_PEER, SSRC, 1), REASON_SRTP_UNVERIFIED);
    fake_refuses = 0;
    assert_int_equal(
        judge_rtp(b, SRTP_GUARD_VERIFY_REQUIRED, SRTP_TO_PEER, SSRC, 2), REASON_SRTP_UNVERIFIED);
    assert_int_equal(fakes_made, 0);
    assert_int_equal(deposit_user(b, 2, SSRC), 0);
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY_REQUIRED, SRTP_TO_PEER, SSRC, 3), REASON_NONE);
}

static void test_guard_bad_deposits_change_nothing(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    struct srtp_deposit d = deposit_of(b, SRTP_DIRECTIONS, 2);
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), -EINVAL);
    d = deposit_of(b, SRTP_TO_PEER, 2);
    d.binding.allocation = 0; /* of a user, and of no SSRC */
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), -EINVAL);
    d = deposit_of(b, SRTP_TO_PEER, 2);
    d.keys.count = 0;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), -EINVAL);
    fake_available = false;
    assert_int_equal(deposit_user(b, 2, SSRC), -ENOSYS);
    fake_available = true;
    fake_refuses = -ENOSYS;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), -ENOSYS);
    assert_int_equal(deposit(b, SRTP_TO_CLIENT, 2), -ENOSYS);
    assert_int_equal(srtp_guard_key_count(&b->session), 1);
    assert_true(fakes[0].live);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1);
    assert_int_equal(metric(b, METRIC_SRTP_VERIFIED), 1);
}

static void test_guard_keys_of_a_session_are_bounded(void **state)
{
    struct bench *b = *state;
    for (uint32_t i = 0; i < SRTP_SESSION_KEYS_MAX; i++)
        assert_int_equal(deposit_for(b, i % 2, (uint8_t)i, i), 0);
    assert_int_equal(deposit_for(b, 0, 200, 1000), -ENOSPC);
    assert_int_equal(deposit(b, 0, 201), -ENOSPC);
    assert_int_equal(deposit_for(b, 0, 202, 0), 0); /* in place of one */
    assert_int_equal(srtp_guard_key_count(&b->session), SRTP_SESSION_KEYS_MAX);
    assert_int_equal(fakes_live, SRTP_SESSION_KEYS_MAX + 1);
}

#define GUARD_TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)

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
        GUARD_TEST(test_guard_keys_are_of_a_direction_and_an_ssrc),
        GUARD_TEST(test_guard_key_of_an_ssrc_comes_before_that_of_all),
        GUARD_TEST(test_guard_best_verdict_of_several_keys_counts),
        GUARD_TEST(test_guard_new_key_is_tried_before_the_one_it_replaces),
        GUARD_TEST(test_guard_without_grace_the_key_before_ends_at_once),
        GUARD_TEST(test_guard_third_key_ends_the_first),
        GUARD_TEST(test_guard_same_key_again_prolongs_it),
        GUARD_TEST(test_guard_key_that_comes_back_has_what_it_saw),
        GUARD_TEST(test_guard_key_before_does_not_outlive_its_own_end),
        GUARD_TEST(test_guard_past_deposit_takes_the_key_back),
        GUARD_TEST(test_guard_binding_by_user_stands_beside_that_by_allocation),
        GUARD_TEST(test_guard_key_of_a_user_is_opened_by_the_first_packet_for_it),
        GUARD_TEST(test_guard_key_of_a_user_that_cannot_be_opened_is_none),
        GUARD_TEST(test_guard_bad_deposits_change_nothing),
        GUARD_TEST(test_guard_keys_of_a_session_are_bounded),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
