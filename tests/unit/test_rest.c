/* REST credentials: names, passwords as coturn makes them, secrets that follow one another. THREATS
 * row 18. */
#include "auth/auth.h"
#include "auth/rest.h"

#include <errno.h>
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
    /* printf %s NAME | openssl dgst -sha1 -hmac SECRET -binary | base64; and with -sha256 */
    static const struct {
        const char *secret, *user, *password, *sha256;
    } row[] = {
        {"north", "1735689600:alice",
            "HbvWA6hGDtdv3wflBolXLhvzs0w=", "05ASnX6jNRxDYXbvr2SyEwLh4PPQJ/DW0r+F8/5qeL4="},
        {"north", "1735689600",
            "vK3VkdJkUwA4MxbPUZFTbu9UJhk=", "1lQfp1E2m5zzFrq6c4Wf7hsVG4szYJ18SAhVQw8uPyg="},
        {"a much longer shared secret than one block of SHA-1 has: sixty-four bytes and then some",
            "1893456000:bob@example.org",
            "FHnSUB2t+VmDlMaXlMA2mvfWE8U=", "WpAK/XIRTUKQRxXsaujVEGJn7DRU6/dXD39NK49FIUE="},
    };
    struct crypto *crypto = crypto_new();
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        char password[AUTH_REST_PASSWORD_MAX + 1];
        assert_int_equal(auth_rest_password(crypto, AUTH_REST_SHA1, slice_of_string(row[i].secret),
                             slice_of_string(row[i].user), password),
            0);
        assert_string_equal(password, row[i].password);
        assert_int_equal(
            auth_rest_password(crypto, AUTH_REST_SHA256, slice_of_string(row[i].secret),
                slice_of_string(row[i].user), password),
            0);
        assert_string_equal(password, row[i].sha256);
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
    for (int i = 0; i < 4; i++) {
        char password[AUTH_REST_PASSWORD_MAX + 1], text[96];
        secret.hash = i & 2 ? AUTH_REST_SHA256 : AUTH_REST_SHA1;
        assert_int_equal(auth_rest_password(crypto, secret.hash, slice_of_string("north"),
                             user_realm[0], password),
            0);
        int len = snprintf(text, sizeof(text), "1735689600:alice:example.org:%s", password);
        const struct slice part = slice_of(text, (size_t)len);
        struct auth_key key;
        uint8_t expected[32];
        assert_int_equal(rest_key(&key, crypto, &secret,
                             i & 1 ? STUN_PASSWORD_SHA256 : STUN_PASSWORD_MD5, user_realm),
            0);
        assert_int_equal(
            crypto_digest(crypto, i & 1 ? CRYPTO_SHA256 : CRYPTO_MD5, &part, 1, expected), 0);
        assert_int_equal(key.len, i & 1 ? 32 : 16);
        assert_memory_equal(key.bytes, expected, key.len);
    }
    secret_wipe(&secret.secret);
    crypto_free(crypto);
}

static void test_rest_init_secrets_copied_in_order(void **state)
{
    struct auth_secret_settings list[2] = {
        {.id = (char *)"new", .hash = AUTH_REST_SHA256}, {.id = (char *)"old", .retired = true}};
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
    assert_int_equal(rest.list[0].hash, AUTH_REST_SHA256);
    assert_int_equal(rest.list[1].hash, AUTH_REST_SHA1);
    assert_false(rest.list[0].retired);
    assert_true(rest.list[1].retired);
    rest_deinit(&rest);
    assert_int_equal(rest.count, 0);
    assert_null(rest.list);
}

static void test_rest_init_id_of_the_stores_refused(void **state)
{
    static const struct {
        const char *id, *why;
    } row[] = {{"redis-0a1b2c3d", "redis-"}, {"redis-", "redis-"}, {"", "1 to 31"},
        {"12345678901234567890123456789012", "1 to 31"}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct auth_secret_settings secret = {.id = (char *)row[i].id};
        assert_int_equal(secret_set(&secret.secret, slice_of_string("canary")), 0);
        const struct auth_realm_settings realm = {
            .name = (char *)"r", .secrets = &secret, .secret_count = 1};
        struct rest rest;
        char error[200];
        assert_int_equal(rest_init(&rest, &realm, error, sizeof(error)), -EINVAL);
        assert_non_null(strstr(error, row[i].why));
        assert_null(strstr(error, "canary"));
        secret_wipe(&secret.secret);
    }
}

static struct store_secrets stored(const char *const *texts, size_t count)
{
    struct store_secrets s = {.realm = 3, .count = count};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(secret_set(&s.list[i], slice_of_string(texts[i])), 0);
    return s;
}

static void test_rest_init_store_copies_and_names_secrets(void **state)
{
    struct crypto *crypto = crypto_new();
    struct store_secrets s = stored((const char *const[]){"north", "south"}, 2);
    struct rest rest = {0};
    assert_int_equal(rest_init_store(&rest, crypto, slice_of_string("0123456789abcdef"), &s), 0);
    store_secrets_deinit(&s);
    assert_int_equal(s.count, 0);
    assert_int_equal(rest.count, 2);
    for (size_t i = 0; i < 2; i++) {
        char id[REST_ID_MAX + 1];
        const struct slice secret = slice_of_string(i == 0 ? "north" : "south");
        assert_true(slice_equal(secret_slice(&rest.list[i].secret), secret));
        assert_int_equal(rest.list[i].hash, AUTH_REST_SHA1);
        assert_false(rest.list[i].retired);
        assert_int_equal(rest_store_id(id, crypto, slice_of_string("0123456789abcdef"), secret), 0);
        assert_string_equal(rest.list[i].id, id);
    }
    assert_string_not_equal(rest.list[0].id, rest.list[1].id);
    rest_deinit(&rest);
    assert_null(rest.list);
    crypto_free(crypto);
}

static void test_rest_init_store_unfit_secrets_left_out(void **state)
{
    struct crypto *crypto = crypto_new();
    char long_text[REST_SECRET_MAX + 2];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    struct store_secrets s = stored((const char *const[]){"", long_text, long_text + 1}, 3);
    struct rest rest = {0};
    assert_int_equal(rest_init_store(&rest, crypto, slice_of_string("0123456789abcdef"), &s), 0);
    assert_int_equal(rest.count, 1);
    assert_int_equal(rest.list[0].secret.len, REST_SECRET_MAX);
    rest_deinit(&rest);
    store_secrets_deinit(&s);
    assert_int_equal(rest_init_store(&rest, crypto, slice_of_string("0123456789abcdef"), &s), 0);
    assert_int_equal(rest.count, 0);
    rest_deinit(&rest);
    crypto_free(crypto);
}

static void test_rest_store_id_goes_by_secret_and_nonce_secret(void **state)
{
    struct crypto *crypto = crypto_new();
    char id[3][REST_ID_MAX + 1];
    const struct slice keys[] = {slice_of_string("0123456789abcdef"),
        slice_of_string("0123456789abcdef"), slice_of_string("fedcba9876543210")};
    const struct slice secrets[] = {
        slice_of_string("north"), slice_of_string("south"), slice_of_string("north")};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rest_store_id(id[i], crypto, keys[i], secrets[i]), 0);
        assert_int_equal(strlen(id[i]), 14);
        assert_memory_equal(id[i], "redis-", 6);
        assert_int_equal(strspn(id[i] + 6, "0123456789abcdef"), 8);
    }
    assert_string_not_equal(id[0], id[1]);
    assert_string_not_equal(id[0], id[2]);
    crypto_free(crypto);
}

static void test_store_secrets_copy_stands_alone(void **state)
{
    struct store_secrets s = stored((const char *const[]){"north", "south"}, 2);
    struct store_secrets *copy = store_secrets_copy(&s);
    assert_non_null(copy);
    store_secrets_deinit(&s);
    assert_null(s.list[0].data);
    assert_int_equal(copy->realm, 3);
    assert_int_equal(copy->count, 2);
    assert_true(slice_equal(secret_slice(&copy->list[1]), slice_of_string("south")));
    store_secrets_free(copy);
    store_secrets_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rest_expiry_digits_alone_or_before_colon_accepted),
        cmocka_unit_test(test_rest_expiry_other_names_refused_untouched),
        cmocka_unit_test(test_auth_rest_password_known_secret_matches_openssl),
        cmocka_unit_test(test_rest_key_is_long_term_key_of_password),
        cmocka_unit_test(test_rest_init_secrets_copied_in_order),
        cmocka_unit_test(test_rest_init_id_of_the_stores_refused),
        cmocka_unit_test(test_rest_init_store_copies_and_names_secrets),
        cmocka_unit_test(test_rest_init_store_unfit_secrets_left_out),
        cmocka_unit_test(test_rest_store_id_goes_by_secret_and_nonce_secret),
        cmocka_unit_test(test_store_secrets_copy_stands_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
