/* What records in Redis mean, good and broken; replies as bytes. */
#include "fleet/redis_records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "auth/auth_settings.h"

#define K32 "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=" /* 01234567890123456789012345678901 */
#define K33 "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK" /* the same and a line end */
#define K17 "MTIzNDU2Nzg5MDEyMzQ1Ngo="                     /* 1234567890123456 and a line end */

static struct redis_reply *reply;
static struct redis_complaint why;

static const struct redis_reply *read_reply(const char *bytes)
{
    struct redis_reader *reader = redis_reader_new(65536);
    redis_reply_free(reply);
    reply = NULL;
    redis_reader_feed(reader, slice_of_string(bytes));
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READ_REPLY);
    redis_reader_free(reader);
    return reply;
}

static int teardown(void **state)
{
    redis_reply_free(reply);
    reply = NULL;
    return 0;
}

static void test_redis_records_user_keys_are_hexadecimal(void **state)
{
    struct auth_key key = {0};
    assert_int_equal(
        redis_record_user(read_reply("$32\r\n543E1aec5d3614f03141652d6ada51b2\r\n"), &key, &why),
        STORE_FOUND);
    assert_int_equal(key.len, 16);
    assert_int_equal(key.bytes[0], 0x54);
    assert_int_equal(key.bytes[1], 0x3e);
    assert_int_equal(key.bytes[15], 0xb2);
    assert_null(why.record);
    assert_int_equal(redis_record_user(read_reply("$64\r\n00112233445566778899aabbccddeeff"
                                                  "00112233445566778899AABBCCDDEEFF\r\n"),
                         &key, &why),
        STORE_FOUND);
    assert_int_equal(key.len, 32);
    assert_int_equal(key.bytes[31], 0xff);
}

static void test_redis_records_user_that_is_none_writes_nothing(void **state)
{
    static const struct {
        const char *bytes;
        enum store_verdict verdict;
        bool record;
        const char *error;
    } row[] = {{"$-1\r\n", STORE_NOT_FOUND, false, ""}, {"$0\r\n\r\n", STORE_NOT_FOUND, true, ""},
        {"$32\r\n543e1aec5d3614f03141652d6ada51bg\r\n", STORE_NOT_FOUND, true, ""},
        {"$34\r\n0x543e1aec5d3614f03141652d6ada51b2\r\n", STORE_NOT_FOUND, true, ""},
        {"$40\r\n543e1aec5d3614f03141652d6ada51b2543e1aec\r\n", STORE_NOT_FOUND, true, ""},
        {"-WRONGTYPE Operation against a key\r\n", STORE_NOT_FOUND, false, "WRONGTYPE"},
        {"-LOADING Redis is loading\r\n", STORE_UNREACHABLE, false, "LOADING"},
        {"-NOPERM no rights\r\n", STORE_UNREACHABLE, false, "NOPERM"},
        {"-MASTERDOWN\r\n", STORE_UNREACHABLE, false, "MASTERDOWN"},
        {"-ERR what\r\n", STORE_UNREACHABLE, false, "ERR"},
        {"-secret:hunter2 is no class\r\n", STORE_UNREACHABLE, false, "ERR"},
        {"-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n", STORE_UNREACHABLE, false, "ERR"},
        {"+543e1aec5d3614f03141652d6ada51b2\r\n", STORE_UNREACHABLE, true, ""},
        {":7\r\n", STORE_UNREACHABLE, true, ""}, {"*0\r\n", STORE_UNREACHABLE, true, ""}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct auth_key key = {.len = 77};
        assert_int_equal(redis_record_user(read_reply(row[i].bytes), &key, &why), row[i].verdict);
        assert_int_equal(key.len, 77);
        assert_int_equal(why.record != NULL, row[i].record);
        assert_string_equal(why.error, row[i].error);
    }
}

/* ikm_key, as_rs_alg, timestamp, lifetime, realm; NULL: absent. */
static enum store_verdict read_oauth(const char *const field[5], struct store_oauth_key *key)
{
    char bytes[2048] = "*5\r\n";
    size_t len = 4;
    for (size_t i = 0; i < 5; i++)
        len += (size_t)(field[i] ? snprintf(bytes + len, sizeof(bytes) - len, "$%zu\r\n%s\r\n",
                                       strlen(field[i]), field[i])
                                 : snprintf(bytes + len, sizeof(bytes) - len, "$-1\r\n"));
    return redis_record_oauth(read_reply(bytes), slice_of_string("example.org"), key, &why);
}

static void test_redis_records_oauth_keys_are_read_as_coturn_does(void **state)
{
    struct store_oauth_key key = {0};
    const char *const full[] = {K32, "A256GCM", "1000", "60", "example.org"};
    assert_int_equal(read_oauth(full, &key), STORE_FOUND);
    assert_int_equal(key.algorithm, AUTH_OAUTH_A256GCM);
    assert_int_equal(key.key_len, 32);
    assert_memory_equal(key.key, "01234567890123456789012345678901", 32);
    assert_int_equal(key.not_before, 1000);
    assert_int_equal(key.not_after, 1060);
    const char *const longer[] = {K33, "a256gcm", "0", "0", ""};
    assert_int_equal(read_oauth(longer, &key), STORE_FOUND);
    assert_memory_equal(key.key, "01234567890123456789012345678901", 32);
    assert_int_equal(key.not_before, 0);
    assert_int_equal(key.not_after, 0);
    const char *const small[] = {K17, "A128GCM", NULL, NULL, NULL};
    assert_int_equal(read_oauth(small, &key), STORE_FOUND);
    assert_int_equal(key.algorithm, AUTH_OAUTH_A128GCM);
    assert_int_equal(key.key_len, 16);
    assert_memory_equal(key.key, "1234567890123456", 16);
    const char *const filled[] = {K17, "A256GCM", "5", NULL, NULL};
    assert_int_equal(read_oauth(filled, &key), STORE_FOUND);
    assert_memory_equal(key.key, "1234567890123456\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32);
    assert_int_equal(key.not_before, 5);
    assert_int_equal(key.not_after, 0);
    const char *const expired[] = {K32, "A256GCM", NULL, "60", NULL};
    assert_int_equal(read_oauth(expired, &key), STORE_FOUND);
    assert_int_equal(key.not_after, 60);
}

static void test_redis_records_oauth_key_that_is_none_writes_nothing(void **state)
{
    static const struct {
        const char *field[5];
        bool record;
    } row[] = {{{NULL, NULL, NULL, NULL, NULL}, false},
        {{K32, "A256GCM", NULL, NULL, "other.example"}, false},
        {{K32, "A256GCM", NULL, NULL, "example.orgx"}, false},
        {{K32, NULL, NULL, NULL, NULL}, true}, {{K32, "AEAD-AES-256-GCM", NULL, NULL, NULL}, true},
        {{K32, "A256GC", NULL, NULL, NULL}, true}, {{NULL, "A256GCM", NULL, NULL, NULL}, true},
        {{"", "A256GCM", NULL, NULL, NULL}, true},
        {{"MTIzNDU2Nzg5MDEyMzQ1", "A128GCM", NULL, NULL, NULL}, true}, /* 15 bytes */
        {{"MTIzNDU2Nzg5MDEyMzQ1Ngo", "A128GCM", NULL, NULL, NULL}, true},
        {{"MTIzNDU2Nzg5MDEyMzQ1 go=", "A128GCM", NULL, NULL, NULL}, true},
        {{"MTIzNDU2=zg5MDEyMzQ1Ngo=", "A128GCM", NULL, NULL, NULL}, true},
        {{K32, "A256GCM", "-1", NULL, NULL}, true}, {{K32, "A256GCM", "1e3", NULL, NULL}, true},
        {{K32, "A256GCM", "1", " 60", NULL}, true},
        {{K32, "A256GCM", "253402300800", NULL, NULL}, true},
        {{K32, "A256GCM", "1", "99999999999999999999999", NULL}, true}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct store_oauth_key key = {.key_len = 77};
        assert_int_equal(read_oauth(row[i].field, &key), STORE_NOT_FOUND);
        assert_int_equal(key.key_len, 77);
        assert_int_equal(why.record != NULL, row[i].record);
        assert_int_equal(why.error[0], '\0');
    }
    char long_key[400 + 1];
    memset(long_key, 'A', 400);
    long_key[400] = '\0';
    struct store_oauth_key key = {0};
    const char *const over[] = {long_key, "A256GCM", NULL, NULL, NULL};
    assert_int_equal(read_oauth(over, &key), STORE_NOT_FOUND);
}

static void test_redis_records_oauth_reply_that_means_nothing_is_unreachable(void **state)
{
    static const char *const bytes[] = {"$-1\r\n", "*-1\r\n", "*0\r\n", "+OK\r\n",
        "*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", "-NOPERM x\r\n", "-LOADING x\r\n"};
    struct store_oauth_key key = {0};
    const struct slice realm = slice_of_string("r");
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
        assert_int_equal(
            redis_record_oauth(read_reply(bytes[i]), realm, &key, &why), STORE_UNREACHABLE);
    assert_int_equal(
        redis_record_oauth(read_reply("-WRONGTYPE x\r\n"), realm, &key, &why), STORE_NOT_FOUND);
}

static int read_secrets(
    const char *const *secrets, size_t count, struct store_secrets *out, size_t *left_out)
{
    static char bytes[16384];
    size_t len = (size_t)snprintf(bytes, sizeof(bytes), "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(
            bytes + len, sizeof(bytes) - len, "$%zu\r\n%s\r\n", strlen(secrets[i]), secrets[i]);
    return redis_record_secrets(read_reply(bytes), out, left_out, &why);
}

static void test_redis_records_secrets_are_cut_alike_everywhere(void **state)
{
    struct store_secrets found[3] = {0};
    const char *names[40];
    char text[40][8], long_secret[REDIS_SECRET_MAX + 2];
    size_t left_out;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(text[i], sizeof(text[i]), "s%02u", i);
        names[i] = text[i];
    }
    memset(long_secret, 'a', sizeof(long_secret) - 1);
    long_secret[REDIS_SECRET_MAX + 1] = '\0';
    names[5] = long_secret;
    names[6] = "";
    assert_int_equal(read_secrets(names, 40, &found[0], &left_out), 0);
    assert_int_equal(left_out, 24);
    for (size_t i = 0; i < 20; i++) {
        const char *other = names[i];
        names[i] = names[39 - i];
        names[39 - i] = other;
    }
    assert_int_equal(read_secrets(names, 40, &found[1], &left_out), 0);
    assert_int_equal(found[0].count, STORE_SECRETS_MAX);
    assert_int_equal(found[1].count, STORE_SECRETS_MAX);
    for (size_t i = 0; i < STORE_SECRETS_MAX; i++)
        assert_true(secret_equal(secret_slice(&found[0].list[i]), secret_slice(&found[1].list[i])));
    assert_memory_equal(found[0].list[5].data, "s07", 3);
    assert_memory_equal(found[0].list[15].data, "s17", 3);
    long_secret[REDIS_SECRET_MAX] = '\0'; /* as long as may be */
    assert_int_equal(
        read_secrets((const char *const[]){long_secret, "b", "b"}, 3, &found[2], &left_out), 0);
    assert_int_equal(found[2].count, 2);
    assert_int_equal(left_out, 1);
    assert_int_equal(found[2].list[0].len, REDIS_SECRET_MAX);
    for (size_t i = 0; i < 3; i++)
        store_secrets_deinit(&found[i]);
}

static void test_redis_records_secrets_that_cannot_be_read_write_nothing(void **state)
{
    static const char *const bytes[] = {"-WRONGTYPE x\r\n", "-NOPERM x\r\n", "$-1\r\n", "+OK\r\n"};
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        struct store_secrets found = {.count = 7};
        size_t left_out = 9;
        assert_int_equal(
            redis_record_secrets(read_reply(bytes[i]), &found, &left_out, &why), -EBADMSG);
        assert_int_equal(found.count, 7);
        assert_int_equal(left_out, 9);
        assert_true(why.record || why.error[0] != '\0');
    }
    struct store_secrets none = {.count = 7};
    size_t left_out;
    assert_int_equal(redis_record_secrets(read_reply("*0\r\n"), &none, &left_out, &why), 0);
    assert_int_equal(none.count, 0);
    assert_int_equal(left_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_records_user_keys_are_hexadecimal),
        cmocka_unit_test(test_redis_records_user_that_is_none_writes_nothing),
        cmocka_unit_test(test_redis_records_oauth_keys_are_read_as_coturn_does),
        cmocka_unit_test(test_redis_records_oauth_key_that_is_none_writes_nothing),
        cmocka_unit_test(test_redis_records_oauth_reply_that_means_nothing_is_unreachable),
        cmocka_unit_test(test_redis_records_secrets_are_cut_alike_everywhere),
        cmocka_unit_test(test_redis_records_secrets_that_cannot_be_read_write_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
