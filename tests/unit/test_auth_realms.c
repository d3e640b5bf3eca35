/*
 * auth_check over realms, nonce secrets, revocations, and what it says for counting guesses.
 * THREATS rows 17, 18, 19.
 */
#include "tests/unit/auth_ask.h"

#include <stdlib.h>

#define BIT(realm) ((uint64_t)1 << (realm))

static void test_auth_check_realms_that_the_listener_serves_may_be_named(void **state)
{
    /* Challenged by one realm, as a user of another. */
    struct ask a = ask(STATIC_ONLY, "dave", "pass");
    a.realm_name = "keys.example";
    expect(a, AUTH_CHALLENGE, REASON_REALM_DIFFERS);
    a.realms = BIT(MD5_KEYS);
    struct auth_result r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_int_equal(r.identity.realm, MD5_KEYS);
    assert_int_equal(r.realm, MD5_KEYS);
    /* Users are of one realm. */
    a.user = "alice";
    expect(a, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    a.realm_name = "static.example";
    expect(a, AUTH_OK, REASON_NONE);
    assert_int_equal(judge(&a).realm, STATIC_ONLY);
    a.realm_name = "both.example";
    expect(a, AUTH_CHALLENGE, REASON_REALM_DIFFERS);
    assert_int_equal(judge(&a).realm, STATIC_ONLY);
    /* Bits of realms that there are none of name nothing. */
    a.realms = UINT64_MAX << 6;
    expect(a, AUTH_CHALLENGE, REASON_REALM_DIFFERS);
}

static void test_auth_check_realms_offer_what_all_of_them_have(void **state)
{
    const uint32_t both = NONCE_FEATURE_PASSWORD_ALGORITHMS | NONCE_FEATURE_USERNAME_ANONYMITY;
    const struct {
        struct auth_realms realms;
        uint32_t features;
    } row[] = {{{STATIC_ONLY, 0}, both}, {{STATIC_ONLY, BIT(STATIC_ONLY)}, both},
        {{STATIC_ONLY, BIT(REST_ONLY)}, NONCE_FEATURE_PASSWORD_ALGORITHMS},
        {{STATIC_ONLY, BIT(MD5_KEYS)}, NONCE_FEATURE_USERNAME_ANONYMITY},
        {{MD5_KEYS, BIT(STATIC_ONLY)}, NONCE_FEATURE_USERNAME_ANONYMITY},
        {{STATIC_ONLY, BIT(MD5_KEYS) | BIT(REST_ONLY)}, 0}, {{STATIC_ONLY, UINT64_MAX}, 0},
        {{STORE, 0}, 0}, {{STATIC_ONLY, BIT(STORE)}, 0}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
        assert_int_equal(auth_realms_features(auth, &row[i].realms), row[i].features);
    /* What is not offered is not understood. */
    struct ask a = with_sha256(ask(STATIC_ONLY, "alice", "pass"));
    a.hashed = true;
    expect(a, AUTH_OK, REASON_NONE);
    a.realms = BIT(REST_ONLY);
    expect(a, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    a.hashed = false;
    expect(a, AUTH_OK, REASON_NONE);
    a.realms = BIT(MD5_KEYS);
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    a.md5_key = true;
    a.sha256_integrity = false;
    expect(a, AUTH_OK, REASON_NONE);
}

static void test_auth_check_nonce_is_of_the_home_realm_and_its_offer(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    uint8_t nonce[NONCE_LEN];
    a.nonce = slice_of(nonce, NONCE_LEN);
    a.realms = BIT(MD5_KEYS);
    assert_int_equal(challenge(STATIC_ONLY, BIT(MD5_KEYS), &client, nonce), 0);
    expect(a, AUTH_OK, REASON_NONE);
    assert_int_equal(challenge(MD5_KEYS, BIT(STATIC_ONLY), &client, nonce), 0);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
    assert_int_equal(challenge(STATIC_ONLY, 0, &client, nonce), 0);
    expect(a, AUTH_STALE, REASON_STALE_NONCE);
}

/* The same realms, of which this one is no longer configured. */
static void without(struct auth *a, uint32_t realm)
{
    a->realms[realm].removed = true;
    users_deinit(&a->realms[realm].users);
    a->realms[realm].users = (struct users){.list = calloc(1, sizeof(struct user))};
}

static void test_auth_check_removed_realm_only_goes_on_live(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    const struct auth_result r = judge(&a);
    struct identity live = r.identity;
    live.user = slice_of_string("alice");
    without(auth, STATIC_ONLY);
    /* Its listener has another home now. */
    a.realm = MD5_KEYS;
    a.realms = BIT(STATIC_ONLY);
    expect(a, AUTH_CHALLENGE, REASON_REALM_DIFFERS);
    a.live = &live;
    a.live_key = &r.key;
    expect(a, AUTH_OK, REASON_NONE);
    a.password = "guess";
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    a.user = "bob";
    a.password = "word";
    expect(a, AUTH_CHALLENGE, REASON_REALM_DIFFERS);
}

static void rotate(const char *secret, const char *old)
{
    auth_free(auth);
    old_nonce_secret = old;
    auth = build(true, secret);
    old_nonce_secret = NULL;
    assert_non_null(auth);
}

static void test_auth_check_nonce_of_the_old_secret_accepted(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    uint8_t nonce[NONCE_LEN], later[NONCE_LEN];
    a.nonce = slice_of(nonce, NONCE_LEN);
    assert_int_equal(challenge(STATIC_ONLY, 0, &client, nonce), 0);
    rotate("a new secret of the relay", "0123456789abcdef");
    expect(a, AUTH_OK, REASON_NONE);
    /* New ones are made with the new secret. */
    expect(ask(STATIC_ONLY, "alice", "pass"), AUTH_OK, REASON_NONE);
    assert_int_equal(challenge(STATIC_ONLY, 0, &client, later), 0);
    rotate("a new secret of the relay", NULL);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
    memcpy(nonce, later, NONCE_LEN);
    expect(a, AUTH_OK, REASON_NONE);
    /* The other way round: an instance that has not got the new one yet. */
    rotate("0123456789abcdef", "a new secret of the relay");
    expect(a, AUTH_OK, REASON_NONE);
    now.wall_s += 601;
    expect(a, AUTH_STALE, REASON_STALE_NONCE);
    struct addr elsewhere = client;
    elsewhere.port++;
    now.wall_s -= 601;
    assert_int_equal(challenge(STATIC_ONLY, 0, &elsewhere, nonce), 0);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
}

static uint64_t hmacs_of_nonce(struct ask a, const uint8_t nonce[NONCE_LEN], enum reason reason)
{
    a.nonce = slice_of(nonce, NONCE_LEN);
    write_request(&a);
    struct auth_request request = {.msg = &msg, .client = client, .realm = a.realm};
    struct auth_result r;
    const uint64_t before = crypto_hmac_count(crypto);
    auth_check(auth, worker, &request, &now, &r);
    assert_int_equal(r.reason, reason);
    return crypto_hmac_count(crypto) - before;
}

static void test_auth_check_every_foreign_nonce_costs_both_secrets(void **state)
{
    rotate("a new secret of the relay", "0123456789abcdef");
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    uint8_t nonce[NONCE_LEN];
    struct addr elsewhere = client;
    elsewhere.ip[15] ^= 1;
    assert_int_equal(challenge(STATIC_ONLY, 0, &elsewhere, nonce), 0);
    assert_int_equal(hmacs_of_nonce(a, nonce, REASON_FOREIGN_NONCE), 2);
    assert_int_equal(challenge(STATIC_ONLY, 0, &client, nonce), 0);
    nonce[NONCE_LEN - 1] = nonce[NONCE_LEN - 1] == 'A' ? 'E' : 'A';
    assert_int_equal(hmacs_of_nonce(a, nonce, REASON_FOREIGN_NONCE), 2);
    assert_int_equal(challenge(REST_ONLY, 0, &client, nonce), 0);
    assert_int_equal(hmacs_of_nonce(a, nonce, REASON_FOREIGN_NONCE), 2);
}

static void test_auth_check_no_old_secret_is_not_an_empty_one(void **state)
{
    /* Anybody can make nonces with an empty secret. */
    struct nonce_keys keys = {.origin = 7};
    uint8_t nonce[NONCE_LEN];
    const struct auth_realms realms = {STATIC_ONLY, 0};
    assert_int_equal(
        nonce_mint(nonce, &keys, crypto, slice_of("", 0), auth->realms[STATIC_ONLY].nonce_name,
            auth_realms_features(auth, &realms), &client, &now),
        0);
    assert_int_equal(
        hmacs_of_nonce(ask(STATIC_ONLY, "alice", "pass"), nonce, REASON_FOREIGN_NONCE), 1);
}

static bool worker_holds(const uint8_t key[32])
{
    return memmem(worker, sizeof(*worker), key, 32) != NULL;
}

/* "a retired key is refused and gone from memory", though no request comes that needs another. */
static void test_auth_check_keys_of_a_retired_secret_are_wiped(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    uint8_t nonce[NONCE_LEN], key[32] = {0};
    a.nonce = slice_of(nonce, NONCE_LEN);
    assert_int_equal(challenge(STATIC_ONLY, 0, &client, nonce), 0);
    for (size_t i = 0; i < NONCE_EPOCHS; i++)
        if (worker->nonce.keys.slot[i].valid)
            memcpy(key, worker->nonce.keys.slot[i].key, sizeof(key));
    assert_true(worker_holds(key));
    rotate("a new secret of the relay", "0123456789abcdef");
    auth_worker_forget(worker);
    assert_false(worker_holds(key));
    expect(a, AUTH_OK, REASON_NONE);
    assert_true(worker_holds(key));
    rotate("a new secret of the relay", NULL);
    auth_worker_forget(worker);
    assert_false(worker_holds(key));
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
}

static void revoke(enum revocation_kind kind, uint32_t realm, const char *id, int64_t until)
{
    struct revocation v = {.kind = (uint8_t)kind, .realm = realm, .until = until};
    v.id_len = (uint16_t)strlen(id);
    memcpy(v.id, id, strlen(id));
    assert_int_equal(auth_worker_revoke(worker, &v, &now), 0);
}

static void test_auth_check_revoked_refused_until_its_end(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    struct ask a = ask(BOTH, "alice", "pass"), r = rest("north", "1800003600:alice", password);
    revoke(REVOKE_USER, BOTH, "alice", NOW + 60);
    expect(a, AUTH_CHALLENGE, REASON_REVOKED);
    assert_false(judge(&a).guess);
    expect(r, AUTH_OK, REASON_NONE); /* another realm */
    a.password = "guess";
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD); /* only who proves it hears of it */
    a.password = "pass";
    revoke(REVOKE_USER, REST_ONLY, "alice", NOW + 60);
    expect(r, AUTH_CHALLENGE, REASON_REVOKED);
    now.wall_s += 60;
    expect(a, AUTH_OK, REASON_NONE);
    expect(r, AUTH_OK, REASON_NONE);
    revoke(REVOKE_SECRET, REST_ONLY, "new", NOW + 600);
    expect(r, AUTH_CHALLENGE, REASON_REVOKED);
    expect(rest("south", "1800003600:alice", password), AUTH_OK, REASON_NONE);
}

static void test_auth_check_revoked_live_refused(void **state)
{
    struct ask a = ask(BOTH, "alice", "pass");
    const struct auth_result r = judge(&a);
    struct identity live = r.identity;
    live.user = slice_of_string("alice");
    a.live = &live;
    a.live_key = &r.key;
    expect(a, AUTH_OK, REASON_NONE);
    revoke(REVOKE_USER, BOTH, "alice", NOW + 60);
    expect(a, AUTH_CHALLENGE, REASON_REVOKED);
}

static struct {
    unsigned calls;
    uint32_t realm;
    char account[64];
    bool answer;
} hook;

static bool may_guess(void *ctx, uint32_t realm, struct slice account)
{
    assert_ptr_equal(ctx, &hook);
    hook.calls++;
    hook.realm = realm;
    snprintf(
        hook.account, sizeof(hook.account), "%.*s", (int)account.len, (const char *)account.data);
    return hook.answer;
}

static struct auth_result judge_hooked(struct ask a, bool answer)
{
    write_request(&a);
    struct auth_request request = {.msg = &msg,
        .client = client,
        .realm = a.realm,
        .realms = a.realms,
        .may_guess = may_guess,
        .may_guess_ctx = &hook,
        .live = a.live,
        .live_key = a.live_key};
    struct auth_result r;
    memset(&hook, 0, sizeof(hook));
    hook.answer = answer;
    auth_check(auth, worker, &request, &now, &r);
    return r;
}

static void test_auth_check_guess_lockout_before_any_key_work(void **state)
{
    struct ask a = ask(BOTH, "alice", "pass");
    write_request(&a);
    const uint64_t before = crypto_hmac_count(crypto);
    struct auth_result r = judge_hooked(a, false);
    const uint64_t spent = crypto_hmac_count(crypto) - before;
    assert_int_equal(r.outcome, AUTH_SILENT);
    assert_int_equal(r.reason, REASON_GUESS_LOCKOUT);
    assert_int_equal(r.key.len, 0);
    assert_false(r.guess);
    assert_true(r.proven);
    assert_int_equal(hook.calls, 1);
    /* The nonce's making and judging, the request's integrity, and nothing else. */
    assert_int_equal(spent, 3);
    r = judge_hooked(a, true);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_int_equal(hook.calls, 1);
    assert_string_equal(hook.account, "alice");
    assert_int_equal(hook.realm, BOTH);
    /* Not asked for what proves nothing, names no realm, or is of a live allocation. */
    struct ask none = a;
    none.no_integrity = true;
    judge_hooked(none, false);
    assert_int_equal(hook.calls, 0);
    none = a;
    none.nonce = slice_of("obMatJos2", 9);
    assert_int_equal(judge_hooked(none, false).outcome, AUTH_STALE);
    assert_int_equal(hook.calls, 0);
    none = a;
    none.realm_name = "nowhere.example";
    assert_int_equal(judge_hooked(none, false).reason, REASON_REALM_DIFFERS);
    assert_int_equal(hook.calls, 0);
    struct identity live = r.identity;
    live.user = slice_of_string("alice");
    a.live = &live;
    a.live_key = &r.key;
    assert_int_equal(judge_hooked(a, false).outcome, AUTH_OK);
    a.password = "guess";
    r = judge_hooked(a, false);
    assert_int_equal(r.reason, REASON_WRONG_PASSWORD);
    assert_false(r.guess);
    assert_int_equal(hook.calls, 0);
}

static void test_auth_check_account_is_whom_guesses_are_counted_for(void **state)
{
    static const struct {
        uint32_t realm;
        const char *user, *account;
    } row[] = {{BOTH, "1800003600:carl", "carl"}, {BOTH, "1800003601:carl", "carl"},
        {BOTH, "1800003600", "1800003600"}, {BOTH, "1800003600:", "1800003600:"},
        {BOTH, "x:carl", "x:carl"}, {STATIC_ONLY, "1800003600:carl", "1800003600:carl"}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        const struct auth_result r = judge_hooked(ask(row[i].realm, row[i].user, "guess"), true);
        assert_string_equal(hook.account, row[i].account);
        assert_true(slice_equal(r.account, slice_of_string(row[i].account)));
        assert_int_equal(r.realm, row[i].realm);
        assert_true(r.guess);
    }
    struct ask hashed = ask(STATIC_ONLY, "alice", "guess");
    hashed.hashed = true;
    assert_int_equal(judge(&hashed).account.len, STUN_USERHASH_LEN);
}

static void test_auth_check_guess_is_what_a_guesser_gets_wrong(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
    static const char *const users[] = {"alice", "mallory", "", "1800050000:x", "mall\nory"};
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
        assert_true(judge_hooked(ask(BOTH, users[i], "guess"), true).guess);
    assert_true(judge_hooked(ask(SHA256_KEY, "frank", "pass"), true).guess);
    /* Who is genuine but late, or over the ceiling, guesses nothing. */
    struct auth_result r = judge_hooked(rest("north", "1700000000:x", password), true);
    assert_int_equal(r.reason, REASON_CREDENTIAL_EXPIRED);
    assert_int_equal(r.expired_s, NOW - 1700000000);
    assert_false(r.guess);
    r = judge_hooked(rest("north", "1900000000:x", password), true);
    assert_int_equal(r.reason, REASON_CREDENTIAL_LIFETIME);
    assert_int_equal(r.expired_s, 1900000000 - NOW - 2 * DAY);
    assert_false(r.guess);
    assert_false(judge_hooked(ask(BOTH, "alice", "pass"), true).guess);
}

static void test_auth_check_name_that_cannot_be_prepared_named(void **state)
{
    static const char *const names[] = {
        "a\tb", "\x7f", "\xff\xfe", "zero\xe2\x80\x8bwidth", "\xe2\x80\xa8", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        expect(ask(BOTH, names[i], "guess"), AUTH_CHALLENGE, REASON_NAME_NOT_PREPARABLE);
    /* What can be is unknown, prepared or not; and a hash is no name. */
    expect(ask(BOTH, "\xc3\xa5", "guess"), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    expect(ask(BOTH, "a\xcc\x8a", "guess"), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    struct ask hashed = ask(STATIC_ONLY, "mallory", "guess");
    hashed.hashed = true;
    expect(hashed, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(realms_that_the_listener_serves_may_be_named),
        TEST(realms_offer_what_all_of_them_have),
        TEST(nonce_is_of_the_home_realm_and_its_offer),
        TEST(removed_realm_only_goes_on_live),
        TEST(nonce_of_the_old_secret_accepted),
        TEST(every_foreign_nonce_costs_both_secrets),
        TEST(no_old_secret_is_not_an_empty_one),
        TEST(keys_of_a_retired_secret_are_wiped),
        TEST(revoked_refused_until_its_end),
        TEST(revoked_live_refused),
        TEST(guess_lockout_before_any_key_work),
        TEST(account_is_whom_guesses_are_counted_for),
        TEST(guess_is_what_a_guesser_gets_wrong),
        TEST(name_that_cannot_be_prepared_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
