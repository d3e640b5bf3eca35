/*
 * OpenSSL's digests and HMAC behind contexts that are fetched once a thread: HMAC() fetches anew at
 * each call, which costs three times the hash. A digest the provider does not have (MD5 under FIPS)
 * is absent here, not fatal. Every HMAC sets its key anew, even the same one as before: skipping
 * that would make two requests with one key measurably faster than two with different keys, and
 * every unknown user shares one dummy key (THREATS row 8).
 *
 * Nothing is left in OpenSSL's error queue: the thread's next TLS call would take it for its own.
 * Called by auth/, by wire/ through its callers, and by whoever derives keys.
 */
#include "base/crypto.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>

#define HASH_COUNT   3
#define HMAC_KEY_MAX 512

struct crypto {
    EVP_MD *digest[HASH_COUNT]; /* NULL: the provider has none */
    EVP_MD_CTX *digest_ctx;
    EVP_MAC_CTX *hmac[HASH_COUNT]; /* NULL for MD5 */
    uint64_t hmac_count;
};

static const struct {
    const char *name;
    size_t len;
    bool hmac;
} hashes[HASH_COUNT] = {
    [CRYPTO_MD5] = {"MD5", CRYPTO_MD5_LEN, false},
    [CRYPTO_SHA1] = {"SHA1", CRYPTO_SHA1_LEN, true},
    [CRYPTO_SHA256] = {"SHA256", CRYPTO_SHA256_LEN, true},
};

static EVP_MAC_CTX *crypto_hmac_ctx_new(EVP_MAC *mac, const char *digest)
{
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    /* OSSL_PARAM takes a pointer to plain char for input and output alike; here it is only read. */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (ctx && EVP_MAC_CTX_set_params(ctx, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* True if all that cannot be done without is there: everything but MD5. */
static bool crypto_fetch(struct crypto *c)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    bool complete = mac != NULL;
    c->digest_ctx = EVP_MD_CTX_new();
    complete = complete && c->digest_ctx;
    for (size_t i = 0; complete && i < HASH_COUNT; i++) {
        c->digest[i] = EVP_MD_fetch(NULL, hashes[i].name, NULL);
        if (!hashes[i].hmac)
            continue;
        c->hmac[i] = crypto_hmac_ctx_new(mac, hashes[i].name);
        complete = c->digest[i] && c->hmac[i];
    }
    EVP_MAC_free(mac); /* the contexts hold references of their own */
    return complete;
}

struct crypto *crypto_new(void)
{
    struct crypto *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    ERR_set_mark();
    bool complete = crypto_fetch(c);
    ERR_pop_to_mark();
    if (complete)
        return c;
    crypto_free(c);
    return NULL;
}

void crypto_free(struct crypto *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < HASH_COUNT; i++) {
        EVP_MD_free(c->digest[i]);
        EVP_MAC_CTX_free(c->hmac[i]);
    }
    EVP_MD_CTX_free(c->digest_ctx);
    free(c);
}

static bool digest_compute(
    EVP_MD_CTX *ctx, const EVP_MD *md, const struct slice *parts, size_t count, uint8_t *out)
{
    if (EVP_DigestInit_ex2(ctx, md, NULL) != 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0 && EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1)
            return false;
    }
    return EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

int crypto_digest(
    struct crypto *c, enum crypto_hash hash, const struct slice *parts, size_t count, uint8_t *out)
{
    if (!c->digest[hash])
        return -EIO;
    uint8_t digest[EVP_MAX_MD_SIZE];
    ERR_set_mark();
    bool ok = digest_compute(c->digest_ctx, c->digest[hash], parts, count, digest);
    ERR_pop_to_mark();
    if (ok)
        memcpy(out, digest, hashes[hash].len);
    OPENSSL_cleanse(digest, sizeof(digest)); /* long-term keys are digests too */
    return ok ? 0 : -EIO;
}

static bool hmac_compute(
    EVP_MAC_CTX *ctx, struct slice key, const struct slice *parts, size_t count, uint8_t *out)
{
    size_t len = 0;
    if (EVP_MAC_init(ctx, key.data, key.len, NULL) != 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0 && EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1)
            return false;
    }
    return EVP_MAC_final(ctx, out, &len, EVP_MAX_MD_SIZE) == 1;
}

int crypto_hmac(struct crypto *c, enum crypto_hash hash, struct slice key,
    const struct slice *parts, size_t count, uint8_t *out)
{
    /* Without a key OpenSSL would go on with the one of the call before. */
    if (!c->hmac[hash] || !key.data || key.len == 0 || key.len > HMAC_KEY_MAX)
        return -EIO;
    uint8_t mac[EVP_MAX_MD_SIZE];
    c->hmac_count++;
    ERR_set_mark();
    bool ok = hmac_compute(c->hmac[hash], key, parts, count, mac);
    ERR_pop_to_mark();
    if (ok)
        memcpy(out, mac, hashes[hash].len);
    OPENSSL_cleanse(mac, sizeof(mac)); /* a REST password is a MAC */
    return ok ? 0 : -EIO;
}

static bool hkdf_derive(struct slice secret, const char *label, uint8_t *out, size_t len)
{
    /* Inputs only: OSSL_PARAM has no const. */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(
            OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)hashes[CRYPTO_SHA256].name, 0),
        OSSL_PARAM_construct_octet_string(
            OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.data, secret.len),
        OSSL_PARAM_construct_octet_string(
            OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)label, strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

int crypto_hkdf(struct slice secret, const char *label, uint8_t *out, size_t len)
{
    uint8_t *derived = OPENSSL_malloc(len ? len : 1);
    if (!derived)
        return -EIO;
    ERR_set_mark();
    bool ok = hkdf_derive(secret, label, derived, len);
    ERR_pop_to_mark();
    if (ok)
        memcpy(out, derived, len);
    OPENSSL_clear_free(derived, len);
    return ok ? 0 : -EIO;
}

uint64_t crypto_hmac_count(const struct crypto *c)
{
    return c->hmac_count;
}
