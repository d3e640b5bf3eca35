/*
 * Any name, and any password, where REST secrets decide: a request is accepted if and only if a
 * secret in use has made its password and the name says a time that is at hand; the name's expiry
 * is what a parser of another kind reads. The first byte says what signs the request, the second
 * the length of the password where the input brings its own; that, and then the name, is the rest.
 */
#include "auth/auth.h"
#include "auth/long_term.h"
#include "auth/rest.h"
#include "tests/fuzz/fuzz.h"
#include "wire/stun_writer.h"

#define NOW     1800000000ll
#define CEILING 172800ll

static const enum reason expected[] = {REASON_NONE, REASON_UNKNOWN_USER, REASON_SECRET_UNKNOWN,
    REASON_SECRET_RETIRED, REASON_NAME_NOT_PREPARABLE, REASON_CREDENTIAL_EXPIRED,
    REASON_CREDENTIAL_LIFETIME, REASON_CREDENTIAL_MALFORMED};

struct fuzz_reasons fuzz_reasons = {
    .expected = expected, .count = sizeof(expected) / sizeof(expected[0])};

/* What a request is signed with: secrets of the configuration, one that is retired, one of the
 * store, and one that is nobody's. */
static const struct {
    const char *id, *text;
    enum auth_rest_hash hash;
} secrets[] = {{"new", "north", AUTH_REST_SHA1}, {"next", "south", AUTH_REST_SHA256},
    {"gone", "east", AUTH_REST_SHA1}, {"redis-", "store", AUTH_REST_SHA1},
    {"", "west", AUTH_REST_SHA1}};
#define CONFIGURED 3u
enum { RETIRED = 2, STORED, NOBODYS, SIGNERS };

static struct auth *auth;
static struct auth_worker *worker;
static struct crypto *crypto;
static const struct instant now = {.mono_us = 1, .wall_s = NOW};
static const struct slice realm_name = {(const uint8_t *)"rest.example", 12};

static void begin(void)
{
    struct auth_secret_settings list[CONFIGURED] = {{0}};
    for (size_t i = 0; i < CONFIGURED; i++) {
        list[i].id = (char *)(uintptr_t)secrets[i].id;
        list[i].hash = (uint8_t)secrets[i].hash;
        list[i].retired = i == RETIRED;
        FUZZ_REQUIRE(secret_set(&list[i].secret, slice_of_string(secrets[i].text)) == 0);
    }
    struct auth_realm_settings realm = {.name = (char *)(uintptr_t) "rest.example",
        .secrets = list,
        .secret_count = CONFIGURED,
        .store_secrets = true};
    struct auth_settings settings = {.realms = &realm,
        .realm_count = 1,
        .max_ttl_s = CEILING,
        .nonce_lifetime_s = 600,
        .password_sha256 = true};
    FUZZ_REQUIRE(secret_set(&settings.nonce_secret, slice_of_string("sixteen bytes or more")) == 0);
    char error[200];
    auth = auth_new(&settings, error, sizeof(error));
    crypto = crypto_new();
    worker = auth_worker_new(crypto, 1);
    FUZZ_REQUIRE(auth && crypto && worker);
    for (size_t i = 0; i < CONFIGURED; i++)
        secret_wipe(&list[i].secret);
    secret_wipe(&settings.nonce_secret);
    struct store_secrets store = {.count = 1};
    FUZZ_REQUIRE(secret_set(&store.list[0], slice_of_string(secrets[STORED].text)) == 0);
    FUZZ_REQUIRE(auth_worker_set_secrets(worker, auth, &store) == 0);
    store_secrets_deinit(&store);
}

/* Digits to the first colon or to the end, at most 11 of them; -1: none. Reads from the back. */
static int64_t expiry_of(struct slice name)
{
    const uint8_t *colon = name.len ? memchr(name.data, ':', name.len) : NULL;
    size_t digits = colon ? (size_t)(colon - name.data) : name.len;
    int64_t value = 0, weight = 1;
    if (digits == 0 || digits > 11)
        return -1;
    while (digits-- > 0) {
        if (name.data[digits] < '0' || name.data[digits] > '9')
            return -1;
        value += weight * (name.data[digits] - '0');
        weight *= 10;
    }
    return value;
}

static size_t write_request(
    uint8_t out[2048], struct slice name, struct slice password, bool sha256)
{
    static const uint8_t transaction[STUN_TRANSACTION_LEN] = {0x21, 0x12, 0xa4, 0x42, 1};
    const struct addr client = addr_ipv4(192, 0, 2, 7, 40000);
    const struct slice parts[] = {name, realm_name, password};
    uint8_t nonce[NONCE_LEN];
    struct auth_key key;
    struct stun_writer w;
    FUZZ_REQUIRE(
        auth_challenge_nonce(auth, worker, &(struct auth_realms){0, 1}, &client, &now, nonce) == 0);
    FUZZ_REQUIRE(
        long_term_key(&key, crypto, sha256 ? STUN_PASSWORD_SHA256 : STUN_PASSWORD_MD5, parts) == 0);
    stun_write_begin(&w, out, 2048, STUN_REQUEST, STUN_ALLOCATE, transaction);
    stun_write_attr(&w, STUN_ATTR_USERNAME, name);
    stun_write_attr(&w, STUN_ATTR_REALM, realm_name);
    stun_write_attr(&w, STUN_ATTR_NONCE, slice_of(nonce, NONCE_LEN));
    if (sha256) {
        stun_write_password_algorithms(&w);
        stun_write_u32(&w, STUN_ATTR_PASSWORD_ALGORITHM, STUN_PASSWORD_SHA256 << 16);
    }
    stun_write_integrity(&w, crypto, slice_of(key.bytes, key.len), sha256);
    return stun_write_end(&w);
}

/* By the signer: is its password good? */
static bool is_genuine(unsigned signer)
{
    return signer < SIGNERS && signer != RETIRED && signer != NOBODYS;
}

static void require_verdict(const struct auth_result *r, struct slice name, unsigned signer)
{
    const int64_t expiry = expiry_of(name);
    const bool at_hand = expiry >= NOW && expiry <= NOW + CEILING;
    const bool good = is_genuine(signer) && at_hand && name.len <= STUN_USERNAME_MAX;
    FUZZ_REQUIRE((r->outcome == AUTH_OK) == good);
    FUZZ_REQUIRE((r->reason == REASON_NONE) == good);
    /* Only who has a secret learns what is wrong with the time, or with the secret. */
    if (r->reason == REASON_CREDENTIAL_EXPIRED)
        FUZZ_REQUIRE(is_genuine(signer) && expiry >= 0 && r->expired_s == NOW - expiry);
    if (r->reason == REASON_CREDENTIAL_LIFETIME)
        FUZZ_REQUIRE(is_genuine(signer) && r->expired_s == expiry - NOW - CEILING);
    if (r->reason == REASON_SECRET_RETIRED)
        FUZZ_REQUIRE(signer == RETIRED && expiry >= 0);
    if (r->reason == REASON_SECRET_UNKNOWN)
        FUZZ_REQUIRE(signer >= NOBODYS && expiry >= 0);
    if (!good) {
        FUZZ_REQUIRE(r->key.len == 0 && r->identity.source == AUTH_SOURCE_NONE);
        return;
    }
    const char *id = secrets[signer].id;
    FUZZ_REQUIRE(r->identity.source == AUTH_SOURCE_REST && r->identity.expires_at == expiry);
    FUZZ_REQUIRE(strncmp(r->identity.credential, id, strlen(id)) == 0);
    FUZZ_REQUIRE(slice_equal(r->identity.user, name) && identity_account(&r->identity).len > 0);
}

static void check(struct slice name, struct slice password, unsigned signer, bool sha256)
{
    static uint8_t bytes[2048];
    struct stun_msg msg;
    const size_t len = write_request(bytes, name, password, sha256);
    FUZZ_REQUIRE(len > 0 && stun_parse(&msg, slice_of(bytes, len)) == REASON_NONE);
    const struct auth_request request = {
        .msg = &msg, .client = addr_ipv4(192, 0, 2, 7, 40000), .realms = 1};
    struct auth_result r;
    auth_check(auth, worker, &request, &now, &r);
    fuzz_note(r.reason);
    require_verdict(&r, name, signer);
    secret_cleanse(&r.key, sizeof(r.key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!auth)
        begin();
    if (size < 2)
        return 0;
    const unsigned signer = data[0] & 7;
    const size_t rest = size - 2;
    const size_t own = signer >= SIGNERS ? (data[1] < rest ? data[1] : rest) : 0;
    size_t name_len = rest - own;
    if (name_len > STUN_USERNAME_MAX + 64)
        name_len = STUN_USERNAME_MAX + 64;
    const struct slice name = slice_of(data + 2 + own, name_len);

    int64_t value = -7;
    FUZZ_REQUIRE(rest_expiry(name, &value) == (expiry_of(name) >= 0));
    FUZZ_REQUIRE(value == (expiry_of(name) >= 0 ? expiry_of(name) : -7));

    const bool sha256 = data[0] & 8;
    if (signer >= SIGNERS) {
        check(name, slice_of(data + 2, own), signer, sha256);
        return 0;
    }
    char password[AUTH_REST_PASSWORD_MAX + 1];
    FUZZ_REQUIRE(auth_rest_password(crypto, secrets[signer].hash,
                     slice_of_string(secrets[signer].text), name, password) == 0);
    check(name, slice_of_string(password), signer, sha256);
    return 0;
}
