/*
 * Who wants which keys in Redis, what is opened and what is refused, and that nothing waits for
 * ever.
 */
#include "tests/unit/media_fixture.h"

#define PLACE_A "allocation/000000010000abcd"
#define ALICE   "user/example.org/alice"

static void test_media_watch_allocation_asks_for_itself_and_its_user(void **state)
{
    start();
    want_as(id_of(0, 1), "170:alice", "alice");
    assert_int_equal(f->asked, 3);
    assert_string_equal(f->place[0], PLACE_A);
    assert_string_equal(f->place[1], "user/example.org/170:alice");
    assert_string_equal(f->place[2], ALICE);
    want_as(id_of(0, 2), "bob/b", "bob/b");
    assert_int_equal(f->asked, 5);
    assert_string_equal(f->place[4], "user/example.org/bob%2Fb");
}

static void test_media_watch_what_lies_in_redis_reaches_who_asked(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    found(PLACE_A);
    add("to_peer");
    add("to_client/7");
    answer();
    struct told t = told(0);
    assert_int_equal(t.keys, 2);
    assert_int_equal(t.last.binding.allocation, id_of(0, 1));
    assert_int_equal(t.last.binding.direction, SRTP_TO_CLIENT);
    assert_true(t.last.binding.has_ssrc && t.last.binding.ssrc == 7);
    assert_keys(&t.last, ATTRIBUTE);
    found(ALICE);
    add("to_peer/4294967295");
    answer();
    t = told(0);
    assert_int_equal(t.keys, 1);
    assert_int_equal(t.last.binding.allocation, 0);
    assert_int_equal(t.last.binding.realm, 0);
    assert_int_equal(t.last.binding.user_len, 5);
    assert_memory_equal(t.last.binding.user, "alice", 5);
    assert_int_equal(told(1).keys, 0);
    assert_int_equal(refused(), 0);
}

/* Another allocation of the user: the worker that has asked is told, and no other. */
static void test_media_watch_second_allocation_of_a_user_is_told_alone(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    found(ALICE);
    add("to_peer/1");
    answer();
    assert_int_equal(told(0).keys, 1);
    want(id_of(1, 1), "alice");
    assert_int_equal(f->asked, 4);
    assert_string_equal(f->place[3], ALICE);
    found(ALICE);
    add("to_peer/1");
    answer();
    assert_int_equal(told(0).keys, 0);
    assert_int_equal(told(1).keys, 1);
    deposit_at(ALICE);
    found(ALICE);
    add("to_peer/1");
    answer();
    assert_int_equal(told(0).keys, 1);
    assert_int_equal(told(1).keys, 1);
}

static void test_media_watch_deposits_for_others_are_not_fetched(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    const unsigned before = f->asked;
    deposit_at("allocation/000000010000abce");
    deposit_at("user/example.org/bob");
    deposit_at("user/other/alice");
    deposit_at("user/unknown/alice");
    deposit_at("nonsense");
    assert_int_equal(f->asked, before);
    deposit_at(PLACE_A);
    assert_int_equal(f->asked, before); /* still being asked */
    found(PLACE_A);
    answer();
    assert_int_equal(f->asked, before + 1); /* and once more: it may have been read before */
    answer();
    assert_int_equal(f->asked, before + 1);
    deposit_at(PLACE_A);
    assert_int_equal(f->asked, before + 2);
    found("user/example.org/bob");
    add("to_peer/1");
    answer();
    assert_int_equal(told(0).keys + told(1).keys, 0);
}

static void test_media_watch_what_is_gone_is_taken_back(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    found(PLACE_A);
    add("to_peer");
    add("to_client/7");
    answer();
    assert_int_equal(told(0).keys, 2);
    deposit_at(PLACE_A);
    found(PLACE_A);
    add("to_peer");
    answer();
    struct told t = told(0);
    assert_int_equal(t.keys, 1);
    assert_int_equal(t.taken_back, 1);
    assert_int_equal(t.last.binding.allocation, id_of(0, 1));
    assert_int_equal(t.last.binding.direction, SRTP_TO_CLIENT);
    assert_true(t.last.binding.has_ssrc && t.last.binding.ssrc == 7);
    assert_int_equal(t.last.keys.count, 0);
    deposit_at(PLACE_A);
    found(PLACE_A);
    add_field(wrap_key, PLACE_A, "to_peer", clock_now().wall_s - 1);
    answer();
    t = told(0);
    assert_int_equal(t.taken_back, 1);
    assert_int_equal(t.last.binding.direction, SRTP_TO_PEER);
    assert_int_equal(refused(), 1);
    found(PLACE_A);
    answer();
    assert_int_equal(told(0).taken_back, 0); /* once */
}

static void test_media_watch_of_a_user_are_taken_back(void **state)
{
    start();
    want(id_of(1, 1), "alice");
    found(ALICE);
    add("to_client/9");
    answer();
    assert_int_equal(told(1).keys, 1);
    found(ALICE);
    answer();
    const struct told t = told(1);
    assert_int_equal(t.taken_back, 1);
    assert_int_equal(t.last.binding.allocation, 0);
    assert_int_equal(t.last.binding.user_len, 5);
    assert_int_equal(t.last.binding.ssrc, 9);
}

/* Existing media is unharmed by what cannot be opened, and by what was cut off. */
static void test_media_watch_what_cannot_be_opened_changes_nothing(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    found(PLACE_A);
    add("to_peer");
    add("to_client");
    answer();
    assert_int_equal(told(0).keys, 2);
    found(PLACE_A);
    add_text("to_peer", "garbage");
    f->found.whole = false;
    answer();
    struct told t = told(0);
    assert_int_equal(t.keys + t.taken_back, 0);
    assert_int_equal(refused(), 1);
    found(PLACE_A); /* what was kept is still known to be there */
    add("to_client");
    answer();
    t = told(0);
    assert_int_equal(t.taken_back, 1);
    assert_int_equal(t.last.binding.direction, SRTP_TO_PEER);
}

static void test_media_watch_unreadable_place_takes_nothing_back(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    found(PLACE_A);
    add("to_peer");
    answer();
    assert_int_equal(told(0).keys, 1);
    deposit_at(PLACE_A);
    found(PLACE_A)->outcome = FLEET_SRTP_UNREADABLE;
    const unsigned before = f->asked;
    answer();
    mailboxes_run(&f->m);
    assert_int_equal(told(0).taken_back, 0);
    assert_int_equal(f->asked, before);
}

static void test_media_watch_each_fault_is_refused(void **state)
{
    char large[SRTP_WRAPPED_MAX + 2];
    const int64_t later = clock_now().wall_s + 600;
    memset(large, 'A', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    memcpy(large, "v1.1999999999.", 14);
    start();
    want(id_of(0, 1), "alice");
    found(PLACE_A);
    add_field(strange_key, PLACE_A, "to_peer", later);
    add_field(wrap_key, "allocation/000000010000abce", "to_peer/1", later);
    add_field(wrap_key, PLACE_A, "to_peer/2", later - 1200);
    add_field(wrap_key, PLACE_A, "to_peer/3", later);
    f->found.fields[3].name = slice_of_string("to_client/3"); /* moved */
    add_text("to_peer/4", "");
    add_text("to_peer/5", large);
    add_text("elsewhere", "v1.1.x");
    add_text("", "");
    answer();
    assert_int_equal(refused(), 8);
    assert_int_equal(told(0).keys, 0);
    found(ALICE);
    add("to_peer"); /* of a user, without an SSRC */
    answer();
    assert_int_equal(refused(), 9);
    assert_int_equal(told(0).keys, 0);
    deposit_at("");
    assert_int_equal(refused(), 10);
    deposit_at(PLACE_A);
    found(PLACE_A);
    add_field(wrap_key_before, PLACE_A, "to_peer", later);
    answer();
    assert_int_equal(told(0).keys, 1);
    assert_int_equal(refused(), 10);
}

/* While the link is away nobody is asked; then all are, at a pace. */
static void test_media_watch_are_asked_for_when_the_link_is_back(void **state)
{
    start();
    media_watch_link(f->watch, false);
    for (unsigned i = 1; i <= 250; i++)
        want(id_of(0, i), "alice"); /* 251 places */
    run_for(300);
    assert_int_equal(f->asked, 0);
    media_watch_link(f->watch, true);
    assert_int_equal(f->asked, 0);
    assert_asked(200);
    assert_asked(251);
    run_for(300);
    assert_int_equal(f->asked, 251);
}

/* What somebody deposits for has not to wait for all the others. */
static void test_media_watch_deposit_passes_those_that_wait(void **state)
{
    start();
    media_watch_link(f->watch, false);
    for (unsigned i = 1; i <= 250; i++)
        want(id_of(0, i), "alice");
    media_watch_link(f->watch, true);
    deposit_at("allocation/000000fa0000abcd");
    assert_int_equal(f->asked, 1);
    assert_string_equal(f->place[0], "allocation/000000fa0000abcd");
    assert_asked(201);
    assert_asked(251);
}

static void test_media_watch_bound_of_the_link_is_waited_for(void **state)
{
    start();
    f->answer = -EAGAIN;
    want(id_of(0, 1), "alice");
    run_for(300);
    f->answer = 0;
    assert_asked(2);
}

static void test_media_watch_failed_question_is_asked_again_a_few_times(void **state)
{
    start();
    want(id_of(0, 1), "");
    for (unsigned i = 1; i < 3; i++) {
        found(PLACE_A)->outcome = FLEET_SRTP_FAILED;
        answer();
        assert_asked(i + 1);
    }
    found(PLACE_A)->outcome = FLEET_SRTP_FAILED;
    answer();
    run_for(300);
    assert_int_equal(f->asked, 3);
    deposit_at(PLACE_A);
    assert_int_equal(f->asked, 4);
}

static void test_media_watch_ended_allocation_is_forgotten(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    want(id_of(0, 2), "alice");
    found(PLACE_A);
    answer();
    found(ALICE);
    answer();
    media_keys_unwant(f->keys, id_of(0, 1));
    media_keys_unwant(f->keys, id_of(0, 9));
    const unsigned before = f->asked;
    deposit_at(PLACE_A);
    assert_int_equal(f->asked, before);
    deposit_at(ALICE); /* of the other one too */
    assert_int_equal(f->asked, before + 1);
    found(ALICE);
    answer();
    media_keys_unwant(f->keys, id_of(0, 2));
    deposit_at(ALICE);
    assert_int_equal(f->asked, before + 1);
    answer();
    assert_int_equal(told(0).keys, 0);
}

/* One that waits to be asked for goes quietly. */
static void test_media_watch_ended_allocation_leaves_the_queue(void **state)
{
    start();
    media_watch_link(f->watch, false);
    want(id_of(0, 1), "alice");
    want(id_of(0, 2), "bob");
    want(id_of(0, 3), "carol");
    media_keys_unwant(f->keys, id_of(0, 2));
    media_watch_link(f->watch, true);
    assert_asked(4);
    for (unsigned i = 0; i < f->asked; i++)
        assert_null(strstr(f->place[i], "bob"));
}

static void test_media_watch_allocations_too_old_to_live_are_forgotten(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    found(PLACE_A);
    answer();
    struct instant now = clock_now();
    media_keys_tick(f->keys, &now);
    deposit_at(PLACE_A);
    assert_int_equal(f->asked, 3);
    answer();
    now.mono_us += 3601 * US_PER_S;
    media_keys_tick(f->keys, &now);
    deposit_at(PLACE_A);
    assert_int_equal(f->asked, 3);
}

static void test_media_watch_wrap_key_that_comes_with_a_reload_counts(void **state)
{
    set_key(&f->config.srtp.wrap_key, NULL);
    start();
    assert_false(f->use);
    want(id_of(0, 1), "alice");
    run_for(300);
    assert_int_equal(f->asked, 0);
    media_watch_reloaded(f->watch);
    assert_int_equal(f->uses, 1); /* nothing has changed */
    set_key(&f->config.srtp.wrap_key, wrap_key);
    media_watch_reloaded(f->watch);
    assert_true(f->use);
    assert_asked(2);
    found(ALICE);
    answer();
    found(PLACE_A);
    add_field(strange_key, PLACE_A, "to_peer", clock_now().wall_s + 600);
    answer();
    assert_int_equal(refused(), 1);
    set_key(&f->config.srtp.wrap_key_old, strange_key);
    media_watch_reloaded(f->watch);
    assert_asked(4);
    answer();
    assert_int_equal(told(0).keys, 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_media_watch_allocation_asks_for_itself_and_its_user),
        CASE(test_media_watch_what_lies_in_redis_reaches_who_asked),
        CASE(test_media_watch_second_allocation_of_a_user_is_told_alone),
        CASE(test_media_watch_deposits_for_others_are_not_fetched),
        CASE(test_media_watch_what_is_gone_is_taken_back),
        CASE(test_media_watch_of_a_user_are_taken_back),
        CASE(test_media_watch_what_cannot_be_opened_changes_nothing),
        CASE(test_media_watch_unreadable_place_takes_nothing_back),
        CASE(test_media_watch_each_fault_is_refused),
        CASE(test_media_watch_are_asked_for_when_the_link_is_back),
        CASE(test_media_watch_deposit_passes_those_that_wait),
        CASE(test_media_watch_bound_of_the_link_is_waited_for),
        CASE(test_media_watch_failed_question_is_asked_again_a_few_times),
        CASE(test_media_watch_ended_allocation_is_forgotten),
        CASE(test_media_watch_ended_allocation_leaves_the_queue),
        CASE(test_media_watch_allocations_too_old_to_live_are_forgotten),
        CASE(test_media_watch_wrap_key_that_comes_with_a_reload_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
