/*
 * auth_check over its sources: REST credentials, live allocations, and the count of HMACs for names
 * known and unknown. THREATS rows 8, 18.
 */
#include "tests/unit/auth_ask.h"

static void test_auth_check_rest_any_of_the_secrets_ok(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    static const char *const secrets[] = {"north", "south"}, *const ids[] = {"new", "old"};
    for (int i = 0; i < 2; i++) {
        struct ask a = rest(secrets[i], "1800003600:alice", password);
        struct auth_result r = judge(&a);
        assert_int_equal(r.outcome, AUTH_OK);
        assert_int_equal(r.identity.source, AUTH_SOURCE_REST);
        assert_string_equal(r.identity.credential, ids[i]);
        assert_int_equal(r.identity.expires_at, NOW + 3600);
        assert_true(slice_equal(r.identity.user, slice_of_string("1800003600:alice")));
        expect(with_sha256(a), AUTH_OK, REASON_NONE);
        a.realm = BOTH;
        a.realm_name = "both.example";
        expect(a, AUTH_OK, REASON_NONE);
    }
    expect(rest("east", "1800003600:alice", password), AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    /* A genuine password under a name that says no time. */
    expect(rest("north", "alice", password), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    expect(rest("north", "", password), AUTH_CHALLENGE, REASON_NAME_NOT_PREPARABLE);
}

static void test_auth_check_rest_expiry_judged_only_if_genuine(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1], user[40];
    static const struct {
        int64_t offset;
        enum reason reason;
    } row[] = {{-DAY, REASON_CREDENTIAL_EXPIRED}, {-1, REASON_CREDENTIAL_EXPIRED}, {0, REASON_NONE},
        {1, REASON_NONE}, {2 * DAY, REASON_NONE}, {2 * DAY + 1, REASON_CREDENTIAL_LIFETIME},
        {99999999999 - NOW, REASON_CREDENTIAL_LIFETIME}, {-NOW, REASON_CREDENTIAL_EXPIRED}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        snprintf(user, sizeof(user), "%lld:x", (long long)(NOW + row[i].offset));
        expect(rest("south", user, password),
            row[i].reason == REASON_NONE ? AUTH_OK : AUTH_CHALLENGE, row[i].reason);
        expect(rest("east", user, password), AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    }
}

static void test_auth_check_static_name_in_rest_form_is_static(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    expect(ask(BOTH, "1800050000:carol", "clash"), AUTH_OK, REASON_NONE);
    assert_int_equal(auth_rest_password(crypto, AUTH_REST_SHA1, slice_of_string("north"),
                         slice_of_string("1800050000:carol"), password),
        0);
    expect(ask(BOTH, "1800050000:carol", password), AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
}

/* HMACs of one check, without those of making the request. */
static uint64_t cost_of(struct ask a, enum reason reason)
{
    write_request(&a);
    struct auth_request request = {.msg = &msg, .client = client, .realm = a.realm};
    struct auth_result r;
    uint64_t before = crypto_hmac_count(crypto);
    auth_check(auth, worker, &request, &now, &r);
    assert_int_equal(r.reason, reason);
    return crypto_hmac_count(crypto) - before;
}

static void test_auth_check_refused_costs_the_same_for_any_name(void **state)
{
    static const struct {
        const char *user, *password;
        enum reason reason;
    } row[] = {{"alice", "wrong", REASON_WRONG_PASSWORD}, {"mallory", "wrong", REASON_UNKNOWN_USER},
        {"", "wrong", REASON_NAME_NOT_PREPARABLE}, {"1800003600:x", "wrong", REASON_SECRET_UNKNOWN},
        {"1800050000:carol", "wrong", REASON_WRONG_PASSWORD},
        {"1:x", "wrong", REASON_SECRET_UNKNOWN}, {"9999999999999:x", "wrong", REASON_UNKNOWN_USER}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        /* The nonce, the static source, and for each of the two secrets the password and the
         * integrity. */
        assert_int_equal(
            cost_of(ask(BOTH, row[i].user, row[i].password), row[i].reason), 1 + 1 + 2 * 2);
        assert_int_equal(
            cost_of(with_sha256(ask(BOTH, row[i].user, row[i].password)), row[i].reason), 6);
    }
    /* Nobody is static. */
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        enum reason reason = i == 0 ? REASON_UNKNOWN_USER : row[i].reason;
        if (reason == REASON_WRONG_PASSWORD)
            reason = REASON_SECRET_UNKNOWN;
        assert_int_equal(cost_of(ask(REST_ONLY, row[i].user, row[i].password), reason), 5);
    }
    /* Without REST, by either name. */
    for (int hashed = 0; hashed < 2; hashed++) {
        struct ask known = ask(STATIC_ONLY, "alice", "wrong"),
                   unknown = ask(STATIC_ONLY, "mallory", "wrong");
        known.hashed = unknown.hashed = hashed;
        assert_int_equal(cost_of(known, REASON_WRONG_PASSWORD), 2);
        assert_int_equal(cost_of(unknown, REASON_UNKNOWN_USER), 2);
    }
    /* USERHASH where it is not offered tells nothing of who exists. */
    struct ask known = ask(BOTH, "alice", "pass"), unknown = ask(BOTH, "mallory", "pass");
    known.hashed = unknown.hashed = true;
    assert_int_equal(cost_of(known, REASON_UNKNOWN_USER), cost_of(unknown, REASON_UNKNOWN_USER));
    /* And the key of the other algorithm only. */
    assert_int_equal(cost_of(ask(SHA256_KEY, "frank", "pass"), REASON_NOT_APPROVED), 2);
    assert_int_equal(cost_of(ask(SHA256_KEY, "mallory", "pass"), REASON_UNKNOWN_USER), 2);
}

static void test_auth_check_right_password_costs_no_more_than_needed(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    assert_int_equal(cost_of(ask(BOTH, "alice", "pass"), REASON_NONE), 2);
    assert_int_equal(cost_of(rest("north", "1800003600:x", password), REASON_NONE), 3);
    assert_int_equal(cost_of(rest("south", "1800003600:x", password), REASON_NONE), 5);
}

static void test_auth_check_rest_retired_secret_named_and_refused(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    auth->realms[REST_ONLY].rest.list[0].retired = true;
    struct ask a = rest("north", "1800003600:x", password);
    expect(a, AUTH_CHALLENGE, REASON_SECRET_RETIRED);
    assert_false(judge(&a).guess);
    expect(with_sha256(a), AUTH_CHALLENGE, REASON_SECRET_RETIRED);
    /* The others are tried as before, and a wrong password costs as much as before. */
    expect(rest("south", "1800003600:x", password), AUTH_OK, REASON_NONE);
    expect(rest("east", "1800003600:x", password), AUTH_CHALLENGE, REASON_SECRET_UNKNOWN);
    assert_int_equal(cost_of(ask(REST_ONLY, "1800003600:x", "guess"), REASON_SECRET_UNKNOWN), 5);
    /* It is as good as gone, whatever the time is. */
    expect(rest("north", "1700000000:x", password), AUTH_CHALLENGE, REASON_SECRET_RETIRED);
    /* A name that may not be signed by it is not. */
    expect(rest("north", "alice", password), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    /* It may still lie in the store. */
    struct store_secrets secrets = {.realm = STORE, .count = 1, .list = {clear("north")}};
    assert_int_equal(auth_worker_set_secrets(worker, auth, &secrets), 0);
    store_secrets_deinit(&secrets);
    auth->realms[STORE].rest.list[0].retired = true;
    a = rest("north", "1800003600:x", password);
    a.realm = STORE;
    a.realm_name = "store.example";
    expect(a, AUTH_CHALLENGE, REASON_SECRET_RETIRED);
}

/* An allocation of a REST user, made while the credential was good. */
static void go_live(struct identity *live, struct auth_key *key,
    char password[AUTH_REST_PASSWORD_MAX + 1], bool sha256)
{
    struct ask a = rest("north", "1800003600:x", password);
    struct auth_result r = judge(sha256 ? (a = with_sha256(a), &a) : &a);
    assert_int_equal(r.outcome, AUTH_OK);
    *live = r.identity;
    live->user = slice_of_string("1800003600:x"); /* the allocation's copy */
    *key = r.key;
}

static void test_auth_check_live_allocation_goes_on_after_expiry(void **state)
{
    struct identity live;
    struct auth_key key;
    char password[AUTH_REST_PASSWORD_MAX + 1];
    go_live(&live, &key, password, false);
    now.wall_s += 3 * DAY;
    struct ask a = ask(REST_ONLY, "1800003600:x", password);
    expect(a, AUTH_CHALLENGE, REASON_CREDENTIAL_EXPIRED);
    a.live = &live;
    a.live_key = &key;
    struct auth_result r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_string_equal(r.identity.credential, "new");
    assert_int_equal(r.identity.source, AUTH_SOURCE_REST);
    assert_int_equal(r.identity.expires_at, NOW + 3600);
    assert_int_equal(r.key.len, 16);
    assert_memory_equal(r.key.bytes, key.bytes, 16);
    uint64_t before = crypto_hmac_count(crypto);
    judge(&a);
    /* Making the request: its nonce and its integrity. Judging it: the same. */
    assert_int_equal(crypto_hmac_count(crypto) - before, 4);
}

static void test_auth_check_live_allocation_other_key_no_fallback(void **state)
{
    struct identity live;
    struct auth_key key;
    char password[AUTH_REST_PASSWORD_MAX + 1], other[AUTH_REST_PASSWORD_MAX + 1];
    go_live(&live, &key, password, false);
    /* The other secret gives the same name a password that is good for a new allocation, not for
     * this one. */
    struct ask a = rest("south", "1800003600:x", other);
    expect(a, AUTH_OK, REASON_NONE);
    a.live = &live;
    a.live_key = &key;
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
}

static void test_auth_check_live_allocation_other_algorithm_or_user_ordinary(void **state)
{
    struct identity live;
    struct auth_key key;
    char password[AUTH_REST_PASSWORD_MAX + 1], other[AUTH_REST_PASSWORD_MAX + 1];
    go_live(&live, &key, password, false);
    struct ask a = with_sha256(ask(REST_ONLY, "1800003600:x", password));
    a.live = &live;
    a.live_key = &key;
    struct auth_result r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_int_equal(r.key.len, 32);
    now.wall_s += 3 * DAY;
    expect(a, AUTH_CHALLENGE, REASON_CREDENTIAL_EXPIRED);
    now.wall_s -= 3 * DAY;
    /* Another user on the same 5-tuple is genuine here; that it is the wrong one is for others to
     * say. */
    a = rest("north", "1800003600:y", other);
    a.live = &live;
    a.live_key = &key;
    r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_true(slice_equal(r.identity.user, slice_of_string("1800003600:y")));
    /* The same name in another realm is another user. */
    live.realm = BOTH;
    a = ask(REST_ONLY, "1800003600:x", password);
    a.live = &live;
    a.live_key = &key;
    now.wall_s += 3 * DAY;
    expect(a, AUTH_CHALLENGE, REASON_CREDENTIAL_EXPIRED);
}

static void test_auth_check_live_allocation_userhash_matches(void **state)
{
    struct ask a = ask(STATIC_ONLY, "bob", "word");
    a.hashed = true;
    struct auth_result r = judge(&a);
    struct identity live = r.identity;
    struct auth_key key = r.key;
    live.user = slice_of_string("bob");
    key.bytes[0] ^= 1; /* to see that it is this key that is used */
    a.live = &live;
    a.live_key = &key;
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    key.bytes[0] ^= 1;
    r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_ptr_equal(r.identity.user.data, live.user.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rest_any_of_the_secrets_ok),
        TEST(rest_expiry_judged_only_if_genuine),
        TEST(static_name_in_rest_form_is_static),
        TEST(rest_retired_secret_named_and_refused),
        TEST(refused_costs_the_same_for_any_name),
        TEST(right_password_costs_no_more_than_needed),
        TEST(live_allocation_goes_on_after_expiry),
        TEST(live_allocation_other_key_no_fallback),
        TEST(live_allocation_other_algorithm_or_user_ordinary),
        TEST(live_allocation_userhash_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
