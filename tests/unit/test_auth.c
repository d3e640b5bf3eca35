/* What auth_new accepts and refuses, and which features a realm gets. */
#include "auth/auth.h"
#include "auth/auth_internal.h"
#include "auth/long_term.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct auth_user_settings user[3];
static struct auth_secret_settings shared[2];
static struct auth_realm_settings realm[2];
static struct auth_settings settings;
static char error[256];

static struct secret clear(const char *text)
{
    struct secret s = {0};
    assert_int_equal(secret_set(&s, slice_of_string(text)), 0);
    return s;
}

static int setup(void **state)
{
    memset(user, 0, sizeof(user));
    memset(realm, 0, sizeof(realm));
    for (int i = 0; i < 3; i++)
        user[i] = (struct auth_user_settings){.name = (char *)(i == 0   ? "alice"
                                                               : i == 1 ? "bob"
                                                                        : "carol")};
    user[0].password = clear("pass");
    user[1].password = clear("word");
    user[2].password = clear("swordfish");
    shared[0] = (struct auth_secret_settings){.id = (char *)"new", .secret = clear("north")};
    shared[1] = (struct auth_secret_settings){.id = (char *)"old", .secret = clear("south")};
    realm[0] =
        (struct auth_realm_settings){.name = (char *)"example.org", .users = user, .user_count = 3};
    realm[1] = (struct auth_realm_settings){
        .name = (char *)"example.com", .secrets = shared, .secret_count = 2};
    settings = (struct auth_settings){.realms = realm,
        .realm_count = 2,
        .max_ttl_s = 172800,
        .nonce_lifetime_s = 600,
        .password_sha256 = true,
        .nonce_secret = clear("0123456789abcdef")};
    error[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < 3; i++)
        secret_wipe(&user[i].password);
    secret_wipe(&shared[0].secret);
    secret_wipe(&shared[1].secret);
    secret_wipe(&settings.nonce_secret);
    return 0;
}

static void refused(const char *words)
{
    struct auth *auth = auth_new(&settings, error, sizeof(error));
    assert_null(auth);
    if (!strstr(error, words))
        print_error("\"%s\" is not in \"%s\"\n", words, error);
    assert_non_null(strstr(error, words));
    assert_null(strchr(error, '\n'));
}

static uint32_t features(uint32_t i)
{
    struct auth *auth = auth_new(&settings, error, sizeof(error));
    if (!auth)
        print_error("%s\n", error);
    assert_non_null(auth);
    uint32_t f = auth_realms_features(auth, &(struct auth_realms){i, 0});
    auth_free(auth);
    return f;
}

static void test_auth_new_two_realms_known_by_index(void **state)
{
    struct auth *auth = auth_new(&settings, error, sizeof(error));
    assert_non_null(auth);
    assert_int_equal(auth_realm_count(auth), 2);
    assert_true(slice_equal(auth_realm_name(auth, 0), slice_of_string("example.org")));
    assert_true(slice_equal(auth_realm_name(auth, 1), slice_of_string("example.com")));
    auth_free(auth);
    auth_free(NULL);
    auth_worker_free(NULL);
}

static void test_auth_realm_features_by_source(void **state)
{
    const uint32_t both = NONCE_FEATURE_PASSWORD_ALGORITHMS | NONCE_FEATURE_USERNAME_ANONYMITY;
    assert_int_equal(features(0), both);
    assert_int_equal(features(1), NONCE_FEATURE_PASSWORD_ALGORITHMS);
    realm[0].secrets = shared;
    realm[0].secret_count = 1;
    assert_int_equal(features(0), NONCE_FEATURE_PASSWORD_ALGORITHMS);
    user[1].key_len = 16; /* a stored MD5 key: SHA-256 cannot be made of it */
    assert_int_equal(features(0), 0);
    assert_int_equal(features(1), NONCE_FEATURE_PASSWORD_ALGORITHMS);
    user[1].key_len = 32;
    assert_int_equal(features(0), NONCE_FEATURE_PASSWORD_ALGORITHMS);
    user[1].key_len = 0;
    settings.password_sha256 = false;
    assert_int_equal(features(0), 0);
}

static void test_auth_realm_third_party_where_tokens_are_accepted(void **state)
{
    struct auth_oauth_key_settings key = {
        .kid = (char *)"north", .key = clear("HGkj32KJGiuy098sdfaqbNjOiaz71923")};
    realm[0].oauth_server_name = (char *)"turn.example.org";
    realm[0].oauth_keys = &key;
    realm[0].oauth_key_count = 1;
    struct auth *auth = auth_new(&settings, error, sizeof(error));
    assert_non_null(auth);
    assert_true(slice_equal(auth_realm_third_party(auth, 0), slice_of_string("turn.example.org")));
    assert_int_equal(auth_realm_third_party(auth, 1).len, 0);
    auth_free(auth);
    /* A kid comes as USERNAME. */
    assert_int_equal(features(0), NONCE_FEATURE_PASSWORD_ALGORITHMS);
    settings.max_ttl_s = 0;
    realm[1].secret_count = 0;
    refused("ceiling");
    settings.max_ttl_s = 172800;
    key.kid = (char *)"";
    refused("realm \"example.org\": OAuth key \"\": a kid has 1 to 127 bytes");
    secret_wipe(&key.key);
}

static void test_auth_realm_features_by_what_the_store_has(void **state)
{
    /* A user there may have an MD5 key only, and nobody can list them. */
    realm[0].store_users = true;
    assert_int_equal(features(0), 0);
    realm[0].store_users = false;
    realm[0].store_secrets = true;
    assert_int_equal(features(0), NONCE_FEATURE_PASSWORD_ALGORITHMS);
    realm[0].store_secrets = false;
    user[1].key_len = 32;
    assert_int_not_equal(features(0), 0);
    realm[0].store_users = true;
    refused("\"bob\": a SHA-256 key is of no use");
}

static void test_auth_new_removed_realm_has_a_name_and_nothing_else(void **state)
{
    realm[0].removed = true;
    refused("realm \"example.org\": it is removed, and has sources");
    realm[0].user_count = 0;
    struct auth *auth = auth_new(&settings, error, sizeof(error));
    assert_non_null(auth);
    assert_true(slice_equal(auth_realm_name(auth, 0), slice_of_string("example.org")));
    auth_free(auth);
    realm[0].store_users = true;
    refused("removed");
    realm[0].store_users = false;
    realm[0].store_secrets = true;
    refused("removed");
    realm[0].store_secrets = false;
    realm[0].oauth_server_name = (char *)"turn.example.org";
    refused("removed");
    realm[0].oauth_server_name = NULL;
    realm[0].secrets = shared;
    realm[0].secret_count = 1;
    refused("removed");
}

static void test_auth_new_store_and_old_secret_judged(void **state)
{
    realm[0].store_oauth_keys = true;
    refused("realm \"example.org\": keys of access tokens come from the store");
    realm[0].oauth_server_name = (char *)"turn.example.org";
    assert_int_equal(features(0), NONCE_FEATURE_PASSWORD_ALGORITHMS);
    realm[0].store_oauth_keys = false;
    realm[0].oauth_server_name = NULL;
    realm[1].secret_count = 0;
    settings.max_ttl_s = 0;
    assert_int_not_equal(features(0), 0);
    realm[1].store_secrets = true;
    refused("ceiling");
    settings.max_ttl_s = 60;
    settings.nonce_secret_old = clear("fifteen bytes..");
    refused("the old nonce secret has fewer than 16 bytes");
    secret_wipe(&settings.nonce_secret_old);
}

static void test_auth_new_realms_up_to_64(void **state)
{
    static struct auth_realm_settings many[AUTH_REALMS_MAX + 1];
    static char names[AUTH_REALMS_MAX + 1][16];
    for (int i = 0; i <= AUTH_REALMS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "realm%d", i);
        many[i] = (struct auth_realm_settings){.name = names[i]};
    }
    settings.realms = many;
    settings.realm_count = AUTH_REALMS_MAX;
    assert_int_not_equal(features(AUTH_REALMS_MAX - 1), 0);
    settings.realm_count++;
    refused("more than 64 realms");
}

static void test_auth_new_sha256_key_without_offer_refused(void **state)
{
    user[1].key_len = 32;
    settings.password_sha256 = false;
    refused("\"bob\"");
    settings.password_sha256 = true;
    user[2].key_len = 16;
    refused("\"bob\"");
}

static void test_auth_new_names_prepared_before_compared(void **state)
{
    user[0].name = (char *)"a\xcc\x8a"; /* decomposed */
    user[1].name = (char *)"\xc3\xa5";  /* the same, composed */
    refused("twice");
    assert_non_null(strstr(error, "realm \"example.org\": user \"\xc3\xa5\""));
    user[1].name = (char *)"bob";
    realm[1].name = (char *)"example.org";
    refused("the realm is there twice");
}

static void test_auth_new_unfit_settings_refused_with_text(void **state)
{
    user[1].name = (char *)"a\tb";
    refused("control character");
    assert_non_null(strstr(error, "\"a?b\"")); /* one line, whatever the name */
    user[1].name = (char *)"";
    refused("empty");
    user[1].name = (char *)"a\"b";
    refused("quote");
    char name[600];
    memset(name, 'n', sizeof(name));
    name[509] = '\0';
    user[1].name = name;
    refused("508");
    name[508] = '\0';
    assert_int_not_equal(features(0), 0);
    user[1].name = (char *)"bob";
    user[1].key_len = 20;
    refused("32 (SHA-256)");
    user[1].key_len = 0;

    realm[0].name = (char *)"exa\"mple";
    refused("quotes");
    realm[0].name = (char *)"";
    refused("empty");
    name[128] = '\0';
    realm[0].name = name;
    refused("128");
    name[127] = '\0';
    assert_int_not_equal(features(0), 0);
    realm[0].name = (char *)"example.org";

    shared[1].id = (char *)"new";
    refused("twice");
    shared[1].id = (char *)"12345678901234567890123456789012";
    refused("31 bytes");
    shared[1].id = (char *)"";
    refused("31 bytes");
    shared[1].id = (char *)"old";
    settings.max_ttl_s = 0;
    refused("ceiling");
    settings.max_ttl_s = 1;
    settings.nonce_lifetime_s = 59;
    refused("lifetime");
    settings.nonce_lifetime_s = 601;
    refused("lifetime");
    settings.nonce_lifetime_s = 60;
    settings.nonce_secret.len = 15;
    refused("16 bytes");
    settings.nonce_secret.len = 16;
    settings.realm_count = 0;
    refused("no realm");
}

static void test_auth_new_text_never_shows_a_secret(void **state)
{
    secret_wipe(&user[2].password);
    user[2].password = clear("swordfish\x01");
    refused("carol");
    assert_null(strstr(error, "swordfish"));
    secret_wipe(&shared[0].secret);
    refused("carol");
    secret_wipe(&user[2].password);
    user[2].password = clear("x");
    refused("secret \"new\"");
}

static void test_long_term_key_rfc_examples_match(void **state)
{
    /* RFC 8489 section 9.2.2, and appendix B.1 for the SHA-256 key's name and the userhash. */
    struct crypto *crypto = crypto_new();
    struct auth_key key;
    const struct slice md5_of[] = {
        slice_of_string("user"), slice_of_string("realm"), slice_of_string("pass")};
    assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_MD5, md5_of), 0);
    assert_int_equal(key.len, 16);
    assert_memory_equal(
        key.bytes, "\x84\x93\xfb\xc5\x3b\xa5\x82\xfb\x4c\x04\x4c\x45\x6b\xdc\x40\xeb", 16);
    assert_int_equal(long_term_key(&key, crypto, STUN_PASSWORD_SHA256, md5_of), 0);
    assert_int_equal(key.len, 32);
    uint8_t hash[32];
    static const uint8_t expected[32] = {0x4a, 0x3c, 0xf3, 0x8f, 0xef, 0x69, 0x92, 0xbd, 0xa9, 0x52,
        0xc6, 0x78, 0x04, 0x17, 0xda, 0x0f, 0x24, 0x81, 0x94, 0x15, 0x56, 0x9e, 0x60, 0xb2, 0x05,
        0xc4, 0x6e, 0x41, 0x40, 0x7f, 0x17, 0x04};
    assert_int_equal(
        long_term_userhash(hash, crypto,
            slice_of_string(
                "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9"),
            slice_of_string("example.org")),
        0);
    assert_memory_equal(hash, expected, 32);
    crypto_free(crypto);
}

static void test_users_find_many_all_found_and_no_other(void **state)
{
    enum { COUNT = 3000 };
    static char names[COUNT][16];
    static struct auth_user_settings list[COUNT];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "user-%d", i);
        list[i] = (struct auth_user_settings){.name = names[i], .key_len = 16};
    }
    struct auth_realm_settings r = {.name = (char *)"r", .users = list, .user_count = COUNT};
    struct crypto *crypto = crypto_new();
    struct users users;
    assert_int_equal(users_init(&users, crypto, &r, slice_of_string("r"),
                         (const uint8_t *)"0123456789abcdef", error, sizeof(error)),
        0);
    for (int i = 0; i < COUNT; i++) {
        const struct users_match m = users_find_name(&users, slice_of_string(names[i]));
        assert_true(m.found);
        assert_ptr_equal(m.user, &users.list[i]);
        const struct users_match h = users_find_hash(&users, slice_of(m.user->hash, 32));
        assert_true(h.found);
        assert_ptr_equal(h.user, m.user);
    }
    for (int i = 0; i < COUNT; i++) {
        char other[16];
        snprintf(other, sizeof(other), "user-%d", COUNT + i);
        const struct users_match m = users_find_name(&users, slice_of_string(other));
        assert_false(m.found);
        assert_in_range(m.user - users.list, 0, COUNT - 1);
        assert_false(users_find_hash(&users, slice_of_string(other)).found);
    }
    assert_false(users_find_name(&users, (struct slice){0}).found);
    users_deinit(&users);
    crypto_free(crypto);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_auth_new_two_realms_known_by_index, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_auth_realm_third_party_where_tokens_are_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth_realm_features_by_source, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_auth_realm_features_by_what_the_store_has, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_auth_new_removed_realm_has_a_name_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth_new_store_and_old_secret_judged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth_new_realms_up_to_64, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_auth_new_sha256_key_without_offer_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_auth_new_names_prepared_before_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_auth_new_unfit_settings_refused_with_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth_new_text_never_shows_a_secret, setup, teardown),
        cmocka_unit_test(test_long_term_key_rfc_examples_match),
        cmocka_unit_test(test_users_find_many_all_found_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
