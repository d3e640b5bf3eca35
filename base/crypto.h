/*
 * Hashes, MACs and AEAD over OpenSSL 3, with contexts that are made once a thread and kept: a fetch
 * costs more than the hash. One `struct crypto` belongs to one thread. Outputs are written whole or
 * not at all.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include "base/slice.h"

#define CRYPTO_MD5_LEN    16
#define CRYPTO_SHA1_LEN   20
#define CRYPTO_SHA256_LEN 32

enum crypto_hash { CRYPTO_MD5, CRYPTO_SHA1, CRYPTO_SHA256 };

struct crypto;

struct crypto *crypto_new(void); /* NULL: out of memory or no provider */
void crypto_free(struct crypto *c);

/* Digest over the concatenation of `count` parts. 0 or -EIO. out: 16, 20 or 32 bytes. */
int crypto_digest(
    struct crypto *c, enum crypto_hash hash, const struct slice *parts, size_t count, uint8_t *out);
/* HMAC (hash CRYPTO_SHA1 or CRYPTO_SHA256) over the concatenation of the parts; key 1–512 bytes. 0
 * or -EIO. */
int crypto_hmac(struct crypto *c, enum crypto_hash hash, struct slice key,
    const struct slice *parts, size_t count, uint8_t *out);
/* HKDF-SHA256 (RFC 5869) without salt. 0 or -EIO. */
int crypto_hkdf(struct slice secret, const char *label, uint8_t *out, size_t len);

enum crypto_cipher { CRYPTO_AES256_GCM, CRYPTO_AES128_GCM };

#define CRYPTO_GCM_NONCE_LEN  12
#define CRYPTO_GCM_TAG_LEN    16
#define CRYPTO_AEAD_PLAIN_MAX 256 /* bytes in one call */

/* The inputs of authenticated encryption with associated data (RFC 5116 section 2) besides the
 * text. */
struct crypto_aead {
    enum crypto_cipher cipher;
    struct slice key;   /* 32 or 16 bytes, by the cipher */
    struct slice nonce; /* CRYPTO_GCM_NONCE_LEN bytes, never used twice with one key */
    struct slice associated;
};

/* Writes plain.len + CRYPTO_GCM_TAG_LEN bytes: the ciphertext and its tag. 0, -EINVAL for lengths
 * that cannot be, -EIO. */
int crypto_seal(struct crypto *c, const struct crypto_aead *how, struct slice plain, uint8_t *out);
/* Writes sealed.len - CRYPTO_GCM_TAG_LEN bytes, after the tag has verified. 0; 1: not authentic;
 * -EINVAL, -EIO as above. `out` may not overlap `sealed`. */
int crypto_open(struct crypto *c, const struct crypto_aead *how, struct slice sealed, uint8_t *out);

/* HMACs, and openings of crypto_open, so far with this context: tests count them (THREATS row 8).
 */
uint64_t crypto_hmac_count(const struct crypto *c);
uint64_t crypto_open_count(const struct crypto *c);

/* SipHash-2-4, 64 bits out: table hashing with a random key, not a MAC for the wire. */
uint64_t crypto_siphash(const uint8_t key[16], const void *data, size_t len);

/* CRC-32 as FINGERPRINT uses it (RFC 8489 section 14.7), before the XOR. */
uint32_t crypto_crc32(const void *data, size_t len);

#endif
