/* The vectors of RFC 5769 and of RFC 8489 appendix B.1, through parser, integrity and writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/stun_vectors.h"
#include "wire/stun_writer.h"

#define SHORT_PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"
/* MA TO RI KKU SU in Katakana, as UTF-8. */
#define LONG_USERNAME "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9"
#define LONG_REALM    "example.org"
#define LONG_PASSWORD "TheMatrIX"
#define B1_INTEGRITY  120 /* offset of MESSAGE-INTEGRITY-SHA256 in appendix B.1 */

static struct crypto *crypto;

static int setup(void **state)
{
    crypto = crypto_new();
    return crypto == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    crypto_free(crypto);
    return 0;
}

static void parse_vector(struct stun_msg *msg, const uint8_t *bytes, size_t len)
{
    memset(msg, 0xa5, sizeof(*msg));
    assert_int_equal(stun_parse(msg, slice_of(bytes, len)), REASON_NONE);
    assert_false(msg->classic);
    assert_memory_equal(msg->transaction, bytes + 4, STUN_TRANSACTION_LEN);
}

static void assert_text(const struct stun_msg *msg, uint16_t type, const char *text)
{
    struct slice value;
    assert_true(stun_find(msg, type, &value));
    assert_int_equal(value.len, strlen(text));
    assert_memory_equal(value.data, text, value.len);
}

static void long_term_key(enum crypto_hash hash, uint8_t *out)
{
    const struct slice text = slice_of_string(LONG_USERNAME ":" LONG_REALM ":" LONG_PASSWORD);
    assert_int_equal(crypto_digest(crypto, hash, &text, 1, out), 0);
}

static void test_stun_vector_request_parses_and_verifies(void **state)
{
    struct stun_msg msg;
    parse_vector(&msg, rfc5769_request, sizeof(rfc5769_request));
    assert_int_equal(msg.class, STUN_REQUEST);
    assert_int_equal(msg.method, STUN_BINDING);
    assert_true(msg.has_fingerprint);
    assert_text(&msg, STUN_ATTR_SOFTWARE, "STUN test client");
    assert_text(&msg, STUN_ATTR_USERNAME, "evtj:h6vY");
    /* PRIORITY is comprehension-required and means nothing here; ICE-CONTROLLED is optional. */
    assert_int_equal(msg.unknown_count, 1);
    assert_int_equal(msg.unknown[0], 0x0024);
    assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of_string(SHORT_PASSWORD)), 0);
    assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of_string(SHORT_PASSWORD "x")), 1);
}

static void check_response(const uint8_t *bytes, size_t len, const char *mapped)
{
    struct stun_msg msg;
    struct slice value;
    struct addr addr, expected;
    parse_vector(&msg, bytes, len);
    assert_int_equal(msg.class, STUN_SUCCESS);
    assert_int_equal(msg.method, STUN_BINDING);
    assert_true(msg.has_fingerprint);
    assert_int_equal(msg.unknown_count, 0);
    assert_text(&msg, STUN_ATTR_SOFTWARE, "test vector");
    assert_true(stun_find(&msg, STUN_ATTR_XOR_MAPPED_ADDRESS, &value));
    assert_true(stun_read_xor_addr(&msg, value, &addr));
    assert_int_equal(addr_parse(&expected, mapped), 0);
    assert_true(addr_equal(&addr, &expected));
    assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of_string(SHORT_PASSWORD)), 0);
    assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of_string("x")), 1);
}

static void test_stun_vector_ipv4_response_parses_and_verifies(void **state)
{
    check_response(rfc5769_response_ipv4, sizeof(rfc5769_response_ipv4), "192.0.2.1:32853");
}

static void test_stun_vector_ipv6_response_parses_and_verifies(void **state)
{
    check_response(rfc5769_response_ipv6, sizeof(rfc5769_response_ipv6),
        "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

static void test_stun_vector_long_term_request_parses_and_verifies(void **state)
{
    struct stun_msg msg;
    uint8_t key[CRYPTO_MD5_LEN];
    parse_vector(&msg, rfc5769_long_term, sizeof(rfc5769_long_term));
    assert_false(msg.has_fingerprint);
    assert_text(&msg, STUN_ATTR_USERNAME, LONG_USERNAME);
    assert_text(&msg, STUN_ATTR_NONCE, "f//499k954d6OL34oL9FSTvy64sA");
    assert_text(&msg, STUN_ATTR_REALM, LONG_REALM);
    long_term_key(CRYPTO_MD5, key);
    assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of(key, sizeof(key))), 0);
    key[0] ^= 1;
    assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of(key, sizeof(key))), 1);
}

static void test_stun_vector_long_term_request_is_written_byte_for_byte(void **state)
{
    struct stun_writer s;
    uint8_t key[CRYPTO_MD5_LEN], buffer[256];
    memset(buffer, 0xa5, sizeof(buffer));
    long_term_key(CRYPTO_MD5, key);
    stun_write_begin(&s, buffer, sizeof(buffer), STUN_REQUEST, STUN_BINDING, rfc5769_long_term + 4);
    stun_write_attr(&s, STUN_ATTR_USERNAME, slice_of_string(LONG_USERNAME));
    stun_write_attr(&s, STUN_ATTR_NONCE, slice_of_string("f//499k954d6OL34oL9FSTvy64sA"));
    stun_write_attr(&s, STUN_ATTR_REALM, slice_of_string(LONG_REALM));
    stun_write_integrity(&s, crypto, slice_of(key, sizeof(key)), false);
    assert_int_equal(stun_write_end(&s), sizeof(rfc5769_long_term));
    assert_memory_equal(buffer, rfc5769_long_term, sizeof(rfc5769_long_term));
}

static void test_stun_vector_every_flipped_bit_is_noticed(void **state)
{
    uint8_t bytes[sizeof(rfc5769_request)];
    const size_t fingerprint = sizeof(bytes) - 8;
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        struct stun_msg msg;
        if (bit / 8 == fingerprint || bit / 8 == fingerprint + 1)
            continue; /* another type: then the message has no FINGERPRINT */
        memcpy(bytes, rfc5769_request, sizeof(bytes));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (stun_parse(&msg, slice_of(bytes, sizeof(bytes))) != REASON_NONE)
            continue;
        /* A length that now hides FINGERPRINT in another value: the HMAC notices. */
        assert_false(msg.has_fingerprint);
        assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of_string(SHORT_PASSWORD)), 1);
    }
}

/* The printed length, 0x9c, is that of the whole message: the HMAC was made over it. */
static void test_stun_vector_b1_hmac_and_userhash_match_as_printed(void **state)
{
    uint8_t key[CRYPTO_SHA256_LEN], mac[CRYPTO_SHA256_LEN], hash[CRYPTO_SHA256_LEN];
    const struct slice user = slice_of_string(LONG_USERNAME ":" LONG_REALM);
    const struct slice text = slice_of(rfc8489_b1, B1_INTEGRITY);
    assert_int_equal(sizeof(rfc8489_b1), STUN_HEADER_LEN + 136);
    assert_int_equal(crypto_digest(crypto, CRYPTO_SHA256, &user, 1, hash), 0);
    assert_memory_equal(hash, rfc8489_b1 + 24, sizeof(hash));
    long_term_key(CRYPTO_SHA256, key);
    assert_int_equal(
        crypto_hmac(crypto, CRYPTO_SHA256, slice_of(key, sizeof(key)), &text, 1, mac), 0);
    assert_memory_equal(mac, rfc8489_b1 + B1_INTEGRITY + 4, sizeof(mac));
}

static void test_stun_vector_b1_as_printed_is_refused(void **state)
{
    struct stun_msg msg;
    const struct slice printed = slice_of(rfc8489_b1, sizeof(rfc8489_b1));
    assert_int_equal(stun_parse(&msg, printed), REASON_STUN_TRUNCATED);
}

/* With the length set right the message parses, and its integrity is another than the printed. */
static void test_stun_vector_b1_with_right_length_needs_its_own_hmac(void **state)
{
    struct stun_msg msg;
    struct slice value;
    uint8_t key[CRYPTO_SHA256_LEN], mac[CRYPTO_SHA256_LEN], bytes[sizeof(rfc8489_b1)];
    memcpy(bytes, rfc8489_b1, sizeof(bytes));
    bytes[3] = 136;
    parse_vector(&msg, bytes, sizeof(bytes));
    assert_true(stun_find(&msg, STUN_ATTR_USERHASH, &value));
    assert_int_equal(value.len, STUN_USERHASH_LEN);
    assert_text(&msg, STUN_ATTR_NONCE, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
    assert_text(&msg, STUN_ATTR_REALM, LONG_REALM);
    assert_int_equal(msg.integrity256_offset, B1_INTEGRITY);
    long_term_key(CRYPTO_SHA256, key);
    assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of(key, sizeof(key))), 1);
    const struct slice text = slice_of(bytes, B1_INTEGRITY);
    assert_int_equal(
        crypto_hmac(crypto, CRYPTO_SHA256, slice_of(key, sizeof(key)), &text, 1, mac), 0);
    memcpy(bytes + B1_INTEGRITY + 4, mac, sizeof(mac));
    assert_int_equal(stun_verify_integrity(&msg, crypto, slice_of(key, sizeof(key))), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_vector_request_parses_and_verifies),
        cmocka_unit_test(test_stun_vector_ipv4_response_parses_and_verifies),
        cmocka_unit_test(test_stun_vector_ipv6_response_parses_and_verifies),
        cmocka_unit_test(test_stun_vector_long_term_request_parses_and_verifies),
        cmocka_unit_test(test_stun_vector_long_term_request_is_written_byte_for_byte),
        cmocka_unit_test(test_stun_vector_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_stun_vector_b1_hmac_and_userhash_match_as_printed),
        cmocka_unit_test(test_stun_vector_b1_as_printed_is_refused),
        cmocka_unit_test(test_stun_vector_b1_with_right_length_needs_its_own_hmac),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
