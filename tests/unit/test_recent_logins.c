/* Who has logged in lately: for 24 h, the oldest forgotten first, never growing, any thread. */
#include "ratelimit/recent_logins.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <cmocka.h>

/* SplitMix64's last step: ids as they come, hashed. */
static uint64_t id_of(uint64_t n)
{
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ull;
    n = (n ^ n >> 27) * 0x94d049bb133111ebull;
    return n ^ n >> 31;
}

static void test_recent_logins_remembers_for_a_day(void **state)
{
    struct recent_logins *t = recent_logins_new(0);
    assert_false(recent_logins_has(t, 7, 0));
    recent_logins_note(t, 7, 0);
    recent_logins_note(t, id_of(1), 1000);
    assert_true(recent_logins_has(t, 7, 0));
    assert_true(recent_logins_has(t, 7, RECENT_LOGIN_S));
    assert_false(recent_logins_has(t, 7, RECENT_LOGIN_S + 1));
    assert_true(recent_logins_has(t, id_of(1), RECENT_LOGIN_S + 1000));
    assert_true(recent_logins_has(t, id_of(1), 990)); /* a clock that is a little behind */
    assert_false(recent_logins_has(t, id_of(2), 1000));
    recent_logins_note(t, 7, RECENT_LOGIN_S + 1);
    assert_true(recent_logins_has(t, 7, RECENT_LOGIN_S + 1));
    recent_logins_free(t);
    recent_logins_free(NULL);
}

/* Neither half of the hash alone makes two the same. */
static void test_recent_logins_of_other_hashes_kept_apart(void **state)
{
    struct recent_logins *t = recent_logins_new(1024);
    recent_logins_note(t, 0x1234567800000001, 5);
    assert_false(recent_logins_has(t, 0x1234567900000001, 5));
    assert_false(recent_logins_has(t, 0x1234567800000002, 5));
    assert_true(recent_logins_has(t, 0x1234567800000001, 5));
    recent_logins_free(t);
}

static void test_recent_logins_of_a_full_set_the_oldest_goes(void **state)
{
    struct recent_logins *t = recent_logins_new(1024);
    for (uint64_t n = 0; n < 8; n++) /* one set */
        recent_logins_note(t, (n + 10) << 32, (uint32_t)(100 + n));
    recent_logins_note(t, 10ull << 32, 200); /* the oldest comes again: now the second is */
    recent_logins_note(t, 99ull << 32, 201);
    assert_true(recent_logins_has(t, 10ull << 32, 201));
    assert_false(recent_logins_has(t, 11ull << 32, 201));
    for (uint64_t n = 2; n < 8; n++)
        assert_true(recent_logins_has(t, (n + 10) << 32, 201));
    assert_true(recent_logins_has(t, 99ull << 32, 201));
    recent_logins_free(t);
}

static void test_recent_logins_many_more_than_places_newest_kept(void **state)
{
    struct recent_logins *t = recent_logins_new(4096);
    uint32_t kept = 0;
    for (uint32_t n = 0; n < 100000; n++)
        recent_logins_note(t, id_of(n), 10 + n);
    for (uint32_t n = 0; n < 100000; n++)
        kept += recent_logins_has(t, id_of(n), 10 + 100000);
    assert_true(kept >= 4000 && kept <= 4096);
    kept = 0;
    for (uint32_t n = 99000; n < 100000; n++)
        kept += recent_logins_has(t, id_of(n), 10 + 100000);
    assert_true(kept >= 990);
    recent_logins_free(t);
}

static struct recent_logins *shared;
static _Atomic uint32_t invented;

static void *note_and_ask(void *arg)
{
    for (uint64_t n = 0; n < 200000; n++) {
        recent_logins_note(shared, id_of(n % 3000), (uint32_t)(n / 1000));
        if (recent_logins_has(shared, id_of(n % 3000 + 100000), (uint32_t)(n / 1000)))
            atomic_fetch_add(&invented, 1);
    }
    return NULL;
}

static void test_recent_logins_four_threads_nobody_invented(void **state)
{
    pthread_t threads[4];
    shared = recent_logins_new(16384);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_and_ask, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&invented), 0);
    for (uint64_t n = 0; n < 3000; n++)
        assert_true(recent_logins_has(shared, id_of(n), 200));
    recent_logins_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recent_logins_remembers_for_a_day),
        cmocka_unit_test(test_recent_logins_of_other_hashes_kept_apart),
        cmocka_unit_test(test_recent_logins_of_a_full_set_the_oldest_goes),
        cmocka_unit_test(test_recent_logins_many_more_than_places_newest_kept),
        cmocka_unit_test(test_recent_logins_four_threads_nobody_invented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
