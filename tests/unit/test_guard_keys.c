/* Which keys the media guard tries, in which order and for how long, with a verifier that says what
 * a test wants. */
#include "tests/unit/guard_bench.h"

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

/* What one key knows is not undone by another that still searches for a roll-over counter. */
static void test_guard_key_that_searches_lets_no_forgery_of_a_known_stream_pass(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    fake_verdicts[1] = SRTP_UNVERIFIED;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1), REASON_NONE);
    assert_int_equal(deposit_for(b, SRTP_TO_PEER, 2, SSRC), 0);
    fake_verdicts[2] = SRTP_FAILED;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1), REASON_SRTP_FAILED);
    assert_int_equal(fake_asked, 2);
    fake_verdicts[2] = SRTP_TOO_OLD;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1), REASON_SRTP_TOO_OLD);
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, OTHER, 1), REASON_NONE);
    /* Nor is what it finds. */
    fake_verdicts[1] = SRTP_VERIFIED;
    fake_verdicts[2] = SRTP_FAILED;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1), REASON_NONE);
    /* Both may search. */
    fake_verdicts[1] = SRTP_FAILED;
    fake_verdicts[2] = SRTP_UNVERIFIED;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1), REASON_NONE);
}

static void test_guard_new_key_is_tried_before_the_one_it_replaces(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    assert_int_equal(srtp_guard_key_count(&b->session), 1);
    /* It hears of roll-over counters from the one before. */
    assert_null(fakes[0].options.before);
    assert_ptr_equal(fakes[1].options.before, &fakes[0]);
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

static int deposit_user(struct bench *b, uint8_t name, uint32_t ssrc)
{
    struct srtp_deposit d = deposit_of(b, SRTP_TO_PEER, name);
    d.binding = (struct srtp_binding){
        .has_ssrc = true, .ssrc = ssrc, .direction = SRTP_TO_PEER, .user_len = 1, .user = "a"};
    return srtp_guard_deposit(b->guard, &b->session, &d, &b->now);
}

static void test_guard_new_key_is_told_of_the_one_it_replaces(void **state)
{
    struct bench *b = *state;
    assert_int_equal(deposit(b, SRTP_TO_PEER, 1), 0);
    assert_null(fakes[0].options.before);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    assert_ptr_equal(fakes[1].options.before, &fakes[0]);
    /* Also when it is opened later. */
    assert_int_equal(deposit_user(b, 3, SSRC), 0);
    fake_verdicts[3] = fake_verdicts[4] = SRTP_VERIFIED;
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1);
    assert_null(fakes[2].options.before);
    assert_int_equal(deposit_user(b, 4, SSRC), 0);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 2);
    assert_ptr_equal(fakes[3].options.before, &fakes[2]);
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

/* Else what was sent under it could be sent again, whenever a counter is told anew. */
static void test_guard_same_key_with_another_counter_keeps_what_it_saw(void **state)
{
    struct bench *b = *state;
    struct srtp_deposit d = deposit_of(b, SRTP_TO_PEER, 1);
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    d.keys.has_roc = true;
    d.keys.roc = 3;
    d.until += 60;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_int_equal(fakes_made, 1);
    assert_true(fakes[0].told && fakes[0].roc == 3);
    assert_int_equal(deposit(b, SRTP_TO_PEER, 2), 0);
    d.keys.roc = 4;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_int_equal(fakes_made, 2);
    assert_true(fakes[0].live && fakes[0].told && fakes[0].roc == 4);
    d.keys.has_roc = false;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    assert_false(fakes[0].told);
    b->now.wall_s = d.until - 1;
    assert_int_equal(judge_rtp(b, SRTP_GUARD_VERIFY_REQUIRED, SRTP_TO_PEER, SSRC, 1), REASON_NONE);
}

/* Of a key that no packet has opened yet. */
static void test_guard_counter_that_is_told_before_a_key_is_opened_counts(void **state)
{
    struct bench *b = *state;
    struct srtp_deposit d = deposit_of(b, SRTP_TO_PEER, 1);
    d.binding = (struct srtp_binding){
        .has_ssrc = true, .ssrc = SSRC, .direction = SRTP_TO_PEER, .user_len = 1, .user = "a"};
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    d.keys.has_roc = true;
    d.keys.roc = 3;
    assert_int_equal(srtp_guard_deposit(b->guard, &b->session, &d, &b->now), 0);
    judge_rtp(b, SRTP_GUARD_VERIFY, SRTP_TO_PEER, SSRC, 1);
    assert_int_equal(fakes_made, 1);
    assert_true(fakes[0].told && fakes[0].roc == 3);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARD_TEST(test_guard_keys_are_of_a_direction_and_an_ssrc),
        GUARD_TEST(test_guard_key_of_an_ssrc_comes_before_that_of_all),
        GUARD_TEST(test_guard_key_that_searches_lets_no_forgery_of_a_known_stream_pass),
        GUARD_TEST(test_guard_new_key_is_tried_before_the_one_it_replaces),
        GUARD_TEST(test_guard_without_grace_the_key_before_ends_at_once),
        GUARD_TEST(test_guard_new_key_is_told_of_the_one_it_replaces),
        GUARD_TEST(test_guard_third_key_ends_the_first),
        GUARD_TEST(test_guard_same_key_again_prolongs_it),
        GUARD_TEST(test_guard_same_key_with_another_counter_keeps_what_it_saw),
        GUARD_TEST(test_guard_counter_that_is_told_before_a_key_is_opened_counts),
        GUARD_TEST(test_guard_key_that_comes_back_has_what_it_saw),
        GUARD_TEST(test_guard_key_before_does_not_outlive_its_own_end),
        GUARD_TEST(test_guard_past_deposit_takes_the_key_back),
        GUARD_TEST(test_guard_binding_by_user_stands_beside_that_by_allocation),
        GUARD_TEST(test_guard_key_of_a_user_is_opened_by_the_first_packet_for_it),
        GUARD_TEST(test_guard_key_of_a_user_that_cannot_be_opened_is_none),
        GUARD_TEST(test_guard_bad_deposits_change_nothing),
        GUARD_TEST(test_guard_keys_of_a_session_are_bounded),
    };
    return cmocka_run_group_tests_name("guard_keys", tests, NULL, NULL);
}
