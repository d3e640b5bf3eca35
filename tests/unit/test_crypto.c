/* base/crypto: published vectors, kept contexts used in any order, SipHash and CRC-32 vectors. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/crypto.h"

static bool md5_is_absent;

/* Stands before OpenSSL's own: a provider without MD5, as under FIPS, at the flip of a switch. */
EVP_MD *EVP_MD_fetch(OSSL_LIB_CTX *ctx, const char *algorithm, const char *properties)
{
    EVP_MD *(*original)(OSSL_LIB_CTX *, const char *, const char *);
    void *symbol = dlsym(RTLD_NEXT, "EVP_MD_fetch");
    memcpy(&original, &symbol, sizeof(original));
    if (md5_is_absent && strcmp(algorithm, "MD5") == 0)
        return original(ctx, "no-such-digest", properties); /* with its entry in the error queue */
    return original(ctx, algorithm, properties);
}

static int group_setup(void **state)
{
    *state = crypto_new();
    return *state ? 0 : -1;
}

static int group_teardown(void **state)
{
    crypto_free(*state);
    return 0;
}

static void assert_hex(const uint8_t *got, const char *hex)
{
    char text[2 * 64 + 1] = "";
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < strlen(hex) / 2; i++) {
        text[2 * i] = digits[got[i] >> 4];
        text[2 * i + 1] = digits[got[i] & 15];
    }
    assert_string_equal(text, hex);
}

static void assert_digest(struct crypto *c, enum crypto_hash hash, const char *in, const char *hex)
{
    uint8_t out[CRYPTO_SHA256_LEN];
    struct slice part = slice_of_string(in);
    assert_int_equal(crypto_digest(c, hash, &part, 1, out), 0);
    assert_hex(out, hex);
}

static void test_crypto_digest_gives_published_vectors(void **state)
{
    assert_digest(*state, CRYPTO_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72"); /* RFC 1321 */
    assert_digest(*state, CRYPTO_MD5, "", "d41d8cd98f00b204e9800998ecf8427e");
    assert_digest(*state, CRYPTO_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_digest(*state, CRYPTO_SHA256, "abc",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    /* RFC 8489 section 9.2.2: MD5 of user ':' realm ':' password */
    assert_digest(*state, CRYPTO_MD5, "user:realm:pass", "8493fbc53ba582fb4c044c456bdc40eb");
}

static void test_crypto_without_md5_does_the_rest(void **state)
{
    md5_is_absent = true;
    struct crypto *c = crypto_new();
    md5_is_absent = false;
    assert_non_null(c);
    assert_true(ERR_peek_error() == 0);
    uint8_t out[CRYPTO_MD5_LEN] = {7}, before[CRYPTO_MD5_LEN] = {7};
    struct slice part = slice_of_string("abc");
    assert_int_equal(crypto_digest(c, CRYPTO_MD5, &part, 1, out), -EIO);
    assert_memory_equal(out, before, sizeof(out));
    assert_digest(c, CRYPTO_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    uint8_t mac[CRYPTO_SHA256_LEN];
    assert_int_equal(crypto_hmac(c, CRYPTO_SHA256, part, &part, 1, mac), 0);
    crypto_free(c);
    crypto_free(NULL);
}

static void test_crypto_digest_of_parts_equals_that_of_the_whole(void **state)
{
    uint8_t whole[CRYPTO_SHA256_LEN], split[CRYPTO_SHA256_LEN];
    struct slice one = slice_of_string("user:realm:pass");
    const struct slice parts[] = {slice_of_string("user"), slice_of_string(":"), slice_of(NULL, 0),
        slice_of_string("realm:"), slice_of_string("pass")};
    for (int hash = CRYPTO_MD5; hash <= CRYPTO_SHA256; hash++) {
        memset(whole, 0, sizeof(whole));
        memset(split, 0, sizeof(split));
        assert_int_equal(crypto_digest(*state, (enum crypto_hash)hash, &one, 1, whole), 0);
        assert_int_equal(crypto_digest(*state, (enum crypto_hash)hash, parts, 5, split), 0);
        assert_memory_equal(whole, split, sizeof(whole));
    }
}

static void assert_hmac(
    struct crypto *c, enum crypto_hash hash, struct slice key, const char *in, const char *hex)
{
    uint8_t out[CRYPTO_SHA256_LEN];
    struct slice part = slice_of_string(in);
    assert_int_equal(crypto_hmac(c, hash, key, &part, 1, out), 0);
    assert_hex(out, hex);
}

static void test_crypto_hmac_gives_published_vectors(void **state)
{
    /* RFC 2202 section 3, RFC 4231 section 4: cases 1, 2 and 6 (a key over the block size). */
    static const char larger[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    static const char data[] = "what do ya want for nothing?";
    uint8_t b[20], aa[131];
    memset(b, 0x0b, sizeof(b));
    memset(aa, 0xaa, sizeof(aa));
    struct slice jefe = slice_of_string("Jefe"), k1 = slice_of(b, 20), k6 = slice_of(aa, 131);
    for (int round = 0; round < 2; round++) {
        assert_hmac(
            *state, CRYPTO_SHA1, k1, "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00");
        assert_hmac(*state, CRYPTO_SHA256, k1, "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_hmac(*state, CRYPTO_SHA1, jefe, data, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_hmac(*state, CRYPTO_SHA256, jefe, data,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_hmac(*state, CRYPTO_SHA256, k6, larger,
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        assert_hmac(*state, CRYPTO_SHA1, slice_of(aa, 80), larger,
            "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }
}

static void test_crypto_hmac_same_key_twice_is_not_stale(void **state)
{
    uint8_t first[CRYPTO_SHA1_LEN], second[CRYPTO_SHA1_LEN];
    const struct slice parts[] = {slice_of_string("a"), slice_of_string("b")};
    struct slice whole = slice_of_string("ab"), key = slice_of_string("key");
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA1, key, parts, 2, first), 0);
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA1, key, &whole, 1, second), 0);
    assert_memory_equal(first, second, sizeof(first));
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA1, key, NULL, 0, second), 0);
    assert_memory_not_equal(first, second, sizeof(first));
}

static void test_crypto_hmac_bad_key_or_hash_fails_and_leaves_output(void **state)
{
    uint8_t long_key[513] = {1}, out[CRYPTO_SHA256_LEN], before[CRYPTO_SHA256_LEN];
    struct slice part = slice_of_string("data");
    memset(out, 0xee, sizeof(out));
    memset(before, 0xee, sizeof(before));
    /* Primes the context with a key that an empty one must not fall back to. */
    uint8_t primed[CRYPTO_SHA256_LEN];
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA256, slice_of_string("k"), &part, 1, primed), 0);
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA256, slice_of(NULL, 0), &part, 1, out), -EIO);
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA256, slice_of("", 0), &part, 1, out), -EIO);
    assert_int_equal(
        crypto_hmac(*state, CRYPTO_SHA256, slice_of(long_key, 513), &part, 1, out), -EIO);
    assert_int_equal(crypto_hmac(*state, CRYPTO_MD5, slice_of_string("k"), &part, 1, out), -EIO);
    assert_memory_equal(out, before, sizeof(out));
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA256, slice_of(long_key, 512), &part, 1, out), 0);
}

static void test_crypto_hmac_count_counts_each(void **state)
{
    uint8_t out[CRYPTO_SHA256_LEN];
    struct slice part = slice_of_string("data"), key = slice_of_string("key");
    uint64_t before = crypto_hmac_count(*state);
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA1, key, &part, 1, out), 0);
    assert_int_equal(crypto_hmac(*state, CRYPTO_SHA256, key, &part, 1, out), 0);
    assert_int_equal(crypto_digest(*state, CRYPTO_SHA256, &part, 1, out), 0);
    assert_true(crypto_hmac_count(*state) == before + 2);
}

static void test_crypto_hkdf_without_salt_gives_published_vector(void **state)
{
    /* RFC 5869 appendix A.3: SHA-256, no salt, no info. */
    uint8_t ikm[22], out[42];
    memset(ikm, 0x0b, sizeof(ikm));
    assert_int_equal(crypto_hkdf(slice_of(ikm, sizeof(ikm)), "", out, sizeof(out)), 0);
    assert_hex(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                    "9d201395faa4b61a96c8");
}

static void test_crypto_hkdf_labels_and_lengths_separate_keys(void **state)
{
    uint8_t a[32], b[32], more[64];
    struct slice secret = slice_of_string("a secret of some length");
    assert_int_equal(crypto_hkdf(secret, "nonce", a, sizeof(a)), 0);
    assert_int_equal(crypto_hkdf(secret, "ticket", b, sizeof(b)), 0);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(crypto_hkdf(secret, "nonce", more, sizeof(more)), 0);
    assert_memory_equal(a, more, sizeof(a));
}

static void test_crypto_hkdf_impossible_length_fails_and_leaves_output(void **state)
{
    /* RFC 5869 section 2.3: at most 255 hashes. */
    size_t too_long = 255 * 32 + 1;
    uint8_t *out = malloc(too_long);
    memset(out, 0xee, too_long);
    assert_int_equal(crypto_hkdf(slice_of_string("secret"), "x", out, too_long), -EIO);
    for (size_t i = 0; i < too_long; i++)
        assert_int_equal(out[i], 0xee);
    free(out);
    assert_true(ERR_peek_error() == 0);
}

static void test_crypto_siphash_gives_the_authors_vectors(void **state)
{
    /* vectors_sip64 of the reference code: key 00..0f, input 00.. of length i, little-endian. */
    static const uint64_t expected[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
        0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce,
        0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3,
        0xf4b32f46226bada7, 0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
        0xa129ca6149be45e5};
    uint8_t key[16], in[17];
    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    for (size_t len = 0; len < sizeof(expected) / sizeof(expected[0]); len++) {
        /* At an odd address: alignment must not matter. */
        for (size_t i = 0; i < len; i++)
            in[i + 1] = (uint8_t)i;
        assert_true(crypto_siphash(key, in + 1, len) == expected[len]);
    }
}

static void test_crypto_crc32_gives_published_vectors(void **state)
{
    assert_true(crypto_crc32("123456789", 9) == 0xcbf43926);
    assert_true(crypto_crc32("", 0) == 0);
    assert_true(crypto_crc32("The quick brown fox jumps over the lazy dog", 43) == 0x414fa339);
}

static void test_crypto_crc32_equals_bitwise_definition(void **state)
{
    uint8_t in[300];
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i * 167 + 13);
    for (size_t start = 0; start < 5; start++) {
        uint32_t crc = 0xffffffffu;
        for (size_t len = 0; start + len < sizeof(in); len++) {
            assert_true(crypto_crc32(in + start, len) == (crc ^ 0xffffffffu));
            crc ^= in[start + len];
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
    }
}

/* Test cases 4 and 16 of McGrew and Viega, "The Galois/Counter Mode of Operation". */
#define GCM_KEY "\xfe\xff\xe9\x92\x86\x65\x73\x1c\x6d\x6a\x8f\x94\x67\x30\x83\x08"
static const struct {
    struct crypto_aead how;
    const char *sealed; /* in hexadecimal, the tag last */
} gcm[] = {
    {{CRYPTO_AES128_GCM, {(const uint8_t *)GCM_KEY, 16}, {NULL, 0}, {NULL, 0}},
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47"},
    {{CRYPTO_AES256_GCM, {(const uint8_t *)GCM_KEY GCM_KEY, 32}, {NULL, 0}, {NULL, 0}},
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
};
static const uint8_t gcm_nonce[] = "\xca\xfe\xba\xbe\xfa\xce\xdb\xad\xde\xca\xf8\x88";
static const uint8_t gcm_associated[] = "\xfe\xed\xfa\xce\xde\xad\xbe\xef\xfe\xed\xfa\xce\xde\xad"
                                        "\xbe\xef\xab\xad\xda\xd2";
static const uint8_t gcm_plain[] =
    "\xd9\x31\x32\x25\xf8\x84\x06\xe5\xa5\x59\x09\xc5\xaf\xf5\x26\x9a\x86\xa7\xa9\x53\x15\x34"
    "\xf7\xda\x2e\x4c\x30\x3d\x8a\x31\x8a\x72\x1c\x3c\x0c\x95\x95\x68\x09\x53\x2f\xcf\x0e\x24"
    "\x49\xa6\xb5\x25\xb1\x6a\xed\xf5\xaa\x0d\xe6\x57\xba\x63\x7b\x39";
#define GCM_PLAIN_LEN  60
#define GCM_SEALED_LEN (GCM_PLAIN_LEN + CRYPTO_GCM_TAG_LEN)

static struct crypto_aead gcm_how(size_t i)
{
    struct crypto_aead how = gcm[i].how;
    how.nonce = slice_of(gcm_nonce, CRYPTO_GCM_NONCE_LEN);
    how.associated = slice_of(gcm_associated, 20);
    return how;
}

static void test_crypto_seal_gives_published_vectors_and_open_takes_them_back(void **state)
{
    for (unsigned round = 0; round < 4; round++) {
        const struct crypto_aead how = gcm_how(round % 2);
        const uint64_t opened = crypto_open_count(*state);
        uint8_t sealed[GCM_SEALED_LEN], plain[GCM_PLAIN_LEN] = {0};
        assert_int_equal(crypto_seal(*state, &how, slice_of(gcm_plain, GCM_PLAIN_LEN), sealed), 0);
        char text[2 * GCM_SEALED_LEN + 1];
        for (size_t i = 0; i < sizeof(sealed); i++)
            snprintf(text + 2 * i, 3, "%02x", sealed[i]);
        assert_string_equal(text, gcm[round % 2].sealed);
        assert_int_equal(crypto_open(*state, &how, slice_of(sealed, sizeof(sealed)), plain), 0);
        assert_memory_equal(plain, gcm_plain, GCM_PLAIN_LEN);
        assert_int_equal(crypto_open_count(*state), opened + 1);
    }
}

static void test_crypto_open_of_anything_changed_fails_and_leaves_output(void **state)
{
    uint8_t sealed[GCM_SEALED_LEN], plain[GCM_PLAIN_LEN], untouched[GCM_PLAIN_LEN];
    memset(plain, 0x5a, sizeof(plain));
    memcpy(untouched, plain, sizeof(plain));
    struct crypto_aead how = gcm_how(1);
    assert_int_equal(crypto_seal(*state, &how, slice_of(gcm_plain, GCM_PLAIN_LEN), sealed), 0);
    for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(crypto_open(*state, &how, slice_of(sealed, sizeof(sealed)), plain), 1);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    how.associated.len--;
    assert_int_equal(crypto_open(*state, &how, slice_of(sealed, sizeof(sealed)), plain), 1);
    how.associated.len = 0;
    assert_int_equal(crypto_open(*state, &how, slice_of(sealed, sizeof(sealed)), plain), 1);
    how = gcm_how(1);
    how.nonce = slice_of(gcm_plain, CRYPTO_GCM_NONCE_LEN);
    assert_int_equal(crypto_open(*state, &how, slice_of(sealed, sizeof(sealed)), plain), 1);
    assert_memory_equal(plain, untouched, sizeof(plain));
    assert_true(ERR_peek_error() == 0);
}

static void test_crypto_aead_impossible_lengths_fail_and_leave_output(void **state)
{
    static const uint8_t zeros[CRYPTO_AEAD_PLAIN_MAX + 1];
    uint8_t out[CRYPTO_AEAD_PLAIN_MAX + CRYPTO_GCM_TAG_LEN] = {0};
    const struct slice text = slice_of(gcm_plain, GCM_PLAIN_LEN);
    for (size_t len = 0; len <= 64; len++) {
        struct crypto_aead how = gcm_how(1);
        how.key = slice_of(zeros, len);
        assert_int_equal(crypto_seal(*state, &how, text, out), len == 32 ? 0 : -EINVAL);
        how = gcm_how(1);
        how.nonce = slice_of(zeros, len);
        assert_int_equal(crypto_seal(*state, &how, text, out), len == 12 ? 0 : -EINVAL);
    }
    memset(out, 0, sizeof(out));
    const struct crypto_aead how = gcm_how(0);
    assert_int_equal(crypto_seal(*state, &how, slice_of(zeros, sizeof(zeros)), out), -EINVAL);
    assert_int_equal(crypto_seal(*state, &how, slice_of(zeros, 0), out), -EINVAL);
    for (size_t len = 0; len <= CRYPTO_GCM_TAG_LEN; len++)
        assert_int_equal(crypto_open(*state, &how, slice_of(zeros, len), out), -EINVAL);
    for (size_t i = 0; i < sizeof(out); i++)
        assert_int_equal(out[i], 0);
    assert_int_equal(crypto_seal(*state, &how, slice_of(zeros, CRYPTO_AEAD_PLAIN_MAX), out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crypto_digest_gives_published_vectors),
        cmocka_unit_test(test_crypto_without_md5_does_the_rest),
        cmocka_unit_test(test_crypto_digest_of_parts_equals_that_of_the_whole),
        cmocka_unit_test(test_crypto_hmac_gives_published_vectors),
        cmocka_unit_test(test_crypto_hmac_same_key_twice_is_not_stale),
        cmocka_unit_test(test_crypto_hmac_bad_key_or_hash_fails_and_leaves_output),
        cmocka_unit_test(test_crypto_hmac_count_counts_each),
        cmocka_unit_test(test_crypto_hkdf_without_salt_gives_published_vector),
        cmocka_unit_test(test_crypto_hkdf_labels_and_lengths_separate_keys),
        cmocka_unit_test(test_crypto_hkdf_impossible_length_fails_and_leaves_output),
        cmocka_unit_test(test_crypto_seal_gives_published_vectors_and_open_takes_them_back),
        cmocka_unit_test(test_crypto_open_of_anything_changed_fails_and_leaves_output),
        cmocka_unit_test(test_crypto_aead_impossible_lengths_fail_and_leave_output),
        cmocka_unit_test(test_crypto_siphash_gives_the_authors_vectors),
        cmocka_unit_test(test_crypto_crc32_gives_published_vectors),
        cmocka_unit_test(test_crypto_crc32_equals_bitwise_definition),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
