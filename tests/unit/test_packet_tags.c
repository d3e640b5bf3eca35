/* Tags computed apart from libsrtp2, against those that it makes, and against the RFC's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "srtp/packet_tags.h"
#include "tests/unit/srtp_sender.h"

#define SSRC 0xcafebabeu

static struct slice bytes_of(const struct sent *sent)
{
    return slice_of(sent->u.bytes, sent->len);
}

static void test_packet_tags_fit_what_libsrtp2_sends_and_nothing_else(void **state)
{
    static struct sent sent;
    for (unsigned suite = 0; suite < SRTP_SUITE_COUNT; suite++) {
        const struct srtp_keys keys = sender_keys_mki((enum srtp_suite)suite, 9, 4);
        struct packet_tags *t = NULL;
        struct sender tx;
        assert_true(sender_init(&tx, &keys));
        assert_int_equal(packet_tags_new(&t, &keys), 0);
        assert_true(sender_set_roc(&tx, SSRC, 0x01020304));
        for (size_t len = 0; len < 1500; len += 1 + len / 3) {
            tx.mki = len % 2;
            assert_true(sender_rtp(&tx, SSRC, (uint16_t)len, len, &sent));
            assert_true(packet_tags_fit_rtp(t, bytes_of(&sent), 0x01020304));
            assert_false(packet_tags_fit_rtp(t, bytes_of(&sent), 0x01020305));
            assert_false(packet_tags_fit_rtp(t, bytes_of(&sent), 0));
            for (size_t i = 1; i < sent.len; i++) {
                sent.u.bytes[i] ^= 0x10;
                assert_false(packet_tags_fit_rtp(t, bytes_of(&sent), 0x01020304));
                sent.u.bytes[i] ^= 0x10;
            }
            assert_true(sender_rtcp(&tx, SSRC, &sent));
            assert_true(packet_tags_fit_rtcp(t, bytes_of(&sent)));
            for (size_t i = 0; i < sent.len; i++) {
                sent.u.bytes[i] ^= 0x80;
                assert_false(packet_tags_fit_rtcp(t, bytes_of(&sent)));
                sent.u.bytes[i] ^= 0x80;
            }
        }
        packet_tags_free(t);
        sender_deinit(&tx);
    }
}

static unsigned hex(const char *text, uint8_t *out)
{
    unsigned len = 0;
    for (; text[0] && text[1]; text += 2) {
        const char pair[3] = {text[0], text[1], 0};
        out[len++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

/* RFC 3711 appendix B.3: master key and salt, and the authentication key (of 94 bytes, of which
 * HMAC-SHA1 takes 20), here as the HMAC that it makes. */
static void test_packet_tags_derive_the_keys_of_the_rfc(void **state)
{
    static struct sent sent;
    uint8_t auth_key[20], master[30];
    hex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6", master);
    hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4", auth_key);
    struct srtp_keys keys = {.suite = SRTP_AES_128_SHA1_80, .count = 1};
    memcpy(keys.masters[0].key_and_salt, master, sizeof(master));
    sent.len = sender_write_rtp(sent.u.bytes, SSRC, 7, 30);
    const uint8_t roc[4] = {0, 0, 0, 3};
    const struct slice parts[] = {bytes_of(&sent), slice_of(roc, 4)};
    struct crypto *crypto = crypto_new();
    assert_non_null(crypto);
    uint8_t mac[20];
    assert_int_equal(crypto_hmac(crypto, CRYPTO_SHA1, slice_of(auth_key, 20), parts, 2, mac), 0);
    memcpy(sent.u.bytes + sent.len, mac, 10);
    sent.len += 10;
    struct packet_tags *t = NULL;
    assert_int_equal(packet_tags_new(&t, &keys), 0);
    assert_true(packet_tags_fit_rtp(t, bytes_of(&sent), 3));
    assert_false(packet_tags_fit_rtp(t, bytes_of(&sent), 4));
    packet_tags_free(t);
    crypto_free(crypto);
}

/* RFC 7714 section 9.3: SRTCP of AEAD says itself whether it is encrypted. */
static void test_packet_tags_fit_unencrypted_rtcp_of_aead(void **state)
{
    static struct sent sent;
    const struct srtp_keys keys = sender_keys(SRTP_AEAD_128_GCM, 9);
    struct srtp_keys copy = keys;
    srtp_policy_t policy = {.ssrc = {.type = ssrc_any_outbound}};
    sender_policy(&policy, keys.suite);
    policy.rtcp.sec_serv = sec_serv_auth;
    policy.key = copy.masters[0].key_and_salt;
    struct sender tx = {0};
    assert_int_equal(srtp_create(&tx.session, &policy), srtp_err_status_ok);
    struct packet_tags *t = NULL;
    assert_int_equal(packet_tags_new(&t, &keys), 0);
    assert_true(sender_rtcp(&tx, SSRC, &sent));
    assert_int_equal(sent.u.bytes[sent.len - 4] & 0x80, 0);
    assert_true(packet_tags_fit_rtcp(t, bytes_of(&sent)));
    for (size_t i = 0; i < sent.len; i++) {
        sent.u.bytes[i] ^= 1;
        assert_false(packet_tags_fit_rtcp(t, bytes_of(&sent)));
        sent.u.bytes[i] ^= 1;
    }
    packet_tags_free(t);
    sender_deinit(&tx);
}

/* Before the bytes and behind them lies memory that must not be touched. */
static void test_packet_tags_of_any_short_bytes_do_not_fit(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
    memset(pages + page, 0x80, page);
    for (unsigned suite = 0; suite < 2 * SRTP_SUITE_COUNT; suite++) {
        const enum srtp_suite id = suite % SRTP_SUITE_COUNT;
        const struct srtp_keys keys =
            suite < SRTP_SUITE_COUNT ? sender_keys(id, 9) : sender_keys_mki(id, 9, SRTP_MKI_MAX);
        struct packet_tags *t = NULL;
        assert_int_equal(packet_tags_new(&t, &keys), 0);
        for (size_t len = 0; len < 64; len++) {
            const uint8_t *at[] = {pages + page, pages + 2 * page - len};
            for (unsigned i = 0; i < 2; i++) {
                assert_false(packet_tags_fit_rtp(t, slice_of(at[i], len), 0));
                assert_false(packet_tags_fit_rtcp(t, slice_of(at[i], len)));
            }
        }
        packet_tags_free(t);
    }
    munmap(pages, 3 * page);
}

static void test_packet_tags_of_keys_that_cannot_be_are_refused(void **state)
{
    struct packet_tags *t = NULL;
    struct srtp_keys keys = sender_keys(SRTP_AEAD_128_GCM, 9);
    keys.count = 0;
    assert_int_equal(packet_tags_new(&t, &keys), -EINVAL);
    keys.count = SRTP_MASTERS_MAX + 1;
    assert_int_equal(packet_tags_new(&t, &keys), -EINVAL);
    keys.count = 1;
    keys.masters[0].mki_len = SRTP_MKI_MAX + 1;
    assert_int_equal(packet_tags_new(&t, &keys), -EINVAL);
    keys.masters[0].mki_len = 0;
    keys.suite = SRTP_SUITE_COUNT;
    assert_int_equal(packet_tags_new(&t, &keys), -EINVAL);
    assert_null(t);
    packet_tags_free(NULL);
}

static int set_up(void **state)
{
    return srtp_verifier_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet_tags_fit_what_libsrtp2_sends_and_nothing_else),
        cmocka_unit_test(test_packet_tags_derive_the_keys_of_the_rfc),
        cmocka_unit_test(test_packet_tags_fit_unencrypted_rtcp_of_aead),
        cmocka_unit_test(test_packet_tags_of_any_short_bytes_do_not_fit),
        cmocka_unit_test(test_packet_tags_of_keys_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
