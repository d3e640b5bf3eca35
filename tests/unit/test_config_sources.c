/* Who may ask, as the configuration says it: users, secrets, keys of access tokens, Redis; in the
 * file and in files of their own. */
#include "tests/unit/config_good.h"

static void assert_secret(const struct secret *s, const char *text)
{
    assert_int_equal(s->len, strlen(text));
    assert_memory_equal(s->data, text, s->len);
}

static void test_config_load_every_auth_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    const struct auth_realm_settings *realm = &c.auth.realms[0];
    assert_string_equal(realm->name, "turn.example.com");
    assert_int_equal(realm->user_count, 3);
    assert_string_equal(realm->users[0].name, "alice");
    assert_secret(&realm->users[0].password, "p w");
    assert_int_equal(realm->users[0].key_len, 0);
    assert_string_equal(realm->users[1].name, "b\"o\xe2\x80\xa8"
                                              "b");
    assert_int_equal(realm->users[1].key_len, 16);
    assert_int_equal(realm->users[2].key_len, 32);
    for (unsigned i = 0; i < 32; i++) {
        assert_int_equal(realm->users[1].key[i], i < 16 ? i : 0);
        assert_int_equal(realm->users[2].key[i], i);
    }
    assert_int_equal(realm->secret_count, 3);
    assert_string_equal(realm->secrets[1].id, "old");
    assert_secret(&realm->secrets[1].secret, "s2");
    assert_int_equal(realm->secrets[0].hash, AUTH_REST_SHA256);
    assert_int_equal(realm->secrets[1].hash, AUTH_REST_SHA1);
    assert_true(realm->secrets[2].retired && !realm->secrets[0].retired);
    assert_true(realm->store_users && realm->store_secrets && realm->store_oauth_keys);
    assert_int_equal(c.auth.key_ttl_s, 30);
    assert_int_equal(c.auth.key_negative_ttl_s, 2);
    assert_int_equal(c.auth.key_stale_s, 3600);
    assert_int_equal(c.auth.max_ttl_s, 86400);
    assert_int_equal(c.auth.nonce_lifetime_s, 60);
    assert_secret(&c.auth.nonce_secret, "0123456789abcdef");
    assert_secret(&c.auth.nonce_secret_old, "fedcba9876543210");
    assert_false(c.auth.password_sha256);
    config_deinit(&c);
}

static void test_config_load_every_oauth_key_is_set(void **state)
{
    struct config c = {0};
    load(&c, good);
    const struct auth_realm_settings *realm = &c.auth.realms[0];
    const struct auth_oauth_key_settings *k = realm->oauth_keys;
    assert_string_equal(realm->oauth_server_name, "stun1@example.com");
    assert_int_equal(realm->oauth_key_count, 2);
    assert_string_equal(k[0].kid, "22BIjxU93h/IgwEb");
    assert_int_equal(k[0].algorithm, AUTH_OAUTH_A256GCM);
    assert_int_equal(k[0].key.len, 32);
    assert_int_equal(k[1].algorithm, AUTH_OAUTH_A128GCM);
    assert_int_equal(k[1].key.len, 16);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(k[i / 32].key.data[i], i);
    assert_int_equal(k[0].not_before, 1772323199); /* date -ud 2026-02-28T23:59:59 +%s */
    assert_int_equal(k[0].not_after, 1835395200);  /* date -ud 2028-02-29 +%s */
    assert_int_equal(k[1].not_before | k[1].not_after, 0);
    config_deinit(&c);
}

static void test_config_load_tokens_are_made_for_the_realm_where_nothing_else_is_said(void **state)
{
    struct config c = {0};
    load(&c, "realm: r\nauth: { oauth: { keys: [{ kid: a, algorithm: A128GCM,\n"
             "  key: AAECAwQFBgcICQoLDA0ODw== }] } }\n");
    assert_string_equal(c.auth.realms[0].oauth_server_name, "r");
    load(&c, "realm: s\nauth: { redis_oauth_keys: true }\nredis: { url: redis://h }\n");
    assert_string_equal(c.auth.realms[0].oauth_server_name, "s");
    load(&c, "realm: s\nauth: { redis_users: true }\nredis: { url: redis://h }\n");
    assert_null(c.auth.realms[0].oauth_server_name);
    config_deinit(&c);
}

static void test_config_load_every_redis_key_is_set(void **state)
{
    struct config c = {0};
    assert_int_equal(config_init(&c), 0);
    assert_null(c.redis.url);
    assert_int_equal(c.redis.connect_ms, 1000);
    assert_int_equal(c.redis.handshake_ms, 2000);
    assert_true(c.redis.limits);
    assert_int_equal(c.redis.fleet_size, 1);
    assert_string_equal(c.redis.prefix, "turnpike");
    load(&c, good);
    assert_string_equal(
        c.redis.url, "rediss+sentinel://me:p%40w@s1.example,[2001:db8::1]:26380/main/7");
    assert_string_equal(c.redis.client_name, "turnpike-a");
    assert_string_equal(c.redis.sentinel_user, "watcher");
    assert_secret(&c.redis.sentinel_password, "s p");
    assert_int_equal(c.redis.connect_ms, 700);
    assert_int_equal(c.redis.handshake_ms, 3000);
    assert_true(c.redis.limits);
    assert_int_equal(c.redis.fleet_size, 5);
    assert_string_equal(c.redis.prefix, "a/B-c.d:9_");
    assert_string_equal(c.redis.tls.ca, "/r/ca");
    assert_string_equal(c.redis.tls.crl, "/r/crl");
    assert_string_equal(c.redis.tls.cert, "/r/cert");
    assert_string_equal(c.redis.tls.key, "/r/key");
    assert_string_equal(c.redis.tls.server_name, "redis.example");
    config_deinit(&c);
}

static void test_config_load_every_form_of_a_redis_url_is_taken(void **state)
{
    static const char *const urls[] = {"redis://h", "redis://[::1]:6379/1", "redis://:p@h:1",
        "rediss://u:p@h", "unix:///run/redis.sock", "unix://u:p@/run/r.sock?db=3",
        "redis+sentinel://a:26379,b/m", "rediss+sentinel://u:p@[::1],b:1/m/2"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct config c = {0};
        char text[200];
        snprintf(
            text, sizeof(text), "auth: { redis_users: true }\nredis: { url: \"%s\" }\n", urls[i]);
        load(&c, text);
        assert_string_equal(c.redis.url, urls[i]);
        config_deinit(&c);
    }
}

static const char from_files[] =
    "auth:\n"
    "  users: [{ name: a, password_file: \"${CREDENTIALS_DIRECTORY}/password\" }]\n"
    "  secrets: [{ id: a, file: \"${CREDENTIALS_DIRECTORY}/rest\" }]\n"
    "  nonce_secret_file: \"${CREDENTIALS_DIRECTORY}/nonce\"\n";

static const char more_from_files[] =
    "auth:\n"
    "  redis_users: true\n"
    "  oauth: { keys: [{ kid: k, key_file: \"${CREDENTIALS_DIRECTORY}/password\" }] }\n"
    "  nonce_secret: 0123456789abcdef\n"
    "  nonce_secret_old_file: \"${CREDENTIALS_DIRECTORY}/nonce\"\n"
    "redis:\n"
    "  url_file: \"${CREDENTIALS_DIRECTORY}/rest\"\n"
    "  sentinel_password_file: \"${CREDENTIALS_DIRECTORY}/nonce\"\n";

#define KEY_32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void write_secrets(const char *password, const char *rest, const char *nonce)
{
    setenv("CREDENTIALS_DIRECTORY", scratch.folder, 1);
    assert_int_equal(scratch_write(&scratch, "password", password, strlen(password)), 0);
    assert_int_equal(scratch_write(&scratch, "rest", rest, strlen(rest)), 0);
    assert_int_equal(scratch_write(&scratch, "nonce", nonce, strlen(nonce)), 0);
}

static int remove_secrets(void **state)
{
    scratch_remove(&scratch, "password");
    scratch_remove(&scratch, "rest");
    scratch_remove(&scratch, "nonce");
    unsetenv("CREDENTIALS_DIRECTORY");
    return 0;
}

static void test_config_load_secret_files_lose_one_newline(void **state)
{
    struct config c = {0};
    write_secrets("hunter2\n", " s \n\n", "0123456789abcdef");
    load(&c, from_files);
    assert_secret(&c.auth.realms[0].users[0].password, "hunter2");
    assert_secret(&c.auth.realms[0].secrets[0].secret, " s \n");
    assert_secret(&c.auth.nonce_secret, "0123456789abcdef");
    config_deinit(&c);
}

static void test_config_load_bad_secret_files_are_refused(void **state)
{
    write_secrets("\n", "rest", "0123456789abcdef");
    assert_refused(from_files, ":2: 'auth.users[].password_file' must have 1 to 512 bytes");
    write_secrets("a", "rest", "0123456789abcde\n");
    assert_refused(from_files, ":4: 'auth.nonce_secret_file' must have 16 to 512 bytes");
    write_secrets("a", "rest", "0123456789abcdef");
    assert_int_equal(scratch_write(&scratch, "password", "a\0b", 3), 0);
    assert_refused(from_files, ":2: the password of user 'a' holds a NUL");
    write_secrets("a", "rest", "0123456789abcdef");
    assert_refused("auth:\n  nonce_secret_file: \"${CREDENTIALS_DIRECTORY}/nonce\"\n"
                   "  nonce_secret: 0123456789abcdef\n",
        ":3: 'auth.nonce_secret': the same secret is given twice");
    setenv("CREDENTIALS_DIRECTORY", "relative", 1);
    assert_refused(from_files, ":2: 'auth.users[].password_file' must be an absolute path");
}

static void test_config_load_wrap_keys_from_files(void **state)
{
    static const char text[] = "auth: { users: [{ name: a, password: b }] }\nsrtp_verify:\n"
                               "  wrap_key_file: \"${CREDENTIALS_DIRECTORY}/password\"\n"
                               "  wrap_key_old_file: \"${CREDENTIALS_DIRECTORY}/rest\"\n";
    struct config c = {0};
    write_secrets(KEY_32 "\n", KEY_32, "0123456789abcdef");
    load(&c, text);
    assert_int_equal(c.srtp.wrap_key.len, 32);
    assert_int_equal(c.srtp.wrap_key.data[31], 31);
    assert_int_equal(c.srtp.wrap_key_old.len, 32);
    config_deinit(&c);
    write_secrets("AAECAwQFBgcICQoLDA0ODw==\n", KEY_32, "0123456789abcdef");
    assert_refused(text, ":3: 'srtp_verify.wrap_key_file' must hold base64 of 32 bytes");
    assert_refused("auth: { users: [{ name: a, password: b }] }\nsrtp_verify:\n"
                   "  wrap_key_file: \"${CREDENTIALS_DIRECTORY}/rest\"\n  wrap_key: " KEY_32 "\n",
        ":4: 'srtp_verify.wrap_key': the same key is given twice");
}

static void test_config_load_redis_and_keys_from_files(void **state)
{
    struct config c = {0};
    write_secrets(KEY_32 "\n", "redis+sentinel://:p@h/m\n", "fedcba9876543210\n");
    load(&c, more_from_files);
    assert_int_equal(c.auth.realms[0].oauth_keys[0].key.len, 32);
    assert_int_equal(c.auth.realms[0].oauth_keys[0].key.data[31], 31);
    assert_secret(&c.auth.nonce_secret_old, "fedcba9876543210");
    assert_string_equal(c.redis.url, "redis+sentinel://:p@h/m");
    assert_secret(&c.redis.sentinel_password, "fedcba9876543210");
    config_deinit(&c);
}

static void test_config_load_bad_redis_and_key_files_are_refused(void **state)
{
    write_secrets("short", "redis+sentinel://h/m", "fedcba9876543210");
    assert_refused(more_from_files, ":3: 'auth.oauth.keys[].key_file' must hold base64 of 32");
    write_secrets("AAECAwQFBgcICQoLDA0ODw==\n", "redis+sentinel://h/m", "fedcba9876543210");
    assert_refused(more_from_files, ":3: key 'k' has 16 bytes, but A256GCM takes 32");
    write_secrets(KEY_32, "redis+sentinel://h/m", "fedcba9876543210");
    assert_int_equal(scratch_write(&scratch, "password", KEY_32 "\0a", 46), 0);
    assert_refused(more_from_files, ":3: 'auth.oauth.keys[].key_file' must hold base64 of 32");
    write_secrets(KEY_32, "http://h", "fedcba9876543210");
    assert_refused(more_from_files, ":7: 'redis.url_file' must be a URL: redis://");
    write_secrets(KEY_32, "redis://h", "fedcba9876543210");
    assert_int_equal(scratch_write(&scratch, "rest", "redis://h\0", 10), 0);
    assert_refused(more_from_files, ":7: 'redis.url_file' must not hold a NUL");
    write_secrets(KEY_32, "\n", "fedcba9876543210");
    assert_refused(more_from_files, ":7: 'redis.url_file' must have 1 to 2048 bytes");
    write_secrets(KEY_32, "redis://h", "fedcba9876543210");
    assert_refused(
        more_from_files, ":8: 'redis.sentinel_password' means nothing without Sentinels");
}

static void test_config_load_secret_file_of_513_bytes_is_refused(void **state)
{
    char secret[514];
    struct config c = {0};
    write_secrets("a", "rest", "0123456789abcdef");
    memset(secret, 's', sizeof(secret));
    assert_int_equal(scratch_write(&scratch, "rest", secret, 514), 0);
    assert_refused(from_files, "/rest': too large");
    assert_int_equal(scratch_write(&scratch, "rest", secret, 513), 0);
    assert_refused(from_files, "1 to 512 bytes");
    secret[512] = '\n';
    assert_int_equal(scratch_write(&scratch, "rest", secret, 513), 0);
    load(&c, from_files);
    assert_int_equal(c.auth.realms[0].secrets[0].secret.len, 512);
    config_deinit(&c);
}

/* 20 000 users are read at once, not compared each with each. */
static void test_config_load_many_users_are_read(void **state)
{
    struct config c = {0};
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    fputs("auth:\n  users:\n", out);
    for (unsigned i = 0; i < 20000; i++)
        fprintf(out, "    - { name: user%u, password: p }\n", i);
    fclose(out);
    load(&c, text);
    assert_int_equal(c.auth.realms[0].user_count, 20000);
    assert_string_equal(c.auth.realms[0].users[19999].name, "user19999");
    free(text);
    config_deinit(&c);
}

/* The next block of YAML of a guide from `*at` on, to be freed; NULL: there is no more. Its files
 * lie in the scratch folder. */
static char *next_block(const char **at)
{
    const char *begin = strstr(*at, "```yaml\n"), *end = begin ? strstr(begin + 8, "```\n") : NULL;
    char *text = NULL;
    size_t len;
    if (!end)
        return NULL;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    for (const char *p = begin + 8; p < end;) {
        const bool path = strncmp(p, "/etc/turnpike", 13) == 0;
        if (path)
            fputs(scratch.folder, out);
        else
            fputc(*p, out);
        p += path ? 13 : 1;
    }
    fclose(out);
    *at = end + 4;
    return text;
}

/* What docs/credentials.md shows is a configuration each. */
static void test_guide_to_credentials_shows_configurations_that_load(void **state)
{
    static const char *const files[][2] = {{"rest-2027a", "a\n"}, {"rest-2027b", "b\n"},
        {"nonce-a", "0123456789abcdef\n"}, {"nonce-b", "fedcba9876543210\n"},
        {"redis-url", "redis://u:p@h\n"}};
    const size_t count = sizeof(files) / sizeof(files[0]);
    size_t len, blocks = 0;
    char *guide = source_file("docs/credentials.md", &len), *block;
    const char *at = guide;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(scratch_write(&scratch, files[i][0], files[i][1], strlen(files[i][1])), 0);
    while ((block = next_block(&at))) {
        struct config c = {0};
        load(&c, block);
        config_deinit(&c);
        free(block);
        blocks++;
    }
    assert_int_equal(blocks, 5);
    for (size_t i = 0; i < count; i++)
        scratch_remove(&scratch, files[i][0]);
    free(guide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_load_every_auth_key_is_set),
        cmocka_unit_test(test_config_load_every_oauth_key_is_set),
        cmocka_unit_test(test_config_load_tokens_are_made_for_the_realm_where_nothing_else_is_said),
        cmocka_unit_test(test_config_load_every_redis_key_is_set),
        cmocka_unit_test(test_config_load_every_form_of_a_redis_url_is_taken),
        cmocka_unit_test_teardown(test_config_load_wrap_keys_from_files, remove_secrets),
        cmocka_unit_test_teardown(test_config_load_redis_and_keys_from_files, remove_secrets),
        cmocka_unit_test_teardown(
            test_config_load_bad_redis_and_key_files_are_refused, remove_secrets),
        cmocka_unit_test_teardown(test_config_load_secret_files_lose_one_newline, remove_secrets),
        cmocka_unit_test_teardown(test_config_load_bad_secret_files_are_refused, remove_secrets),
        cmocka_unit_test_teardown(
            test_config_load_secret_file_of_513_bytes_is_refused, remove_secrets),
        cmocka_unit_test(test_config_load_many_users_are_read),
        cmocka_unit_test(test_guide_to_credentials_shows_configurations_that_load),
    };
    return cmocka_run_group_tests_name("config_sources", tests, open_scratch, close_scratch);
}
