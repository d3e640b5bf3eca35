/*
 * auth_check where users lie in a store: what is asked and what is not, how long an answer is of
 * use, and what becomes of a request when the store does not answer. THREATS rows 8, 18, 19.
 */
#include "tests/unit/auth_ask.h"

#include <stdlib.h>

static void learn_as(const char *user, enum store_verdict verdict, const struct auth_key *key)
{
    struct store_answer answer = {.verdict = (uint8_t)verdict, .u.user = *key};
    answer.question.kind = STORE_USER;
    answer.question.realm = STORE;
    answer.question.name_len = (uint16_t)strlen(user);
    memcpy(answer.question.name, user, strlen(user));
    auth_worker_learn(worker, auth, &answer, &now);
}

static void learn(const char *user, enum store_verdict verdict)
{
    struct auth_key key;
    const struct slice parts[] = {
        slice_of_string(user), slice_of_string("store.example"), slice_of_string("kept")};
    assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_MD5, parts), 0);
    learn_as(user, verdict, &key);
}

static void expect_asked_for(const char *user, const char *password)
{
    struct ask a = ask(STORE, user, password);
    expect(a, AUTH_PENDING, REASON_STORE_UNREACHABLE);
    const struct auth_result r = judge(&a);
    assert_int_equal(r.need.kind, STORE_USER);
    assert_int_equal(r.need.realm, STORE);
    assert_true(slice_equal(r.need.name, slice_of_string(user)));
    assert_true(r.need.name.data > message && r.need.name.data < message + sizeof(message));
    assert_true(r.proven);
    a.asked = true;
    expect(a, AUTH_FAILED, REASON_STORE_UNREACHABLE);
}

static void test_auth_check_store_user_asked_then_judged_by_the_key(void **state)
{
    expect_asked_for("dora", "kept");
    learn("dora", STORE_FOUND);
    struct ask a = ask(STORE, "dora", "kept");
    const struct auth_result r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_int_equal(r.identity.source, AUTH_SOURCE_STORE);
    assert_int_equal(r.identity.realm, STORE);
    assert_true(slice_equal(r.identity.user, slice_of_string("dora")));
    assert_string_equal(r.identity.credential, "");
    assert_int_equal(r.identity.expires_at, 0);
    assert_int_equal(r.key.len, 16);
    assert_int_equal(r.need.kind, 0);
    expect(ask(STORE, "dora", "guessed"), AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    expect_asked_for("dor", "kept");
    expect_asked_for("dora ", "kept");
    learn("nobody", STORE_NOT_FOUND);
    expect(ask(STORE, "nobody", "kept"), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    /* Another realm's users are not looked up, whatever is cached. */
    expect(ask(BOTH, "dora", "kept"), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
}

static void test_auth_check_store_never_offers_sha256_nor_userhash(void **state)
{
    struct ask a = ask(STORE, "dora", "kept");
    learn("dora", STORE_FOUND);
    judge(&a);
    assert_memory_equal(fresh_nonce + 9, "AAAA", 4);
    expect(with_sha256(a), AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    a.hashed = true;
    expect(a, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    /* A key of SHA-256 cannot be used where it is not offered; nor is it a key of MD5. */
    struct auth_key key = {.len = 32};
    learn_as("dora", STORE_FOUND, &key);
    expect(ask(STORE, "dora", "kept"), AUTH_CHALLENGE, REASON_NOT_APPROVED);
}

static void test_auth_check_store_key_of_no_length_is_no_answer(void **state)
{
    struct auth_key key = {.len = 20};
    learn_as("dora", STORE_FOUND, &key);
    expect_asked_for("dora", "kept");
    key.len = 0;
    learn_as("dora", STORE_FOUND, &key);
    expect_asked_for("dora", "kept");
    learn_as("dora", (enum store_verdict)9, &key);
    expect_asked_for("dora", "kept");
}

static void test_auth_check_store_static_name_is_static(void **state)
{
    expect(ask(STORE, "alice", "pass"), AUTH_OK, REASON_NONE); /* at once */
    /* A wrong password causes the lookup that an unknown user's would … */
    expect_asked_for("alice", "kept");
    learn("alice", STORE_FOUND);
    /* … and what the store knows is nothing to her. */
    expect(ask(STORE, "alice", "kept"), AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    learn("alice", STORE_NOT_FOUND);
    expect(ask(STORE, "alice", "kept"), AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    expect(ask(STORE, "alice", "pass"), AUTH_OK, REASON_NONE);
}

static void test_auth_check_store_rest_names_are_rests(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    struct ask a = rest("north", "1800003600:dora", password);
    a.realm = STORE;
    a.realm_name = "store.example";
    expect(a, AUTH_OK, REASON_NONE);
    learn("1800003600:dora", STORE_FOUND);
    expect(ask(STORE, "1800003600:dora", "kept"), AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    expect(ask(STORE, "1800003601:dora", "kept"), AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    /* Digits alone may be a telephone number. */
    expect_asked_for("1800003600", "kept");
    learn("1800003600", STORE_FOUND);
    struct ask digits = ask(STORE, "1800003600", "kept");
    assert_int_equal(judge(&digits).identity.source, AUTH_SOURCE_STORE);
    learn("1800003600", STORE_NOT_FOUND);
    expect(digits, AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    /* A genuine one is judged at once, expired or not. */
    a = rest("south", "1700003600", password);
    a.realm = STORE;
    a.realm_name = "store.example";
    expect(a, AUTH_CHALLENGE, REASON_CREDENTIAL_EXPIRED);
    assert_int_equal(judge(&a).expired_s, NOW - 1700003600);
}

static void test_auth_check_store_empty_name_is_nobodys(void **state)
{
    expect(ask(STORE, "", "kept"), AUTH_CHALLENGE, REASON_NAME_NOT_PREPARABLE);
}

static void test_auth_check_store_secrets_of_the_store(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    struct store_secrets secrets = {.realm = STORE, .count = 2};
    secrets.list[0] = clear("east");
    secrets.list[1] = clear("west");
    struct ask a = rest("west", "1800003600:dora", password);
    a.realm = STORE;
    a.realm_name = "store.example";
    expect(a, AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    assert_int_equal(auth_worker_set_secrets(worker, auth, &secrets), 0);
    struct auth_result r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_int_equal(r.identity.source, AUTH_SOURCE_REST);
    assert_memory_equal(r.identity.credential, "redis-", 6);
    /* Only in the realm that they are of, and only where it reads them. */
    a.realm = REST_ONLY;
    a.realm_name = "rest.example";
    expect(a, AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    secrets.realm = REST_ONLY;
    assert_int_equal(auth_worker_set_secrets(worker, auth, &secrets), 0);
    expect(a, AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    store_secrets_deinit(&secrets);
    /* Another nonce secret gives it another name, as it does on every other instance. */
    a.realm = STORE;
    a.realm_name = "store.example";
    char id[sizeof(r.identity.credential)];
    memcpy(id, judge(&a).identity.credential, sizeof(id));
    auth_free(auth);
    auth = build(true, "another secret of the relay");
    r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_string_not_equal(r.identity.credential, id);
    char expected[REST_ID_MAX + 1];
    assert_int_equal(rest_store_id(expected, crypto, slice_of_string("another secret of the relay"),
                         slice_of_string("west")),
        0);
    assert_string_equal(r.identity.credential, expected);
    /* Gone from the store, gone here. */
    secrets.realm = STORE;
    assert_int_equal(auth_worker_set_secrets(worker, auth, &secrets), 0);
    a.realm = STORE;
    a.realm_name = "store.example";
    expect(a, AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
}

static void test_auth_check_store_answers_age(void **state)
{
    learn("dora", STORE_FOUND);
    learn("nobody", STORE_NOT_FOUND);
    struct ask dora = ask(STORE, "dora", "kept"), nobody = ask(STORE, "nobody", "kept");
    now.mono_us += 5 * US_PER_S;
    expect(nobody, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    now.mono_us += 1;
    expect(nobody, AUTH_PENDING, REASON_STORE_UNREACHABLE);
    now.mono_us += 55 * US_PER_S - 1;
    expect(dora, AUTH_OK, REASON_NONE);
    now.mono_us += 1;
    expect(dora, AUTH_PENDING, REASON_STORE_UNREACHABLE);
    /* It has been asked, and does not answer: what was known will do for a while. */
    dora.asked = nobody.asked = true;
    expect(dora, AUTH_OK, REASON_NONE);
    expect(nobody, AUTH_FAILED, REASON_STORE_UNREACHABLE);
    now.mono_us += 600 * US_PER_S;
    expect(dora, AUTH_FAILED, REASON_STORE_UNREACHABLE);
    expect(nobody, AUTH_FAILED, REASON_STORE_UNREACHABLE);
}

/* Known for a minute, unknown for five seconds: who asks a second time would see it by the question
 * that only one of them causes, and by what is said where the store does not answer. */
static void test_auth_check_store_wrong_password_is_asked_for_like_nobodys(void **state)
{
    struct ask wrong[] = {ask(STORE, "dora", "guessed"), ask(STORE, "nobody", "guessed"),
        ask(STORE, "alice", "guessed"), ask(STORE, "not learned", "guessed")};
    learn("dora", STORE_FOUND);
    learn("nobody", STORE_NOT_FOUND);
    learn("alice", STORE_NOT_FOUND);
    now.mono_us += 5 * US_PER_S;
    expect(wrong[0], AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    expect(wrong[1], AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    now.mono_us += 1;
    for (size_t i = 0; i < 4; i++) {
        expect(wrong[i], AUTH_PENDING, REASON_STORE_UNREACHABLE);
        wrong[i].asked = true;
        expect(wrong[i], AUTH_FAILED, REASON_STORE_UNREACHABLE);
        learn(wrong[i].user, STORE_UNREACHABLE);
        expect(wrong[i], AUTH_FAILED, REASON_STORE_UNREACHABLE);
        assert_true(judge(&wrong[i]).guess);
    }
    expect(ask(STORE, "dora", "kept"), AUTH_OK, REASON_NONE);
    /* A password that has changed is good at once. */
    struct auth_key key;
    const struct slice parts[] = {
        slice_of_string("dora"), slice_of_string("store.example"), slice_of_string("guessed")};
    assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_MD5, parts), 0);
    learn_as("dora", STORE_FOUND, &key);
    wrong[0].asked = false;
    expect(wrong[0], AUTH_OK, REASON_NONE);
}

static void test_auth_check_store_out_of_reach_is_not_asked_at_every_request(void **state)
{
    learn("dora", STORE_FOUND);
    now.mono_us += 61 * US_PER_S;
    learn("dora", STORE_UNREACHABLE);
    expect(ask(STORE, "dora", "kept"), AUTH_OK, REASON_NONE);
    now.mono_us += 5 * US_PER_S + 1;
    expect(ask(STORE, "dora", "kept"), AUTH_PENDING, REASON_STORE_UNREACHABLE);
    learn("stranger", STORE_UNREACHABLE);
    expect_asked_for("stranger", "kept");
}

static void test_auth_check_store_forgotten_asked_again(void **state)
{
    learn("dora", STORE_FOUND);
    expect(ask(STORE, "dora", "kept"), AUTH_OK, REASON_NONE);
    auth_worker_forget(worker);
    expect_asked_for("dora", "kept");
}

/* HMACs and lookups of one wrong password. */
static unsigned cost_of(const char *user, enum reason reason, bool *asked)
{
    struct ask a = ask(STORE, user, "guessed");
    write_request(&a);
    struct auth_request request = {.msg = &msg, .client = client, .realm = STORE};
    struct auth_result r;
    const uint64_t before = crypto_hmac_count(crypto);
    auth_check(auth, worker, &request, &now, &r);
    assert_int_equal(r.reason, reason);
    *asked = r.outcome == AUTH_PENDING;
    return (unsigned)(crypto_hmac_count(crypto) - before);
}

static void test_auth_check_store_known_or_not_costs_the_same(void **state)
{
    static const struct {
        const char *user;
        enum store_verdict verdict;
        enum reason reason;
    } row[] = {{"dora", STORE_FOUND, REASON_WRONG_PASSWORD},
        {"nobody", STORE_NOT_FOUND, REASON_UNKNOWN_USER},
        {"alice", STORE_NOT_FOUND, REASON_WRONG_PASSWORD},
        {"bob", STORE_FOUND, REASON_WRONG_PASSWORD}};
    bool asked;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        /* The nonce, the static source, two secrets, the store's key. */
        const unsigned cost = 1 + 1 + 2 * 2 + 1;
        assert_int_equal(cost_of(row[i].user, REASON_STORE_UNREACHABLE, &asked), cost);
        assert_true(asked);
        learn(row[i].user, row[i].verdict);
        assert_int_equal(cost_of(row[i].user, row[i].reason, &asked), cost);
        assert_false(asked);
        now.mono_us += 6 * US_PER_S;
        assert_int_equal(cost_of(row[i].user, REASON_STORE_UNREACHABLE, &asked), cost);
        assert_true(asked);
    }
}

static void test_auth_check_store_guesses_are_counted_without_an_answer(void **state)
{
    struct ask a = ask(STORE, "alice", "guessed"), b = ask(STORE, "nobody", "guessed");
    for (int asked = 0; asked < 2; asked++) {
        a.asked = b.asked = asked;
        assert_int_equal(judge(&a).reason, REASON_STORE_UNREACHABLE);
        assert_true(judge(&a).guess);
        assert_true(judge(&b).guess);
    }
    /* Also where nobody is static: a key that is known still says which password is right. */
    users_deinit(&auth->realms[STORE].users);
    auth->realms[STORE].users = (struct users){.list = calloc(1, sizeof(struct user))};
    assert_int_equal(judge(&b).reason, REASON_STORE_UNREACHABLE);
    assert_true(judge(&b).guess);
}

static void test_auth_check_store_user_goes_on_live_without_the_store(void **state)
{
    learn("dora", STORE_FOUND);
    struct ask a = ask(STORE, "dora", "kept");
    const struct auth_result r = judge(&a);
    struct identity live = r.identity;
    live.user = slice_of_string("dora");
    a.live = &live;
    a.live_key = &r.key;
    auth_worker_forget(worker);
    expect(a, AUTH_OK, REASON_NONE);
    a.password = "guessed";
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(store_user_asked_then_judged_by_the_key),
        TEST(store_never_offers_sha256_nor_userhash),
        TEST(store_key_of_no_length_is_no_answer),
        TEST(store_static_name_is_static),
        TEST(store_rest_names_are_rests),
        TEST(store_empty_name_is_nobodys),
        TEST(store_secrets_of_the_store),
        TEST(store_answers_age),
        TEST(store_wrong_password_is_asked_for_like_nobodys),
        TEST(store_out_of_reach_is_not_asked_at_every_request),
        TEST(store_forgotten_asked_again),
        TEST(store_known_or_not_costs_the_same),
        TEST(store_guesses_are_counted_without_an_answer),
        TEST(store_user_goes_on_live_without_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
