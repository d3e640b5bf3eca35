/* REST credentials: names, passwords as coturn makes them, secrets that follow one another. THREATS
 * row 18. */
#include "auth/auth.h"
#include "auth/rest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void test_rest_expiry_digits_alone_or_before_colon_accepted(void **state)
{
    static const struct {
        const char *name;
        int64_t value;
    } row[] = {{"0", 0}, {"1735689600", 1735689600}, {"1735689600:", 1735689600},
        {"1735689600:alice", 1735689600}, {"1735689600:a:b:c", 1735689600},
        {"99999999999", 99999999999}, {"00000000012:x", 12}, {"4294967296", 4294967296}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        int64_t value = -1;
        assert_true(rest_expiry(slice_of_string(row[i].name), &value));
        assert_int_equal(value, row[i].value);
    }
}

static void test_rest_expiry_other_names_refused_untouched(void **state)
{
    static const char *const bad[] = {"", ":", ":1735689600", "alice", "alice:1735689600", "-1",
        "+1735689600", " 1735689600", "1735689600 ", "1735689600 :a", "1735689600.5", "0x10", "1e9",
        "100000000000", "18446744073709551616", "1735689600\xc2\xb2", "\xd9\xa1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t value = -7;
        assert_false(rest_expiry(slice_of_string(bad[i]), &value));
        assert_int_equal(value, -7);
    }
    int64_t value = -7;
    assert_false(rest_expiry(slice_of("1\0", 2), &value));
    assert_false(rest_expiry((struct slice){0}, &value));
    assert_true(rest_expiry(slice_of("1:\0", 3), &value)); /* behind the colon any byte */
}

static void test_auth_rest_password_known_secret_matches_openssl(void **state)
{
    /* printf %s NAME | openssl dgst -sha1 -hmac SECRET -binary | base64 */
    static const struct {
        const char *secret, *user, *password;
    } row[] = {
        {"north", "1735689600:alice", "HbvWA6hGDtdv3wflBolXLhvzs0w="},
        {"north", "1735689600", "vK3VkdJkUwA4MxbPUZFTbu9UJhk="},
        {"a much longer shared secret than one block of SHA-1 has: sixty-four bytes and then some",
            "1893456000:bob@example.org", "FHnSUB2t+VmDlMaXlMA2mvfWE8U="},
    };
    struct crypto *crypto = crypto_new();
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        char password[29];
        assert_int_equal(auth_rest_password(crypto, slice_of_string(row[i].secret),
                             slice_of_string(row[i].user), password),
            0);
        assert_string_equal(password, row[i].password);
    }
    crypto_free(crypto);
}

static void test_rest_key_is_long_term_key_of_password(void **state)
{
    struct crypto *crypto = crypto_new();
    struct rest_secret secret = {.id = "a"};
    assert_int_equal(secret_set(&secret.secret, slice_of_string("north")), 0);
    const struct slice user_realm[] = {
        slice_of_string("1735689600:alice"), slice_of_string("example.org")};
    char password[29], text[80];
    assert_int_equal(
        auth_rest_password(crypto, slice_of_string("north"), user_realm[0], password), 0);
    int len = snprintf(text, sizeof(text), "1735689600:alice:example.org:%s", password);
    const struct slice part = slice_of(text, (size_t)len);
    for (int i = 0; i < 2; i++) {
        struct auth_key key;
        uint8_t expected[32];
        assert_int_equal(rest_key(&key, crypto, &secret,
                             i ? STUN_PASSWORD_SHA256 : STUN_PASSWORD_MD5, user_realm),
            0);
        assert_int_equal(
            crypto_digest(crypto, i ? CRYPTO_SHA256 : CRYPTO_MD5, &part, 1, expected), 0);
        assert_int_equal(key.len, i ? 32 : 16);
        assert_memory_equal(key.bytes, expected, key.len);
    }
    secret_wipe(&secret.secret);
    crypto_free(crypto);
}

static void test_rest_init_secrets_copied_in_order(void **state)
{
    struct auth_secret_settings list[2] = {{.id = (char *)"new"}, {.id = (char *)"old"}};
    assert_int_equal(secret_set(&list[0].secret, slice_of_string("north")), 0);
    assert_int_equal(secret_set(&list[1].secret, slice_of_string("south")), 0);
    struct auth_realm_settings realm = {.name = (char *)"r", .secrets = list, .secret_count = 2};
    struct rest rest;
    char error[128];
    assert_int_equal(rest_init(&rest, &realm, error, sizeof(error)), 0);
    secret_wipe(&list[0].secret);
    secret_wipe(&list[1].secret);
    assert_int_equal(rest.count, 2);
    assert_string_equal(rest.list[0].id, "new");
    assert_string_equal(rest.list[1].id, "old");
    assert_true(slice_equal(secret_slice(&rest.list[0].secret), slice_of_string("north")));
    assert_true(slice_equal(secret_slice(&rest.list[1].secret), slice_of_string("south")));
    rest_deinit(&rest);
    assert_int_equal(rest.count, 0);
    assert_null(rest.list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rest_expiry_digits_alone_or_before_colon_accepted),
        cmocka_unit_test(test_rest_expiry_other_names_refused_untouched),
        cmocka_unit_test(test_auth_rest_password_known_secret_matches_openssl),
        cmocka_unit_test(test_rest_key_is_long_term_key_of_password),
        cmocka_unit_test(test_rest_init_secrets_copied_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
