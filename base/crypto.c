/*
 * OpenSSL's digests, HMAC and AEAD behind contexts that are fetched once a thread: HMAC() fetches
 * anew at each call, which costs three times the hash. A digest the provider does not have (MD5
 * under FIPS) is absent here, not fatal. Every HMAC sets its key anew, even the same one as before:
 * skipping that would make two requests with one key measurably faster than two with different
 * keys, and every unknown user shares one dummy key (THREATS row 8).
 *
 * Nothing is left in OpenSSL's error queue: the thread's next TLS call would take it for its own.
 * Called by auth/, by wire/ through its callers, and by whoever derives keys.
 */
#include "base/crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>

#define HASH_COUNT   3
#define CIPHER_COUNT 2
#define HMAC_KEY_MAX 512

struct crypto {
    EVP_MD *digest[HASH_COUNT]; /* NULL: the provider has none */
    EVP_MD_CTX *digest_ctx;
    EVP_MAC_CTX *hmac[HASH_COUNT]; /* NULL for MD5 */
    EVP_CIPHER *cipher[CIPHER_COUNT];
    EVP_CIPHER_CTX *cipher_ctx[CIPHER_COUNT]; /* one each: a change of cipher would allocate */
    uint64_t hmac_count, open_count;
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

static const struct {
    const char *name;
    size_t key_len;
} ciphers[CIPHER_COUNT] = {
    [CRYPTO_AES256_GCM] = {"AES-256-GCM", 32},
    [CRYPTO_AES128_GCM] = {"AES-128-GCM", 16},
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
    for (size_t i = 0; complete && i < CIPHER_COUNT; i++) {
        c->cipher[i] = EVP_CIPHER_fetch(NULL, ciphers[i].name, NULL);
        c->cipher_ctx[i] = EVP_CIPHER_CTX_new();
        complete = c->cipher[i] && c->cipher_ctx[i];
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
    for (size_t i = 0; i < CIPHER_COUNT; i++) {
        EVP_CIPHER_free(c->cipher[i]);
        EVP_CIPHER_CTX_free(c->cipher_ctx[i]);
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

static bool aead_is_fit(const struct crypto_aead *how, size_t plain_len)
{
    return how->key.len == ciphers[how->cipher].key_len && how->nonce.len == CRYPTO_GCM_NONCE_LEN &&
           plain_len > 0 && plain_len <= CRYPTO_AEAD_PLAIN_MAX && how->associated.len <= INT_MAX;
}

/* Key, nonce and associated data, after which the text can come. Without a key OpenSSL would go on
 * with the one of the call before; aead_is_fit has seen that there is one. */
static bool aead_begin(
    EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const struct crypto_aead *how, bool encrypt)
{
    int len;
    if (EVP_CipherInit_ex2(ctx, cipher, how->key.data, how->nonce.data, encrypt, NULL) != 1)
        return false;
    return how->associated.len == 0 ||
           EVP_CipherUpdate(ctx, NULL, &len, how->associated.data, (int)how->associated.len) == 1;
}

static bool seal(EVP_CIPHER_CTX *ctx, struct slice plain, uint8_t *out)
{
    int len = 0, more = 0;
    return EVP_CipherUpdate(ctx, out, &len, plain.data, (int)plain.len) == 1 &&
           EVP_CipherFinal_ex(ctx, out + len, &more) == 1 &&
           (size_t)len + (size_t)more == plain.len &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CRYPTO_GCM_TAG_LEN, out + plain.len) ==
               1;
}

int crypto_seal(struct crypto *c, const struct crypto_aead *how, struct slice plain, uint8_t *out)
{
    if (!aead_is_fit(how, plain.len))
        return -EINVAL;
    uint8_t sealed[CRYPTO_AEAD_PLAIN_MAX + CRYPTO_GCM_TAG_LEN];
    EVP_CIPHER_CTX *ctx = c->cipher_ctx[how->cipher];
    ERR_set_mark();
    bool ok = aead_begin(ctx, c->cipher[how->cipher], how, true) && seal(ctx, plain, sealed);
    ERR_pop_to_mark();
    if (ok)
        memcpy(out, sealed, plain.len + CRYPTO_GCM_TAG_LEN);
    return ok ? 0 : -EIO;
}

/* Into a buffer of our own: what comes out before the tag has verified belongs to nobody. 0, 1 or
 * -EIO. */
static int open_sealed(EVP_CIPHER_CTX *ctx, struct slice text, struct slice tag, uint8_t *out)
{
    int len = 0, more = 0;
    /* The tag is only read, but the call has no const. */
    if (EVP_CIPHER_CTX_ctrl(
            ctx, EVP_CTRL_AEAD_SET_TAG, CRYPTO_GCM_TAG_LEN, (void *)(uintptr_t)tag.data) != 1 ||
        EVP_CipherUpdate(ctx, out, &len, text.data, (int)text.len) != 1)
        return -EIO;
    return EVP_CipherFinal_ex(ctx, out + len, &more) == 1 ? 0 : 1;
}

int crypto_open(struct crypto *c, const struct crypto_aead *how, struct slice sealed, uint8_t *out)
{
    if (sealed.len < CRYPTO_GCM_TAG_LEN || !aead_is_fit(how, sealed.len - CRYPTO_GCM_TAG_LEN))
        return -EINVAL;
    uint8_t plain[CRYPTO_AEAD_PLAIN_MAX];
    const struct slice text = slice_of(sealed.data, sealed.len - CRYPTO_GCM_TAG_LEN);
    const struct slice tag = slice_of(sealed.data + text.len, CRYPTO_GCM_TAG_LEN);
    EVP_CIPHER_CTX *ctx = c->cipher_ctx[how->cipher];
    c->open_count++;
    ERR_set_mark();
    int rc = aead_begin(ctx, c->cipher[how->cipher], how, false)
                 ? open_sealed(ctx, text, tag, plain)
                 : -EIO;
    ERR_pop_to_mark();
    if (rc == 0)
        memcpy(out, plain, text.len);
    OPENSSL_cleanse(plain, sizeof(plain)); /* a session key, or what somebody made of it */
    return rc;
}

uint64_t crypto_open_count(const struct crypto *c)
{
    return c->open_count;
}
