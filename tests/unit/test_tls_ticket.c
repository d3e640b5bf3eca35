/* Keys of session tickets: what opens what, and for how long. */
#include "tls/ticket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW  (1700000000 / 3600 * 3600) /* the beginning of an hour */
#define HOUR 3600

struct fixture {
    struct tls_ticket_keys keys;
    uint8_t name[TLS_TICKET_NAME_LEN], iv[EVP_MAX_IV_LENGTH];
    struct tls_ticket ticket;
    EVP_MAC *hmac;
};

static struct fixture f;

static struct tls_ticket_keys keys_of(const char *secret, const char *label)
{
    struct tls_ticket_keys k;
    assert_int_equal(tls_ticket_keys_init(&k, slice_of_string(secret), label), 0);
    return k;
}

static int setup(void **state)
{
    f.keys = keys_of("a secret of thirty-two bytes ...", "tls");
    f.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    f.ticket = (struct tls_ticket){f.name, f.iv, EVP_CIPHER_CTX_new(), EVP_MAC_CTX_new(f.hmac)};
    return 0;
}

static int teardown(void **state)
{
    tls_ticket_keys_deinit(&f.keys);
    EVP_CIPHER_CTX_free(f.ticket.cipher);
    EVP_MAC_CTX_free(f.ticket.mac);
    EVP_MAC_free(f.hmac);
    return 0;
}

/* What OpenSSL would do with the contexts: a cipher text of 16 bytes, or its plain text; and a MAC
 * over a fixed text. */
static void use(const uint8_t in[16], uint8_t out[16], uint8_t mac[32])
{
    int len = 0;
    size_t mac_len = 0;
    EVP_CIPHER_CTX_set_padding(f.ticket.cipher, 0);
    assert_int_equal(EVP_CipherUpdate(f.ticket.cipher, out, &len, in, 16), 1);
    assert_int_equal(len, 16);
    assert_int_equal(EVP_MAC_init(f.ticket.mac, NULL, 0, NULL), 1);
    assert_int_equal(EVP_MAC_update(f.ticket.mac, in, 0), 1);
    assert_int_equal(EVP_MAC_final(f.ticket.mac, mac, &mac_len, 32), 1);
    assert_int_equal(mac_len, 32);
}

static void test_tls_ticket_opens_in_its_hour_and_the_next(void **state)
{
    static const struct {
        int64_t at;
        int result;
    } row[] = {{NOW, 1}, {NOW + HOUR - 1, 1}, {NOW + HOUR, 2}, {NOW + 2 * HOUR - 1, 2},
        {NOW + 2 * HOUR, 0}, {NOW - 1, 1}, {NOW - HOUR - 1, 0}};
    const uint8_t text[16] = "sixteen bytes ..";
    uint8_t sealed[16], opened[16], mac[32], mac_again[32];
    assert_int_equal(tls_ticket_seal(&f.keys, &f.ticket, NOW), 1);
    use(text, sealed, mac);
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        assert_int_equal(tls_ticket_open(&f.keys, &f.ticket, row[i].at), row[i].result);
        if (row[i].result == 0)
            continue;
        use(sealed, opened, mac_again);
        assert_memory_equal(opened, text, 16);
        assert_memory_equal(mac, mac_again, 32);
    }
}

static void test_tls_ticket_of_another_secret_or_label_is_not_ours(void **state)
{
    struct tls_ticket_keys secret = keys_of("another secret of 32 bytes .....", "tls"),
                           label = keys_of("a secret of thirty-two bytes ...", "dtls"),
                           same = keys_of("a secret of thirty-two bytes ...", "tls");
    assert_int_equal(tls_ticket_seal(&f.keys, &f.ticket, NOW), 1);
    assert_int_equal(tls_ticket_open(&secret, &f.ticket, NOW), 0);
    assert_int_equal(tls_ticket_open(&label, &f.ticket, NOW), 0);
    assert_int_equal(tls_ticket_open(&same, &f.ticket, NOW), 1);
    tls_ticket_keys_deinit(&secret);
    tls_ticket_keys_deinit(&label);
    tls_ticket_keys_deinit(&same);
}

static void test_tls_ticket_keys_and_ivs_are_new(void **state)
{
    const uint8_t text[16] = "sixteen bytes ..";
    uint8_t sealed[3][16], mac[3][32], iv[16];
    assert_int_equal(tls_ticket_seal(&f.keys, &f.ticket, NOW), 1);
    memcpy(iv, f.iv, 16);
    use(text, sealed[0], mac[0]);
    assert_int_equal(tls_ticket_seal(&f.keys, &f.ticket, NOW), 1);
    assert_memory_not_equal(iv, f.iv, 16);
    use(text, sealed[1], mac[1]);
    assert_memory_equal(mac[0], mac[1], 32);
    assert_int_equal(tls_ticket_seal(&f.keys, &f.ticket, NOW + HOUR), 1);
    use(text, sealed[2], mac[2]);
    assert_memory_not_equal(mac[1], mac[2], 32);
    assert_memory_not_equal(sealed[0], sealed[1], 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_tls_ticket_opens_in_its_hour_and_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_tls_ticket_of_another_secret_or_label_is_not_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_ticket_keys_and_ivs_are_new, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
