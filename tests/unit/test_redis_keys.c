/* Names and the keys they become. */
#include "fleet/redis_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/escape.h"

static struct redis_key key;

static struct slice text(const char *s)
{
    return slice_of_string(s);
}

static void assert_key(const char *expected, size_t len)
{
    assert_int_equal(key.len, len);
    assert_memory_equal(key.bytes, expected, len);
}

#define ASSERT_KEY(literal) assert_key(literal, sizeof(literal) - 1)

static void test_redis_keys_names_stand_byte_for_byte(void **state)
{
    static const uint8_t bytes[] = "a\0b\r\nDEL x\r\n%n\x1b/../c";
    assert_int_equal(redis_key_user(&key, text("example.org"), text("alice")), 0);
    ASSERT_KEY("turn/realm/example.org/user/alice/key");
    assert_int_equal(redis_key_user(&key, text("r"), slice_of(bytes, sizeof(bytes) - 1)), 0);
    ASSERT_KEY("turn/realm/r/user/a\0b\r\nDEL x\r\n%n\x1b/../c/key");
    assert_int_equal(redis_key_secrets(&key, text("a b/c")), 0);
    ASSERT_KEY("turn/realm/a b/c/secret");
    assert_int_equal(redis_key_oauth(&key, text("user/1")), 0);
    ASSERT_KEY("turn/oauth/kid/user/1");
}

static void test_redis_keys_sizes_have_bounds(void **state)
{
    uint8_t long_name[REDIS_KEY_REALM_MAX + 1];
    memset(long_name, 'x', sizeof(long_name));
    const struct slice realm = slice_of(long_name, REDIS_KEY_REALM_MAX);
    const struct slice name = slice_of(long_name, REDIS_KEY_NAME_MAX);
    const struct slice over_realm = slice_of(long_name, REDIS_KEY_REALM_MAX + 1);
    const struct slice over_name = slice_of(long_name, REDIS_KEY_NAME_MAX + 1);
    assert_int_equal(redis_key_user(&key, realm, name), 0);
    assert_int_equal(key.len, 11 + 763 + 6 + 508 + 4);
    assert_int_equal(redis_key_user(&key, over_realm, name), -EINVAL);
    assert_int_equal(redis_key_user(&key, realm, over_name), -EINVAL);
    assert_int_equal(redis_key_user(&key, text(""), name), -EINVAL);
    assert_int_equal(redis_key_user(&key, realm, text("")), -EINVAL);
    assert_int_equal(redis_key_secrets(&key, text("")), -EINVAL);
    assert_int_equal(redis_key_secrets(&key, over_realm), -EINVAL);
    assert_int_equal(redis_key_oauth(&key, text("")), -EINVAL);
    assert_int_equal(redis_key_oauth(&key, over_name), -EINVAL);
    memset(long_name, '/', sizeof(long_name));
    assert_int_equal(redis_key_escaped(&key, "secret", realm, name), 0);
    assert_int_equal(key.len, 6 + 1 + 3 * 763 + 1 + 3 * 508);
    assert_int_equal(redis_key_escaped(&key, "user", over_realm, name), -EINVAL);
    assert_int_equal(redis_key_escaped(&key, "user", realm, over_name), -EINVAL);
    assert_int_equal(redis_key_escaped(&key, "user", realm, text("")), -EINVAL);
}

static void test_redis_keys_ambiguous_user_is_refused(void **state)
{
    static const char *const refused[] = {
        "user/", "user/x", "a/user/b", "/user/", "x/user/", "user/user/"};
    static const char *const taken[] = {
        "user", "/user", "a/user", "users/x", "a/users/b", "muser/x", "/", "//", "User/x"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_int_equal(redis_key_user(&key, text("r"), text(refused[i])), -EINVAL);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        assert_int_equal(redis_key_user(&key, text("r"), text(taken[i])), 0);
}

/* All names of up to three of these words: no key is that of two of them. */
#define PARTS_MAX 400
static void test_redis_keys_no_key_belongs_to_two_users(void **state)
{
    static const char *const words[] = {"user", "/", "a", "/user/", "key", ""};
    static char names[PARTS_MAX][24];
    static struct {
        struct redis_key key;
        size_t realm;
    } made[4096];
    size_t name_count = 0, made_count = 0;
    for (size_t i = 0; i < 216; i++) {
        char *name = names[name_count];
        snprintf(name, sizeof(names[0]), "%s%s%s", words[i % 6], words[i / 6 % 6], words[i / 36]);
        bool is_there = name[0] == '\0';
        for (size_t k = 0; k < name_count; k++)
            is_there |= strcmp(names[k], name) == 0;
        name_count += !is_there;
    }
    for (size_t i = 0; i < name_count * name_count && made_count < 4096; i += 7) {
        const size_t realm = i / name_count, user = i % name_count;
        if (redis_key_user(&made[made_count].key, text(names[realm]), text(names[user])) == 0)
            made[made_count++].realm = realm;
    }
    assert_in_range(made_count, 500, 4096);
    for (size_t i = 0; i < made_count; i++) {
        for (size_t k = 0; k < i; k++)
            assert_false(
                slice_equal(redis_key_slice(&made[i].key), redis_key_slice(&made[k].key)) &&
                made[i].realm != made[k].realm);
    }
}

static void test_redis_keys_escaped_names_come_back(void **state)
{
    uint8_t all[256], back[4 * 256];
    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    assert_int_equal(redis_key_escaped(&key, "user", text("a/b"), text("c%n\n\x7fü")), 0);
    ASSERT_KEY("user/a%2Fb/c%25n%0A%7F%C3%BC");
    assert_int_equal(redis_key_escaped(&key, "user", text("r"), slice_of(all, 256)), 0);
    const struct slice escaped = slice_of(key.bytes + 7, key.len - 7);
    assert_int_equal(escape_read(back, escaped), 256);
    assert_memory_equal(back, all, 256);
    for (size_t i = 0; i < escaped.len; i++)
        assert_true(escaped.data[i] > ' ' && escaped.data[i] < 0x7f && escaped.data[i] != '/');
}

static void test_redis_keys_other_spellings_are_no_names(void **state)
{
    static const char *const bad[] = {"%", "%2", "a%2f", "%41", "%zz", "a b", "a/b", "%%", "\n"};
    uint8_t back[16];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(escape_read(back, text(bad[i])), -EINVAL);
    assert_int_equal(escape_read(back, slice_of("\0", 1)), -EINVAL);
    assert_int_equal(escape_read(back, slice_of("%0\0", 3)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_keys_names_stand_byte_for_byte),
        cmocka_unit_test(test_redis_keys_sizes_have_bounds),
        cmocka_unit_test(test_redis_keys_ambiguous_user_is_refused),
        cmocka_unit_test(test_redis_keys_no_key_belongs_to_two_users),
        cmocka_unit_test(test_redis_keys_escaped_names_come_back),
        cmocka_unit_test(test_redis_keys_other_spellings_are_no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
