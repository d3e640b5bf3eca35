/*
 * auth_check, request by request: the order of the checks, the bid-down matrix, both kinds of
 * names, live allocations, and the count of HMACs. THREATS rows 7, 8, 16, 17, 18.
 */
#include "auth/auth.h"
#include "auth/auth_internal.h"
#include "auth/long_term.h"
#include "wire/stun_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW 1800000000ll
#define DAY 86400ll

enum { BOTH, STATIC_ONLY, REST_ONLY, MD5_KEYS, SHA256_KEY }; /* realms */

static struct auth *auth;
static struct auth_worker *worker;
static struct crypto *crypto;
static struct instant now;
static struct addr client;
static const uint8_t our_offer[] = {0, 2, 0, 0, 0, 1, 0, 0};

/* What goes into a request; defaults are those of a well-behaved client. */
struct ask {
    uint32_t realm;
    const char *user, *realm_name, *password;
    struct slice name;  /* instead of `user` */
    struct slice nonce; /* instead of a fresh one */
    struct slice offer;
    uint16_t algorithm; /* 0: no PASSWORD-ALGORITHM */
    struct slice algorithm_bytes;
    bool hashed, both_names, no_name, no_realm, no_nonce, no_integrity, sha256_integrity, md5_key,
        name_after;
    const struct identity *live;
    const struct auth_key *live_key;
};

static uint8_t message[2048];
static struct stun_msg msg;
static uint8_t fresh_nonce[NONCE_LEN];

static struct secret clear(const char *text)
{
    struct secret s = {0};
    assert_int_equal(secret_set(&s, slice_of_string(text)), 0);
    return s;
}

static struct auth *build(bool sha256, const char *nonce_secret)
{
    struct auth_user_settings users[] = {{.name = (char *)"alice", .password = clear("pass")},
        {.name = (char *)"bob", .password = clear("word")},
        {.name = (char *)"1800050000:carol", .password = clear("clash")}};
    struct auth_user_settings stored[] = {{.name = (char *)"dave", .key_len = 16},
        {.name = (char *)"erin", .password = clear("pass")}};
    struct auth_user_settings stored256[] = {{.name = (char *)"frank", .key_len = 32}};
    struct crypto *c = crypto_new();
    struct auth_key key;
    const struct slice dave[] = {
        slice_of_string("dave"), slice_of_string("keys.example"), slice_of_string("pass")};
    assert_int_equal(long_term_key(&key, c, STUN_PASSWORD_MD5, dave), 0);
    memcpy(stored[0].key, key.bytes, 16);
    const struct slice frank[] = {
        slice_of_string("frank"), slice_of_string("sha.example"), slice_of_string("pass")};
    assert_int_equal(long_term_key(&key, c, STUN_PASSWORD_SHA256, frank), 0);
    memcpy(stored256[0].key, key.bytes, 32);
    crypto_free(c);
    struct auth_secret_settings secrets[] = {{.id = (char *)"new", .secret = clear("north")},
        {.id = (char *)"old", .secret = clear("south")}};
    struct auth_realm_settings realms[] = {[BOTH] = {.name = (char *)"both.example",
                                               .users = users,
                                               .user_count = 3,
                                               .secrets = secrets,
                                               .secret_count = 2},
        [STATIC_ONLY] = {.name = (char *)"static.example", .users = users, .user_count = 3},
        [REST_ONLY] = {.name = (char *)"rest.example", .secrets = secrets, .secret_count = 2},
        [MD5_KEYS] = {.name = (char *)"keys.example", .users = stored, .user_count = 2},
        [SHA256_KEY] = {.name = (char *)"sha.example", .users = stored256, .user_count = 1}};
    struct auth_settings settings = {.realms = realms,
        .realm_count = sha256 ? 5 : 4,
        .max_ttl_s = 2 * DAY,
        .nonce_lifetime_s = 600,
        .password_sha256 = sha256,
        .nonce_secret = clear(nonce_secret)};
    char error[200];
    struct auth *a = auth_new(&settings, error, sizeof(error));
    if (!a)
        print_error("%s\n", error);
    for (int i = 0; i < 3; i++)
        secret_wipe(&users[i].password);
    secret_wipe(&stored[1].password);
    secret_wipe(&secrets[0].secret);
    secret_wipe(&secrets[1].secret);
    secret_wipe(&settings.nonce_secret);
    return a;
}

static int setup(void **state)
{
    crypto = crypto_new();
    worker = auth_worker_new(crypto);
    auth = build(true, "0123456789abcdef");
    now = (struct instant){.mono_us = 1, .wall_s = NOW};
    client = addr_ipv4(192, 0, 2, 7, 40000);
    return auth && worker ? 0 : -1;
}

static int teardown(void **state)
{
    auth_free(auth);
    auth_worker_free(worker);
    crypto_free(crypto);
    return 0;
}

static struct ask ask(uint32_t realm, const char *user, const char *password)
{
    static const char *const names[] = {
        "both.example", "static.example", "rest.example", "keys.example", "sha.example"};
    return (struct ask){
        .realm = realm, .user = user, .realm_name = names[realm], .password = password};
}

static struct ask with_sha256(struct ask a)
{
    a.offer = slice_of(our_offer, sizeof(our_offer));
    a.algorithm = STUN_PASSWORD_SHA256;
    a.sha256_integrity = true;
    return a;
}

static struct slice write_name(const struct ask *a, uint8_t hash[STUN_USERHASH_LEN])
{
    if (a->name.data)
        return a->name;
    if (!a->hashed)
        return slice_of_string(a->user);
    assert_int_equal(
        long_term_userhash(hash, crypto, slice_of_string(a->user), slice_of_string(a->realm_name)),
        0);
    return slice_of(hash, STUN_USERHASH_LEN);
}

static void write_credentials(struct stun_writer *s, const struct ask *a)
{
    uint8_t hash[STUN_USERHASH_LEN];
    struct slice name = write_name(a, hash);
    if (!a->no_name)
        stun_write_attr(s, a->hashed ? STUN_ATTR_USERHASH : STUN_ATTR_USERNAME, name);
    if (a->both_names)
        stun_write_attr(s, a->hashed ? STUN_ATTR_USERNAME : STUN_ATTR_USERHASH, name);
    if (!a->no_realm)
        stun_write_attr(s, STUN_ATTR_REALM, slice_of_string(a->realm_name));
    assert_int_equal(auth_challenge_nonce(auth, worker, a->realm, &client, &now, fresh_nonce), 0);
    if (!a->no_nonce)
        stun_write_attr(
            s, STUN_ATTR_NONCE, a->nonce.data ? a->nonce : slice_of(fresh_nonce, NONCE_LEN));
    if (a->offer.data)
        stun_write_attr(s, STUN_ATTR_PASSWORD_ALGORITHMS, a->offer);
    if (a->algorithm)
        stun_write_u32(s, STUN_ATTR_PASSWORD_ALGORITHM, (uint32_t)a->algorithm << 16);
    if (a->algorithm_bytes.data)
        stun_write_attr(s, STUN_ATTR_PASSWORD_ALGORITHM, a->algorithm_bytes);
}

static void write_request(const struct ask *a)
{
    static const uint8_t transaction[STUN_TRANSACTION_LEN] = {
        0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    struct stun_writer s;
    stun_write_begin(&s, message, sizeof(message), STUN_REQUEST, STUN_ALLOCATE, transaction);
    write_credentials(&s, a);
    struct auth_key key;
    const struct slice parts[] = {slice_of_string(a->user ? a->user : ""),
        slice_of_string(a->realm_name), slice_of_string(a->password ? a->password : "")};
    bool sha256 = a->algorithm == STUN_PASSWORD_SHA256 && !a->md5_key;
    assert_int_equal(
        long_term_key(&key, crypto, sha256 ? STUN_PASSWORD_SHA256 : STUN_PASSWORD_MD5, parts), 0);
    if (!a->no_integrity)
        stun_write_integrity(&s, crypto, slice_of(key.bytes, key.len), a->sha256_integrity);
    if (a->name_after)
        stun_write_attr(&s, STUN_ATTR_USERNAME, slice_of_string(a->user));
    size_t len = stun_write_end(&s);
    assert_int_not_equal(len, 0);
    assert_int_equal(stun_parse(&msg, slice_of(message, len)), REASON_NONE);
}

static struct auth_result judge(const struct ask *a)
{
    write_request(a);
    struct auth_request request = {
        .msg = &msg, .client = client, .realm = a->realm, .live = a->live, .live_key = a->live_key};
    struct auth_result result;
    memset(&result, 0xa5, sizeof(result));
    auth_check(auth, worker, &request, &now, &result);
    return result;
}

static void expect(struct ask a, enum auth_outcome outcome, enum reason reason)
{
    struct auth_result r = judge(&a);
    if (r.reason != reason)
        print_error("%s: reason %s, not %s\n", a.user ? a.user : "?", reason_name(r.reason),
            reason_name(reason));
    assert_int_equal(r.reason, reason);
    assert_int_equal(r.outcome, outcome);
    if (outcome == AUTH_OK)
        return;
    /* A refused request leaves nothing to act on. */
    assert_int_equal(r.key.len, 0);
    assert_int_equal(r.identity.source, AUTH_SOURCE_NONE);
    assert_int_equal(r.identity.user.len, 0);
}

static struct ask rest(const char *secret, const char *user, char password[29])
{
    assert_int_equal(
        auth_rest_password(crypto, slice_of_string(secret), slice_of_string(user), password), 0);
    return ask(REST_ONLY, user, password);
}

static void test_auth_check_no_integrity_challenged(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    a.no_integrity = true;
    expect(a, AUTH_CHALLENGE, REASON_NO_INTEGRITY);
    a.no_name = a.no_realm = a.no_nonce = true;
    expect(a, AUTH_CHALLENGE, REASON_NO_INTEGRITY);
    assert_false(judge(&a).proven);
}

static void test_auth_check_attribute_missing_bad(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct ask a = ask(STATIC_ONLY, "alice", "pass");
        a.no_name = i == 0;
        a.no_realm = i == 1;
        a.no_nonce = i == 2;
        expect(a, AUTH_BAD, REASON_MISSING_CREDENTIAL_ATTRIBUTE);
        assert_false(judge(&a).proven);
    }
}

static void test_auth_check_name_behind_integrity_missing(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    a.no_name = a.name_after = true;
    expect(a, AUTH_BAD, REASON_MISSING_CREDENTIAL_ATTRIBUTE);
}

static void test_auth_check_both_names_bad(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    a.both_names = true;
    expect(a, AUTH_BAD, REASON_CONFLICTING_ATTRIBUTES);
    a.hashed = true;
    expect(a, AUTH_BAD, REASON_CONFLICTING_ATTRIBUTES);
}

static void test_auth_check_lengths_over_maximum_bad(void **state)
{
    static uint8_t text[800];
    memset(text, 'x', sizeof(text));
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    a.name = slice_of(text, 508);
    expect(a, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    a.name = slice_of(text, 509);
    expect(a, AUTH_BAD, REASON_CREDENTIAL_MALFORMED);
    a.hashed = true;
    static const size_t lengths[] = {0, 31, 33, 508};
    for (int i = 0; i < 4; i++) {
        a.name = slice_of(text, lengths[i]);
        expect(a, AUTH_BAD, REASON_CREDENTIAL_MALFORMED);
    }
    a = ask(STATIC_ONLY, "alice", "pass");
    a.nonce = slice_of(text, 763);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
    a.nonce = slice_of(text, 764);
    expect(a, AUTH_BAD, REASON_CREDENTIAL_MALFORMED);
    a = ask(STATIC_ONLY, "alice", "pass");
    static char realm[765];
    memset(realm, 'x', 764);
    a.realm_name = realm;
    expect(a, AUTH_BAD, REASON_CREDENTIAL_MALFORMED);
    realm[763] = '\0';
    expect(a, AUTH_CHALLENGE, REASON_REALM_DIFFERS);
}

static void test_auth_check_nonce_foreign_stale_not_proven(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    uint8_t nonce[NONCE_LEN];
    struct addr elsewhere = client;
    elsewhere.port++;
    assert_int_equal(auth_challenge_nonce(auth, worker, STATIC_ONLY, &elsewhere, &now, nonce), 0);
    a.nonce = slice_of(nonce, NONCE_LEN);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
    assert_false(judge(&a).proven);
    assert_int_equal(auth_challenge_nonce(auth, worker, REST_ONLY, &client, &now, nonce), 0);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
    assert_int_equal(auth_challenge_nonce(auth, worker, STATIC_ONLY, &client, &now, nonce), 0);
    expect(a, AUTH_OK, REASON_NONE);
    now.wall_s += 601;
    expect(a, AUTH_STALE, REASON_STALE_NONCE);
    assert_false(judge(&a).proven);
    a.nonce = slice_of("", 0);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
}

static void test_auth_check_bad_nonce_costs_one_hmac_whatever_the_password(void **state)
{
    uint8_t nonce[NONCE_LEN];
    assert_int_equal(auth_challenge_nonce(auth, worker, BOTH, &client, &now, nonce), 0);
    now.wall_s += 601;
    struct ask a = ask(BOTH, "alice", "pass");
    a.nonce = slice_of(nonce, NONCE_LEN);
    write_request(&a);
    uint64_t before = crypto_hmac_count(crypto);
    struct auth_request request = {.msg = &msg, .client = client, .realm = BOTH};
    struct auth_result r;
    auth_check(auth, worker, &request, &now, &r);
    assert_int_equal(r.reason, REASON_STALE_NONCE);
    assert_int_equal(crypto_hmac_count(crypto) - before, 1);
}

static void test_auth_check_reload_changed_secret_or_offer_stale(void **state)
{
    uint8_t nonce[NONCE_LEN];
    assert_int_equal(auth_challenge_nonce(auth, worker, STATIC_ONLY, &client, &now, nonce), 0);
    auth_free(auth);
    auth = build(false, "0123456789abcdef");
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    expect(a, AUTH_OK, REASON_NONE);
    a.nonce = slice_of(nonce, NONCE_LEN);
    expect(a, AUTH_STALE, REASON_STALE_NONCE);
    assert_false(judge(&a).proven);
    auth_free(auth);
    auth = build(true, "another secret of the relay");
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
    a.nonce = (struct slice){0};
    expect(a, AUTH_OK, REASON_NONE);
}

static void test_auth_check_realm_differs_challenged_proven(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    static const char *const other[] = {
        "", "static.exampl", "static.example.", "STATIC.example", "both.example"};
    for (int i = 0; i < 5; i++) {
        a.realm_name = other[i];
        expect(a, AUTH_CHALLENGE, REASON_REALM_DIFFERS);
        assert_true(judge(&a).proven);
    }
}

static void test_auth_check_static_user_right_password_ok(void **state)
{
    static const uint32_t realms[] = {STATIC_ONLY, BOTH};
    for (int i = 0; i < 2; i++) {
        struct ask a = ask(realms[i], "alice", "pass");
        struct auth_result r = judge(&a);
        assert_int_equal(r.outcome, AUTH_OK);
        assert_int_equal(r.reason, REASON_NONE);
        assert_true(r.proven);
        assert_false(r.sign_sha256);
        assert_int_equal(r.identity.realm, realms[i]);
        assert_int_equal(r.identity.source, AUTH_SOURCE_STATIC);
        assert_true(slice_equal(r.identity.user, slice_of_string("alice")));
        assert_true(
            r.identity.user.data > message && r.identity.user.data < message + sizeof(message));
        assert_string_equal(r.identity.credential, "");
        assert_int_equal(r.identity.expires_at, 0);
        assert_int_equal(r.key.len, 16);
        r = (a = with_sha256(a), judge(&a));
        assert_int_equal(r.outcome, AUTH_OK);
        assert_int_equal(r.key.len, 32);
        assert_true(r.sign_sha256);
    }
}

static void test_auth_check_wrong_password_or_user_same_challenge(void **state)
{
    struct ask wrong = ask(STATIC_ONLY, "alice", "word"),
               unknown = ask(STATIC_ONLY, "mallory", "pass");
    expect(wrong, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    expect(unknown, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    expect(ask(STATIC_ONLY, "Alice", "pass"), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    expect(ask(STATIC_ONLY, "", "pass"), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    /* But for the reason, which stays here, the results are the same. */
    struct auth_result a = judge(&wrong), b = judge(&unknown);
    a.reason = b.reason;
    assert_memory_equal(&a, &b, sizeof(a));
    assert_true(a.proven);
}

static void test_auth_check_userhash_ok_where_offered(void **state)
{
    struct ask a = ask(STATIC_ONLY, "bob", "word");
    a.hashed = true;
    struct auth_result r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_true(slice_equal(r.identity.user, slice_of_string("bob")));
    assert_false(
        r.identity.user.data > message && r.identity.user.data < message + sizeof(message));
    a = with_sha256(a);
    expect(a, AUTH_OK, REASON_NONE);
    a.password = "pass";
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    a.user = "mallory";
    expect(a, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    /* Not offered where REST names cannot be enumerated. */
    a = ask(BOTH, "bob", "word");
    a.hashed = true;
    expect(a, AUTH_CHALLENGE, REASON_UNKNOWN_USER);
}

static void test_auth_check_password_algorithms_bid_down_matrix(void **state)
{
    static const uint8_t swapped[] = {0, 1, 0, 0, 0, 2, 0, 0}, md5_only[] = {0, 1, 0, 0},
                         longer[] = {0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0},
                         parameters[] = {0, 2, 0, 4, 1, 2, 3, 4}, none[] = {0};
    const struct slice ours = slice_of(our_offer, sizeof(our_offer)), absent = {0};
    static const struct {
        const uint8_t *offer;
        size_t len;
        uint16_t algorithm;
    } bad[] = {{NULL, 0, 1}, {NULL, 0, 2}, {our_offer, 8, 0}, {swapped, 8, 1}, {swapped, 8, 2},
        {md5_only, 4, 1}, {md5_only, 4, 2}, {longer, 12, 2}, {our_offer, 4, 2}, {our_offer, 7, 2},
        {none, 0, 1}, {our_offer, 8, 3}, {our_offer, 8, 0xffff}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ask a = ask(STATIC_ONLY, "alice", "pass");
        a.offer = slice_of(bad[i].offer, bad[i].len);
        a.algorithm = bad[i].algorithm;
        expect(a, AUTH_BAD, REASON_BID_DOWN);
    }
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    a.offer = ours;
    a.algorithm_bytes = slice_of(parameters, sizeof(parameters));
    expect(a, AUTH_BAD, REASON_BID_DOWN);
    a.algorithm_bytes = slice_of(our_offer, 2);
    expect(a, AUTH_BAD, REASON_BID_DOWN);
    a.algorithm_bytes = absent;

    for (uint16_t algorithm = STUN_PASSWORD_MD5; algorithm <= STUN_PASSWORD_SHA256; algorithm++) {
        a.algorithm = algorithm;
        for (int integrity = 0; integrity < 2; integrity++) {
            a.sha256_integrity = integrity;
            struct auth_result r = judge(&a);
            assert_int_equal(r.outcome, AUTH_OK);
            assert_true(r.sign_sha256);
            assert_int_equal(r.key.len, algorithm == STUN_PASSWORD_SHA256 ? 32 : 16);
        }
    }
    /* The pair is honest but the key is of the other algorithm: a wrong password. */
    a.algorithm = STUN_PASSWORD_SHA256;
    a.md5_key = true;
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
}

static void test_auth_check_feature_bit_cleared_by_attacker_refused(void **state)
{
    uint8_t nonce[NONCE_LEN];
    assert_int_equal(auth_challenge_nonce(auth, worker, STATIC_ONLY, &client, &now, nonce), 0);
    assert_memory_equal(nonce + 9, "wAAA", 4);
    memcpy(nonce + 9, "AAAA", 4);
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    a.nonce = slice_of(nonce, NONCE_LEN);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
}

static void test_auth_check_without_offer_algorithm_ignored(void **state)
{
    expect(ask(MD5_KEYS, "dave", "pass"), AUTH_OK, REASON_NONE);
    expect(ask(MD5_KEYS, "erin", "pass"), AUTH_OK, REASON_NONE);
    expect(ask(MD5_KEYS, "dave", "word"), AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    struct ask a = ask(MD5_KEYS, "dave", "pass");
    a.algorithm = STUN_PASSWORD_SHA256; /* nonsense: nothing was offered */
    a.md5_key = true;
    struct auth_result r = judge(&a);
    assert_int_equal(r.outcome, AUTH_OK);
    assert_int_equal(r.key.len, 16);
    assert_true(r.sign_sha256);
    a.md5_key = false;
    expect(a, AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
}

static void test_auth_check_stored_sha256_key_allows_sha256_only(void **state)
{
    expect(with_sha256(ask(SHA256_KEY, "frank", "pass")), AUTH_OK, REASON_NONE);
    expect(ask(SHA256_KEY, "frank", "pass"), AUTH_CHALLENGE, REASON_NOT_APPROVED);
}

static void test_auth_check_rest_any_of_the_secrets_ok(void **state)
{
    char password[29];
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
    expect(rest("east", "1800003600:alice", password), AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    /* A genuine password under a name that says no time. */
    expect(rest("north", "alice", password), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
    expect(rest("north", "", password), AUTH_CHALLENGE, REASON_UNKNOWN_USER);
}

static void test_auth_check_rest_expiry_judged_only_if_genuine(void **state)
{
    char password[29], user[40];
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
        expect(rest("east", user, password), AUTH_CHALLENGE, REASON_WRONG_PASSWORD);
    }
}

static void test_auth_check_static_name_in_rest_form_is_static(void **state)
{
    char password[29];
    expect(ask(BOTH, "1800050000:carol", "clash"), AUTH_OK, REASON_NONE);
    assert_int_equal(auth_rest_password(crypto, slice_of_string("north"),
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
        {"", "wrong", REASON_UNKNOWN_USER}, {"1800003600:x", "wrong", REASON_WRONG_PASSWORD},
        {"1800050000:carol", "wrong", REASON_WRONG_PASSWORD},
        {"1:x", "wrong", REASON_WRONG_PASSWORD}, {"9999999999999:x", "wrong", REASON_UNKNOWN_USER}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        /* The nonce, the static source, and for each of the two secrets the password and the
         * integrity. */
        assert_int_equal(
            cost_of(ask(BOTH, row[i].user, row[i].password), row[i].reason), 1 + 1 + 2 * 2);
        assert_int_equal(
            cost_of(with_sha256(ask(BOTH, row[i].user, row[i].password)), row[i].reason), 6);
    }
    static const uint32_t without_static[] = {REST_ONLY};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        enum reason reason = i == 0 ? REASON_UNKNOWN_USER : row[i].reason;
        assert_int_equal(cost_of(ask(without_static[0], row[i].user, row[i].password), reason), 6);
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
    char password[29];
    assert_int_equal(cost_of(ask(BOTH, "alice", "pass"), REASON_NONE), 2);
    assert_int_equal(cost_of(rest("north", "1800003600:x", password), REASON_NONE), 3);
    assert_int_equal(cost_of(rest("south", "1800003600:x", password), REASON_NONE), 5);
}

/* An allocation of a REST user, made while the credential was good. */
static void go_live(struct identity *live, struct auth_key *key, char password[29], bool sha256)
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
    char password[29];
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
    char password[29], other[29];
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
    char password[29], other[29];
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

static void test_auth_check_flipped_bit_anywhere_never_ok(void **state)
{
    char password[29];
    struct ask a = with_sha256(rest("north", "1800003600:x", password));
    write_request(&a);
    const size_t len = msg.bytes.len;
    struct auth_request request = {.msg = &msg, .client = client, .realm = REST_ONLY};
    struct auth_result r;
    auth_check(auth, worker, &request, &now, &r);
    assert_int_equal(r.outcome, AUTH_OK);
    unsigned judged = 0;
    for (size_t bit = 0; bit < len * 8; bit++) {
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (stun_parse(&msg, slice_of(message, len)) == REASON_NONE) {
            auth_check(auth, worker, &request, &now, &r);
            if (r.outcome == AUTH_OK)
                print_error("bit %zu\n", bit);
            assert_int_not_equal(r.outcome, AUTH_OK);
            judged++;
        }
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(judged > len * 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_auth_check_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_integrity_challenged),
        TEST(attribute_missing_bad),
        TEST(name_behind_integrity_missing),
        TEST(both_names_bad),
        TEST(lengths_over_maximum_bad),
        TEST(nonce_foreign_stale_not_proven),
        TEST(bad_nonce_costs_one_hmac_whatever_the_password),
        TEST(reload_changed_secret_or_offer_stale),
        TEST(realm_differs_challenged_proven),
        TEST(static_user_right_password_ok),
        TEST(wrong_password_or_user_same_challenge),
        TEST(userhash_ok_where_offered),
        TEST(password_algorithms_bid_down_matrix),
        TEST(feature_bit_cleared_by_attacker_refused),
        TEST(without_offer_algorithm_ignored),
        TEST(stored_sha256_key_allows_sha256_only),
        TEST(rest_any_of_the_secrets_ok),
        TEST(rest_expiry_judged_only_if_genuine),
        TEST(static_name_in_rest_form_is_static),
        TEST(refused_costs_the_same_for_any_name),
        TEST(right_password_costs_no_more_than_needed),
        TEST(live_allocation_goes_on_after_expiry),
        TEST(live_allocation_other_key_no_fallback),
        TEST(live_allocation_other_algorithm_or_user_ordinary),
        TEST(live_allocation_userhash_matches),
        TEST(flipped_bit_anywhere_never_ok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
