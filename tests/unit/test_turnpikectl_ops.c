/* turnpikectl credentials, user, loglevel and config: what they ask, and what they print. */
#include "tests/unit/turnpikectl.h"

#define MADE                                                                                       \
    "{\"username\":\"1800003600:alice\",\"password\":\"c2VjcmV0\",\"ttl\":3600,"                   \
    "\"uris\":[\"turn:192.0.2.1:3478?transport=udp\",\"turns:192.0.2.1:443?transport=tcp\"]}\n"
#define LEVEL(level, seconds)                                                                      \
    HEAD "{\"level\":\"" level "\",\"configured\":\"info\",\"seconds\":" seconds "}\n"

static void test_turnpikectl_credentials_are_shown_to_people(void **state)
{
    struct run r = {.answer = HEAD MADE, .argv = {"credentials", "--user", "alice"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_memory_equal(r.request, "POST /api/v1/credentials HTTP/1.1\r\n", 35);
    assert_string_equal(body_of(&r), "{\"user\":\"alice\"}");
    assert_string_equal(r.out, "username:     1800003600:alice\n"
                               "password:     c2VjcmV0\n"
                               "seconds:      3600\n"
                               "uris:         turn:192.0.2.1:3478?transport=udp\n"
                               "              turns:192.0.2.1:443?transport=tcp\n");
}

static void test_turnpikectl_credentials_with_a_format_are_what_the_daemon_says(void **state)
{
    static const char *const formats[] = {"uberti", "ice", "twilio", "matrix"};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        char body[256];
        struct run r = {.answer = HEAD MADE,
            .argv = {"credentials", "--user", "alice", "--realm", "r", "--ttl", "1h", "--format",
                formats[i]}};
        snprintf(body, sizeof(body),
            "{\"user\":\"alice\",\"realm\":\"r\",\"format\":\"%s\",\"ttl\":3600}", formats[i]);
        run(&r);
        assert_int_equal(r.code, 0);
        assert_string_equal(body_of(&r), body);
        assert_string_equal(r.out, MADE);
    }
    struct run r = {.answer = HEAD MADE, .argv = {"credentials", "--user", "alice", "--json"}};
    run(&r);
    assert_string_equal(r.out, MADE);
}

static void test_turnpikectl_user_prints_what_turnadmin_stores(void **state)
{
    /* turnadmin -k -u zoë -r example.org -p hunter2 */
    struct run r = {.input = "hunter2\n",
        .argv = {"user", "--name", "zo\xc3\xab", "--realm", "example.org", "--password-stdin"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_string_equal(
        r.out, "- { name: \"zo\xc3\xab\", key: \"2a8a8c80309b2929b4213a9eea25a02f\" }\n");
    assert_string_equal(r.errors, "");
    /* A name that YAML would take for something else, and NFC of what was typed. */
    struct run quoted = {.input = "hunter2",
        .argv = {"user", "--name", "zoe\xcc\x88\"", "--realm", "example.org", "--password-stdin"}};
    run(&quoted);
    assert_memory_equal(quoted.out, "- { name: \"zo\xc3\xab\\\"\", key: \"", 26);
    struct run sha256 = {.input = "hunter2\n",
        .argv = {"user", "--name", "alice", "--realm", "example.org", "--password-stdin",
            "--algorithm", "sha256", "--json"}};
    run(&sha256);
    /* printf alice:example.org:hunter2 | sha256sum */
    assert_string_equal(sha256.out,
        "{\"name\":\"alice\",\"realm\":\"example.org\",\"key\":"
        "\"68a4256f6fb33f7eb49ee5976fc683fce16e01c2e6d5ebc8595bb083b78f9a48\"}\n");
}

static void test_turnpikectl_user_makes_up_a_password(void **state)
{
    char first[TEXT_MAX] = "";
    for (unsigned i = 0; i < 2; i++) {
        struct run r = {.argv = {"user", "--name", "alice", "--realm", "example.org"}};
        run(&r);
        assert_int_equal(r.code, 0);
        assert_memory_equal(r.out, "- { name: \"alice\", key: \"", 25);
        assert_memory_equal(r.errors, "password: ", 10);
        assert_int_equal(strlen(r.errors), 10 + 24 + 1);
        assert_null(strstr(r.out, "password"));
        assert_string_not_equal(r.errors, first);
        snprintf(first, sizeof(first), "%s", r.errors);
    }
}

static void test_turnpikectl_loglevel_asks_says_and_takes_back(void **state)
{
    struct run r = {.answer = LEVEL("info", "null"), .argv = {"loglevel"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_memory_equal(r.request, "GET /api/v1/log-level HTTP/1.1\r\n", 32);
    assert_string_equal(r.out, "info\n");
    struct run ask = {
        .answer = LEVEL("debug", "120"), .argv = {"loglevel", "debug", "--for", "2min"}};
    run(&ask);
    assert_int_equal(ask.code, 0);
    assert_string_equal(body_of(&ask), "{\"level\":\"debug\",\"seconds\":120}");
    assert_string_equal(ask.out, "debug for 120 s, then info\n");
    struct run undo = {.answer = LEVEL("info", "null"), .argv = {"loglevel", "--undo"}};
    run(&undo);
    assert_string_equal(body_of(&undo), "{\"seconds\":0}");
}

static void test_turnpikectl_config_is_yaml_or_json(void **state)
{
    static const char json[] =
        "{\"file\":\"/f\",\"version\":1,\"yaml\":\"realm: \\\"r\\\"\\nlisten: auto\\n\"}\n";
    char answer[512];
    snprintf(answer, sizeof(answer), HEAD "%s", json);
    struct run r = {.answer = answer, .argv = {"config"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_memory_equal(r.request, "GET /api/v1/config HTTP/1.1\r\n", 29);
    assert_string_equal(r.out, "realm: \"r\"\nlisten: auto\n");
    struct run all = {.answer = answer, .argv = {"config", "--json"}};
    run(&all);
    assert_string_equal(all.out, json);
}

static void test_turnpikectl_ops_exit_codes_are_stable(void **state)
{
    static const struct {
        const char *argv[10];
        const char *answer;
        int code;
    } rows[] = {
        {{"credentials"}, NULL, 2},
        {{"credentials", "--user", ""}, NULL, 2},
        {{"credentials", "--user", "a", "--format", "xml"}, NULL, 2},
        {{"credentials", "--user", "a", "--ttl", "0s"}, NULL, 2},
        {{"credentials", "--user", "\xff"}, NULL, 2},
        {{"credentials", "--user", "a"}, "HTTP/1.1 422 x\r\n\r\nno secret\n", 1},
        {{"credentials", "--user", "a"}, HEAD "{}", 3},
        {{"user", "--name", "a"}, NULL, 2},
        {{"user", "--name", "", "--realm", "r"}, NULL, 2},
        {{"user", "--name", "a\x01", "--realm", "r"}, NULL, 2},
        {{"user", "--name", "a", "--realm", "r", "--algorithm", "sha1"}, NULL, 2},
        {{"user", "--name", "a", "--realm", "r", "--password-file", "/nowhere"}, NULL, 2},
        {{"user", "--name", "a", "--realm", "r", "--password-stdin"}, NULL, 2},
        {{"loglevel", "debug", "--for", "25h"}, NULL, 2},
        {{"loglevel", "--for", "1h"}, NULL, 2},
        {{"loglevel", "debug", "--undo"}, NULL, 2},
        {{"loglevel", "trace"}, "HTTP/1.1 422 x\r\n\r\nno such level\n", 1},
        {{"loglevel"}, HEAD "[]", 3},
        {{"config"}, HEAD "[]", 3},
        {{"config", "x"}, NULL, 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {.answer = rows[i].answer};
        memcpy(r.argv, rows[i].argv, sizeof(rows[i].argv));
        run(&r);
        if (r.code != rows[i].code || r.errors[0] == '\0')
            fail_msg("row %zu: %d, %s", i, r.code, r.errors);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turnpikectl_credentials_are_shown_to_people),
        cmocka_unit_test(test_turnpikectl_credentials_with_a_format_are_what_the_daemon_says),
        cmocka_unit_test(test_turnpikectl_user_prints_what_turnadmin_stores),
        cmocka_unit_test(test_turnpikectl_user_makes_up_a_password),
        cmocka_unit_test(test_turnpikectl_loglevel_asks_says_and_takes_back),
        cmocka_unit_test(test_turnpikectl_config_is_yaml_or_json),
        cmocka_unit_test(test_turnpikectl_ops_exit_codes_are_stable),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
