/*
 * Requests for the tests of auth_check: one struct says how a request differs from that of a
 * well-behaved client. Included once by each of them.
 */
#ifndef TESTS_UNIT_AUTH_ASK_H
#define TESTS_UNIT_AUTH_ASK_H

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

enum { BOTH, STATIC_ONLY, REST_ONLY, MD5_KEYS, STORE, SHA256_KEY }; /* realms */

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
    uint64_t realms; /* of the listener, besides `realm` */
    bool asked;
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

static const char *old_nonce_secret; /* NULL: none */

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
        [STORE] = {.name = (char *)"store.example",
            .users = users,
            .user_count = 3,
            .secrets = secrets,
            .secret_count = 2,
            .store_users = true,
            .store_secrets = true},
        [SHA256_KEY] = {.name = (char *)"sha.example", .users = stored256, .user_count = 1}};
    struct auth_settings settings = {.realms = realms,
        .realm_count = sha256 ? 6 : 5,
        .max_ttl_s = 2 * DAY,
        .nonce_lifetime_s = 600,
        .password_sha256 = sha256,
        .nonce_secret = clear(nonce_secret),
        .nonce_secret_old = old_nonce_secret ? clear(old_nonce_secret) : (struct secret){0},
        .key_ttl_s = 60,
        .key_negative_ttl_s = 5,
        .key_stale_s = 600};
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
    secret_wipe(&settings.nonce_secret_old);
    return a;
}

static int setup(void **state)
{
    crypto = crypto_new();
    worker = auth_worker_new(crypto, 7);
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
    static const char *const names[] = {"both.example", "static.example", "rest.example",
        "keys.example", "store.example", "sha.example"};
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

static int challenge(
    uint32_t realm, uint64_t realms, const struct addr *from, uint8_t nonce[NONCE_LEN])
{
    return auth_challenge_nonce(
        auth, worker, &(struct auth_realms){realm, realms}, from, &now, nonce);
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
    assert_int_equal(challenge(a->realm, a->realms, &client, fresh_nonce), 0);
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
    struct auth_request request = {.msg = &msg,
        .client = client,
        .realm = a->realm,
        .realms = a->realms,
        .asked = a->asked,
        .live = a->live,
        .live_key = a->live_key};
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

static struct ask rest(
    const char *secret, const char *user, char password[AUTH_REST_PASSWORD_MAX + 1])
{
    assert_int_equal(auth_rest_password(crypto, AUTH_REST_SHA1, slice_of_string(secret),
                         slice_of_string(user), password),
        0);
    return ask(REST_ONLY, user, password);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_auth_check_##name, setup, teardown)

#endif
