/* Deposits over the admin server's socket, on their way to the workers: none lost, none without
 * bound. */
#include "tests/unit/media_fixture.h"

#define ALICE "user/example.org/alice"

static struct admin_srtp_key by_user(const char *user)
{
    return (struct admin_srtp_key){.user = slice_of_string(user),
        .has_ssrc = true,
        .ssrc = 7,
        .direction = SRTP_TO_PEER,
        .crypto = slice_of_string(ATTRIBUTE),
        .seconds = 600};
}

static struct admin_srtp_key by_allocation(uint64_t id)
{
    return (struct admin_srtp_key){.allocation = id,
        .direction = SRTP_TO_CLIENT,
        .crypto = slice_of_string(ATTRIBUTE),
        .seconds = 600};
}

static int put(const struct admin_srtp_key *what)
{
    const char *why = NULL;
    return media_keys_put(f->keys, what, &why);
}

static void test_media_keys_deposited_over_the_socket_reach_the_workers(void **state)
{
    struct admin_srtp_key what = by_allocation(id_of(1, 3));
    what.has_roc = true;
    what.roc = 5;
    assert_int_equal(put(&what), 0);
    struct told t = told(1);
    assert_int_equal(t.keys, 1);
    assert_int_equal(t.last.binding.allocation, id_of(1, 3));
    assert_true(t.last.keys.has_roc && t.last.keys.roc == 5);
    assert_in_range(t.last.until - clock_now().wall_s, 598, 600);
    assert_int_equal(told(0).keys, 0);
    what = by_user("alice");
    what.realm = slice_of_string("other");
    assert_int_equal(put(&what), 0);
    t = told(0);
    assert_int_equal(t.keys, 1);
    assert_int_equal(t.last.binding.realm, 1);
    assert_keys(&t.last, ATTRIBUTE);
    assert_int_equal(told(1).keys, 1);
}

/* Allocations that come later get them as well. */
static void test_media_keys_deposited_before_are_found(void **state)
{
    struct admin_srtp_key what = by_user("alice");
    assert_int_equal(put(&what), 0);
    what.crypto = slice_of_string(ANOTHER);
    assert_int_equal(put(&what), 0); /* replaces it */
    what = by_allocation(id_of(0, 2));
    assert_int_equal(put(&what), 0);
    (void)told(0);
    (void)told(1);
    want_as(id_of(1, 1), "170:alice", "alice");
    struct told t = told(1);
    assert_int_equal(t.keys, 1);
    assert_keys(&t.last, ANOTHER);
    assert_int_equal(told(0).keys, 0);
    want(id_of(0, 2), "bob");
    assert_int_equal(told(0).keys, 1);
    what = by_user("alice");
    what.take_back = true;
    what.crypto = slice_of(NULL, 0);
    assert_int_equal(put(&what), 0);
    assert_int_equal(told(0).taken_back, 1);
    t = told(1);
    assert_int_equal(t.taken_back, 1);
    assert_int_equal(t.last.keys.count, 0);
    want(id_of(1, 2), "alice");
    assert_int_equal(told(1).keys, 0);
    assert_int_equal(put(&what), 0); /* maybe it came through Redis */
    assert_int_equal(told(1).taken_back, 1);
    assert_int_equal(refused(), 0);
}

static void test_media_keys_end_in_time(void **state)
{
    const struct admin_srtp_key what = by_user("alice");
    struct instant now = clock_now();
    assert_int_equal(put(&what), 0);
    (void)told(0);
    now.wall_s += 601;
    media_keys_tick(f->keys, &now);
    want(id_of(0, 1), "alice");
    assert_int_equal(told(0).keys, 0);
}

static void refuse(struct admin_srtp_key what, int result, const char *part)
{
    const uint64_t before = refused();
    const char *why = NULL;
    assert_int_equal(media_keys_put(f->keys, &what, &why), result);
    if (part) {
        assert_non_null(why);
        assert_non_null(strstr(why, part));
    }
    assert_int_equal(refused(), before + 1);
    assert_int_equal(told(0).keys + told(1).keys, 0);
}

static void test_media_keys_bad_deposits_are_refused(void **state)
{
    char long_user[510];
    struct admin_srtp_key what = by_user("alice");
    memset(long_user, 'u', 509);
    long_user[509] = '\0';
    what.realm = slice_of_string("unknown");
    refuse(what, -ENOENT, NULL);
    what = by_user("alice");
    what.has_ssrc = false;
    refuse(what, -EINVAL, "ssrc");
    refuse(by_user(""), -EINVAL, "user");
    refuse(by_user(long_user), -EINVAL, "user");
    refuse(by_allocation(id_of(2, 1)), -EINVAL, "instance");
    what = by_allocation(id_of(0, 1));
    what.direction = SRTP_DIRECTIONS;
    refuse(what, -EINVAL, "direction");
    what = by_allocation(id_of(0, 1));
    what.seconds = 0;
    refuse(what, -EINVAL, "seconds");
    what.seconds = 172801;
    refuse(what, -EINVAL, "seconds");
    what = by_allocation(id_of(0, 1));
    what.crypto = slice_of_string("NULL_CIPHER inline:xyz");
    refuse(what, -EINVAL, crypto_fault_text(CRYPTO_FAULT_SUITE));
}

static void test_media_keys_too_many_of_one_place_are_refused(void **state)
{
    struct admin_srtp_key what = by_user("alice");
    for (what.ssrc = 0; what.ssrc < 64; what.ssrc++)
        assert_int_equal(put(&what), 0);
    assert_int_equal(told(0).keys + told(1).keys, 128);
    refuse(what, -ENOSPC, NULL);
}

/* In the order in which they came, and what else is posted comes behind nothing. */
static void test_media_keys_full_mailbox_gets_them_later(void **state)
{
    struct admin_srtp_key what = by_allocation(id_of(0, 1));
    mailboxes_fill(&f->m, 0, MAILBOX_RELAY);
    assert_int_equal(put(&what), 0);
    what.crypto = slice_of_string(ANOTHER);
    assert_int_equal(put(&what), 0);
    what = by_allocation(id_of(1, 1));
    assert_int_equal(put(&what), 0);
    assert_int_equal(told(1).keys, 1);
    struct told t = told(0);
    assert_int_equal(t.keys, 0);
    what = by_allocation(id_of(0, 1));
    what.take_back = true;
    assert_int_equal(put(&what), 0);
    assert_int_equal(told(0).taken_back, 0); /* it waits behind the others */
    for (const uint64_t end = clock_now().mono_us + 5 * US_PER_S;
         f->m.worker[0].count < 3 && clock_now().mono_us < end;)
        mailboxes_run(&f->m);
    t = told(0);
    assert_int_equal(t.keys, 2);
    assert_int_equal(t.taken_back, 1);
    assert_true(t.last.until <= clock_now().wall_s);
    assert_int_equal(refused(), 0);
}

static void test_media_keys_that_wait_are_bounded(void **state)
{
    struct admin_srtp_key what = by_allocation(id_of(0, 1));
    mailboxes_fill(&f->m, 0, MAILBOX_RELAY);
    for (unsigned i = 0; i < MEDIA_POST_MAX; i++)
        assert_int_equal(put(&what), 0);
    assert_int_equal(put(&what), -ENOSPC);
    assert_int_equal(refused(), 1);
}

/* Who has so many keys posted that there is no room makes others wait, and does not leave them
 * without. */
static void test_media_keys_that_found_no_room_are_told_later(void **state)
{
    struct admin_srtp_key what = by_user("bob");
    const struct instant now = clock_now();
    assert_int_equal(put(&what), 0);
    what = by_allocation(id_of(1, 9));
    for (what.ssrc = 0, what.has_ssrc = true; what.ssrc < 64; what.ssrc++)
        assert_int_equal(put(&what), 0);
    (void)told(0);
    (void)told(1);
    mailboxes_fill(&f->m, 1, MAILBOX_RELAY);
    for (unsigned i = 0; i < MEDIA_POST_MAX / 64; i++)
        want(id_of(1, 9), "mallory");
    assert_int_equal(refused(), 0);
    want(id_of(1, 5), "bob");
    assert_int_equal(refused(), 1);
    media_keys_tick(f->keys, &now);
    assert_int_equal(refused(), 2);
    (void)told(1);
    unsigned keys = 0;
    for (unsigned turn = 0; turn < 100 && keys < MEDIA_POST_MAX; turn++) {
        run_for(25);
        keys += told(1).keys;
    }
    assert_int_equal(keys, MEDIA_POST_MAX);
    media_keys_tick(f->keys, &now);
    const struct told t = told(1);
    assert_int_equal(t.keys, 1);
    assert_memory_equal(t.last.binding.user, "bob", 3);
    media_keys_tick(f->keys, &now);
    assert_int_equal(told(1).keys, 0);
}

static void test_media_keys_wants_that_wait_end_with_the_rest(void **state)
{
    struct admin_srtp_key what = by_allocation(id_of(1, 9));
    assert_int_equal(put(&what), 0);
    (void)told(1);
    mailboxes_fill(&f->m, 1, MAILBOX_RELAY);
    for (unsigned i = 0; i < MEDIA_POST_MAX + 5; i++)
        want(id_of(1, 9), "mallory");
    assert_int_equal(refused(), 5);
}

/* What a worker was posted by others, and there is no room for more. */
static void crowd(void)
{
    const struct admin_srtp_key what = {
        .allocation = id_of(0, 9), .crypto = slice_of_string(ATTRIBUTE), .seconds = 600};
    const char *why;
    mailboxes_fill(&f->m, 0, MAILBOX_RELAY);
    for (unsigned i = 0; i < MEDIA_POST_MAX; i++)
        assert_int_equal(media_keys_put(f->keys, &what, &why), 0);
}

static void uncrowd(void)
{
    unsigned keys = 0;
    for (unsigned turn = 0; turn < 100 && keys < MEDIA_POST_MAX; turn++) {
        run_for(25);
        keys += told(0).keys;
    }
    assert_int_equal(keys, MEDIA_POST_MAX);
}

static void test_media_keys_that_lie_in_redis_and_found_no_room_are_read_again(void **state)
{
    start();
    want(id_of(0, 1), "alice");
    crowd();
    found(ALICE);
    add("to_peer/1");
    answer();
    assert_int_equal(refused(), 1);
    uncrowd();
    assert_asked(3);
    assert_string_equal(f->place[2], ALICE);
    found(ALICE);
    add("to_peer/1");
    answer();
    assert_int_equal(told(0).keys, 1);
    /* Nor is what is taken back forgotten. */
    crowd();
    deposit_at(ALICE);
    found(ALICE);
    answer();
    assert_int_equal(refused(), 2);
    uncrowd();
    assert_asked(5);
    found(ALICE);
    answer();
    assert_int_equal(told(0).taken_back, 1);
    run_for(300);
    assert_int_equal(f->asked, 5);
}

static void test_media_keys_after_the_end_nobody_is_told(void **state)
{
    const struct admin_srtp_key what = by_allocation(id_of(0, 1));
    start();
    assert_int_equal(put(&what), 0);
    assert_int_equal(told(0).keys, 1);
    media_keys_end(f->keys);
    want(id_of(0, 1), "alice");
    media_keys_unwant(f->keys, id_of(0, 1));
    assert_int_equal(f->asked, 0);
    assert_int_equal(put(&what), -ENOSYS);
    assert_int_equal(told(0).keys, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_media_keys_deposited_over_the_socket_reach_the_workers),
        CASE(test_media_keys_deposited_before_are_found),
        CASE(test_media_keys_end_in_time),
        CASE(test_media_keys_bad_deposits_are_refused),
        CASE(test_media_keys_too_many_of_one_place_are_refused),
        CASE(test_media_keys_full_mailbox_gets_them_later),
        CASE(test_media_keys_that_wait_are_bounded),
        CASE(test_media_keys_that_found_no_room_are_told_later),
        CASE(test_media_keys_wants_that_wait_end_with_the_rest),
        CASE(test_media_keys_that_lie_in_redis_and_found_no_room_are_read_again),
        CASE(test_media_keys_after_the_end_nobody_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
