/* What operators ask besides who is there: the configuration, the level of the log, credentials in
 * the shapes that their clients want. */
#include "tests/unit/admin_server.h"

#include "admin/answer.h"

#define CREDENTIALS "/api/v1/credentials"
#define LOG_LEVEL   "/api/v1/log-level"
#define GET(path)   "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static struct {
    const char *yaml;
    size_t repeat; /* of yaml */
    int config_returns;
    struct admin_log_level level;
    unsigned level_asked;
    struct admin_credential credential; /* its texts are in f->asked */
    unsigned credentials;
    int credential_returns;
    size_t uris;
} daemon_;

static int fake_config(void *ctx, FILE *out)
{
    for (size_t i = 0; i < daemon_.repeat; i++)
        fputs(daemon_.yaml, out);
    return daemon_.config_returns;
}

static void fake_log_level(void *ctx, struct admin_log_level *out)
{
    *out = daemon_.level;
}

static void fake_ask_log_level(void *ctx, enum log_level level, uint32_t seconds)
{
    daemon_.level_asked++;
    daemon_.level.level = seconds ? level : daemon_.level.configured;
    daemon_.level.seconds = seconds;
}

static int fake_credential(
    void *ctx, const struct admin_credential *what, struct admin_credential_made *out)
{
    struct fixture *f = ctx;
    daemon_.credential = *what;
    daemon_.credentials++;
    f->asked[0] = '\0';
    keep(f, what->realm);
    keep(f, what->user);
    if (daemon_.credential_returns == 0)
        *out = (struct admin_credential_made){
            .username = "1800003600:alice", .password = "c2VjcmV0", .ttl_s = 3600, .realm = 7};
    return daemon_.credential_returns;
}

static bool fake_uri(void *ctx, uint32_t realm, size_t n, char out[ADMIN_URI_MAX])
{
    assert_int_equal(realm, 7);
    snprintf(out, ADMIN_URI_MAX, "turn:192.0.2.1:%zu?transport=udp", 3478 + n);
    return n < daemon_.uris;
}

static int begin(void **state)
{
    memset(&daemon_, 0, sizeof(daemon_));
    daemon_.yaml = "realm: \"example.org\"\n";
    daemon_.repeat = 1;
    daemon_.level.level = daemon_.level.configured = LOG_INFO;
    daemon_.uris = 2;
    if (set_up(state) != 0)
        return -1;
    struct fixture *f = *state;
    f->ops.config = fake_config;
    f->ops.log_level = fake_log_level;
    f->ops.ask_log_level = fake_ask_log_level;
    f->ops.credential = fake_credential;
    f->ops.uri = fake_uri;
    return 0;
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void test_get_config_is_yaml_in_json(void **state)
{
    const char *answer = ask(*state, true, GET("/api/v1/config"));
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_string_equal(body_of(answer),
        "{\"file\":null,\"version\":0,\"yaml\":\"realm: \\\"example.org\\\"\\n\"}\n");
    daemon_.config_returns = -EIO;
    assert_starts(ask(*state, true, GET("/api/v1/config")), "HTTP/1.1 500 ");
}

static void test_get_config_longer_than_an_answer_is_507(void **state)
{
    daemon_.yaml = "0123456789";
    daemon_.repeat = ADMIN_ANSWER_MAX / 10;
    const char *answer = ask(*state, true, GET("/api/v1/config"));
    assert_starts(answer, "HTTP/1.1 507 ");
    assert_non_null(strstr(answer, "--dump-config"));
    daemon_.repeat -= 10;
    assert_starts(ask(*state, true, GET("/api/v1/config")), "HTTP/1.1 200 ");
}

static void test_log_level_is_asked_for_and_taken_back(void **state)
{
    static const char *const bad[] = {"{}", "{\"level\": \"trace\"}", "{\"level\": 3}",
        "{\"level\": \"debug\", \"seconds\": 86401}", "{\"level\": \"debug\", \"seconds\": -1}",
        "{\"level\": \"debug\", \"seconds\": 0}", "{\"level\": \"debug\", \"x\": 1}",
        "{\"seconds\": 60}"};
    struct fixture *f = *state;
    assert_non_null(strstr(post_json(f, LOG_LEVEL, "{\"level\": \"debug\"}"),
        "{\n  \"level\": \"debug\",\n  \"configured\": \"info\",\n  \"seconds\": 600\n}\n"));
    assert_starts(
        post_json(f, LOG_LEVEL, "{\"level\": \"error\", \"seconds\": 86400}"), "HTTP/1.1 200 ");
    assert_int_equal(daemon_.level.level, LOG_ERROR);
    assert_non_null(strstr(ask(f, true, GET(LOG_LEVEL)), "\"seconds\": 86400"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (strncmp(post_json(f, LOG_LEVEL, bad[i]), "HTTP/1.1 422 ", 13) != 0)
            fail_msg("'%s' is taken", bad[i]);
    assert_int_equal(daemon_.level_asked, 2);
    assert_non_null(strstr(post_json(f, LOG_LEVEL, "{\"seconds\": 0}"),
        "\"level\": \"info\",\n  \"configured\": \"info\",\n  \"seconds\": null"));
    assert_non_null(
        strstr(ask(f, true, "PUT " LOG_LEVEL " HTTP/1.1\r\n\r\n"), "allow: GET, HEAD, POST\r\n"));
}

#define FIRST  "turn:192.0.2.1:3478?transport=udp"
#define SECOND "turn:192.0.2.1:3479?transport=udp"
#define BOTH   "[\n    \"" FIRST "\",\n    \"" SECOND "\"\n  ]"
#define NAMED  "  \"username\": \"1800003600:alice\",\n  \"password\": \"c2VjcmV0\",\n"

static void test_credentials_have_the_shape_that_is_asked_for(void **state)
{
    static const char uberti[] = "{\n" NAMED "  \"ttl\": 3600,\n  \"uris\": " BOTH "\n}\n";
    static const char server[] =
        "    {\n      \"url\": \"%s\",\n      \"urls\": \"%s\",\n      \"username\": "
        "\"1800003600:alice\",\n      \"credential\": \"c2VjcmV0\"\n    }";
    char servers[2][512], twilio[2048];
    snprintf(servers[0], sizeof(servers[0]), server, FIRST, FIRST);
    snprintf(servers[1], sizeof(servers[1]), server, SECOND, SECOND);
    snprintf(twilio, sizeof(twilio),
        "{\n" NAMED "  \"ttl\": \"3600\",\n  \"ice_servers\": [\n%s,\n%s\n  ]\n}\n", servers[0],
        servers[1]);
    const struct {
        const char *body, *answer;
    } rows[] = {
        {"{\"user\": \"alice\"}", uberti},
        {"{\"user\": \"alice\", \"format\": \"uberti\"}", uberti},
        {"{\"user\": \"alice\", \"format\": \"matrix\"}", uberti},
        {"{\"user\": \"alice\", \"format\": \"twilio\"}", twilio},
        {"{\"user\": \"alice\", \"format\": \"ice\"}",
            "{\n  \"iceServers\": [\n    {\n      \"urls\": [\n        \"" FIRST
            "\",\n        \"" SECOND "\"\n      ],\n      \"username\": \"1800003600:alice\",\n"
            "      \"credential\": \"c2VjcmV0\"\n    }\n  ]\n}\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *answer = post_json(*state, CREDENTIALS, rows[i].body);
        assert_starts(answer, "HTTP/1.1 200 ");
        assert_string_equal(body_of(answer), rows[i].answer);
    }
}

static void test_credentials_question_reaches_the_daemon(void **state)
{
    static const char *const bad[] = {"{}", "{\"user\": \"\"}", "{\"user\": 1}",
        "{\"user\": \"a\", \"ttl\": 0}", "{\"user\": \"a\", \"ttl\": 4294967296}",
        "{\"user\": \"a\", \"ttl\": \"60\"}", "{\"user\": \"a\", \"format\": \"xml\"}",
        "{\"user\": \"a\", \"format\": \"\", \"x\": 1}",
        "{\"user\": \"a\", \"secret\": \"canary\"}"};
    struct fixture *f = *state;
    assert_starts(
        post_json(f, CREDENTIALS, "{\"user\": \"a\", \"realm\": \"r\", \"ttl\": 4294967295}"),
        "HTTP/1.1 200 ");
    assert_string_equal(f->asked, "[r][a]");
    assert_int_equal(daemon_.credential.ttl_s, UINT32_MAX);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *answer = post_json(f, CREDENTIALS, bad[i]);
        if (strncmp(answer, "HTTP/1.1 422 ", 13) != 0)
            fail_msg("'%s' is taken", bad[i]);
        assert_null(strstr(answer, "canary"));
    }
    assert_int_equal(daemon_.credentials, 1);
}

static void test_credentials_that_cannot_be_made_say_why(void **state)
{
    static const struct {
        int error;
        const char *start, *says;
    } rows[] = {{-ENOENT, "HTTP/1.1 404 ", "no such realm"},
        {-ENOKEY, "HTTP/1.1 422 ", "no REST secret"}, {-EINVAL, "HTTP/1.1 422 ", "RFC 8265"},
        {-ERANGE, "HTTP/1.1 422 ", "auth.max_ttl"}, {-EAGAIN, "HTTP/1.1 429 ", "too many"},
        {-ENOMEM, "HTTP/1.1 500 ", ""}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        daemon_.credential_returns = rows[i].error;
        const char *answer = post_json(f, CREDENTIALS, "{\"user\": \"a\"}");
        assert_starts(answer, rows[i].start);
        assert_non_null(strstr(answer, rows[i].says));
        assert_int_equal(
            strstr(answer, "\r\nretry-after: 1\r\n") != NULL, rows[i].error == -EAGAIN);
    }
    assert_int_equal(counted(f, METRIC_ADMIN_429), 1);
    daemon_.credential_returns = 0;
    daemon_.uris = 0;
    const char *answer = post_json(f, CREDENTIALS, "{\"user\": \"a\"}");
    assert_starts(answer, "HTTP/1.1 422 ");
    assert_non_null(strstr(answer, "admin.uris"));
    assert_null(strstr(answer, "c2VjcmV0"));
}

#define OPS(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPS(test_get_config_is_yaml_in_json),
        OPS(test_get_config_longer_than_an_answer_is_507),
        OPS(test_log_level_is_asked_for_and_taken_back),
        OPS(test_credentials_have_the_shape_that_is_asked_for),
        OPS(test_credentials_question_reaches_the_daemon),
        OPS(test_credentials_that_cannot_be_made_say_why),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
