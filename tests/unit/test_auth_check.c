/*
 * auth_check, request by request: the order of the checks, the bid-down matrix, both kinds of
 * names. THREATS rows 7, 16, 17. What REST, live allocations and refusals cost:
 * test_auth_sources.c.
 */
#include "tests/unit/auth_ask.h"

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

/* The first bytes of a right MESSAGE-INTEGRITY-SHA256 verify, and are refused all the same. */
static void test_auth_check_truncated_sha256_bad(void **state)
{
    struct ask a = with_sha256(ask(STATIC_ONLY, "alice", "pass"));
    expect(a, AUTH_OK, REASON_NONE);
    for (uint8_t cut = 4; cut <= 16; cut += 4) {
        write_request(&a);
        size_t len = msg.bytes.len - cut;
        struct auth_key key;
        const struct slice parts[] = {
            slice_of_string("alice"), slice_of_string("static.example"), slice_of_string("pass")};
        uint8_t *tag = message + msg.integrity256_offset + 4, full[CRYPTO_SHA256_LEN];
        message[2] = (uint8_t)((len - STUN_HEADER_LEN) >> 8);
        message[3] = (uint8_t)(len - STUN_HEADER_LEN);
        tag[-1] = (uint8_t)(CRYPTO_SHA256_LEN - cut);
        const struct slice covered = slice_of(message, msg.integrity256_offset);
        assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_SHA256, parts), 0);
        assert_int_equal(
            crypto_hmac(crypto, CRYPTO_SHA256, slice_of(key.bytes, key.len), &covered, 1, full), 0);
        memcpy(tag, full, CRYPTO_SHA256_LEN - cut);
        assert_int_equal(stun_parse(&msg, slice_of(message, len)), REASON_NONE);
        assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of(key.bytes, key.len)), 0);
        struct auth_request request = {.msg = &msg, .client = client, .realm = STATIC_ONLY};
        struct auth_result result;
        auth_check(auth, worker, &request, &now, &result);
        assert_int_equal(result.outcome, AUTH_BAD);
        assert_int_equal(result.reason, REASON_CREDENTIAL_MALFORMED);
    }
}

static void test_auth_check_nonce_foreign_stale_not_proven(void **state)
{
    struct ask a = ask(STATIC_ONLY, "alice", "pass");
    uint8_t nonce[NONCE_LEN];
    struct addr elsewhere = client;
    elsewhere.port++;
    assert_int_equal(challenge(STATIC_ONLY, 0, &elsewhere, nonce), 0);
    a.nonce = slice_of(nonce, NONCE_LEN);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
    assert_false(judge(&a).proven);
    assert_int_equal(challenge(REST_ONLY, 0, &client, nonce), 0);
    expect(a, AUTH_STALE, REASON_FOREIGN_NONCE);
    assert_int_equal(challenge(STATIC_ONLY, 0, &client, nonce), 0);
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
    assert_int_equal(challenge(BOTH, 0, &client, nonce), 0);
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
    assert_int_equal(challenge(STATIC_ONLY, 0, &client, nonce), 0);
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
    expect(ask(STATIC_ONLY, "", "pass"), AUTH_CHALLENGE, REASON_NAME_NOT_PREPARABLE);
    /* But for the reason and the name, which stay here, the results are the same. */
    struct auth_result a = judge(&wrong), b = judge(&unknown);
    a.reason = b.reason;
    a.account = b.account;
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

    for (int algorithm = STUN_PASSWORD_MD5; algorithm <= STUN_PASSWORD_SHA256; algorithm++) {
        a.algorithm = (uint16_t)algorithm;
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
    assert_int_equal(challenge(STATIC_ONLY, 0, &client, nonce), 0);
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

static void test_auth_check_flipped_bit_anywhere_never_ok(void **state)
{
    char password[AUTH_REST_PASSWORD_MAX + 1];
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_integrity_challenged),
        TEST(attribute_missing_bad),
        TEST(name_behind_integrity_missing),
        TEST(both_names_bad),
        TEST(lengths_over_maximum_bad),
        TEST(truncated_sha256_bad),
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
        TEST(flipped_bit_anywhere_never_ok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
