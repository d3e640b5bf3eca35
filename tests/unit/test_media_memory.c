/* Keys of media when memory fails: each allocation of our own in turn, once. Linked with --wrap. */
#include "tests/unit/media_fixture.h"

#include "tests/unit/failing_memory.h"

#define ROUNDS_MAX 200
#define PLACE      "allocation/000000010000abcd"

/* Everything that they do; true if all of it went well. */
static bool use_keys(void)
{
    const char *why = NULL;
    const struct admin_srtp_key what = {.user = slice_of_string("alice"),
        .has_ssrc = true,
        .direction = SRTP_TO_PEER,
        .crypto = slice_of_string(ATTRIBUTE),
        .seconds = 600};
    start();
    const int put = media_keys_put(f->keys, &what, &why);
    assert_true(put == 0 || put == -ENOMEM);
    want_as(id_of(0, 1), "170:alice", "alice");
    want_as(id_of(0, 2), "170:alice", "alice");
    const bool asked = f->asked == 4; /* the second joins the first in what both want */
    found(PLACE);
    add("to_peer");
    add("to_client");
    answer();
    found(PLACE);
    answer();
    const struct told t = told(0);
    media_keys_unwant(f->keys, id_of(0, 1));
    return put == 0 && asked && t.keys == 5 && t.taken_back == 2;
}

/* Whatever failed, what comes later arrives. */
static void check_usable(void)
{
    want_as(id_of(1, 7), "bob", "");
    found("allocation/010000070000abcd");
    add("to_peer");
    answer();
    assert_int_equal(told(1).keys, 1);
}

static void test_media_memory_each_failure_is_survived(void **state)
{
    unsigned hurt = 0, unhurt = 0;
    for (unsigned round = 1; round <= ROUNDS_MAX && unhurt == 0; round++) {
        assert_int_equal(setup(state), 0);
        allocations = 0;
        failing = round;
        const bool good = use_keys();
        const bool hit = allocations >= round;
        failing = 0;
        hurt += hit && !good;
        unhurt += !hit;
        assert_true(hit || good);
        (void)told(1);
        check_usable();
        assert_int_equal(teardown(state), 0);
    }
    assert_int_equal(unhurt, 1);
    assert_true(hurt >= 8);
}

static void test_media_memory_making_them_fails_whole(void **state)
{
    unsigned refused_rounds = 0;
    assert_int_equal(setup(state), 0);
    for (unsigned round = 1; round <= ROUNDS_MAX; round++) {
        allocations = 0;
        failing = round;
        struct media_keys *keys = media_keys_new(&(struct media_keys_deps){.loop = &f->m.loop,
            .config = &f->config,
            .workers = &f->m.workers,
            .counters = &f->m.counters});
        failing = 0;
        media_keys_end(keys);
        mailboxes_run(&f->m);
        media_keys_free(keys);
        if (keys)
            break;
        refused_rounds++;
    }
    assert_in_range(refused_rounds, 5, ROUNDS_MAX - 1);
    assert_int_equal(teardown(state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_memory_each_failure_is_survived),
        cmocka_unit_test(test_media_memory_making_them_fails_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
