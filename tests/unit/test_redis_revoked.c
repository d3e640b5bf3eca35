/* Names and entries of revocations, and what an instance knows of them. */
#include "fleet/redis_revoked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/random.h"
#include "fleet/redis_revoked_table.h"

static struct redis_revoked_subject subject;

static int read_subject(const char *name)
{
    return redis_revoked_subject(&subject, slice_of_string(name));
}

static void test_redis_revoked_names_come_back(void **state)
{
    struct redis_key name;
    struct revocation v = {.id_len = REVOCATION_ID_MAX};
    uint8_t realm[REDIS_KEY_REALM_MAX];
    for (size_t i = 0; i < sizeof(v.id); i++)
        v.id[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof(realm); i++)
        realm[i] = (uint8_t)(i * 11);
    for (unsigned kind = REVOKE_USER; kind <= REVOKE_SECRET; kind++) {
        v.kind = (uint8_t)kind;
        assert_int_equal(redis_revoked_name(&name, &v, slice_of(realm, sizeof(realm))), 0);
        assert_int_equal(redis_revoked_subject(&subject, redis_key_slice(&name)), 0);
        assert_int_equal(subject.revocation.kind, kind);
        assert_int_equal(subject.realm_len, sizeof(realm));
        assert_memory_equal(subject.realm, realm, sizeof(realm));
        assert_int_equal(subject.revocation.id_len, sizeof(v.id));
        assert_memory_equal(subject.revocation.id, v.id, sizeof(v.id));
    }
    v.kind = REVOKE_SECRET + 1;
    assert_int_equal(redis_revoked_name(&name, &v, slice_of_string("r")), -EINVAL);
    v = (struct revocation){.kind = REVOKE_USER, .id_len = 0};
    assert_int_equal(redis_revoked_name(&name, &v, slice_of_string("r")), -EINVAL);
}

static void test_redis_revoked_other_names_are_none(void **state)
{
    static const char *const bad[] = {"", "user", "user/r", "user//a", "user/r/", "nobody/r/a",
        "user/r/a/b", "user/r/a b", "user/r/%41", "USER/r/a", "user/r/a\n", "/r/a", "user/%/a"};
    char long_name[8 + REVOCATION_ID_MAX + 2] = "user/r/";
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_subject(bad[i]), -EINVAL);
    memset(long_name + 7, 'x', REVOCATION_ID_MAX + 1);
    assert_int_equal(read_subject(long_name), -EINVAL);
    long_name[7 + REVOCATION_ID_MAX] = '\0';
    assert_int_equal(read_subject(long_name), 0);
    char escaped[8 + 3 * REVOCATION_ID_MAX + 4] = "user/r/";
    for (size_t i = 0; i <= REVOCATION_ID_MAX; i++)
        memcpy(escaped + 7 + 3 * i, "%20", 4);
    assert_int_equal(read_subject(escaped), -EINVAL);
    escaped[7 + 3 * REVOCATION_ID_MAX] = '\0';
    assert_int_equal(read_subject(escaped), 0);
}

static void test_redis_revoked_entries_are_read_strictly(void **state)
{
    static const char *const bad[] = {"", "1 2 3", "0 2 3 user/r/a", "-1 2 3 user/r/a",
        "1 -2 3 user/r/a", "1  3 user/r/a", "1 2 x user/r/a", "1 2 253402300800 user/r/a",
        "1 253402300800 3 user/r/a", "9007199254740992 2 3 user/r/a",
        "99999999999999999 2 3 user/r/a", "1e3 2 3 user/r/a", " 1 2 3 user/r/a"};
    struct redis_revoked revoked = {.version = 77};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(redis_revoked_parse(&revoked, slice_of_string(bad[i])), -EINVAL);
    assert_int_equal(revoked.version, 77);
    assert_int_equal(
        redis_revoked_parse(&revoked, slice_of_string("9007199254740991 0 253402300799 user/r/a")),
        0);
    assert_int_equal(revoked.version, 9007199254740991);
    assert_int_equal(revoked.until, 0);
    assert_int_equal(revoked.expires, 253402300799);
    assert_true(slice_equal(revoked.name, slice_of_string("user/r/a")));
}

static struct redis_reply *read_reply(const char *bytes)
{
    struct redis_reply *reply = NULL;
    struct redis_reader *reader = redis_reader_new(4096);
    redis_reader_feed(reader, slice_of_string(bytes));
    assert_int_equal(redis_reader_next(reader, &reply), REDIS_READ_REPLY);
    redis_reader_free(reader);
    return reply;
}

static void test_redis_revoked_pages_are_read_strictly(void **state)
{
    static const char *const bad[] = {"+OK\r\n", "*0\r\n", "-NOPERM\r\n", "$-1\r\n",
        "*3\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n",
        "*4\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n$1\r\n0\r\n",
        "*4\r\n:5\r\n$1\r\n6\r\n$1\r\n7\r\n:0\r\n", "*4\r\n$1\r\n5\r\n$-1\r\n$1\r\n7\r\n:0\r\n"};
    struct redis_revoked_page page = {.clock = 77};
    struct redis_revoked_put_reply said = {.clock = 77};
    struct redis_revoked revoked;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct redis_reply *reply = read_reply(bad[i]);
        assert_int_equal(redis_revoked_page(&page, reply), -EBADMSG);
        assert_int_equal(redis_revoked_put_reply(&said, reply), -EBADMSG);
        redis_reply_free(reply);
    }
    assert_int_equal(page.clock, 77);
    assert_int_equal(said.clock, 77);
    struct redis_reply *reply = read_reply("*6\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n:1\r\n"
                                           "$14\r\n8 9 9 user/r/a\r\n:3\r\n");
    assert_int_equal(redis_revoked_page(&page, reply), 0);
    assert_true(page.clock == 5 && page.born == 6 && page.position == 7 && page.more);
    assert_int_equal(page.count, 2);
    assert_int_equal(redis_revoked_entry(&revoked, &page, 0), 0);
    assert_int_equal(revoked.version, 8);
    assert_int_equal(redis_revoked_entry(&revoked, &page, 1), -EINVAL);
    redis_reply_free(reply);
    reply = read_reply("*4\r\n$1\r\n5\r\n$1\r\n6\r\n:7\r\n:8\r\n");
    assert_int_equal(redis_revoked_put_reply(&said, reply), 0);
    assert_true(said.clock == 5 && said.born == 6 && said.full == 7 && said.outdated == 8);
    redis_reply_free(reply);
}

static struct redis_revoked make(char *name, size_t cap, unsigned n, int64_t expires)
{
    snprintf(name, cap, "user/r/%u", n);
    return (struct redis_revoked){
        .version = n + 1, .until = expires, .expires = expires, .name = slice_of_string(name)};
}

static void test_redis_revoked_table_finds_expires_and_marks(void **state)
{
    char name[32];
    struct redis_revoked_table *t = redis_revoked_table_new(random_system());
    assert_non_null(t);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned n = 0; n < 1000; n++) {
            const struct redis_revoked r = make(name, sizeof(name), n, n % 3 == 0 ? 100 : 200);
            assert_int_equal(redis_revoked_table_put(t, &r), 0);
        }
        assert_int_equal(redis_revoked_table_count(t), 1000);
        redis_revoked_table_mark_all(t);
        assert_int_equal(redis_revoked_table_marked(t), 1000);
        redis_revoked_table_expire(t, 100, 2000);
        assert_int_equal(redis_revoked_table_count(t), 1000); /* at that second, still in force */
        redis_revoked_table_expire(t, 101, 2000);
        assert_int_equal(redis_revoked_table_count(t), 666);
        assert_int_equal(redis_revoked_table_marked(t), 666);
        for (unsigned n = 0; n < 1000; n++) {
            const struct redis_revoked r = make(name, sizeof(name), n, 200);
            const struct redis_revoked_known *known = redis_revoked_table_find(t, r.name);
            assert_int_equal(known != NULL, n % 3 != 0);
            if (known)
                assert_int_equal(known->revoked.version, n + 1);
        }
        unsigned told = 0;
        for (const struct redis_revoked_known *k; (k = redis_revoked_table_next_marked(t)) != NULL;
             told++)
            redis_revoked_table_mark(t, k, false);
        assert_int_equal(told, 666);
    }
    redis_revoked_table_expire(t, 201, 10);
    assert_int_equal(redis_revoked_table_count(t), 656);
    redis_revoked_table_free(t);
}

static void test_redis_revoked_table_is_bounded(void **state)
{
    char name[32];
    struct redis_revoked_table *t = redis_revoked_table_new(random_system());
    for (unsigned n = 0; n < REVOCATIONS_MAX; n++) {
        const struct redis_revoked r = make(name, sizeof(name), n, 100);
        assert_int_equal(redis_revoked_table_put(t, &r), 0);
    }
    const struct redis_revoked more = make(name, sizeof(name), REVOCATIONS_MAX, 100);
    assert_int_equal(redis_revoked_table_put(t, &more), -ENOSPC);
    const struct redis_revoked again = make(name, sizeof(name), 5, 300);
    assert_int_equal(redis_revoked_table_put(t, &again), 0);
    assert_int_equal(redis_revoked_table_find(t, again.name)->revoked.until, 300);
    redis_revoked_table_expire(t, 101, REVOCATIONS_MAX);
    assert_int_equal(redis_revoked_table_count(t), 1);
    assert_int_equal(redis_revoked_table_put(t, &more), 0);
    redis_revoked_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_revoked_names_come_back),
        cmocka_unit_test(test_redis_revoked_other_names_are_none),
        cmocka_unit_test(test_redis_revoked_entries_are_read_strictly),
        cmocka_unit_test(test_redis_revoked_pages_are_read_strictly),
        cmocka_unit_test(test_redis_revoked_table_finds_expires_and_marks),
        cmocka_unit_test(test_redis_revoked_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
