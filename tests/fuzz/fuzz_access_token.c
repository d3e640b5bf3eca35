/*
 * Any bytes as an access token, opened as they are; and the same bytes as what somebody with the
 * key has sealed, so that what lies behind the tag is reached as well. What opens is sealed again
 * to the same bytes; one bit of it changed opens no more; and nothing is written where it does not.
 */
#include "auth/oauth.h"
#include "tests/fuzz/fuzz.h"

enum outcome {
    UNFRAMED,
    NOT_AUTHENTIC,
    OPENED,
    SEALED_UNFRAMED,
    SEALED_MALFORMED,
    SEALED_OPENED,
    OUTCOMES
};

static const char *const names[OUTCOMES] = {
    "unframed", "not_authentic", "opened", "sealed_unframed", "sealed_malformed", "sealed_opened"};

struct fuzz_reasons fuzz_reasons = {.names = names, .count = OUTCOMES};

/* Those of RFC 7635 appendix A, so that its sample opens. */
static const struct store_oauth_key key = {
    .key = "HGkj32KJGiuy098sdfaqbNjOiaz71923", .key_len = 32, .algorithm = AUTH_OAUTH_A256GCM};
static const char server_name[] = "blackdow.carleon.gov";
static const uint8_t nonce[OAUTH_NONCE_LEN] = "h4j3k2l2n4b5";

static struct oauth_seal seal;

static void check_life(const struct oauth_claims *claims)
{
    static const int64_t seconds[] = {0, 1, 1410984813, 1795500000, 253402300799};
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        const struct instant now = {.wall_s = seconds[i], .wall_us = 999999};
        const struct oauth_life life = oauth_claims_life(claims, &now);
        FUZZ_REQUIRE(life.expires_at <= now.wall_s + claims->lifetime_s + 1);
        FUZZ_REQUIRE(!life.fresh || life.expires_at >= now.wall_s);
        oauth_key_covers(&key, claims, &now);
    }
}

static int open_token(struct slice token, struct oauth_claims *claims)
{
    static const struct oauth_claims untouched = {.lifetime_s = 7};
    *claims = untouched;
    const int rc = oauth_token_open(&seal, token, claims);
    FUZZ_REQUIRE(rc == 0 || rc == 1);
    FUZZ_REQUIRE(rc == 0 || memcmp(claims, &untouched, sizeof(untouched)) == 0);
    FUZZ_REQUIRE(rc == 1 || oauth_token_is_framed(token));
    return rc;
}

static void check_opened(struct slice token, const struct oauth_claims *claims)
{
    struct oauth_token again;
    struct oauth_claims ignored;
    FUZZ_REQUIRE(claims->mac_key.len >= OAUTH_MAC_KEY_MIN && claims->mac_key.len <= AUTH_KEY_MAX);
    FUZZ_REQUIRE(token.len == OAUTH_TOKEN_LEN(claims->mac_key.len));
    check_life(claims);
    FUZZ_REQUIRE(oauth_token_seal(&seal, claims, token.data + 2, &again) == 0);
    FUZZ_REQUIRE(slice_equal(token, slice_of(again.bytes, again.len)));
    const size_t bit = claims->lifetime_s % (8 * token.len);
    again.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    FUZZ_REQUIRE(open_token(slice_of(again.bytes, again.len), &ignored) == 1);
}

/* The input as the encrypted block. */
static void check_sealed(const uint8_t *data, size_t size)
{
    const struct crypto_aead how = {CRYPTO_AES256_GCM, slice_of(key.key, key.key_len),
        slice_of(nonce, sizeof(nonce)), slice_of_string(server_name)};
    uint8_t bytes[2 + OAUTH_NONCE_LEN + CRYPTO_AEAD_PLAIN_MAX + CRYPTO_GCM_TAG_LEN] = {
        0, OAUTH_NONCE_LEN};
    struct oauth_claims claims;
    if (size == 0 || size > CRYPTO_AEAD_PLAIN_MAX)
        return;
    memcpy(bytes + 2, nonce, sizeof(nonce));
    FUZZ_REQUIRE(crypto_seal(seal.crypto, &how, slice_of(data, size), bytes + 14) == 0);
    const struct slice token = slice_of(bytes, 14 + size + CRYPTO_GCM_TAG_LEN);
    if (open_token(token, &claims) == 0) {
        fuzz_note_outcome(SEALED_OPENED);
        check_opened(token, &claims);
    } else {
        fuzz_note_outcome(oauth_token_is_framed(token) ? SEALED_MALFORMED : SEALED_UNFRAMED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!seal.crypto)
        seal = (struct oauth_seal){crypto_new(), &key, slice_of_string(server_name)};
    FUZZ_REQUIRE(seal.crypto != NULL);
    const struct slice token = slice_of(data, size);
    struct oauth_claims claims;
    const uint64_t opened = crypto_open_count(seal.crypto);
    const int rc = open_token(token, &claims);
    /* Lengths are checked before anything is decrypted. */
    FUZZ_REQUIRE(crypto_open_count(seal.crypto) == opened + oauth_token_is_framed(token));
    fuzz_note_outcome(rc == 0 ? OPENED : oauth_token_is_framed(token) ? NOT_AUTHENTIC : UNFRAMED);
    if (rc == 0)
        check_opened(token, &claims);
    check_sealed(data, size);
    return 0;
}
