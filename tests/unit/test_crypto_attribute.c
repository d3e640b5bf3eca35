/* RFC 4568's crypto attribute: what is one, and by what name each other text is refused. */
#include "srtp/crypto_attribute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Of 30, 46, 28 and 44 bytes. */
#define KEY_30 "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
#define KEY_46 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLQ=="
#define KEY_28 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw=="
#define KEY_44 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis="
#define SUITE  "AES_CM_128_HMAC_SHA1_80"
#define GOOD   SUITE " inline:" KEY_30

static struct srtp_keys keys;

static enum crypto_fault parse(const char *text)
{
    return crypto_attribute_parse(&keys, slice_of_string(text));
}

static void assert_fault(enum crypto_fault fault, const char *text)
{
    const struct srtp_keys untouched = {.suite = 99, .roc = 7};
    keys = untouched;
    const enum crypto_fault said = parse(text);
    if (said != fault)
        fail_msg("'%s': %s", text, crypto_fault_text(said));
    if (said != CRYPTO_FAULT_NONE)
        assert_memory_equal(&keys, &untouched, sizeof(keys));
}

/* Section 6.1: "inline:d0Rm…|2^20|1:4" is key and salt as one, a lifetime, and an MKI of 4 bytes.
 */
static void test_crypto_attribute_examples_of_the_rfc_are_read(void **state)
{
    static const uint8_t salted[] = "wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#";
    static const char *const rows[] = {"a=crypto:1 AES_CM_128_HMAC_SHA1_80 "
                                       "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_32 "
        "inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:32",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 "
        "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4 FEC_ORDER=FEC_SRTP"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_fault(CRYPTO_FAULT_NONE, rows[i]);
    assert_int_equal(parse("a=crypto:1 " GOOD "|2^20|1:4"), CRYPTO_FAULT_NONE);
    assert_int_equal(keys.suite, SRTP_AES_128_SHA1_80);
    assert_int_equal(keys.count, 1);
    assert_false(keys.has_roc);
    assert_memory_equal(keys.masters[0].key_and_salt, salted, 30);
    assert_int_equal(keys.masters[0].key_and_salt[30], 0);
    assert_int_equal(keys.masters[0].mki_len, 4);
    assert_memory_equal(keys.masters[0].mki, "\0\0\0\1", 4);
    /* "The second example assigns a 4-byte master key identifier of 1066 to the key." */
    assert_int_equal(
        parse(SUITE " inline:YUJDZGVmZ2hpSktMbW9QUXJzVHVWd3l6MTIzNDU2|1066:4"), CRYPTO_FAULT_NONE);
    assert_memory_equal(keys.masters[0].mki, "\0\0\x04\x2a", 4);
}

static void test_crypto_attribute_each_suite_has_its_key_length(void **state)
{
    static const char *const by_length[] = {KEY_30, KEY_46, KEY_28, KEY_44};
    static const int lengths[] = {30, 46, 28, 44};
    for (int suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        const struct srtp_suite_facts *facts = &srtp_suites[suite];
        for (int i = 0; i < 4; i++) {
            char text[256];
            snprintf(text, sizeof(text), "%s inline:%s", facts->name, by_length[i]);
            const bool fits = facts->key_len + facts->salt_len == lengths[i];
            assert_fault(fits ? CRYPTO_FAULT_NONE : CRYPTO_FAULT_KEY_LENGTH, text);
            if (fits)
                assert_int_equal(keys.suite, suite);
        }
    }
}

static void test_crypto_attribute_tag_and_name_may_be_missing(void **state)
{
    assert_fault(CRYPTO_FAULT_NONE, GOOD);
    assert_fault(CRYPTO_FAULT_NONE, "1 " GOOD);
    assert_fault(CRYPTO_FAULT_NONE, "a=crypto:0\t " GOOD);
    assert_fault(CRYPTO_FAULT_NONE, "a=crypto:999999999 " GOOD);
    assert_fault(CRYPTO_FAULT_NONE, "aes_cm_128_hmac_sha1_80 INLINE:" KEY_30 " kdr=0");
    assert_fault(CRYPTO_FAULT_SYNTAX, "a=crypto:" GOOD);
    assert_fault(CRYPTO_FAULT_SYNTAX, "a=crypto: 1 " GOOD);
    assert_fault(CRYPTO_FAULT_SYNTAX, "a=crypto:01 " GOOD);
    assert_fault(CRYPTO_FAULT_SYNTAX, "1234567890 " GOOD);
    assert_fault(CRYPTO_FAULT_SUITE, "A=CRYPTO:1 " GOOD);
}

static void test_crypto_attribute_other_texts_are_no_attribute(void **state)
{
    static const char *const bad[] = {"", " ", "1", SUITE, SUITE " ", " " GOOD, GOOD " ", GOOD "\n",
        GOOD "\r\n", "a=crypto:1", "1 " SUITE, SUITE " " KEY_30, SUITE " :" KEY_30, GOOD ";",
        GOOD "|2^20|1:4|", GOOD "|2^20|1:4|1:4", GOOD " \x01", GOOD " \xc3\xbc"};
    char *long_one = malloc(CRYPTO_ATTRIBUTE_MAX + 2);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_fault(CRYPTO_FAULT_SYNTAX, bad[i]);
    assert_int_equal(
        crypto_attribute_parse(&keys, slice_of(GOOD "\0", sizeof(GOOD))), CRYPTO_FAULT_SYNTAX);
    snprintf(long_one, CRYPTO_ATTRIBUTE_MAX + 2, "%s -%0*d", GOOD,
        (int)(CRYPTO_ATTRIBUTE_MAX - sizeof(GOOD) - 1), 0);
    assert_int_equal(strlen(long_one), CRYPTO_ATTRIBUTE_MAX);
    assert_fault(CRYPTO_FAULT_NONE, long_one);
    memcpy(long_one + CRYPTO_ATTRIBUTE_MAX, "0", 2);
    assert_fault(CRYPTO_FAULT_SYNTAX, long_one);
    free(long_one);
}

static void test_crypto_attribute_unknown_suites_and_methods_are_named(void **state)
{
    assert_fault(CRYPTO_FAULT_SUITE, "F8_128_HMAC_SHA1_80 inline:" KEY_30);
    assert_fault(CRYPTO_FAULT_SUITE, "AES_CM_128_HMAC_SHA1_8 inline:" KEY_30);
    assert_fault(CRYPTO_FAULT_SUITE, "AES_CM_128_HMAC_SHA1_800 inline:" KEY_30);
    assert_fault(CRYPTO_FAULT_KEY_METHOD, SUITE " url:" KEY_30);
    assert_fault(CRYPTO_FAULT_KEY_METHOD, GOOD "|1:4;uri:" KEY_30 "|2:4");
}

static void test_crypto_attribute_keys_are_strict_base64(void **state)
{
    static const char *const bad[] = {SUITE " inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSo-",
        SUITE " inline:" KEY_30 "=", SUITE " inline:" KEY_30 "A",
        "AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw",
        "AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGx=="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_fault(CRYPTO_FAULT_BASE64, bad[i]);
    assert_fault(CRYPTO_FAULT_KEY_LENGTH, SUITE " inline:d0Rm dmcm");
    assert_fault(CRYPTO_FAULT_KEY_LENGTH, SUITE " inline:");
    assert_fault(CRYPTO_FAULT_KEY_LENGTH, SUITE " inline:|2^20");
}

static void test_crypto_attribute_lifetimes_are_bounded(void **state)
{
    static const char *const good[] = {
        "1", "2", "2^0", "2^9", "2^31", "2^48", "281474976710656", "2147483648"};
    static const char *const bad[] = {"", "0", "2^", "2^49", "2^048", "2^100", "01",
        "281474976710657", "9999999999999999", "-1", "+1", "1e3", "3^2", "x", "2^2^2",
        "18446744073709551617"};
    char text[256];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), GOOD "|%s", good[i]);
        assert_fault(CRYPTO_FAULT_NONE, text);
        snprintf(text, sizeof(text), GOOD "|%s|1:1", good[i]);
        assert_fault(CRYPTO_FAULT_NONE, text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), GOOD "|%s", bad[i]);
        assert_fault(CRYPTO_FAULT_LIFETIME, text);
        snprintf(text, sizeof(text), GOOD "|%s|1:1", bad[i]);
        assert_fault(CRYPTO_FAULT_LIFETIME, text);
    }
    assert_fault(CRYPTO_FAULT_LIFETIME, GOOD "|1:4|2^20");
}

static void test_crypto_attribute_mki_is_network_order_and_bounded(void **state)
{
    /* 2^256 and one less: 32 bytes. */
    static const char largest[] =
        "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    static const char *const bad[] = {":4", "1:", "0:4", "01:4", "1:04", "1:0", "256:1", "1:33",
        "1:129", "1:1000", "x:4", "1:x", "1:4:4", "-1:4", "65536:2"};
    uint8_t ones[32];
    char text[256];
    memset(ones, 0xff, sizeof(ones));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), GOOD "|2^20|%s", bad[i]);
        assert_fault(CRYPTO_FAULT_MKI, text);
    }
    assert_fault(CRYPTO_FAULT_MKI, GOOD "|2^20|1");
    assert_fault(CRYPTO_FAULT_NONE, GOOD "|255:1");
    assert_memory_equal(keys.masters[0].mki, "\xff", 2);
    assert_fault(CRYPTO_FAULT_NONE, GOOD "|65535:2");
    assert_memory_equal(keys.masters[0].mki, "\xff\xff", 3);
    snprintf(text, sizeof(text), GOOD "|%s:32", largest);
    assert_fault(CRYPTO_FAULT_NONE, text);
    assert_memory_equal(keys.masters[0].mki, ones, sizeof(ones));
    text[strlen(text) - 4] = '6';
    assert_fault(CRYPTO_FAULT_MKI, text);
}

static void test_crypto_attribute_several_keys_are_told_apart(void **state)
{
    static const char other[] = "inline:" KEY_30;
    char text[512];
    snprintf(text, sizeof(text), GOOD "|1:4;%s|2^31|2:4;%s|3:4;%s|4:4", other, other, other);
    assert_fault(CRYPTO_FAULT_NONE, text);
    assert_int_equal(keys.count, 4);
    assert_memory_equal(keys.masters[3].mki, "\0\0\0\4", 4);
    snprintf(
        text, sizeof(text), "%s|1:4;%s|2:4;%s|3:4;%s|4:4;%s|5:4", GOOD, other, other, other, other);
    assert_fault(CRYPTO_FAULT_TOO_MANY_KEYS, text);
    snprintf(text, sizeof(text), "%s;%s|2:4", GOOD, other);
    assert_fault(CRYPTO_FAULT_MKI, text);
    snprintf(text, sizeof(text), "%s|1:4;%s", GOOD, other);
    assert_fault(CRYPTO_FAULT_MKI, text);
    snprintf(text, sizeof(text), "%s|1:4;%s|1:4", GOOD, other);
    assert_fault(CRYPTO_FAULT_MKI, text);
    snprintf(text, sizeof(text), "%s|1:4;%s|2:3", GOOD, other);
    assert_fault(CRYPTO_FAULT_MKI, text);
}

static void test_crypto_attribute_parameters_that_change_nothing_pass(void **state)
{
    static const char *const good[] = {"KDR=0", "WSH=64", "WSH=999999999", "FEC_ORDER=FEC_SRTP",
        "UNENCRYPTED_SRTP", "-X", "-FEC_KEY=inline:x", "KDR=0 WSH=128\t-x", "wsh=100"};
    static const char *const bad[] = {"KDR=1", "KDR=24", "KDR=", "KDR=00", "WSH=63",
        "WSH=", "WSH=064", "WSH=x", "WSH=1000000000000", "FEC_ORDER=SRTP_FEC",
        "FEC_ORDER=", "FEC_KEY=inline:" KEY_30, "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "X",
        "-", "--x", "KDR=0 X", "UNENCRYPTED_SRT"};
    char text[256];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), GOOD " %s", good[i]);
        assert_fault(CRYPTO_FAULT_NONE, text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), GOOD "|2^20|1:4 %s", bad[i]);
        assert_fault(CRYPTO_FAULT_SESSION_PARAMETER, text);
    }
    /* The payload of AEAD would be authenticated in another place. */
    assert_fault(
        CRYPTO_FAULT_SESSION_PARAMETER, "AEAD_AES_128_GCM inline:" KEY_28 " UNENCRYPTED_SRTP");
}

/* Each text cut anywhere is read within its bytes, and none of them is another attribute's. */
static void test_crypto_attribute_cut_anywhere_stays_within_its_bytes(void **state)
{
    static const char whole[] = "a=crypto:1 " GOOD "|2^20|1:4;inline:" KEY_30 "|2:4 KDR=0 WSH=128";
    for (size_t len = 0; len < sizeof(whole); len++) {
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, whole, len);
        const uint8_t *exact = memmove(copy + 1, copy, len);
        crypto_attribute_parse(&keys, slice_of(exact, len));
        free(copy);
    }
    assert_fault(CRYPTO_FAULT_NONE, whole);
}

static void test_crypto_attribute_each_fault_has_a_text(void **state)
{
    for (int i = 0; i < CRYPTO_FAULT_COUNT; i++) {
        for (int k = 0; k < i; k++)
            assert_string_not_equal(crypto_fault_text(i), crypto_fault_text(k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crypto_attribute_examples_of_the_rfc_are_read),
        cmocka_unit_test(test_crypto_attribute_each_suite_has_its_key_length),
        cmocka_unit_test(test_crypto_attribute_tag_and_name_may_be_missing),
        cmocka_unit_test(test_crypto_attribute_other_texts_are_no_attribute),
        cmocka_unit_test(test_crypto_attribute_unknown_suites_and_methods_are_named),
        cmocka_unit_test(test_crypto_attribute_keys_are_strict_base64),
        cmocka_unit_test(test_crypto_attribute_lifetimes_are_bounded),
        cmocka_unit_test(test_crypto_attribute_mki_is_network_order_and_bounded),
        cmocka_unit_test(test_crypto_attribute_several_keys_are_told_apart),
        cmocka_unit_test(test_crypto_attribute_parameters_that_change_nothing_pass),
        cmocka_unit_test(test_crypto_attribute_cut_anywhere_stays_within_its_bytes),
        cmocka_unit_test(test_crypto_attribute_each_fault_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
