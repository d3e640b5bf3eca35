/*
 * The cache of what the store has answered: how long it is of use, who makes room for whom, and
 * that nothing stays behind.
 */
#include "auth/key_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define S 1000000ull

static struct key_cache *cache;
static struct store_answer answer;
static uint64_t now_us;

static int setup(void **state)
{
    static const uint8_t key[32] = "a key of thirty-two bytes, here";
    cache = key_cache_new(key);
    now_us = 1000 * S;
    return cache ? 0 : -1;
}

static int teardown(void **state)
{
    key_cache_free(cache);
    return 0;
}

static void put(const char *name, enum store_verdict verdict, uint8_t fill)
{
    answer = (struct store_answer){.verdict = (uint8_t)verdict, .u.user.len = 16};
    answer.question.kind = STORE_USER;
    answer.question.realm = 3;
    answer.question.name_len = (uint16_t)strlen(name);
    memcpy(answer.question.name, name, strlen(name));
    memset(answer.u.user.bytes, fill, 16);
    const struct key_cache_times times = {
        now_us, now_us + 60 * S, now_us + 660 * S, now_us + 5 * S};
    key_cache_put(cache, &answer, &times);
}

static struct key_cache_match find(const char *name)
{
    const struct store_need need = {STORE_USER, 3, slice_of_string(name)};
    const struct key_cache_match m = key_cache_find(cache, &need, now_us);
    assert_non_null(m.entry);
    return m;
}

static void expect(const char *name, bool fresh, bool stale, bool known)
{
    const struct key_cache_match m = find(name);
    assert_int_equal(m.fresh, fresh);
    assert_int_equal(m.stale, stale);
    if (stale)
        assert_int_equal(m.entry->known, known);
}

static void test_key_cache_answer_found_by_kind_realm_and_name(void **state)
{
    put("alice", STORE_FOUND, 0x5a);
    put("bob", STORE_NOT_FOUND, 0x5a);
    expect("alice", true, true, true);
    expect("bob", true, true, false);
    expect("alic", false, false, false);
    expect("", false, false, false);
    const struct key_cache_entry *e = find("alice").entry;
    assert_int_equal(e->oauth.key_len, 16);
    for (int i = 0; i < 16; i++)
        assert_int_equal(e->oauth.key[i], 0x5a);
    assert_int_equal(find("bob").entry->oauth.key_len, 0);
    const struct store_need other[] = {{STORE_OAUTH_KEY, 3, slice_of_string("alice")},
        {STORE_USER, 4, slice_of_string("alice")}, {STORE_USER, 3 << 8, slice_of_string("alice")}};
    for (int i = 0; i < 3; i++)
        assert_false(key_cache_find(cache, &other[i], now_us).stale);
}

static void test_key_cache_oauth_key_kept_whole(void **state)
{
    answer = (struct store_answer){.verdict = STORE_FOUND};
    answer.question.kind = STORE_OAUTH_KEY;
    answer.question.name_len = 5;
    memcpy(answer.question.name, "north", 5);
    answer.u.oauth = (struct store_oauth_key){.key = "0123456789abcdef0123456789abcde",
        .key_len = 32,
        .algorithm = 1,
        .not_before = 11,
        .not_after = 22};
    key_cache_put(cache, &answer, &(struct key_cache_times){now_us, now_us + S, now_us + S, 0});
    const struct store_need need = {STORE_OAUTH_KEY, 0, slice_of_string("north")};
    const struct key_cache_match m = key_cache_find(cache, &need, now_us);
    assert_true(m.fresh);
    assert_memory_equal(m.entry->oauth.key, answer.u.oauth.key, 32);
    assert_int_equal(m.entry->oauth.key_len, 32);
    assert_int_equal(m.entry->oauth.algorithm, 1);
    assert_int_equal(m.entry->oauth.not_before, 11);
    assert_int_equal(m.entry->oauth.not_after, 22);
}

static void test_key_cache_time_makes_fresh_stale_and_stale_nothing(void **state)
{
    put("alice", STORE_FOUND, 1);
    now_us += 60 * S;
    expect("alice", true, true, true);
    now_us += 1;
    expect("alice", false, true, true);
    now_us += 600 * S - 1;
    expect("alice", false, true, true);
    now_us += 1;
    expect("alice", false, false, false);
    put("alice", STORE_NOT_FOUND, 0);
    expect("alice", true, true, false);
}

static void test_key_cache_refuses_as_long_for_a_key_as_for_none(void **state)
{
    put("alice", STORE_FOUND, 1);
    put("nobody", STORE_NOT_FOUND, 1);
    assert_false(find("stranger").refuses);
    now_us += 5 * S;
    assert_true(find("alice").refuses);
    assert_true(find("nobody").refuses);
    now_us += 1;
    assert_false(find("alice").refuses);
    assert_false(find("nobody").refuses);
    put("alice", STORE_UNREACHABLE, 1);
    assert_false(find("alice").refuses);
    put("alice", STORE_FOUND, 1);
    assert_true(find("alice").refuses);
}

static void test_key_cache_unreachable_prolongs_what_is_there(void **state)
{
    put("alice", STORE_FOUND, 1);
    put("nobody", STORE_UNREACHABLE, 1);
    expect("nobody", false, false, false);
    now_us += 100 * S;
    expect("alice", false, true, true);
    put("alice", STORE_UNREACHABLE, 2);
    expect("alice", true, true, true);
    assert_int_equal(find("alice").entry->oauth.key[0], 1);
    /* … up to the end that it had, and not a moment longer. */
    now_us += 550 * S;
    put("alice", STORE_UNREACHABLE, 2);
    now_us += 10 * S;
    expect("alice", true, true, true);
    now_us += 1;
    expect("alice", false, false, false);
    /* An earlier end takes nothing away. */
    put("alice", STORE_FOUND, 1);
    now_us -= 30 * S;
    put("alice", STORE_UNREACHABLE, 2);
    now_us += 90 * S;
    expect("alice", true, true, true);
}

#define MANY (2 * KEY_CACHE_ENTRIES)

static unsigned known_of(const char *prefix)
{
    char name[32];
    unsigned known = 0;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "%s%u", prefix, i);
        const struct key_cache_match m = find(name);
        known += m.fresh && m.entry->known;
    }
    return known;
}

static void test_key_cache_strangers_names_drive_no_key_out(void **state)
{
    char name[32];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "user%u", i);
        put(name, STORE_FOUND, 1);
    }
    const unsigned known = known_of("user");
    assert_in_range(known, KEY_CACHE_ENTRIES * 9 / 10, KEY_CACHE_ENTRIES);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "stranger%u", i);
        put(name, STORE_NOT_FOUND, 1);
        expect(name, true, true, false); /* who has waited for it finds it */
    }
    assert_int_equal(known_of("user"), known);
    /* A key takes the place of such an answer, and of keys the oldest goes. */
    now_us += S;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "new%u", i);
        put(name, STORE_FOUND, 1);
        expect(name, true, true, true);
    }
    assert_in_range(known_of("new"), KEY_CACHE_ENTRIES * 9 / 10, KEY_CACHE_ENTRIES);
}

static void test_key_cache_what_has_had_its_time_makes_room(void **state)
{
    char name[32];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "user%u", i);
        put(name, STORE_FOUND, 1);
    }
    now_us += 661 * S;
    put("stranger", STORE_NOT_FOUND, 1);
    put("another", STORE_NOT_FOUND, 1);
    put("a third", STORE_NOT_FOUND, 1);
    expect("stranger", true, true, false); /* not in the one entry that all share */
    expect("another", true, true, false);
}

static unsigned fresh_of(const char *prefix, unsigned count)
{
    char name[32];
    unsigned fresh = 0;
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%s%u", prefix, i);
        fresh += find(name).fresh;
    }
    return fresh;
}

static void put_many(const char *prefix, unsigned count, enum store_verdict verdict)
{
    char name[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%s%u", prefix, i);
        put(name, verdict, 1);
    }
}

static void test_key_cache_what_says_no_goes_before_an_older_key(void **state)
{
    put_many("user", KEY_CACHE_ENTRIES / 2, STORE_FOUND);
    now_us += S;
    put_many("stranger", MANY, STORE_NOT_FOUND);
    const unsigned known = known_of("user");
    now_us += S;
    /* A few meet sets that are full of keys. */
    put_many("new", KEY_CACHE_ENTRIES / 8, STORE_FOUND);
    assert_in_range(known_of("user"), known - KEY_CACHE_ENTRIES / 32, known);
}

static void test_key_cache_what_has_had_its_time_goes_before_what_says_no(void **state)
{
    put_many("user", MANY, STORE_FOUND);
    now_us += 661 * S;
    put_many("stranger", KEY_CACHE_ENTRIES / 2, STORE_NOT_FOUND);
    assert_in_range(fresh_of("stranger", KEY_CACHE_ENTRIES / 2), KEY_CACHE_ENTRIES * 2 / 5,
        KEY_CACHE_ENTRIES / 2);
}

static void test_key_cache_unreachable_prolongs_what_found_no_place(void **state)
{
    put_many("user", MANY, STORE_FOUND);
    put("late", STORE_NOT_FOUND, 1);
    now_us += 61 * S;
    expect("late", false, true, false);
    put("late", STORE_UNREACHABLE, 1);
    expect("late", true, true, false);
}

static void test_key_cache_an_answer_is_kept_once(void **state)
{
    char name[32];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "user%u", i);
        put(name, STORE_FOUND, 1);
    }
    put("late", STORE_NOT_FOUND, 1);
    put("late", STORE_FOUND, 7);
    expect("late", true, true, true);
    put("late", STORE_NOT_FOUND, 1);
    expect("late", true, true, false);
}

static void expect_zero(const struct key_cache_entry *e)
{
    static const struct key_cache_entry zero;
    assert_memory_equal(e, &zero, sizeof(zero));
}

static void test_key_cache_what_leaves_is_wiped(void **state)
{
    put("alice", STORE_FOUND, 0x5a);
    const struct key_cache_entry *e = find("alice").entry;
    put("alice", STORE_NOT_FOUND, 0x5a);
    assert_ptr_equal(find("alice").entry, e);
    static const uint8_t zero[32];
    assert_memory_equal(e->oauth.key, zero, sizeof(zero));
    put("alice", STORE_FOUND, 0x5a);
    key_cache_clear(cache);
    expect("alice", false, false, false);
    expect_zero(e);
    put("alice", STORE_FOUND, 0x5a); /* and it goes on */
    expect("alice", true, true, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_key_cache_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answer_found_by_kind_realm_and_name),
        TEST(oauth_key_kept_whole),
        TEST(time_makes_fresh_stale_and_stale_nothing),
        TEST(refuses_as_long_for_a_key_as_for_none),
        TEST(unreachable_prolongs_what_is_there),
        TEST(strangers_names_drive_no_key_out),
        TEST(what_has_had_its_time_makes_room),
        TEST(what_says_no_goes_before_an_older_key),
        TEST(what_has_had_its_time_goes_before_what_says_no),
        TEST(unreachable_prolongs_what_found_no_place),
        TEST(an_answer_is_kept_once),
        TEST(what_leaves_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
