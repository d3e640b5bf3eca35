/* Requests with access tokens, judged: every refusal by its reason, live allocations, keys from the
 * store, and the same work for whatever is wrong. THREATS rows 8 and 10. */
#include "auth/auth.h"
#include "auth/oauth.h"
#include "wire/stun_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW 1800000000ll
#define DAY 86400ll

enum { TOKENS, PLAIN, STORE }; /* realms */

#define KEY_NORTH "0123456789abcdef0123456789abcdef"
#define KEY_SOUTH "fedcba9876543210"

static struct auth *auth;
static struct auth_worker *worker;
static struct crypto *crypto;
static struct instant now;
static const struct store_oauth_key north = {.key = KEY_NORTH, .key_len = 32};
static const struct store_oauth_key south = {
    .key = KEY_SOUTH, .key_len = 16, .algorithm = AUTH_OAUTH_A128GCM};

static struct secret clear(const char *text)
{
    struct secret s = {0};
    assert_int_equal(secret_set(&s, slice_of_string(text)), 0);
    return s;
}

static int setup(void **state)
{
    struct auth_user_settings users[] = {{.name = (char *)"north", .password = clear("pass")}};
    struct auth_oauth_key_settings keys[] = {
        {.kid = (char *)"north", .key = clear(KEY_NORTH)}, {.kid = (char *)"south",
                                                               .algorithm = AUTH_OAUTH_A128GCM,
                                                               .key = clear(KEY_SOUTH),
                                                               .not_before = NOW - 100,
                                                               .not_after = NOW + 100}};
    struct auth_realm_settings realms[] = {[TOKENS] = {.name = (char *)"tokens.example",
                                               .oauth_server_name = (char *)"turn.example",
                                               .oauth_keys = keys,
                                               .oauth_key_count = 2},
        [PLAIN] = {.name = (char *)"plain.example", .users = users, .user_count = 1},
        [STORE] = {.name = (char *)"store.example",
            .users = users,
            .user_count = 1,
            .oauth_server_name = (char *)"turn.example",
            .store_oauth_keys = true}};
    struct auth_settings settings = {.realms = realms,
        .realm_count = 3,
        .max_ttl_s = 2 * DAY,
        .nonce_lifetime_s = 600,
        .password_sha256 = true,
        .nonce_secret = clear("0123456789abcdef"),
        .key_ttl_s = 60,
        .key_negative_ttl_s = 5,
        .key_stale_s = 600};
    char error[200] = "";
    crypto = crypto_new();
    worker = auth_worker_new(crypto, 7);
    auth = auth_new(&settings, error, sizeof(error));
    if (!auth)
        print_error("%s\n", error);
    secret_wipe(&users[0].password);
    secret_wipe(&keys[0].key);
    secret_wipe(&keys[1].key);
    secret_wipe(&settings.nonce_secret);
    now = (struct instant){.mono_us = 1, .wall_s = NOW};
    return auth && worker ? 0 : -1;
}

static int teardown(void **state)
{
    auth_free(auth);
    auth_worker_free(worker);
    crypto_free(crypto);
    return 0;
}

/* How a request differs from that of a well-behaved client with a fresh token of `north`. */
struct ask {
    uint32_t realm;
    const char *kid, *realm_name;
    const struct store_oauth_key *key; /* the token's */
    const char *server_name;
    int64_t issued; /* after NOW */
    uint32_t lifetime;
    uint8_t serial; /* of the mac_key: another token */
    bool no_token, wrong_mac_key, cut_mac_key, forged, sha256, asked, hashed;
    struct slice raw; /* instead of the token */
    const struct identity *live;
    const struct auth_key *live_key;
};

static struct oauth_token token;
static struct auth_key mac_key;

static struct ask ask(uint32_t realm, const char *kid)
{
    static const char *const names[] = {"tokens.example", "plain.example", "store.example"};
    return (struct ask){.realm = realm,
        .kid = kid,
        .realm_name = names[realm],
        .key = kid[0] == 's' ? &south : &north,
        .server_name = "turn.example",
        .lifetime = 3600,
        .serial = 1};
}

static struct slice make_token(const struct ask *a)
{
    struct oauth_claims claims = {
        .timestamp = (uint64_t)(NOW + a->issued) << 16, .lifetime_s = a->lifetime};
    const struct oauth_seal seal = {crypto, a->key, slice_of_string(a->server_name)};
    const uint8_t nonce[OAUTH_NONCE_LEN] = {a->serial};
    claims.mac_key.len = 20;
    memset(claims.mac_key.bytes, a->serial, 20);
    assert_int_equal(oauth_token_seal(&seal, &claims, nonce, &token), 0);
    mac_key = claims.mac_key;
    token.bytes[token.len - 1] ^= a->forged;
    return a->raw.data ? a->raw : slice_of(token.bytes, token.len);
}

static uint8_t message[70000];
static struct stun_msg msg;
static unsigned guesses_asked;
static size_t asked_len; /* of the account that it was asked for */
static bool may_try;     /* what the hook says */

static bool may_guess(void *ctx, uint32_t realm, struct slice account)
{
    guesses_asked++;
    asked_len = account.len;
    return may_try;
}

static void write_request(const struct ask *a)
{
    static const uint8_t transaction[STUN_TRANSACTION_LEN] = {0x21, 0x12, 0xa4, 0x42, 1, 2, 3};
    const struct addr client = addr_ipv4(192, 0, 2, 7, 40000);
    uint8_t nonce[NONCE_LEN], hash[STUN_USERHASH_LEN] = {0};
    struct stun_writer s;
    stun_write_begin(&s, message, sizeof(message), STUN_REQUEST, STUN_ALLOCATE, transaction);
    const struct slice bytes = make_token(a);
    if (!a->no_token)
        stun_write_attr(&s, STUN_ATTR_ACCESS_TOKEN, bytes);
    if (a->hashed)
        stun_write_attr(&s, STUN_ATTR_USERHASH, slice_of(hash, sizeof(hash)));
    else
        stun_write_attr(&s, STUN_ATTR_USERNAME, slice_of_string(a->kid));
    stun_write_attr(&s, STUN_ATTR_REALM, slice_of_string(a->realm_name));
    assert_int_equal(auth_challenge_nonce(
                         auth, worker, &(struct auth_realms){a->realm, 0}, &client, &now, nonce),
        0);
    stun_write_attr(&s, STUN_ATTR_NONCE, slice_of(nonce, sizeof(nonce)));
    struct auth_key key = mac_key;
    key.bytes[0] ^= a->wrong_mac_key;
    if (a->cut_mac_key)
        key.len = 16;
    stun_write_integrity(&s, crypto, slice_of(key.bytes, key.len), a->sha256);
    const size_t len = stun_write_end(&s);
    assert_int_not_equal(len, 0);
    assert_int_equal(stun_parse(&msg, slice_of(message, len)), REASON_NONE);
}

static struct auth_result judge(const struct ask *a)
{
    write_request(a);
    struct auth_request request = {.msg = &msg,
        .client = addr_ipv4(192, 0, 2, 7, 40000),
        .realm = a->realm,
        .asked = a->asked,
        .may_guess = may_guess,
        .live = a->live,
        .live_key = a->live_key};
    struct auth_result result;
    memset(&result, 0xa5, sizeof(result));
    guesses_asked = 0;
    auth_check(auth, worker, &request, &now, &result);
    return result;
}

static struct auth_result expect(struct ask a, enum auth_outcome outcome, enum reason reason)
{
    struct auth_result r = judge(&a);
    if (r.reason != reason)
        print_error("%s: reason %s, not %s\n", a.kid, reason_name(r.reason), reason_name(reason));
    assert_int_equal(r.reason, reason);
    assert_int_equal(r.outcome, outcome);
    if (outcome != AUTH_OK) {
        assert_int_equal(r.key.len, 0);
        assert_int_equal(r.identity.source, AUTH_SOURCE_NONE);
        assert_int_equal(r.identity.user.len, 0);
        assert_false(r.renews);
    }
    return r;
}

static struct auth_result accepted(struct ask a)
{
    return expect(a, AUTH_OK, REASON_NONE);
}

static void refused(struct ask a, enum reason reason)
{
    const struct auth_result r = expect(a, AUTH_CHALLENGE, reason);
    assert_false(r.guess);
    assert_int_equal(guesses_asked, 0);
}

static void test_oauth_check_valid_token_is_accepted_until_it_ends(void **state)
{
    char id[OAUTH_ID_LEN + 1];
    struct ask a = ask(TOKENS, "north");
    a.issued = -600;
    struct auth_result r = accepted(a);
    assert_int_equal(r.identity.source, AUTH_SOURCE_OAUTH);
    assert_int_equal(r.identity.realm, TOKENS);
    assert_true(slice_equal(r.identity.user, slice_of_string("north")));
    assert_int_equal(oauth_token_id(crypto, slice_of(token.bytes, token.len), id), 0);
    assert_string_equal(r.identity.credential, id);
    assert_true(slice_equal(identity_account(&r.identity), slice_of_string(id)));
    assert_int_equal(r.identity.expires_at, NOW - 600 + 3600 + 5);
    assert_int_equal(r.key.len, 20);
    assert_memory_equal(r.key.bytes, mac_key.bytes, 20);
    assert_false(r.renews);
    assert_int_equal(guesses_asked, 0);
    accepted(ask(TOKENS, "south"));
    a.sha256 = true;
    accepted(a);
}

static void test_oauth_check_wrong_tokens_are_refused_by_reason(void **state)
{
    struct ask a = ask(TOKENS, "nobody");
    refused(a, REASON_KID_UNKNOWN);
    a = ask(TOKENS, "north");
    a.key = &south; /* somebody else's key */
    refused(a, REASON_TOKEN_INVALID);
    a = ask(TOKENS, "north");
    a.server_name = "turn2.example";
    refused(a, REASON_TOKEN_INVALID);
    a = ask(TOKENS, "north");
    a.forged = true;
    refused(a, REASON_TOKEN_INVALID);
    a = ask(TOKENS, "north");
    a.wrong_mac_key = true;
    refused(a, REASON_WRONG_PASSWORD);
    a = ask(TOKENS, "north");
    a.raw = slice_of("x", 1);
    refused(a, REASON_TOKEN_INVALID);
    a.raw = slice_of("", 0);
    refused(a, REASON_TOKEN_INVALID);
    a = ask(TOKENS, "");
    refused(a, REASON_KID_UNKNOWN);
    a = ask(TOKENS, "north");
    a.hashed = true;
    refused(a, REASON_KID_UNKNOWN);
}

static void test_oauth_check_time_of_token_and_key_is_judged(void **state)
{
    struct ask a = ask(TOKENS, "north");
    a.issued = -3605;
    struct auth_result r = expect(a, AUTH_CHALLENGE, REASON_CREDENTIAL_EXPIRED);
    assert_int_equal(r.expired_s, 0);
    a.issued = -4000;
    r = expect(a, AUTH_CHALLENGE, REASON_CREDENTIAL_EXPIRED);
    assert_int_equal(r.expired_s, 4000 - 3605);
    a.issued = -3604;
    accepted(a);
    a.issued = 3605;
    refused(a, REASON_CREDENTIAL_EXPIRED);
    a.issued = 3604; /* abs(RDnew - TS) */
    accepted(a);
    a.issued = 0;
    a.lifetime = 0; /* would allocate for no time */
    refused(a, REASON_CREDENTIAL_EXPIRED);
    a = ask(TOKENS, "north");
    a.lifetime = 2 * DAY + 1;
    r = expect(a, AUTH_CHALLENGE, REASON_CREDENTIAL_LIFETIME);
    assert_int_equal(r.expired_s, 1);
    a.issued = -2 * DAY + 100; /* the ceiling is on all of it */
    refused(a, REASON_CREDENTIAL_LIFETIME);
    a.lifetime = 2 * DAY;
    accepted(a);
    a = ask(TOKENS, "south"); /* of which tokens are issued from -100 to +100 */
    a.issued = -101;
    refused(a, REASON_KID_UNKNOWN);
    a.issued = 101;
    refused(a, REASON_KID_UNKNOWN);
    a.issued = -100;
    accepted(a);
    now.wall_s = NOW + 1000; /* a token of then is good until its own end */
    accepted(a);
}

static void test_oauth_check_refused_tokens_take_the_same_work(void **state)
{
    struct ask rows[5];
    for (size_t i = 0; i < 5; i++)
        rows[i] = ask(TOKENS, i == 0 ? "nobody" : "north");
    rows[1].forged = true;
    rows[2].wrong_mac_key = true;
    rows[3].issued = -DAY;
    rows[4].lifetime = UINT32_MAX;
    for (size_t i = 0; i < 5; i++) {
        write_request(&rows[i]);
        const struct auth_request request = {
            .msg = &msg, .client = addr_ipv4(192, 0, 2, 7, 40000), .realm = TOKENS};
        struct auth_result r;
        const uint64_t hmacs = crypto_hmac_count(crypto), opened = crypto_open_count(crypto);
        auth_check(auth, worker, &request, &now, &r);
        assert_int_equal(r.outcome, AUTH_CHALLENGE);
        assert_int_equal(crypto_open_count(crypto) - opened, 1);
        /* The nonce's, and the integrity's by both lengths of the key; who has the mac_key of a
         * token that has had its time needs one. */
        assert_int_equal(crypto_hmac_count(crypto) - hmacs, i < 3 ? 3 : 2);
    }
}

static void test_oauth_check_long_tokens_cost_nothing(void **state)
{
    static const uint8_t zeros[65000] = {0, 12};
    struct ask a = ask(TOKENS, "north");
    const uint64_t opened = crypto_open_count(crypto);
    for (size_t len = OAUTH_TOKEN_MAX + 1; len <= sizeof(zeros); len += 997) {
        a.raw = slice_of(zeros, len);
        refused(a, REASON_TOKEN_INVALID);
    }
    assert_true(crypto_open_count(crypto) == opened);
}

static void test_oauth_check_realm_without_tokens_does_not_look_at_them(void **state)
{
    struct ask a = ask(PLAIN, "north");
    const struct auth_result r = judge(&a);
    assert_int_equal(r.outcome, AUTH_SILENT); /* a password's user, who may not guess */
    assert_int_equal(guesses_asked, 1);
    assert_int_equal(asked_len, 5);
}

static struct identity live_of(const struct auth_result *r)
{
    struct identity live = r->identity;
    live.user = slice_of_string("north");
    return live;
}

static void test_oauth_check_live_allocation_goes_on_with_its_key(void **state)
{
    struct ask a = ask(TOKENS, "north");
    const struct auth_result first = accepted(a);
    const struct identity live = live_of(&first);
    a.live = &live;
    a.live_key = &first.key;
    const uint64_t opened = crypto_open_count(crypto);
    a.no_token = true; /* ChannelBind, CreatePermission */
    struct auth_result r = accepted(a);
    assert_string_equal(r.identity.credential, live.credential);
    assert_int_equal(r.key.len, 20);
    a.no_token = false; /* the same token again */
    r = accepted(a);
    assert_false(r.renews);
    assert_true(crypto_open_count(crypto) == opened);
    a.wrong_mac_key = true;
    refused(a, REASON_WRONG_PASSWORD);
    a.no_token = true;
    refused(a, REASON_WRONG_PASSWORD);
    a.wrong_mac_key = false;
    now.wall_s += DAY; /* whatever has expired */
    accepted(a);
}

static void test_oauth_check_newer_token_renews_a_live_allocation(void **state)
{
    struct ask a = ask(TOKENS, "north");
    const struct auth_result first = accepted(a);
    const struct identity live = live_of(&first);
    a.live = &live;
    a.live_key = &first.key;
    a.serial = 2;
    a.issued = 60;
    now.wall_s += 60;
    struct auth_result r = accepted(a);
    assert_true(r.renews);
    assert_int_equal(r.identity.expires_at, NOW + 3660);
    assert_memory_equal(r.key.bytes, mac_key.bytes, 20);
    assert_string_not_equal(r.identity.credential, live.credential);
    a.wrong_mac_key = true;
    refused(a, REASON_WRONG_PASSWORD);
    a.wrong_mac_key = false;
    a.issued = -60; /* an older one is good, and renews nothing */
    r = accepted(a);
    assert_false(r.renews);
    a.issued = 60;
    a.forged = true;
    refused(a, REASON_TOKEN_INVALID);
    a = ask(TOKENS, "south"); /* another kid's as well, of the same second */
    a.live = &live;
    a.live_key = &first.key;
    r = accepted(a);
    assert_true(r.renews);
    assert_true(slice_equal(r.identity.user, slice_of_string("south")));
    a.issued = -1;
    assert_false(accepted(a).renews);
}

static void test_oauth_check_key_cut_as_coturns_clients_do_is_accepted_for_sha1(void **state)
{
    struct ask a = ask(TOKENS, "north");
    a.cut_mac_key = true;
    const struct auth_result r = accepted(a);
    assert_int_equal(r.key.len, 16);
    assert_memory_equal(r.key.bytes, mac_key.bytes, 16);
    a.wrong_mac_key = true;
    refused(a, REASON_WRONG_PASSWORD);
    a.wrong_mac_key = false;
    a.sha256 = true;
    refused(a, REASON_WRONG_PASSWORD);
}

static void test_oauth_check_token_for_an_allocation_of_a_password_is_of_its_own_source(
    void **state)
{
    struct identity live = {
        .realm = TOKENS, .source = AUTH_SOURCE_STATIC, .user = slice_of_string("north")};
    const struct auth_key live_key = {.len = 16};
    struct ask a = ask(TOKENS, "north");
    a.live = &live;
    a.live_key = &live_key;
    struct auth_result r = accepted(a);
    assert_int_equal(r.identity.source, AUTH_SOURCE_OAUTH);
    assert_false(r.renews);
    live.source = AUTH_SOURCE_OAUTH;
    assert_true(accepted(a).renews);
    live.realm = STORE; /* another tenant's */
    r = accepted(a);
    assert_int_equal(r.identity.realm, TOKENS);
    assert_false(r.renews);
}

static void learn(const char *kid, uint8_t verdict, const struct store_oauth_key *key)
{
    struct store_answer answer = {
        .question = {.kind = STORE_OAUTH_KEY, .realm = STORE, .name_len = (uint16_t)strlen(kid)},
        .verdict = verdict};
    memcpy(answer.question.name, kid, strlen(kid));
    if (key)
        answer.u.oauth = *key;
    auth_worker_learn(worker, auth, &answer, &now);
}

static void test_oauth_check_keys_of_the_store_are_asked_for_once(void **state)
{
    struct ask a = ask(STORE, "north");
    expect(a, AUTH_SILENT, REASON_GUESS_LOCKOUT);
    may_try = true;
    struct auth_result r = expect(a, AUTH_PENDING, REASON_STORE_UNREACHABLE);
    assert_int_equal(guesses_asked, 1);
    assert_int_equal(asked_len, 0);
    assert_false(r.guess); /* not before it has been asked */
    assert_int_equal(r.need.kind, STORE_OAUTH_KEY);
    assert_int_equal(r.need.realm, STORE);
    assert_true(slice_equal(r.need.name, slice_of_string("north")));
    a.raw = slice_of("malformed", 9); /* is not worth a question */
    refused(a, REASON_TOKEN_INVALID);
    a = ask(STORE, "north");
    a.asked = true;
    r = expect(a, AUTH_FAILED, REASON_STORE_UNREACHABLE);
    assert_true(r.guess && r.of_nobody);
    learn("north", STORE_FOUND, &north);
    accepted(a);
    a.asked = false;
    r = accepted(a);
    assert_int_equal(r.identity.realm, STORE);
    a.forged = true;
    refused(a, REASON_TOKEN_INVALID);
    now.mono_us += 61 * US_PER_S;
    a.forged = false;
    expect(a, AUTH_PENDING, REASON_STORE_UNREACHABLE);
    a.asked = true;
    accepted(a); /* no answer has come: with the key of before */
    learn("north", STORE_UNREACHABLE, NULL);
    a.asked = false;
    accepted(a); /* and, for a while, unasked */
    may_try = false;
}

static void test_oauth_check_kids_that_the_store_does_not_know_are_unknown(void **state)
{
    struct ask a = ask(STORE, "north");
    char endless[OAUTH_KID_MAX + 2] = "";
    learn("north", STORE_NOT_FOUND, NULL);
    refused(a, REASON_KID_UNKNOWN);
    a.asked = true;
    const struct auth_result r = expect(a, AUTH_CHALLENGE, REASON_KID_UNKNOWN);
    assert_true(r.guess && r.of_nobody);
    /* Of no possible length: not worth a question. */
    refused(ask(STORE, endless), REASON_KID_UNKNOWN);
    memset(endless, 'x', OAUTH_KID_MAX + 1);
    refused(ask(STORE, endless), REASON_KID_UNKNOWN);
    endless[OAUTH_KID_MAX] = '\0';
    may_try = true;
    expect(ask(STORE, endless), AUTH_PENDING, REASON_STORE_UNREACHABLE);
    may_try = false;
    /* A key that its algorithm has no use for is none. */
    struct store_oauth_key odd = south;
    odd.algorithm = AUTH_OAUTH_A256GCM;
    learn("south", STORE_FOUND, &odd);
    refused(ask(STORE, "south"), REASON_KID_UNKNOWN);
    odd = south;
    odd.not_after = NOW - 1;
    learn("south", STORE_FOUND, &odd);
    refused(ask(STORE, "south"), REASON_KID_UNKNOWN);
    learn("south", STORE_FOUND, &south);
    accepted(ask(STORE, "south"));
}

static void revoke(uint8_t kind, const char *id)
{
    struct revocation v = {
        .kind = kind, .realm = TOKENS, .until = NOW + DAY, .id_len = (uint16_t)strlen(id)};
    memcpy(v.id, id, strlen(id));
    assert_int_equal(auth_worker_revoke(worker, &v, &now), 0);
}

static void test_oauth_check_revoked_by_token_or_kid(void **state)
{
    struct ask a = ask(TOKENS, "north"), other = a;
    struct auth_result r = accepted(a);
    revoke(REVOKE_TOKEN, r.identity.credential);
    refused(a, REASON_REVOKED);
    other.serial = 2;
    r = accepted(other);
    const struct identity live = live_of(&r);
    other.live = &live;
    other.live_key = &r.key;
    revoke(REVOKE_SECRET, "north");
    refused(other, REASON_REVOKED);
    accepted(ask(TOKENS, "south"));
}

#define CHECK_TEST(name) cmocka_unit_test_setup_teardown(test_oauth_check_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(valid_token_is_accepted_until_it_ends),
        CHECK_TEST(wrong_tokens_are_refused_by_reason),
        CHECK_TEST(time_of_token_and_key_is_judged),
        CHECK_TEST(refused_tokens_take_the_same_work),
        CHECK_TEST(long_tokens_cost_nothing),
        CHECK_TEST(realm_without_tokens_does_not_look_at_them),
        CHECK_TEST(live_allocation_goes_on_with_its_key),
        CHECK_TEST(newer_token_renews_a_live_allocation),
        CHECK_TEST(key_cut_as_coturns_clients_do_is_accepted_for_sha1),
        CHECK_TEST(token_for_an_allocation_of_a_password_is_of_its_own_source),
        CHECK_TEST(keys_of_the_store_are_asked_for_once),
        CHECK_TEST(kids_that_the_store_does_not_know_are_unknown),
        CHECK_TEST(revoked_by_token_or_kid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
