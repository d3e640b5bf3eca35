/* Lines that say where Redis is: what they mean, and everything that is refused. */
#include "fleet/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>

static struct redis_url parse(const char *text)
{
    struct redis_url url;
    const char *error = "none";
    const int result = redis_url_parse(&url, text, &error);
    if (result < 0)
        fail_msg("%s: %s", text, error);
    return url;
}

static void assert_secret(const struct secret *s, const char *bytes, size_t len)
{
    assert_int_equal(s->len, len);
    if (len > 0)
        assert_memory_equal(s->data, bytes, len);
}

static void test_redis_url_hosts_and_defaults_are_read(void **state)
{
    static const struct {
        const char *text, *host, *described;
        uint16_t port;
        uint32_t database;
        bool tls;
    } row[] = {
        {"redis://localhost", "localhost", "redis://localhost:6379/0", 6379, 0, false},
        {"redis://localhost/", "localhost", "redis://localhost:6379/0", 6379, 0, false},
        {"rediss://r-1.example_x.org:1/15", "r-1.example_x.org", "rediss://r-1.example_x.org:1/15",
            1, 15, true},
        {"redis://192.0.2.1:65535/65535", "192.0.2.1", "redis://192.0.2.1:65535/65535", 65535,
            65535, false},
        {"rediss://[2001:db8::1]", "2001:db8::1", "rediss://[2001:db8::1]:6379/0", 6379, 0, true},
        {"redis://[::ffff:192.0.2.1]:7/3", "::ffff:192.0.2.1", "redis://[::ffff:192.0.2.1]:7/3", 7,
            3, false},
    };
    char described[128];
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct redis_url url = parse(row[i].text);
        assert_string_equal(url.hosts[0].host, row[i].host);
        assert_int_equal(url.host_count, 1);
        assert_int_equal(url.hosts[0].port, row[i].port);
        assert_int_equal(url.database, row[i].database);
        assert_int_equal(url.tls, row[i].tls);
        assert_false(url.sentinel);
        assert_string_equal(url.path, "");
        assert_secret(&url.user, "", 0);
        assert_secret(&url.password, "", 0);
        assert_string_equal(
            redis_url_describe(&url, described, sizeof(described)), row[i].described);
        redis_url_deinit(&url);
    }
}

static void test_redis_url_credentials_are_decoded_and_never_described(void **state)
{
    static const struct {
        const char *text, *user, *password;
        size_t password_len;
    } row[] = {
        {"redis://:secret@h", "", "secret", 6},
        {"rediss://turn:s%40c%3Ar%2Fe%25t@h", "turn", "s@c:r/e%t", 9},
        {"redis://t%75rn:a:b@h", "turn", "a:b", 3},
        {"unix://turn:%00%0d%0A%ff@/run/redis.sock", "turn", "\0\r\n\xff", 4},
        {"redis+sentinel://turn:secret@h/m", "turn", "secret", 6},
    };
    char described[128];
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct redis_url url = parse(row[i].text);
        assert_secret(&url.user, row[i].user, strlen(row[i].user));
        assert_secret(&url.password, row[i].password, row[i].password_len);
        redis_url_describe(&url, described, sizeof(described));
        assert_non_null(strstr(described, "://***@"));
        assert_null(strstr(described, "turn"));
        assert_null(strstr(described, "s@c"));
        assert_null(strstr(described, "secret"));
        redis_url_deinit(&url);
    }
}

static void test_redis_url_unix_paths_are_read(void **state)
{
    struct redis_url url = parse("unix:///run/redis/redis.sock");
    char described[128];
    assert_string_equal(url.path, "/run/redis/redis.sock");
    assert_int_equal(url.host_count, 0);
    assert_int_equal(url.database, 0);
    redis_url_deinit(&url);
    url = parse("unix://:p@/a@b?db=7");
    assert_string_equal(url.path, "/a@b");
    assert_int_equal(url.database, 7);
    assert_string_equal(
        redis_url_describe(&url, described, sizeof(described)), "unix://***@/a@b?db=7");
    redis_url_deinit(&url);
}

static void test_redis_url_sentinels_are_read(void **state)
{
    struct redis_url url = parse("redis+sentinel://u:p@a,b:1,[::1]:2/my-master.x_1/4");
    char described[128];
    assert_true(url.sentinel);
    assert_false(url.tls);
    assert_int_equal(url.host_count, 3);
    assert_string_equal(url.hosts[0].host, "a");
    assert_int_equal(url.hosts[0].port, 26379);
    assert_string_equal(url.hosts[2].host, "::1");
    assert_int_equal(url.hosts[2].port, 2);
    assert_string_equal(url.master, "my-master.x_1");
    assert_int_equal(url.database, 4);
    assert_string_equal(redis_url_describe(&url, described, sizeof(described)),
        "redis+sentinel://***@a:26379,b:1,[::1]:2/my-master.x_1/4");
    redis_url_deinit(&url);
    url = parse("rediss+sentinel://a/m");
    assert_true(url.sentinel && url.tls);
    assert_int_equal(url.database, 0);
    redis_url_deinit(&url);
}

static void test_redis_url_anything_else_is_refused(void **state)
{
    static const char *const refused[] = {"", "localhost", "localhost:6379", "http://h",
        "REDIS://h", "redis:/h", "redis://", "redis:///0", "redis://h:", "redis://h:0",
        "redis://h:65536", "redis://h:+1", "redis://h:06379", "redis://h:6379x", "redis://h/x",
        "redis://h/-1", "redis://h/00", "redis://h/65536", "redis://h/0/", "redis://h/0?db=1",
        "redis://h?db=1", "redis://h#x", "redis://a,b", "redis://user@h", "redis://user:@h",
        "redis://:%@h", "redis://:%4@h", "redis://:%zz@h", "redis://:a b@h", "redis://:\xc3\xa4@h",
        "redis://[::1", "redis://[::1]x", "redis://[]", "redis://[h]x:1", "redis://[fe80::1%eth0]",
        "redis://.h", "redis://-h", "redis://h h", "redis://h\n", "redis://:p@", "unix://",
        "unix://run/redis.sock", "unix:///", "unix:///a?db=", "unix:///a?db=x", "unix:///a?x=1",
        "unix:///a%00", "unix:///a#b", "redis+sentinel://a", "redis+sentinel://a/",
        "redis+sentinel:///m", "redis+sentinel://a,/m", "redis+sentinel://a,,b/m",
        "redis+sentinel://a/m m", "redis+sentinel://a/m/x", "redis+sentinel://a/m%20",
        "redis+sentinel://a,b,c,d,e,f,g,h,i/m", "redis+sentinel://u@a/m"};
    static const struct redis_url untouched = {.database = 77};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct redis_url url = untouched;
        const char *error = NULL;
        if (redis_url_parse(&url, refused[i], &error) != -EINVAL)
            fail_msg("%s was taken", refused[i]);
        assert_non_null(error);
        assert_memory_equal(&url, &untouched, sizeof(url));
    }
}

static void test_redis_url_long_parts_are_refused(void **state)
{
    static const struct {
        const char *before, *behind;
        size_t longest;
        char fill;
    } row[] = {{"redis://", "", REDIS_HOST_MAX, 'a'}, {"unix:///", "", REDIS_PATH_MAX - 1, 'a'},
        {"redis+sentinel://a/", "", REDIS_MASTER_MAX, 'm'}, {"redis://:", "@h", 512, 'p'}};
    char text[800];
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        for (size_t over = 0; over <= 1; over++) {
            char fill[600] = "";
            memset(fill, row[i].fill, row[i].longest + over);
            snprintf(text, sizeof(text), "%s%s%s", row[i].before, fill, row[i].behind);
            struct redis_url url = {0};
            const char *error;
            assert_int_equal(redis_url_parse(&url, text, &error), over == 0 ? 0 : -EINVAL);
            redis_url_deinit(&url);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_url_hosts_and_defaults_are_read),
        cmocka_unit_test(test_redis_url_credentials_are_decoded_and_never_described),
        cmocka_unit_test(test_redis_url_unix_paths_are_read),
        cmocka_unit_test(test_redis_url_sentinels_are_read),
        cmocka_unit_test(test_redis_url_anything_else_is_refused),
        cmocka_unit_test(test_redis_url_long_parts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
