/*
 * THREATS row 8, step by step: judging a wrong password takes the same steps for a user that is
 * known as for one that is not. auth/ and what it calls here are compiled so that each basic block
 * reports itself, and the blocks of both are counted: neither noise nor the load of the machine is
 * in that. What a step costs (memory that is not in the cache) is measured by bench/enumeration.
 */
#include "tests/unit/auth_ask.h"

static uint64_t blocks;

/* Called by the compiler's instrumentation at the start of each block. */
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    blocks++;
}

static uint64_t blocks_of(struct ask a, enum reason reason)
{
    write_request(&a);
    struct auth_request request = {.msg = &msg, .client = client, .realm = a.realm};
    struct auth_result r;
    const uint64_t before = blocks;
    auth_check(auth, worker, &request, &now, &r);
    assert_int_equal(r.reason, reason);
    return blocks - before;
}

struct name {
    const char *user;
    enum reason reason;
};

/* Names of one length, asked for in all ways: none may be told from the first. */
static void expect_same_steps(uint32_t realm, bool hashed, const struct name *names, size_t count)
{
    for (int sha256 = 0; sha256 < 2; sha256++) {
        uint64_t first = 0;
        for (size_t i = 0; i < count; i++) {
            struct ask a = ask(realm, names[i].user, "a guess");
            a.hashed = hashed;
            const uint64_t steps = blocks_of(sha256 ? with_sha256(a) : a, names[i].reason);
            first = i == 0 ? steps : first;
            assert_true(steps > 100); /* they are counted */
            if (steps != first)
                print_error("%s is %llu steps, %s %llu\n", names[0].user, (unsigned long long)first,
                    names[i].user, (unsigned long long)steps);
            assert_int_equal(steps, first);
        }
    }
}

#define EXPECT_SAME_STEPS(realm, hashed, names)                                                    \
    expect_same_steps(realm, hashed, names, sizeof(names) / sizeof((names)[0]))

static const struct name plain[] = {{"alice", REASON_WRONG_PASSWORD},
    {"mallo", REASON_UNKNOWN_USER}, {"aaaaa", REASON_UNKNOWN_USER}, {"alicf", REASON_UNKNOWN_USER},
    {"zzzzz", REASON_UNKNOWN_USER}, {"bobby", REASON_UNKNOWN_USER}, {"carol", REASON_UNKNOWN_USER}};

static void test_steps_static_users_known_or_not_are_equal(void **state)
{
    EXPECT_SAME_STEPS(STATIC_ONLY, false, plain);
    EXPECT_SAME_STEPS(STATIC_ONLY, true, plain);
}

static void test_steps_static_users_beside_rest_known_or_not_are_equal(void **state)
{
    EXPECT_SAME_STEPS(BOTH, false, plain);
}

static void test_steps_rest_names_static_valid_or_expired_are_equal(void **state)
{
    static struct name names[] = {{"1800050000:carol", REASON_WRONG_PASSWORD},
        {"1800003600:mallo", REASON_SECRET_UNKNOWN}, {"1799000000:mallo", REASON_SECRET_UNKNOWN},
        {"1800050000:karel", REASON_SECRET_UNKNOWN}, {"9999999999:mallo", REASON_SECRET_UNKNOWN}};
    char password[AUTH_REST_PASSWORD_MAX + 1];
    EXPECT_SAME_STEPS(BOTH, false, names);
    names[0].reason = REASON_SECRET_UNKNOWN; /* nobody is static there */
    EXPECT_SAME_STEPS(REST_ONLY, false, names);
    expect(rest("north", names[1].user, password), AUTH_OK, REASON_NONE);
}

static void test_steps_stored_key_of_the_other_kind_is_as_no_user(void **state)
{
    static const struct name names[] = {
        {"frank", REASON_NOT_APPROVED}, {"mallo", REASON_UNKNOWN_USER}};
    assert_int_equal(blocks_of(ask(SHA256_KEY, names[0].user, "pass"), names[0].reason),
        blocks_of(ask(SHA256_KEY, names[1].user, "pass"), names[1].reason));
}

static void learn(const char *user, enum store_verdict verdict, uint8_t key_len)
{
    struct store_answer answer = {.verdict = (uint8_t)verdict, .u.user.len = key_len};
    answer.question.kind = STORE_USER;
    answer.question.realm = STORE;
    answer.question.name_len = (uint16_t)strlen(user);
    memcpy(answer.question.name, user, strlen(user));
    auth_worker_learn(worker, auth, &answer, &now);
}

/* Users of the store at equal cache state: none of them looked up yet, and then all of them. */
static void test_steps_users_of_the_store_known_static_or_not_are_equal(void **state)
{
    static struct name names[] = {{"alice", REASON_STORE_UNREACHABLE},
        {"mallo", REASON_STORE_UNREACHABLE}, {"doras", REASON_STORE_UNREACHABLE},
        {"aaaaa", REASON_STORE_UNREACHABLE}, {"frank", REASON_STORE_UNREACHABLE},
        {"bobby", REASON_STORE_UNREACHABLE}};
    EXPECT_SAME_STEPS(STORE, false, names);
    learn("alice", STORE_NOT_FOUND, 0);
    learn("mallo", STORE_NOT_FOUND, 0);
    learn("doras", STORE_FOUND, 16);
    learn("aaaaa", STORE_FOUND, 16);
    learn("frank", STORE_FOUND, 32);
    learn("bobby", STORE_NOT_FOUND, 0);
    static const enum reason reasons[] = {REASON_WRONG_PASSWORD, REASON_UNKNOWN_USER,
        REASON_WRONG_PASSWORD, REASON_WRONG_PASSWORD, REASON_NOT_APPROVED, REASON_UNKNOWN_USER};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        names[i].reason = reasons[i];
    EXPECT_SAME_STEPS(STORE, false, names);
    /* Wherever an answer finds room: in a set full of keys what says no is kept apart. */
    char other[16];
    for (unsigned i = 0; i < KEY_CACHE_ENTRIES * 2; i++) {
        snprintf(other, sizeof(other), "user%u", i);
        learn(other, STORE_FOUND, 16);
    }
    learn("alice", STORE_NOT_FOUND, 0);
    const uint64_t steps = blocks_of(ask(STORE, "alice", "a guess"), REASON_WRONG_PASSWORD);
    learn("mallo", STORE_NOT_FOUND, 0);
    assert_int_equal(blocks_of(ask(STORE, "mallo", "a guess"), REASON_UNKNOWN_USER), steps);
    learn("doras", STORE_FOUND, 16);
    assert_int_equal(blocks_of(ask(STORE, "doras", "a guess"), REASON_WRONG_PASSWORD), steps);
}

static void test_steps_digits_in_the_store_or_not_are_equal(void **state)
{
    static const struct name names[] = {
        {"1800003600", REASON_SECRET_UNKNOWN}, {"1800003601", REASON_WRONG_PASSWORD}};
    learn(names[0].user, STORE_NOT_FOUND, 0);
    learn(names[1].user, STORE_FOUND, 16);
    EXPECT_SAME_STEPS(STORE, false, names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_steps_static_users_known_or_not_are_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_steps_static_users_beside_rest_known_or_not_are_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_steps_rest_names_static_valid_or_expired_are_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_steps_stored_key_of_the_other_kind_is_as_no_user, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_steps_users_of_the_store_known_static_or_not_are_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_steps_digits_in_the_store_or_not_are_equal, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
