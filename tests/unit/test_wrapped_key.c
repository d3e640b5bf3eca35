/* Keys as they lie in Redis: who has the wrap key opens them, for the place, the field and the end
 * that they were made for, and nobody else opens anything. */
#include "srtp/wrapped_key.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/evp.h>

#define NOW       1795500000
#define UNTIL     (NOW + 3600)
#define ATTRIBUTE "AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4"

static const uint8_t key[33] = "0123456789abcdef0123456789abcdef";
static const uint8_t other_key[33] = "fedcba9876543210fedcba9876543210";

static struct crypto *crypto;
static char value[SRTP_WRAPPED_MAX + 1];

static struct wrapped_for whose(const char *place, const char *field)
{
    return (struct wrapped_for){slice_of_string(place), slice_of_string(field)};
}

static struct wrapped_for ours(void)
{
    return whose("user/example.org/alice", "to_peer/7");
}

static int make_with(struct slice wrap_key, const struct srtp_deposit *d, const char *attribute)
{
    const struct wrapped_for w = ours();
    return wrapped_key_make(
        crypto, random_system(), wrap_key, &w, d, slice_of_string(attribute), value);
}

static int make(const struct srtp_deposit *d, const char *attribute)
{
    return make_with(slice_of(key, SRTP_WRAP_KEY_LEN), d, attribute);
}

static enum wrapped_fault open_as(
    const struct wrapped_for *w, struct slice text, int64_t now_s, struct srtp_deposit *out)
{
    const struct slice keys[2] = {slice_of(key, SRTP_WRAP_KEY_LEN), {0}};
    const struct srtp_deposit untouched = {.until = 7, .binding.ssrc = 9};
    *out = untouched;
    const enum wrapped_fault fault = wrapped_key_open(crypto, keys, w, text, now_s, out);
    if (fault != WRAPPED_FAULT_NONE)
        assert_memory_equal(out, &untouched, sizeof(untouched));
    return fault;
}

static enum wrapped_fault open_value(const char *text)
{
    const struct wrapped_for w = ours();
    struct srtp_deposit out;
    return open_as(&w, slice_of_string(text), NOW, &out);
}

static void test_wrapped_key_comes_back(void **state)
{
    const struct srtp_deposit d = {.until = UNTIL};
    const struct wrapped_for w = ours();
    struct srtp_keys expected;
    struct srtp_deposit out;
    char first[SRTP_WRAPPED_MAX + 1];
    assert_int_equal(
        crypto_attribute_parse(&expected, slice_of_string(ATTRIBUTE)), CRYPTO_FAULT_NONE);
    assert_int_equal(make(&d, ATTRIBUTE), 0);
    assert_memory_equal(value, "v1.1795503600.", 14);
    assert_int_equal(open_as(&w, slice_of_string(value), NOW, &out), WRAPPED_FAULT_NONE);
    assert_int_equal(out.until, UNTIL);
    assert_true(srtp_keys_equal(&out.keys, &expected));
    assert_int_equal(out.binding.ssrc, 9);
    /* A nonce is used once. */
    memcpy(first, value, sizeof(value));
    assert_int_equal(make(&d, ATTRIBUTE), 0);
    assert_string_not_equal(first, value);
    assert_null(strstr(value, "d0Rm"));
}

static void test_wrapped_key_roc_comes_back(void **state)
{
    static const uint32_t rocs[] = {0, 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof(rocs) / sizeof(rocs[0]); i++) {
        const struct srtp_deposit d = {.until = UNTIL, .keys = {.has_roc = true, .roc = rocs[i]}};
        const struct wrapped_for w = ours();
        struct srtp_deposit out;
        assert_int_equal(make(&d, ATTRIBUTE), 0);
        assert_int_equal(open_as(&w, slice_of_string(value), NOW, &out), WRAPPED_FAULT_NONE);
        assert_true(out.keys.has_roc);
        assert_int_equal(out.keys.roc, rocs[i]);
    }
}

static void test_wrapped_key_opens_for_its_place_alone(void **state)
{
    const struct srtp_deposit d = {.until = UNTIL};
    const struct wrapped_for others[] = {whose("user/example.org/alic", "to_peer/7"),
        whose("user/example.org/alice2", "to_peer/7"), whose("user/example.com/alice", "to_peer/7"),
        whose("user/example.org/alice", "to_client/7"),
        whose("user/example.org/alice", "to_peer/8"), whose("user/example.org/alice", "to_peer"),
        whose("allocation/0123456789abcdef", "to_peer/7")};
    struct srtp_deposit out;
    assert_int_equal(make(&d, ATTRIBUTE), 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(
            open_as(&others[i], slice_of_string(value), NOW, &out), WRAPPED_FAULT_NOT_AUTHENTIC);
    /* Names that would shift what parts the words are no names here. */
    const struct wrapped_for shifted[] = {whose("user/example.org/alice to_peer/7", "1795503600"),
        whose("user/example.org", "alice to_peer/7"), whose("", "to_peer/7"),
        whose("user/example.org/alice", ""), whose("user/example.org/alice\n", "to_peer/7")};
    for (size_t i = 0; i < sizeof(shifted) / sizeof(shifted[0]); i++) {
        assert_int_equal(
            open_as(&shifted[i], slice_of_string(value), NOW, &out), WRAPPED_FAULT_SYNTAX);
        assert_int_equal(wrapped_key_make(crypto, random_system(), slice_of(key, 32), &shifted[i],
                             &d, slice_of_string(ATTRIBUTE), value),
            -EINVAL);
    }
}

static void test_wrapped_key_cannot_be_prolonged(void **state)
{
    const struct srtp_deposit d = {.until = UNTIL};
    const struct wrapped_for w = ours();
    struct srtp_deposit out;
    assert_int_equal(make(&d, ATTRIBUTE), 0);
    const struct slice text = slice_of_string(value);
    assert_int_equal(open_as(&w, text, UNTIL - 1, &out), WRAPPED_FAULT_NONE);
    assert_int_equal(open_as(&w, text, UNTIL, &out), WRAPPED_FAULT_EXPIRED);
    value[12]++;
    assert_int_equal(open_as(&w, text, UNTIL, &out), WRAPPED_FAULT_NOT_AUTHENTIC);
}

static void test_wrapped_key_each_bit_counts(void **state)
{
    const struct srtp_deposit d = {.until = UNTIL};
    uint8_t sealed[SRTP_WRAPPED_MAX];
    char changed[SRTP_WRAPPED_MAX + 1];
    assert_int_equal(make(&d, ATTRIBUTE), 0);
    const int padded =
        EVP_DecodeBlock(sealed, (unsigned char *)value + 14, (int)strlen(value + 14));
    assert_true(padded > 28);
    const int len = padded - (value[strlen(value) - 1] == '=') - (value[strlen(value) - 2] == '=');
    memcpy(changed, value, 14);
    for (int bit = 0; bit < 8 * len; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EVP_EncodeBlock((unsigned char *)changed + 14, sealed, len);
        assert_int_equal(open_value(changed), WRAPPED_FAULT_NOT_AUTHENTIC);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EVP_EncodeBlock((unsigned char *)changed + 14, sealed, len);
    assert_int_equal(open_value(changed), WRAPPED_FAULT_NONE);
    EVP_EncodeBlock((unsigned char *)changed + 14, sealed, len - 1);
    assert_int_equal(open_value(changed), WRAPPED_FAULT_NOT_AUTHENTIC);
}

static void test_wrapped_key_old_key_opens_beside_the_new(void **state)
{
    const struct srtp_deposit d = {.until = UNTIL};
    const struct slice both[2] = {slice_of(other_key, 32), slice_of(key, 32)};
    const struct slice other[2] = {slice_of(other_key, 32), {0}};
    const struct slice none[2] = {{0}, slice_of(key, 31)};
    const struct wrapped_for w = ours();
    struct srtp_deposit out;
    assert_int_equal(make(&d, ATTRIBUTE), 0);
    const struct slice text = slice_of_string(value);
    assert_int_equal(wrapped_key_open(crypto, both, &w, text, NOW, &out), WRAPPED_FAULT_NONE);
    assert_int_equal(
        wrapped_key_open(crypto, other, &w, text, NOW, &out), WRAPPED_FAULT_NOT_AUTHENTIC);
    assert_int_equal(
        wrapped_key_open(crypto, none, &w, text, NOW, &out), WRAPPED_FAULT_NOT_AUTHENTIC);
    assert_int_equal(make_with(slice_of(key, 31), &d, ATTRIBUTE), -EINVAL);
    assert_int_equal(make_with((struct slice){0}, &d, ATTRIBUTE), -EINVAL);
}

static void test_wrapped_key_other_texts_are_none(void **state)
{
    static const char *const bad[] = {"", "v1", "v1.", "v2.1795503600.AAAA", "V1.1795503600.AAAA",
        "v1.1795503600", "v1.1795503600.", "v1..AAAA", "v1.01795503600.AAAA", "v1.+1795503600.AAAA",
        "v1.-1.AAAA", "v1.179550360000.AAAA", "v1.1795503600.AAA", "v1.1795503600.AA-A",
        /* a nonce and a tag, and nothing between them */
        "v1.1795503600.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="};
    char text[SRTP_WRAPPED_MAX + 2];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (open_value(bad[i]) != WRAPPED_FAULT_SYNTAX)
            fail_msg("'%s' is a wrapped key", bad[i]);
    }
    assert_int_equal(open_value("v1.1795503600.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        WRAPPED_FAULT_NOT_AUTHENTIC);
    memset(text, 'A', sizeof(text));
    memcpy(text, "v1.1795503600.", 14);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(open_value(text), WRAPPED_FAULT_SYNTAX);
}

/* Sealed by somebody who has the key, and nothing that can be used. */
static void assert_unusable(const char *plain, enum wrapped_fault fault)
{
    static const char associated[] = "v1 user/example.org/alice to_peer/7 1795503600";
    uint8_t sealed[CRYPTO_GCM_NONCE_LEN + CRYPTO_AEAD_PLAIN_MAX + CRYPTO_GCM_TAG_LEN] = {0};
    char text[SRTP_WRAPPED_MAX + 1] = "v1.1795503600.";
    const struct crypto_aead how = {CRYPTO_AES256_GCM, slice_of(key, 32),
        slice_of(sealed, CRYPTO_GCM_NONCE_LEN), slice_of_string(associated)};
    assert_int_equal(
        crypto_seal(crypto, &how, slice_of_string(plain), sealed + CRYPTO_GCM_NONCE_LEN), 0);
    EVP_EncodeBlock((unsigned char *)text + 14, sealed, (int)strlen(plain) + 28);
    if (open_value(text) != fault)
        fail_msg("'%s'", plain);
}

static void test_wrapped_key_with_something_else_in_it_is_refused(void **state)
{
    static const char *const bad[] = {"x", "roc=", "roc=1", "roc=1 ", "roc= " ATTRIBUTE,
        "roc=01 " ATTRIBUTE, "roc=4294967296 " ATTRIBUTE, "roc=99999999999 " ATTRIBUTE,
        "roc=1  " ATTRIBUTE, "roc=1\t" ATTRIBUTE, "roc=1 roc=1 " ATTRIBUTE, ATTRIBUTE " ",
        "ROC=1 " ATTRIBUTE, ATTRIBUTE " UNAUTHENTICATED_SRTP"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_unusable(bad[i], WRAPPED_FAULT_KEY);
    /* The description in the header is all that another program needs. */
    assert_unusable("roc=1 " ATTRIBUTE, WRAPPED_FAULT_NONE);
    assert_unusable(ATTRIBUTE, WRAPPED_FAULT_NONE);
}

/* By the function that docs/media.md has for Node. */
static void test_wrapped_key_of_another_program_opens(void **state)
{
    static const char theirs[] =
        "v1.1795503600.YWJjZGVmZ2hpamtsG6OqgvnFLJYwQ7FcVahqBwN59l763zwTX49hpOJ8p4QAoc6ZFDDC8Sce/"
        "cNjxcSu7jD514gPMaG3sRg9+uHOD6Si0fyZli4MchNQB0MU1mPIxZdFkqs48oVwWipcy89Ks4V5g4+h";
    const struct wrapped_for w = ours();
    struct srtp_deposit out;
    assert_int_equal(open_as(&w, slice_of_string(theirs), NOW, &out), WRAPPED_FAULT_NONE);
    assert_int_equal(out.until, UNTIL);
    assert_true(out.keys.has_roc);
    assert_int_equal(out.keys.roc, 2);
    assert_memory_equal(out.keys.masters[0].key_and_salt, "wDfvg&T+)xG7@fb5jU,RaA}", 23);
}

static void test_wrapped_key_is_made_of_attributes_alone(void **state)
{
    const struct srtp_deposit good = {.until = UNTIL}, ended = {.until = 0},
                              far = {.until = 100000000000};
    struct srtp_deposit d = good;
    char attribute[CRYPTO_AEAD_PLAIN_MAX + 2] = ATTRIBUTE " -";
    value[0] = 'x';
    assert_int_equal(make(&good, "x"), -EINVAL);
    assert_int_equal(make(&good, ""), -EINVAL);
    assert_int_equal(make(&ended, ATTRIBUTE), -EINVAL);
    assert_int_equal(make(&far, ATTRIBUTE), -EINVAL);
    assert_int_equal(value[0], 'x');
    memset(attribute + strlen(attribute), 'x', CRYPTO_AEAD_PLAIN_MAX - strlen(attribute));
    assert_int_equal(make(&good, attribute), 0);
    assert_int_equal(open_value(value), WRAPPED_FAULT_NONE);
    d.keys.has_roc = true;
    assert_int_equal(make(&d, attribute), -EINVAL);
    attribute[CRYPTO_AEAD_PLAIN_MAX] = 'x';
    assert_int_equal(make(&good, attribute), -EINVAL);
}

static int no_random(void *ctx, void *out, size_t len)
{
    return -EIO;
}

static void test_wrapped_key_without_a_nonce_is_not_made(void **state)
{
    const struct random_source broken = {no_random, NULL};
    const struct srtp_deposit d = {.until = UNTIL};
    const struct wrapped_for w = ours();
    value[0] = 'x';
    assert_int_equal(wrapped_key_make(crypto, &broken, slice_of(key, 32), &w, &d,
                         slice_of_string(ATTRIBUTE), value),
        -EIO);
    assert_int_equal(value[0], 'x');
}

static void test_wrapped_key_each_fault_has_a_text(void **state)
{
    for (int i = 0; i < WRAPPED_FAULT_COUNT; i++) {
        for (int k = 0; k < i; k++)
            assert_string_not_equal(wrapped_fault_text(i), wrapped_fault_text(k));
    }
}

static int set_up(void **state)
{
    crypto = crypto_new();
    return crypto ? 0 : -1;
}

static int tear_down(void **state)
{
    crypto_free(crypto);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrapped_key_comes_back),
        cmocka_unit_test(test_wrapped_key_roc_comes_back),
        cmocka_unit_test(test_wrapped_key_opens_for_its_place_alone),
        cmocka_unit_test(test_wrapped_key_cannot_be_prolonged),
        cmocka_unit_test(test_wrapped_key_each_bit_counts),
        cmocka_unit_test(test_wrapped_key_old_key_opens_beside_the_new),
        cmocka_unit_test(test_wrapped_key_other_texts_are_none),
        cmocka_unit_test(test_wrapped_key_with_something_else_in_it_is_refused),
        cmocka_unit_test(test_wrapped_key_of_another_program_opens),
        cmocka_unit_test(test_wrapped_key_is_made_of_attributes_alone),
        cmocka_unit_test(test_wrapped_key_without_a_nonce_is_not_made),
        cmocka_unit_test(test_wrapped_key_each_fault_has_a_text),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
