/*
 * THREATS row 23: the resources that change something or are told a secret. Whoever may not ask,
 * and whatever a page in a browser can be made to send, never reaches the daemon; nor does a body
 * that is too long, too short, or no JSON.
 */
#include "tests/unit/admin_server.h"

#define REVOKE_BODY  "{\"kind\": \"user\", \"id\": \"a\", \"seconds\": 60}"
#define EXPLAIN_BODY "{\"user\": \"a\"}"
#define JSON         "Content-Type: application/json\r\n"
#define BEARER       "Authorization: Bearer " TOKEN "\r\n"

static const struct {
    const char *path, *body;
} resources[] = {{"/api/v1/revocations", REVOKE_BODY}, {"/api/v1/explain", EXPLAIN_BODY},
    {"/api/v1/limits", EXPLAIN_BODY}};
#define RESOURCES (sizeof(resources) / sizeof(resources[0]))

/* Over TCP: the status of the answer, 0 for none. */
static unsigned send_to(struct fixture *f, size_t which, const char *headers)
{
    char request[1024];
    unsigned status = 0;
    int fd = join(f, false, false, 0);
    snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\n%sContent-Length: %zu\r\n\r\n%s",
        resources[which].path, headers, strlen(resources[which].body), resources[which].body);
    say(fd, request);
    (void)sscanf(hear(f, fd), "HTTP/1.1 %u", &status);
    return status;
}

static void threat_23_only_who_may_ask_reaches_the_daemon(void **state)
{
    static const struct {
        const char *headers;
        unsigned status;
    } cases[] = {
        {"Host: localhost\r\n" JSON, 401},
        {"Host: localhost\r\nAuthorization: Bearer\r\n" JSON, 401},
        {"Host: localhost\r\nAuthorization: Bearer 0123456789abcdeF\r\n" JSON, 401},
        {"Host: localhost\r\nAuthorization: Basic " TOKEN "\r\n" JSON, 401},
        {"Host: attacker.example\r\n" BEARER JSON, 403},
        {BEARER JSON, 403},
    };
    struct fixture *f = *state;
    for (size_t k = 0; k < RESOURCES; k++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            unsigned status = send_to(f, k, cases[i].headers);
            if (status != cases[i].status)
                fail_msg("%s '%s': %u", resources[k].path, cases[i].headers, status);
        }
        int fd = join(f, true, false, 0); /* a process of somebody else's */
        say(fd, "POST /api/v1/explain HTTP/1.1\r\n" JSON "Content-Length: 13\r\n\r\n" EXPLAIN_BODY);
        assert_starts(hear(f, fd), "HTTP/1.1 403 ");
    }
    assert_int_equal(f->revocations + f->explains + f->inspections, 0);
    for (size_t k = 0; k < RESOURCES; k++)
        assert_int_equal(send_to(f, k, "Host: localhost\r\n" BEARER JSON), 200);
    assert_int_equal(f->revocations, 1);
    assert_int_equal(f->explains, 1);
    assert_int_equal(f->inspections, 1);
}

/* What a form or a fetch without leave can say of its body. */
static void threat_23_bodies_that_do_not_say_json_refused(void **state)
{
    static const char *const types[] = {NULL, "", "text/plain", "text/plain; application/json",
        "text/plain;charset=utf-8", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x", "application/jsonp", "application/json, text/plain",
        "application/xml", "text/json"};
    static const char *const good[] = {"application/json", "Application/JSON",
        "application/json;charset=utf-8", "application/json ; charset=utf-8"};
    struct fixture *f = *state;
    for (size_t k = 0; k < RESOURCES; k++) {
        const char *body = resources[k].body;
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            const char *answer = post(f, resources[k].path, types[i], body, strlen(body));
            if (strncmp(answer, "HTTP/1.1 415 ", 13) != 0)
                fail_msg("'%s' is taken for JSON: %.20s", types[i] ? types[i] : "", answer);
        }
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
            assert_starts(post(f, resources[k].path, good[i], body, strlen(body)), "HTTP/1.1 200 ");
    }
    assert_int_equal(f->revocations, 4);
    assert_int_equal(f->explains, 4);
}

static void threat_23_bodies_of_no_or_wrong_length_refused(void **state)
{
    static const struct {
        const char *headers, *start;
    } cases[] = {
        {"", "HTTP/1.1 400 "},
        {"Content-Length: 0\r\n", "HTTP/1.1 400 "},
        {"Content-Length: -13\r\n", "HTTP/1.1 400 "},
        {"Content-Length: 0x0d\r\n", "HTTP/1.1 400 "},
        {"Content-Length: 13, 13\r\n", "HTTP/1.1 400 "},
        {"Content-Length: 8193\r\n", "HTTP/1.1 413 "},
        {"Content-Length: 100000\r\n", "HTTP/1.1 413 "},
        {"Content-Length: 99999999999999999999\r\n", "HTTP/1.1 413 "},
        {"Content-Length: 18446744073709551629\r\n", "HTTP/1.1 413 "}, /* 2^64 + 13 */
        {"Transfer-Encoding: chunked\r\n", "HTTP/1.1 400 "},
        {"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", "HTTP/1.1 400 "},
    };
    struct fixture *f = *state;
    char request[512];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = join(f, true, true, 0);
        snprintf(request, sizeof(request),
            "POST /api/v1/explain HTTP/1.1\r\n" JSON "%s\r\n" EXPLAIN_BODY, cases[i].headers);
        say(fd, request);
        assert_starts(hear(f, fd), cases[i].start);
    }
    assert_int_equal(f->explains, 0);
}

static void threat_23_body_of_8192_bytes_is_the_longest(void **state)
{
    struct fixture *f = *state;
    char body[ADMIN_BODY_MAX + 1];
    memset(body, ' ', sizeof(body));
    memcpy(body, EXPLAIN_BODY, strlen(EXPLAIN_BODY));
    assert_starts(
        post(f, "/api/v1/explain", "application/json", body, ADMIN_BODY_MAX), "HTTP/1.1 200 ");
    assert_starts(
        post(f, "/api/v1/explain", "application/json", body, ADMIN_BODY_MAX + 1), "HTTP/1.1 413 ");
    assert_int_equal(f->explains, 1);
}

/* Half a body holds its place no longer than half a request. */
static void threat_23_truncated_body_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    int fd = join(f, true, true, 0);
    say(fd, "POST /api/v1/explain HTTP/1.1\r\n" JSON "Content-Length: 14\r\n\r\n" EXPLAIN_BODY);
    admin_server_tick(f->server, ADMIN_REQUEST_S * US_PER_S - 1);
    assert_true(is_open(f, fd));
    admin_server_tick(f->server, ADMIN_REQUEST_S * US_PER_S);
    assert_string_equal(hear(f, fd), "");
    fd = join(f, true, true, 0);
    say(fd, "POST /api/v1/explain HTTP/1.1\r\n" JSON "Content-Length: 14\r\n\r\n" EXPLAIN_BODY);
    close(fd);
    run(f);
    assert_int_equal(f->explains, 0);
}

static void threat_23_bodies_that_are_no_object_of_json_refused(void **state)
{
    static const char *const bodies[] = {"[]", "\"a\"", "1", "null", "{", "}", "{}}", "{\"user\":}",
        "{\"user\":\"a\",}", "{\"user\":\"a\"", "{\"user\":\"a\"} x", "{user:\"a\"}",
        "{'user':'a'}", "{\"user\":\"a\",\"user\":\"b\"}", "{\"user\":\"\\u0000\"}",
        "{\"user\":\"a\\u0000b\"}", "{\"us\\u0000er\":\"a\"}", "{\"user\":\"\xff\"}",
        "{\"user\":\"\\ud800\"}", "{\"user\":\"a\nb\"}", "\xef\xbb\xbf{\"user\":\"a\"}", "user=a"};
    struct fixture *f = *state;
    char deep[ADMIN_BODY_MAX];
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        if (strncmp(post_json(f, "/api/v1/explain", bodies[i]), "HTTP/1.1 400 ", 13) != 0)
            fail_msg("'%s' is taken for a question", bodies[i]);
    assert_starts(
        post(f, "/api/v1/explain", "application/json", "{\"user\":\"a\0b\"}", 14), "HTTP/1.1 400 ");
    memset(deep, '[', sizeof(deep));
    assert_starts(
        post(f, "/api/v1/explain", "application/json", deep, sizeof(deep)), "HTTP/1.1 400 ");
    assert_int_equal(f->explains, 0);
}

static void threat_23_objects_that_ask_nothing_refused(void **state)
{
    static const char *const questions[] = {"{}", "{\"user\":\"\"}", "{\"user\":1}",
        "{\"user\":null}", "{\"user\":\"a\",\"password\":1}", "{\"user\":\"a\",\"pasword\":\"x\"}",
        "{\"user\":\"a\",\"realm\":[]}", "{\"password\":\"x\"}",
        "{\"user\":\"a\",\"token\":\"x\"}"};
    static const char *const revocations[] = {"{}", "{\"kind\":\"user\",\"id\":\"a\"}",
        "{\"kind\":\"user\",\"seconds\":1}", "{\"id\":\"a\",\"seconds\":1}",
        "{\"kind\":\"realm\",\"id\":\"a\",\"seconds\":1}",
        "{\"kind\":\"user\",\"id\":\"\",\"seconds\":1}",
        "{\"kind\":\"user\",\"id\":\"a\",\"seconds\":-1}",
        "{\"kind\":\"user\",\"id\":\"a\",\"seconds\":4294967296}",
        "{\"kind\":\"user\",\"id\":\"a\",\"seconds\":1.5}",
        "{\"kind\":\"user\",\"id\":\"a\",\"seconds\":\"1\"}",
        "{\"kind\":\"user\",\"id\":\"a\",\"seconds\":1,\"for\":2}",
        "{\"kind\":1,\"id\":\"a\",\"seconds\":1}",
        "{\"kind\":\"user\",\"id\":[\"a\"],\"seconds\":1}",
        "{\"kind\":\"user\",\"id\":\"a\",\"realm\":1,\"seconds\":1}"};
    struct fixture *f = *state;
    char body[1024];
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        if (strncmp(post_json(f, "/api/v1/explain", questions[i]), "HTTP/1.1 422 ", 13) != 0)
            fail_msg("'%s' is asked", questions[i]);
    for (size_t i = 0; i < sizeof(revocations) / sizeof(revocations[0]); i++)
        if (strncmp(post_json(f, "/api/v1/revocations", revocations[i]), "HTTP/1.1 422 ", 13) != 0)
            fail_msg("'%s' revokes", revocations[i]);
    /* "less than 509 bytes" (RFC 8489 section 14.3) */
    for (int len = 508; len <= 509; len++) {
        snprintf(body, sizeof(body), "{\"user\":\"%0*d\"}", len, 0);
        assert_starts(
            post_json(f, "/api/v1/explain", body), len == 508 ? "HTTP/1.1 200 " : "HTTP/1.1 422 ");
    }
    assert_int_equal(f->revocations, 0);
    assert_int_equal(f->explains, 1);
}

/* Nothing of a question comes back, whatever becomes of it. */
static void threat_23_answers_say_nothing_of_what_was_sent(void **state)
{
    static const char *const bodies[] = {"{\"user\":\"canary\",\"password\":\"canary\"}",
        "{\"user\":\"canary\",\"password\":\"canary", "canary", "{\"canary\":\"canary\"}",
        "{\"user\":\"canary\",\"token\":\"canary!\"}",
        "{\"kind\":\"secret\",\"id\":\"canary\",\"seconds\":1}",
        "{\"kind\":\"canary\",\"id\":\"canary\",\"seconds\":1}"};
    struct fixture *f = *state;
    f->explanation.reason = REASON_WRONG_PASSWORD;
    for (size_t k = 0; k < RESOURCES; k++) {
        for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
            const char *answer = post_json(f, resources[k].path, bodies[i]);
            assert_starts(answer, "HTTP/1.1 ");
            assert_null(strstr(answer, "canary"));
            assert_null(strstr(
                post(f, resources[k].path, "canary", bodies[i], strlen(bodies[i])), "canary"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER(threat_23_only_who_may_ask_reaches_the_daemon),
        SERVER(threat_23_bodies_that_do_not_say_json_refused),
        SERVER(threat_23_bodies_of_no_or_wrong_length_refused),
        SERVER(threat_23_body_of_8192_bytes_is_the_longest),
        SERVER(threat_23_truncated_body_ends_at_its_deadline),
        SERVER(threat_23_bodies_that_are_no_object_of_json_refused),
        SERVER(threat_23_objects_that_ask_nothing_refused),
        SERVER(threat_23_answers_say_nothing_of_what_was_sent),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
