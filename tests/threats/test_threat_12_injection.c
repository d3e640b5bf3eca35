/*
 * Row 12: names that would end a command, a key or a log line. Exactly the key that was meant is
 * asked for, by one command, and what is logged of it is one line.
 */
#include "fleet/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fleet/redis_keys.h"
#include "tests/fleet/fleet_fixture.h"

#define HEX32  "543e1aec5d3614f03141652d6ada51b2"
#define PREFIX "turn/realm/example.org/user/"

static struct test_fleet f, other;
static struct test_monitor monitor;
static uint8_t longest[STORE_NAME_MAX];

static const struct slice names[] = {{(const uint8_t *)"%n%s%s%n%b", 10},
    {(const uint8_t *)"x\r\nFLUSHALL\r\n", 13}, {(const uint8_t *)"*1\r\n$8\r\nFLUSHALL\r\n", 18},
    {(const uint8_t *)"\x1b[2J\x1b]0;x\x07", 10}, {(const uint8_t *)"alice\0bob", 9},
    {(const uint8_t *)"\0", 1}, {(const uint8_t *)"/", 1},
    {(const uint8_t *)"../../other.example/user/alice", 30}, {(const uint8_t *)"\" \"x'`$(id)", 11},
    {(const uint8_t *)"\xff\xfe\xc3\x28", 4}, {(const uint8_t *)" a b ", 5},
    {longest, sizeof(longest)}};

#define NAMES (sizeof(names) / sizeof(names[0]))

static int setup(void **state)
{
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = (uint8_t)(255 - i % 256);
    return redis_set_up(state);
}

/* Such a name would be ambiguous, and is not asked for; see fleet/redis_keys.h. */
static bool is_refused(struct slice name)
{
    struct redis_key key;
    return redis_key_user(&key, slice_of_string("example.org"), name) < 0;
}

/* A key of this test's own making. */
static struct slice key_of(const char *prefix, struct slice name, const char *suffix)
{
    static uint8_t key[1024];
    size_t len = strlen(prefix);
    memcpy(key, prefix, len);
    memcpy(key + len, name.data, name.len);
    len += name.len;
    memcpy(key + len, suffix, strlen(suffix));
    return slice_of(key, len + strlen(suffix));
}

static void put(struct slice key, const char *value)
{
    const struct slice argv[] = {slice_of_string("SET"), key, slice_of_string(value)};
    assert_true(test_redis_command(&redis, argv, 3, "+OK"));
}

static enum store_verdict ask(enum store_kind kind, struct slice name)
{
    struct test_asked a;
    test_fleet_ask(&f, kind, 1, name, &a);
    assert_true(test_fleet_answered(&l, &a, 2000));
    return a.answer.verdict;
}

/* As MONITOR writes an argument. */
static void quote(char *out, struct slice text)
{
    *out++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        static const char plain[] = "\\\"\n\r\t\a\b", letters[] = "\\\"nrtab";
        const uint8_t c = text.data[i];
        const char *at = c != '\0' ? strchr(plain, c) : NULL;
        if (at)
            out += snprintf(out, 3, "\\%c", letters[at - plain]);
        else
            out += snprintf(out, 5, c >= ' ' && c < 0x7f ? "%c" : "\\x%02x", c);
    }
    memcpy(out, "\"", 2);
}

/* Lines of MONITOR with `word` in them that no script has said. */
static unsigned count_lines(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n');
        const char *at = strstr(line, word);
        const char *lua = strstr(line, " lua] ");
        count += at && at < end && !(lua && lua < end);
    }
    return count;
}

static void test_threat_12_names_reach_the_key_that_was_meant(void **state)
{
    static const char *const suffix[] = {"/key", ""};
    static const char *const prefix[] = {PREFIX, "turn/oauth/kid/"};
    static const char *const verb[] = {"\"GET\" ", "\"HMGET\" "};
    char expected[4096];
    fleet_begin(&f);
    test_monitor_start(&monitor, &redis);
    for (size_t i = 0; i < 2 * NAMES; i++) {
        const struct slice name = names[i / 2], key = key_of(prefix[i % 2], name, suffix[i % 2]);
        if (i % 2 == 0)
            put(key, HEX32);
        test_monitor_read(&monitor, &redis);
        const enum store_verdict verdict = ask(i % 2 == 0 ? STORE_USER : STORE_OAUTH_KEY, name);
        const char *seen = test_monitor_read(&monitor, &redis);
        if (i % 2 == 0 && is_refused(name)) {
            assert_int_equal(verdict, STORE_NOT_FOUND);
            assert_int_equal(count_lines(seen, verb[0]), 0);
            continue;
        }
        assert_int_equal(verdict, i % 2 == 0 ? STORE_FOUND : STORE_NOT_FOUND);
        snprintf(expected, sizeof(expected), "%s", verb[i % 2]);
        quote(expected + strlen(expected), key);
        if (!strstr(seen, expected))
            fail_msg("%s is not in %s", expected, seen);
        assert_int_equal(count_lines(seen, verb[i % 2]), 1);
        /* And nothing else than what a fleet says every second. */
        assert_int_equal(count_lines(seen, "] "),
            1 + count_lines(seen, "\"EVALSHA\"") + count_lines(seen, "\"ECHO\"") +
                count_lines(seen, "\"SCRIPT\"") + count_lines(seen, "\"PING\"") +
                count_lines(seen, "\"SMEMBERS\""));
    }
    test_monitor_end(&monitor);
    test_fleet_end(&f);
    linked_end(&l);
}

static void test_threat_12_user_cannot_reach_another_realm(void **state)
{
    put(slice_of_string(PREFIX "a/user/b/key"), HEX32); /* b of the realm "example.org/user/a" */
    put(slice_of_string(PREFIX "user/b/key"), HEX32);   /* b of "example.org/user" */
    put(slice_of_string("turn/realm/other.example/user/alice/key"), HEX32);
    fleet_begin(&f);
    assert_int_equal(ask(STORE_USER, slice_of_string("a/user/b")), STORE_NOT_FOUND);
    assert_int_equal(ask(STORE_USER, slice_of_string("user/b")), STORE_NOT_FOUND);
    assert_int_equal(
        ask(STORE_USER, slice_of_string("../../other.example/user/alice")), STORE_NOT_FOUND);
    assert_int_equal(ask(STORE_USER, slice_of_string("alice")), STORE_NOT_FOUND);
    test_fleet_end(&f);
    linked_end(&l);
}

static void test_threat_12_revoked_names_come_back_as_they_were(void **state)
{
    fleet_begin(&f);
    fleet_begin(&other);
    for (size_t i = 0; i < NAMES; i++) {
        struct revocation v = {.kind = REVOKE_USER,
            .realm = 1,
            .until = clock_now().wall_s + 100,
            .id_len = (uint16_t)names[i].len};
        memcpy(v.id, names[i].data, names[i].len);
        assert_int_equal(fleet_revoke(f.fleet, &v), 0);
        assert_true(test_fleet_revoked(&other, &l, (unsigned)i + 1, 5000));
        assert_true(slice_equal(slice_of(other.revoked[i].id, other.revoked[i].id_len), names[i]));
    }
    /* Four keys of ours, and nothing that a name could have made. */
    assert_true(test_redis_says(&redis, "DBSIZE", ":4\r\n"));
    assert_true(test_redis_says(&redis, "HLEN turnpike/revocations/entries", ":12\r\n"));
    assert_true(test_redis_says(&redis,
        "HEXISTS turnpike/revocations/entries user/example.org/x%0D%0AFLUSHALL%0D%0A", ":1"));
    test_fleet_end(&f);
    test_fleet_end(&other);
    linked_end(&l);
}

static void test_threat_12_record_that_is_logged_is_one_line(void **state)
{
    static const uint8_t name[] = "%n\r\nlevel=error\x1b[2J\0/\" realm=\"x";
    char text[8192];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(log_init(ends[1], LOG_WARN, LOG_TEXT), 0);
    put(key_of(PREFIX, slice_of(name, sizeof(name) - 1), "/key"), "hunter2-is-no-key");
    fleet_begin(&f);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(ask(STORE_USER, slice_of(name, sizeof(name) - 1)), STORE_NOT_FOUND);
    test_fleet_end(&f);
    linked_end(&l);
    log_deinit();
    close(ends[1]);
    ssize_t len = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    assert_true(len > 0);
    text[len] = '\0';
    assert_int_equal(strlen(text), len);
    char *line = strstr(text, "redis_record_unusable");
    assert_non_null(line);
    assert_null(strstr(line + 1, "redis_record_unusable")); /* one of twenty */
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
    for (const char *c = line; *c != '\n'; c++)
        assert_true(*c >= ' ' && *c < 0x7f);
    assert_null(strstr(text, "hunter2"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_threat_12_names_reach_the_key_that_was_meant, redis_reset),
        cmocka_unit_test_setup(test_threat_12_user_cannot_reach_another_realm, redis_reset),
        cmocka_unit_test_setup(test_threat_12_revoked_names_come_back_as_they_were, redis_reset),
        cmocka_unit_test_setup(test_threat_12_record_that_is_logged_is_one_line, redis_reset),
    };
    return cmocka_run_group_tests(tests, setup, redis_tear_down);
}
