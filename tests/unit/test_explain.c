/*
 * auth_explain: every reason that a credential can be refused for has its sentence, auth_check says
 * the same reason, and no secret, password or token comes into the text (THREATS row 25). And whose
 * ids a realm knows, for who revokes by them.
 */
#include "auth/explain.h"
#include "auth/long_term.h"
#include "auth/oauth.h"
#include "auth/rest.h"
#include "wire/stun_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW  1800000000ll
#define DAY  86400ll
#define HOUR 3600ll

#define CANARY_KEY "canary-canary-canary-canary-0123"

enum { MIXED, STORE, PLAIN, GONE, KIDS };
static const char *const realm_names[] = {
    "mixed.example", "store.example", "plain.example", "gone.example", "kids.example"};

static struct auth *auth;
static struct auth_worker *worker;
static struct crypto *crypto;
static struct instant now;

static struct secret clear(const char *text)
{
    struct secret s = {0};
    assert_int_equal(secret_set(&s, slice_of_string(text)), 0);
    return s;
}

static struct auth *build(void)
{
    struct auth_user_settings users[] = {
        {.name = (char *)"alice", .password = clear("canary-alice")},
        {.name = (char *)"1800003600:static", .password = clear("canary-static")}};
    struct auth_user_settings stored = {.name = (char *)"frank", .key_len = 32};
    struct auth_secret_settings secrets[] = {
        {.id = (char *)"new", .secret = clear("canary-new"), .hash = AUTH_REST_SHA256},
        {.id = (char *)"old", .secret = clear("canary-old"), .retired = true}};
    struct auth_oauth_key_settings kids[] = {{.kid = (char *)"north", .key = clear(CANARY_KEY)},
        {.kid = (char *)"past", .key = clear(CANARY_KEY), .not_after = NOW - 100}};
    struct auth_key key;
    const struct slice frank[] = {
        slice_of_string("frank"), slice_of_string("plain.example"), slice_of_string("canary-f")};
    assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_SHA256, frank), 0);
    memcpy(stored.key, key.bytes, 32);
    struct auth_realm_settings realms[] = {[MIXED] = {.name = (char *)"mixed.example",
                                               .users = users,
                                               .user_count = 2,
                                               .secrets = secrets,
                                               .secret_count = 2,
                                               .oauth_server_name = (char *)"turn.example",
                                               .oauth_keys = kids,
                                               .oauth_key_count = 2},
        [STORE] = {.name = (char *)"store.example", .store_users = true, .store_secrets = true},
        [PLAIN] = {.name = (char *)"plain.example", .users = &stored, .user_count = 1},
        [GONE] = {.name = (char *)"gone.example", .removed = true},
        [KIDS] = {.name = (char *)"kids.example",
            .oauth_server_name = (char *)"turn.example",
            .oauth_keys = kids,
            .oauth_key_count = 1,
            .store_oauth_keys = true}};
    struct auth_settings settings = {.realms = realms,
        .realm_count = 5,
        .max_ttl_s = 2 * DAY,
        .nonce_lifetime_s = 600,
        .password_sha256 = true,
        .nonce_secret = clear("canary-nonce-secret"),
        .key_ttl_s = 60,
        .key_negative_ttl_s = 5,
        .key_stale_s = 600};
    char error[200] = "";
    struct auth *a = auth_new(&settings, error, sizeof(error));
    if (!a)
        print_error("%s\n", error);
    for (int i = 0; i < 2; i++) {
        secret_wipe(&users[i].password);
        secret_wipe(&secrets[i].secret);
        secret_wipe(&kids[i].key);
    }
    secret_wipe(&settings.nonce_secret);
    return a;
}

static int setup(void **state)
{
    crypto = crypto_new();
    worker = auth_worker_new(crypto, 7);
    auth = build();
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

/* What a request of this credential is told. */
static struct auth_result ask(const struct auth_question *q, bool asked)
{
    static const uint8_t transaction[STUN_TRANSACTION_LEN] = {0x21, 0x12, 0xa4, 0x42, 1};
    static uint8_t bytes[2048];
    const struct addr client = addr_ipv4(192, 0, 2, 7, 40000);
    const struct slice realm = slice_of_string(realm_names[q->realm]);
    const struct slice parts[] = {q->user, realm, q->password};
    const bool sha256 = q->realm == PLAIN;
    struct auth_request request = {
        .client = client, .realm = q->realm, .realms = 1u << q->realm, .asked = asked};
    uint8_t nonce[NONCE_LEN];
    struct auth_key key;
    struct stun_writer w;
    struct stun_msg msg;
    struct auth_result r;
    assert_int_equal(auth_challenge_nonce(auth, worker,
                         &(struct auth_realms){q->realm, request.realms}, &client, &now, nonce),
        0);
    assert_int_equal(
        long_term_key(&key, crypto, sha256 ? STUN_PASSWORD_SHA256 : STUN_PASSWORD_MD5, parts), 0);
    stun_write_begin(&w, bytes, sizeof(bytes), STUN_REQUEST, STUN_ALLOCATE, transaction);
    stun_write_attr(&w, STUN_ATTR_USERNAME, q->user);
    stun_write_attr(&w, STUN_ATTR_REALM, realm);
    stun_write_attr(&w, STUN_ATTR_NONCE, slice_of(nonce, NONCE_LEN));
    if (sha256) {
        stun_write_password_algorithms(&w);
        stun_write_u32(&w, STUN_ATTR_PASSWORD_ALGORITHM, STUN_PASSWORD_SHA256 << 16);
    }
    stun_write_integrity(&w, crypto, slice_of(key.bytes, key.len), sha256);
    const size_t len = stun_write_end(&w);
    assert_int_equal(stun_parse(&msg, slice_of(bytes, len)), REASON_NONE);
    request.msg = &msg;
    auth_check(auth, worker, &request, &now, &r);
    return r;
}

static struct auth_explanation explain_again(const struct auth_question *q, bool asked)
{
    struct auth_explanation e;
    memset(&e, 0xa5, sizeof(e));
    auth_explain(auth, worker, q, asked, &now, &e);
    assert_true(strlen(e.text) > 0 && strlen(e.text) < sizeof(e.text) - 1);
    assert_true(strlen(e.credential) < sizeof(e.credential));
    assert_null(strstr(e.text, "canary"));
    if (q->password.len > 8) {
        char password[64];
        snprintf(password, sizeof(password), "%.*s", (int)q->password.len, q->password.data);
        assert_null(strstr(e.text, password));
    }
    /* The same judgement. */
    if (q->password.len > 0 && q->token.len == 0 && q->user.len <= STUN_USERNAME_MAX) {
        const struct auth_result r = ask(q, asked);
        if (r.reason != e.reason)
            print_error("%.*s: %s, but explained as %s\n", (int)q->user.len, q->user.data,
                reason_name(r.reason), reason_name(e.reason));
        assert_int_equal(e.reason, r.reason);
        assert_int_equal(e.pending, r.outcome == AUTH_PENDING);
        if (r.outcome == AUTH_OK) {
            assert_int_equal(e.source, r.identity.source);
            assert_string_equal(e.credential, r.identity.credential);
            assert_int_equal(e.expires_at, r.identity.expires_at);
        }
    }
    return e;
}

static struct auth_explanation explain(uint32_t realm, const char *user, const char *password)
{
    const struct auth_question q = {.realm = realm,
        .user = slice_of_string(user),
        .password = password ? slice_of_string(password) : (struct slice){0}};
    return explain_again(&q, false);
}

static void expect(
    const struct auth_explanation *e, enum reason reason, enum auth_source source, const char *text)
{
    if (e->reason != reason || strcmp(e->text, text) != 0)
        print_error("%s: %s\n", reason_name(e->reason), e->text);
    assert_int_equal(e->reason, reason);
    assert_int_equal(e->source, source);
    assert_string_equal(e->text, text);
}

/* A REST credential of MIXED's secrets; `id`: "new", "old", or none of the realm's. */
static struct auth_explanation explain_rest(const char *id, int64_t expires_in, bool with_password)
{
    char user[40], password[AUTH_REST_PASSWORD_MAX + 1], secret[40];
    snprintf(user, sizeof(user), "%lld:u", (long long)(NOW + expires_in));
    snprintf(secret, sizeof(secret), "canary-%s", id);
    assert_int_equal(
        auth_rest_password(crypto, strcmp(id, "new") == 0 ? AUTH_REST_SHA256 : AUTH_REST_SHA1,
            slice_of_string(secret), slice_of_string(user), password),
        0);
    return explain(MIXED, user, with_password ? password : NULL);
}

static void test_auth_explain_static_user(void **state)
{
    struct auth_explanation e = explain(MIXED, "alice", "canary-alice");
    expect(&e, REASON_NONE, AUTH_SOURCE_STATIC, "a static user; password right");
    assert_int_equal(e.expires_at, 0);
    e = explain(MIXED, "alice", "canary-bob");
    expect(&e, REASON_WRONG_PASSWORD, AUTH_SOURCE_STATIC, "a static user; password wrong");
    e = explain(MIXED, "alice", NULL);
    expect(&e, REASON_NONE, AUTH_SOURCE_STATIC, "a static user");
    /* Only ever judged as that, whatever the name looks like. */
    e = explain(MIXED, "1800003600:static", "canary-x");
    expect(&e, REASON_WRONG_PASSWORD, AUTH_SOURCE_STATIC, "a static user; password wrong");
    e = explain(MIXED, "1800003600:static", NULL);
    expect(&e, REASON_NONE, AUTH_SOURCE_STATIC, "a static user");
    /* A key of SHA-256 where that is offered. */
    e = explain(PLAIN, "frank", "canary-f");
    expect(&e, REASON_NONE, AUTH_SOURCE_STATIC, "a static user; password right");
    e = explain(PLAIN, "frank", "canary-g");
    expect(&e, REASON_WRONG_PASSWORD, AUTH_SOURCE_STATIC, "a static user; password wrong");
}

static void test_auth_explain_nobody(void **state)
{
    struct auth_explanation e = explain(PLAIN, "mallory", "canary-m");
    expect(&e, REASON_UNKNOWN_USER, AUTH_SOURCE_NONE, "no source of the realm knows the name");
    e = explain(PLAIN, "mallory", NULL);
    expect(&e, REASON_UNKNOWN_USER, AUTH_SOURCE_NONE, "no source of the realm knows the name");
    e = explain(MIXED, "mallory", "canary-m");
    assert_int_equal(e.reason, REASON_UNKNOWN_USER);
    assert_non_null(strstr(e.text, "no REST name"));
    assert_non_null(strstr(e.text, "a kid is judged with its token"));
    e = explain(PLAIN, "mal\tlory", "canary-m");
    assert_int_equal(e.reason, REASON_NAME_NOT_PREPARABLE);
    assert_memory_equal(e.text, "OpaqueString refuses the name: ", 31);
    assert_true(strlen(e.text) > 35);
    e = explain(PLAIN, "mal\xfflory", NULL);
    assert_int_equal(e.reason, REASON_NAME_NOT_PREPARABLE);
    char name[510];
    memset(name, 'n', sizeof(name) - 1);
    name[509] = '\0';
    e = explain(PLAIN, name, "canary-m");
    expect(&e, REASON_CREDENTIAL_MALFORMED, AUTH_SOURCE_NONE, "a name has at most 508 bytes");
    e = explain(GONE, "alice", "canary-m");
    expect(&e, REASON_REALM_DIFFERS, AUTH_SOURCE_NONE, "the realm is no longer configured");
}

static void test_auth_explain_rest(void **state)
{
    struct auth_explanation e = explain_rest("new", 59 * 60, true);
    expect(&e, REASON_NONE, AUTH_SOURCE_REST, "signed by the secret \"new\", expires in 59 min");
    assert_string_equal(e.credential, "new");
    assert_int_equal(e.expires_at, NOW + 59 * 60);
    e = explain_rest("new", -42, true);
    expect(&e, REASON_CREDENTIAL_EXPIRED, AUTH_SOURCE_REST, "expired 42 s ago");
    assert_string_equal(e.credential, "new");
    assert_int_equal(e.expires_at, NOW - 42);
    e = explain_rest("new", 51 * HOUR, true);
    expect(&e, REASON_CREDENTIAL_LIFETIME, AUTH_SOURCE_REST,
        "lives 3 h over the ceiling of 48 h (auth.max_ttl)");
    e = explain_rest("new", -400 * DAY, true);
    expect(&e, REASON_CREDENTIAL_EXPIRED, AUTH_SOURCE_REST, "expired 400 d ago");
    e = explain_rest("old", HOUR, true);
    expect(&e, REASON_SECRET_RETIRED, AUTH_SOURCE_REST, "signed by the retired secret \"old\"");
    assert_string_equal(e.credential, "old");
    e = explain_rest("east", HOUR, true);
    expect(
        &e, REASON_SECRET_UNKNOWN, AUTH_SOURCE_NONE, "no secret of the realm made this password");
    assert_string_equal(e.credential, "");
}

static void test_auth_explain_rest_name_alone(void **state)
{
    struct auth_explanation e = explain_rest("old", HOUR, false);
    expect(&e, REASON_NONE, AUTH_SOURCE_REST,
        "a REST name, expires in 1 h; without its password no secret was tried");
    assert_string_equal(e.credential, "");
    assert_int_equal(e.expires_at, NOW + HOUR);
    e = explain_rest("old", -90, false);
    expect(&e, REASON_CREDENTIAL_EXPIRED, AUTH_SOURCE_REST, "expired 90 s ago");
    e = explain_rest("old", 2 * DAY + 1, false);
    expect(&e, REASON_CREDENTIAL_LIFETIME, AUTH_SOURCE_REST,
        "lives 1 s over the ceiling of 48 h (auth.max_ttl)");
}

static void test_auth_explain_secret_of_the_store(void **state)
{
    struct store_secrets secrets = {.realm = STORE, .count = 1, .list = {clear("canary-s")}};
    char password[AUTH_REST_PASSWORD_MAX + 1];
    assert_int_equal(auth_worker_set_secrets(worker, auth, &secrets), 0);
    store_secrets_deinit(&secrets);
    assert_int_equal(auth_rest_password(crypto, AUTH_REST_SHA1, slice_of_string("canary-s"),
                         slice_of_string("1800000600:u"), password),
        0);
    const struct auth_explanation e = explain(STORE, "1800000600:u", password);
    assert_int_equal(e.reason, REASON_NONE);
    assert_memory_equal(e.credential, "redis-", 6);
    assert_non_null(strstr(e.text, e.credential));
}

static void learn(const char *name, const struct auth_key *key, enum store_verdict verdict)
{
    struct store_answer answer = {.verdict = (uint8_t)verdict};
    answer.question = (struct store_question){.kind = STORE_USER, .realm = STORE};
    answer.question.name_len = (uint16_t)strlen(name);
    memcpy(answer.question.name, name, strlen(name));
    if (key)
        answer.u.user = *key;
    auth_worker_learn(worker, auth, &answer, &now);
}

static struct auth_explanation explain_asked(const char *user, const char *password)
{
    const struct auth_question q = {.realm = STORE,
        .user = slice_of_string(user),
        .password = password ? slice_of_string(password) : (struct slice){0}};
    return explain_again(&q, true);
}

static void test_auth_explain_store(void **state)
{
    struct auth_explanation e = explain(STORE, "erin", "canary-e");
    assert_int_equal(e.reason, REASON_STORE_UNREACHABLE);
    assert_true(e.pending);
    assert_int_equal(e.need.kind, STORE_USER);
    assert_int_equal(e.need.realm, STORE);
    assert_true(slice_equal(e.need.name, slice_of_string("erin")));
    e = explain(STORE, "erin", NULL);
    assert_true(e.pending);
    e = explain_asked("erin", "canary-e");
    expect(&e, REASON_STORE_UNREACHABLE, AUTH_SOURCE_NONE,
        "Redis does not answer, or refuses to: the log has redis_down or redis_refused");
    assert_false(e.pending);

    struct auth_key key;
    const struct slice erin[] = {
        slice_of_string("erin"), slice_of_string("store.example"), slice_of_string("canary-e")};
    assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_MD5, erin), 0);
    learn("erin", &key, STORE_FOUND);
    e = explain_asked("erin", "canary-e");
    expect(&e, REASON_NONE, AUTH_SOURCE_STORE, "a user in Redis; password right");
    e = explain(STORE, "erin", "canary-f");
    expect(&e, REASON_WRONG_PASSWORD, AUTH_SOURCE_STORE, "a user in Redis; password wrong");
    e = explain(STORE, "erin", NULL);
    expect(&e, REASON_NONE, AUTH_SOURCE_STORE, "a user in Redis");
    learn("nobody", NULL, STORE_NOT_FOUND);
    e = explain_asked("nobody", "canary-e");
    assert_int_equal(e.reason, REASON_UNKNOWN_USER);
    assert_int_equal(e.source, AUTH_SOURCE_NONE);

    const struct slice gina[] = {
        slice_of_string("gina"), slice_of_string("store.example"), slice_of_string("canary-g")};
    assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_SHA256, gina), 0);
    learn("gina", &key, STORE_FOUND);
    e = explain_asked("gina", "canary-g");
    expect(&e, REASON_NOT_APPROVED, AUTH_SOURCE_STORE,
        "the key in Redis is SHA-256, and a realm with users there offers MD5 alone");
}

static void revoke(enum revocation_kind kind, const char *id, int64_t until)
{
    struct revocation v = {.kind = (uint8_t)kind, .realm = MIXED, .until = until};
    v.id_len = (uint16_t)strlen(id);
    memcpy(v.id, id, v.id_len);
    assert_int_equal(auth_worker_revoke(worker, &v, &now), 0);
}

static struct oauth_token seal(const char *server_name, int64_t issued, uint32_t lifetime_s)
{
    const struct store_oauth_key key = {.key = CANARY_KEY, .key_len = 32};
    const struct oauth_seal how = {crypto, &key, slice_of_string(server_name)};
    const struct oauth_claims claims = {.mac_key = {.bytes = "canary-canary-canary", .len = 20},
        .timestamp = (uint64_t)(NOW + issued) << 16,
        .lifetime_s = lifetime_s};
    const uint8_t nonce[OAUTH_NONCE_LEN] = {1};
    struct oauth_token token;
    assert_int_equal(oauth_token_seal(&how, &claims, nonce, &token), 0);
    return token;
}

static struct auth_explanation explain_token(
    uint32_t realm, const char *kid, const struct oauth_token *token)
{
    const struct auth_question q = {
        .realm = realm, .user = slice_of_string(kid), .token = slice_of(token->bytes, token->len)};
    return explain_again(&q, false);
}

static void test_auth_explain_token(void **state)
{
    char id[OAUTH_ID_LEN + 1];
    struct oauth_token t = seal("turn.example", 0, 3600);
    assert_int_equal(oauth_token_id(crypto, slice_of(t.bytes, t.len), id), 0);
    struct auth_explanation e = explain_token(MIXED, "north", &t);
    expect(&e, REASON_NONE, AUTH_SOURCE_OAUTH, "token opened, expires in 1 h");
    assert_string_equal(e.credential, id);
    assert_int_equal(e.expires_at, NOW + HOUR);
    e = explain_token(MIXED, "south", &t);
    expect(&e, REASON_KID_UNKNOWN, AUTH_SOURCE_NONE, "unknown kid");
    assert_string_equal(e.credential, "");
    e = explain_token(MIXED, "", &t);
    expect(&e, REASON_KID_UNKNOWN, AUTH_SOURCE_NONE, "unknown kid");
    e = explain_token(MIXED, "past", &t);
    expect(&e, REASON_KID_UNKNOWN, AUTH_SOURCE_OAUTH,
        "the token was issued outside the time of this kid's key");
    e = explain_token(PLAIN, "north", &t);
    expect(&e, REASON_UNKNOWN_ATTRIBUTE, AUTH_SOURCE_NONE, "the realm takes no access tokens");
    revoke(REVOKE_TOKEN, id, 1800003600);
    e = explain_token(MIXED, "north", &t);
    expect(&e, REASON_REVOKED, AUTH_SOURCE_OAUTH, "revoked until 2027-01-15T09:00:00Z");
    t.bytes[t.len - 1] ^= 1;
    e = explain_token(MIXED, "north", &t);
    expect(&e, REASON_TOKEN_INVALID, AUTH_SOURCE_NONE,
        "the token does not open with the key of this kid");
    t = seal("other.example", 0, 3600);
    e = explain_token(MIXED, "north", &t);
    expect(&e, REASON_TOKEN_INVALID, AUTH_SOURCE_NONE,
        "the token does not open with the key of this kid");
    t.len = 7;
    e = explain_token(MIXED, "north", &t);
    expect(&e, REASON_TOKEN_INVALID, AUTH_SOURCE_NONE, "these bytes are no access token");
}

static void test_auth_explain_time_of_a_token(void **state)
{
    struct oauth_token t = seal("turn.example", -HOUR - 42, 3600);
    struct auth_explanation e = explain_token(MIXED, "north", &t);
    assert_int_equal(e.reason, REASON_CREDENTIAL_EXPIRED);
    assert_int_equal(e.source, AUTH_SOURCE_OAUTH);
    assert_memory_equal(e.text, "expired ", 8);
    t = seal("turn.example", 2 * HOUR, 3600);
    e = explain_token(MIXED, "north", &t);
    expect(&e, REASON_CREDENTIAL_EXPIRED, AUTH_SOURCE_OAUTH,
        "expired just now, or its time stamp is ahead of this clock");
    t = seal("turn.example", 0, (uint32_t)(2 * DAY + 3 * HOUR));
    e = explain_token(MIXED, "north", &t);
    expect(&e, REASON_CREDENTIAL_LIFETIME, AUTH_SOURCE_OAUTH,
        "lives 3 h over the ceiling of 48 h (auth.max_ttl)");
}

static void test_auth_explain_revoked(void **state)
{
    revoke(REVOKE_USER, "alice", 1800003600);
    revoke(REVOKE_SECRET, "new", 1800007200);
    struct auth_explanation e = explain(MIXED, "alice", "canary-alice");
    expect(&e, REASON_REVOKED, AUTH_SOURCE_STATIC, "revoked until 2027-01-15T09:00:00Z");
    e = explain(MIXED, "alice", NULL);
    expect(&e, REASON_REVOKED, AUTH_SOURCE_STATIC, "revoked until 2027-01-15T09:00:00Z");
    e = explain(MIXED, "alice", "canary-x");
    expect(&e, REASON_WRONG_PASSWORD, AUTH_SOURCE_STATIC, "a static user; password wrong");
    e = explain_rest("new", HOUR, true);
    expect(&e, REASON_REVOKED, AUTH_SOURCE_REST, "revoked until 2027-01-15T10:00:00Z");
    assert_string_equal(e.credential, "new");
    /* Of two that cover it, the one that ends last. */
    revoke(REVOKE_USER, "u", 1800010800);
    e = explain_rest("new", HOUR, true);
    expect(&e, REASON_REVOKED, AUTH_SOURCE_REST, "revoked until 2027-01-15T11:00:00Z");
    e = explain_rest("new", HOUR, false);
    expect(&e, REASON_REVOKED, AUTH_SOURCE_REST, "revoked until 2027-01-15T11:00:00Z");
    revoke(REVOKE_USER, "alice", 0);
    e = explain(MIXED, "alice", "canary-alice");
    expect(&e, REASON_NONE, AUTH_SOURCE_STATIC, "a static user; password right");
}

static enum auth_known knows(uint32_t realm, const char *id)
{
    return auth_knows_secret(auth, worker, realm, slice_of_string(id));
}

static void test_auth_knows_ids_of_secrets_and_kids(void **state)
{
    static const char *const ours[] = {"new", "old", "north", "past"};
    static const char *const nobodys[] = {
        "", "ne", "neww", "New", "mixed.example", "alice", "canary-new", "redis-00000000"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        assert_int_equal(knows(MIXED, ours[i]), AUTH_KNOWN_YES);
    for (size_t i = 0; i < sizeof(nobodys) / sizeof(nobodys[0]); i++)
        assert_int_equal(knows(MIXED, nobodys[i]), AUTH_KNOWN_NO);
    assert_int_equal(auth_knows_secret(auth, worker, MIXED, slice_of("new\0", 4)), AUTH_KNOWN_NO);
    assert_int_equal(knows(PLAIN, "new"), AUTH_KNOWN_NO);
    assert_int_equal(knows(GONE, "new"), AUTH_KNOWN_NO);
}

static void test_auth_knows_ids_of_the_stores_secrets(void **state)
{
    struct store_secrets secrets = {.realm = STORE, .count = 2, .list = {clear("s"), clear("t")}};
    char id[REST_ID_MAX + 1];
    assert_int_equal(
        rest_store_id(id, crypto, slice_of_string("canary-nonce-secret"), slice_of_string("t")), 0);
    assert_int_equal(knows(STORE, id), AUTH_KNOWN_NO);
    assert_int_equal(auth_worker_set_secrets(worker, auth, &secrets), 0);
    assert_int_equal(knows(STORE, id), AUTH_KNOWN_YES);
    assert_int_equal(knows(MIXED, id), AUTH_KNOWN_NO);
    store_secrets_deinit(&secrets);
    assert_int_equal(auth_worker_set_secrets(worker, auth, &secrets), 0);
    assert_int_equal(knows(STORE, id), AUTH_KNOWN_NO);
}

static void test_auth_knows_not_which_kids_the_store_has(void **state)
{
    char id[OAUTH_KID_MAX + 2] = "";
    assert_int_equal(knows(KIDS, "north"), AUTH_KNOWN_YES);
    assert_int_equal(knows(KIDS, "south"), AUTH_KNOWN_MAYBE);
    memset(id, 'k', OAUTH_KID_MAX);
    assert_int_equal(knows(KIDS, id), AUTH_KNOWN_MAYBE);
    id[OAUTH_KID_MAX] = 'k'; /* longer than a kid can be */
    assert_int_equal(
        auth_knows_secret(auth, worker, KIDS, slice_of(id, OAUTH_KID_MAX + 1)), AUTH_KNOWN_NO);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(test_auth_explain_##name, setup, teardown)
#define KNOWS(name) cmocka_unit_test_setup_teardown(test_auth_knows_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(static_user),
        TEST(nobody),
        TEST(rest),
        TEST(rest_name_alone),
        TEST(secret_of_the_store),
        TEST(store),
        TEST(revoked),
        TEST(token),
        TEST(time_of_a_token),
        KNOWS(ids_of_secrets_and_kids),
        KNOWS(ids_of_the_stores_secrets),
        KNOWS(not_which_kids_the_store_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
