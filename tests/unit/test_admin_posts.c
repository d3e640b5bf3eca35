/* What clients send with a body: revocations, and questions about credentials and limits whose
 * answers come later or never. */
#include "tests/unit/admin_server.h"

#define REVOKE  "/api/v1/revocations"
#define EXPLAIN "/api/v1/explain"
#define LIMITS  "/api/v1/limits"
#define KEYS    "/api/v1/srtp-keys"
#define CANARY  "AES_CM_128_HMAC_SHA1_80 inline:Q0FOQVJZ"

static void test_post_revocation_of_each_kind_reaches_the_daemon(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *asked;
        enum revocation_kind kind;
        uint32_t seconds;
        enum auth_known known;
        const char *answer;
    } cases[] = {
        {"{\"kind\": \"user\", \"id\": \"alice\", \"seconds\": 60}", "[][alice]", REVOKE_USER, 60,
            AUTH_KNOWN_MAYBE, "{\"revoked\": true}\n"},
        {"{\"seconds\":0,\"kind\":\"token\",\"id\":\"0123456789abcdef\",\"realm\":\"b.example\"}",
            "[b.example][0123456789abcdef]", REVOKE_TOKEN, 0, AUTH_KNOWN_MAYBE,
            "{\"revoked\": true}\n"},
        {" {\"kind\": \"secret\", \"id\": \"\\u00e9\", \"seconds\": 4294967295} ", "[][\xc3\xa9]",
            REVOKE_SECRET, UINT32_MAX, AUTH_KNOWN_YES, "{\"revoked\": true, \"known\": true}\n"},
        {"{\"kind\": \"secret\", \"id\": \"s\", \"seconds\": 1}", "[][s]", REVOKE_SECRET, 1,
            AUTH_KNOWN_NO, "{\"revoked\": true, \"known\": false}\n"},
        {"{\"kind\": \"secret\", \"id\": \"s\", \"seconds\": 1}", "[][s]", REVOKE_SECRET, 1,
            AUTH_KNOWN_MAYBE, "{\"revoked\": true, \"known\": null}\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->known = cases[i].known;
        const char *answer = post_json(f, REVOKE, cases[i].body);
        assert_starts(answer, "HTTP/1.1 200 ");
        assert_non_null(strstr(answer, "content-type: application/json\r\n"));
        assert_string_equal(strstr(answer, "\r\n\r\n") + 4, cases[i].answer);
        assert_string_equal(f->asked, cases[i].asked);
        assert_int_equal(f->revoked.kind, cases[i].kind);
        assert_int_equal(f->revoked.seconds, cases[i].seconds);
        assert_int_equal(f->revocations, i + 1);
    }
}

static void test_post_revocation_that_the_daemon_refuses_says_why(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int r;
        const char *start;
    } cases[] = {{-ENOENT, "HTTP/1.1 404 "}, {-EINVAL, "HTTP/1.1 422 "}, {-ENOSPC, "HTTP/1.1 507 "},
        {-ENOMEM, "HTTP/1.1 500 "}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->revoke_returns = cases[i].r;
        const char *answer =
            post_json(f, REVOKE, "{\"kind\": \"user\", \"id\": \"alice\", \"seconds\": 60}");
        assert_starts(answer, cases[i].start);
        assert_non_null(strstr(answer, "content-type: application/problem+json\r\n"));
        assert_null(strstr(answer, "alice"));
    }
    assert_int_equal(counted(f, METRIC_ADMIN_422), 1);
    assert_int_equal(counted(f, METRIC_ADMIN_507), 1);
}

static void test_post_revocation_of_what_is_no_tokens_id_is_422(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF",
        "0123456789abcdeg", "alice", "0123456789abcde "};
    char body[128];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(body, sizeof(body), "{\"kind\":\"token\",\"id\":\"%s\",\"seconds\":60}", bad[i]);
        const char *answer = post_json(f, REVOKE, body);
        assert_starts(answer, "HTTP/1.1 422 ");
        assert_non_null(strstr(answer, "16 hexadecimal digits"));
    }
    assert_int_equal(f->revocations, 0);
}

static void test_post_explain_answered_at_once(void **state)
{
    struct fixture *f = *state;
    f->explanation = (struct auth_explanation){.reason = REASON_WRONG_PASSWORD,
        .source = AUTH_SOURCE_STATIC,
        .text = "the password is another"};
    const char *answer = post_json(f, EXPLAIN, "{\"user\": \"alice\", \"password\": \"x\"}");
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_string_equal(f->asked, "[][alice][x][]");
    assert_non_null(strstr(answer, "\"accepted\": false"));
    assert_non_null(strstr(answer, "\"reason\": \"wrong_password\""));
    assert_non_null(strstr(answer, "\"source\": \"static\""));
    assert_non_null(strstr(answer, "\"credential\": null"));
    assert_non_null(strstr(answer, "\"expires_at\": null"));
    assert_non_null(strstr(answer, "\"text\": \"the password is another\""));
    f->explanation = (struct auth_explanation){.source = AUTH_SOURCE_OAUTH,
        .credential = "0123456789abcdef",
        .expires_at = 1800000000,
        .text = "\xff"};
    answer = post_json(
        f, EXPLAIN, "{\"user\": \"kid\", \"token\": \"AAECAw==\", \"realm\": \"b.example\"}");
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_non_null(strstr(answer, "\"accepted\": true"));
    assert_non_null(strstr(answer, "\"credential\": \"0123456789abcdef\""));
    assert_non_null(strstr(answer, "\"expires_at\": 1800000000"));
    assert_non_null(strstr(answer, "\"text\": null"));
    f->no_realm = true;
    assert_starts(post_json(f, EXPLAIN, "{\"user\": \"alice\"}"), "HTTP/1.1 404 ");
    assert_int_equal(f->explains, 3);
}

static void test_post_explain_token_is_decoded(void **state)
{
    struct fixture *f = *state;
    static const char *const good[][2] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"}, {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"},
        {"Pz8/Pj4+", "?\?\?>>>"}};
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zm9v=", "Zm 9v",
        "Zm9v\\n", "Zm-_", "Z===", "Z=m9", "Zm9vZg==Zm9v"};
    char body[128], asked[64];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(body, sizeof(body), "{\"user\":\"k\",\"token\":\"%s\"}", good[i][0]);
        snprintf(asked, sizeof(asked), "[][k][][%s]", good[i][1]);
        assert_starts(post_json(f, EXPLAIN, body), "HTTP/1.1 200 ");
        assert_string_equal(f->asked, asked);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(body, sizeof(body), "{\"user\":\"k\",\"token\":\"%s\"}", bad[i]);
        if (strncmp(post_json(f, EXPLAIN, body), "HTTP/1.1 422 ", 13) != 0)
            fail_msg("'%s' is taken for base64", bad[i]);
    }
}

static int ask_to_wait(struct fixture *f)
{
    static const char request[] = "POST " EXPLAIN " HTTP/1.1\r\nContent-Type: application/json\r\n"
                                  "Content-Length: 12\r\n\r\n{\"user\":\"a\"}";
    int fd = join(f, true, true, 0);
    f->explain_waits = true;
    say(fd, request);
    run(f);
    return fd;
}

static void test_post_explain_answered_later(void **state)
{
    struct fixture *f = *state;
    int fd = ask_to_wait(f);
    assert_int_equal(f->waits, 1);
    assert_true(is_open(f, fd));
    f->explanation.text[0] = 'y';
    explain_now(f);
    const char *answer = hear(f, fd);
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_non_null(strstr(answer, "\"text\": \"y\""));
}

/* RFC 9110 section 10.1.1; in an HTTP/1.0 request nothing is expected. */
static void test_post_that_waits_to_be_told_is_told_to_go_on(void **state)
{
    struct fixture *f = *state;
    static const char head[] = "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                               "Expect: 100-Continue\r\n\r\n";
    char request[256], answer[256] = "";
    snprintf(request, sizeof(request), "POST %s HTTP/1.1%s", EXPLAIN, head);
    int fd = join(f, true, true, 0);
    say(fd, request);
    run(f);
    assert_int_equal(read(fd, answer, sizeof(answer) - 1), 25);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "{}");
    assert_starts(hear(f, fd), "HTTP/1.1 422 ");
    snprintf(request, sizeof(request), "POST %s HTTP/1.0%s", EXPLAIN, head);
    fd = join(f, true, true, 0);
    say(fd, request);
    assert_true(is_open(f, fd));
    say(fd, "{}");
    assert_starts(hear(f, fd), "HTTP/1.0 422 ");
    /* What is refused is refused at once. */
    snprintf(request, sizeof(request), "POST /api/v1/no HTTP/1.1%s", head);
    assert_starts(ask(f, true, request), "HTTP/1.1 404 ");
}

/* The daemon has it yet: the place is taken until it answers, and then nobody is there. */
static void test_post_explain_of_a_client_that_left_is_dropped(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < ADMIN_LATER_MAX; i++) {
        close(ask_to_wait(f));
        run(f);
    }
    assert_int_equal(f->waits, ADMIN_LATER_MAX);
    assert_starts(post_json(f, EXPLAIN, "{\"user\": \"a\"}"), "HTTP/1.1 503 ");
    assert_int_equal(f->explains, ADMIN_LATER_MAX);
    assert_starts(ask(f, true, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    explain_now(f);
    int fd = ask_to_wait(f);
    explain_now(f);
    assert_starts(hear(f, fd), "HTTP/1.1 200 ");
    /* A question that is refused before it is asked takes no place for good. */
    for (int i = 0; i < 3 * ADMIN_LATER_MAX; i++)
        assert_starts(post_json(f, EXPLAIN, "{}"), "HTTP/1.1 422 ");
}

static void test_post_explain_without_answer_is_503_after_its_time(void **state)
{
    struct fixture *f = *state;
    int fd = ask_to_wait(f);
    uint64_t now = clock_now().mono_us;
    admin_server_tick(f->server, now + (ADMIN_LATER_S - 1) * US_PER_S);
    assert_true(is_open(f, fd));
    admin_server_tick(f->server, now + ADMIN_LATER_S * US_PER_S);
    assert_starts(hear(f, fd), "HTTP/1.1 503 ");
    explain_now(f);
    assert_int_equal(counted(f, METRIC_ADMIN_503), 1);
    assert_int_equal(counted(f, METRIC_ADMIN_200), 0);
}

/* tear_down answers the first while the server ends, the second when it is gone. */
static void test_post_explain_answered_while_the_server_ends(void **state)
{
    close(ask_to_wait(*state));
}

static void test_post_explain_answered_when_the_server_is_gone(void **state)
{
    struct fixture *f = *state;
    int fds[] = {ask_to_wait(f), ask_to_wait(f)};
    close(fds[0]);
    close(fds[1]);
}

/* What comes behind a request that is being answered is nobody's. */
static void test_post_explain_second_request_behind_it_is_not_served(void **state)
{
    struct fixture *f = *state;
    int fd = ask_to_wait(f);
    say(fd, "POST " EXPLAIN " HTTP/1.1\r\nContent-Type: application/json\r\n"
            "Content-Length: 12\r\n\r\n{\"user\":\"b\"}");
    run(f);
    explain_now(f);
    hear(f, fd);
    assert_int_equal(f->explains, 1);
    assert_string_equal(f->asked, "[][a][][]");
}

static void test_post_limits_without_a_scope_says_how_they_are_shared(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct admin_limits_found found;
        const char *says[4];
    } cases[] = {
        {{.instances = 1}, {"\"sharing\": \"own\"", "\"on_failure\": \"local\"", "\"instances\": 1",
                               "\"redis\": null"}},
        {{.sharing = ADMIN_LIMITS_SHARED, .instances = 3, .redis = "up"},
            {"\"sharing\": \"shared\"", "\"instances\": 3", "\"redis\": \"up\"", "\"rates\": []"}},
        {{.sharing = ADMIN_LIMITS_ALONE, .deny_alone = true, .redis = "down"},
            {"\"sharing\": \"alone\"", "\"on_failure\": \"deny\"", "\"redis\": \"down\"",
                "\"quotas\": []"}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->limits_found = cases[i].found;
        const char *answer = post_json(f, LIMITS, "{}");
        assert_starts(answer, "HTTP/1.1 200 ");
        assert_false(f->limits.scoped);
        for (size_t k = 0; k < 4; k++)
            assert_non_null(strstr(answer, cases[i].says[k]));
    }
}

static void test_post_limits_of_somebody_are_shown_without_their_names(void **state)
{
    struct fixture *f = *state;
    f->limits_found = (struct admin_limits_found){.sharing = ADMIN_LIMITS_SHARED,
        .rate_count = 2,
        .rates = {{.scope = "allocation_rate_user",
                      .limit = {100, 60, 300},
                      .here = {33, 2, 1, 1001, true},
                      .shared = true,
                      .found = true,
                      .fleet = {120, 5000}},
            {.scope = "allocation_rate_instance", .limit = {1, 1, 1}}},
        .quota_count = 1,
        .quotas = {{.scope = "user",
            .limit = 10,
            .here = 3,
            .elsewhere = 4,
            .unreported = 1,
            .shared = true}},
        .bandwidth = {.user = 125000, .burst_ms = 500}};
    const char *answer = post_json(
        f, LIMITS, "{\"user\": \"canary-u\", \"realm\": \"canary-r\", \"address\": \"192.0.2.1\"}");
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_string_equal(f->asked, "[canary-r][canary-u]");
    assert_true(f->limits.scoped);
    const struct addr address = addr_ipv4(192, 0, 2, 1, 0);
    assert_true(addr_equal(&f->limits.address, &address));
    assert_null(strstr(answer, "canary"));
    assert_null(strstr(answer, "192.0.2.1"));
    char text[4096];
    size_t len = 0;
    for (const char *p = strstr(answer, "\r\n\r\n") + 4; *p && len < sizeof(text) - 1; p++)
        if (*p != ' ' && *p != '\n')
            text[len++] = *p;
    text[len] = '\0';
    static const char *const parts[] = {
        "\"rates\":[{\"scope\":\"allocation_rate_user\",\"limit\":{\"count\":100,\"period_s\":60,"
        "\"burst\":300},\"shared\":true,\"here\":{\"left\":33,\"unreported\":2,\"owed\":1,"
        "\"denied_ms\":2,\"silent\":true},\"fleet\":{\"left\":120,\"denied_ms\":5}},",
        "{\"scope\":\"allocation_rate_instance\"", "\"fleet\":null}]",
        "\"quotas\":[{\"scope\":\"user\",\"limit\":10,\"shared\":true,\"here\":3,"
        "\"elsewhere\":4,\"unreported\":1,\"silent\":false}]",
        "\"bandwidth\":{\"allocation\":null,\"user\":125000,\"realm\":null,\"instance\":null,"
        "\"burst_ms\":500}"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!strstr(text, parts[i]))
            fail_msg("no %s in %s", parts[i], text);
    }
}

static void test_post_limits_that_cannot_be_asked_for_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"{\"address\": \"nowhere\"}", "{\"address\": 7}",
        "{\"address\": \"192.0.2.1:80\"}", "{\"user\": 1}", "{\"name\": \"canary\"}",
        "{\"address\": \"192.0.2.1.192.0.2.1.192.0.2.1.192.0.2.1.192.0.2.1.192.0.2.1.192.0.2.1\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *answer = post_json(f, LIMITS, bad[i]);
        assert_starts(answer, "HTTP/1.1 422 ");
        assert_null(strstr(answer, "canary"));
    }
    assert_starts(post_json(f, LIMITS, "[]"), "HTTP/1.1 400 ");
    assert_int_equal(f->inspections, 0);
    f->no_realm = true;
    assert_starts(post_json(f, LIMITS, "{\"realm\": \"nowhere\"}"), "HTTP/1.1 404 ");
    assert_int_equal(f->inspections, 1);
}

static void test_post_srtp_key_reaches_the_daemon(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *asked;
        struct admin_srtp_key key; /* but for its texts */
    } rows[] = {
        {"{\"allocation\":\"0123456789abcdef\",\"direction\":\"to_peer\",\"crypto\":\"" CANARY
         "\",\"seconds\":172800}",
            "[][][" CANARY "]", {.allocation = 0x0123456789abcdef, .seconds = 172800}},
        {"{\"allocation\":\"ffffffffffffffff\",\"ssrc\":0,\"direction\":\"to_client\","
         "\"crypto\":\"x\",\"roc\":0,\"seconds\":1}",
            "[][][x]",
            {.allocation = UINT64_MAX,
                .has_ssrc = true,
                .has_roc = true,
                .direction = SRTP_TO_CLIENT,
                .seconds = 1}},
        {"{\"user\":\"alice\",\"realm\":\"b.example\",\"ssrc\":4294967295,\"direction\":\"to_"
         "peer\","
         "\"crypto\":\"x\",\"roc\":4294967295,\"seconds\":60}",
            "[b.example][alice][x]",
            {.has_ssrc = true,
                .ssrc = UINT32_MAX,
                .has_roc = true,
                .roc = UINT32_MAX,
                .seconds = 60}},
        {"{\"user\":\"alice\",\"ssrc\":7,\"direction\":\"to_peer\",\"seconds\":0}", "[][alice][]",
            {.has_ssrc = true, .ssrc = 7, .take_back = true}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct admin_srtp_key expected = rows[i].key;
        const int64_t before = clock_now().wall_s;
        const char *answer = post_json(f, KEYS, rows[i].body);
        assert_starts(answer, "HTTP/1.1 200 ");
        assert_string_equal(f->asked, rows[i].asked);
        expected.realm = f->srtp_key.realm;
        expected.user = f->srtp_key.user;
        expected.crypto = f->srtp_key.crypto;
        assert_int_equal(f->srtp_key.allocation, expected.allocation);
        assert_int_equal(f->srtp_key.has_ssrc, expected.has_ssrc);
        assert_int_equal(f->srtp_key.ssrc, expected.ssrc);
        assert_int_equal(f->srtp_key.has_roc, expected.has_roc);
        assert_int_equal(f->srtp_key.roc, expected.roc);
        assert_int_equal(f->srtp_key.direction, expected.direction);
        assert_int_equal(f->srtp_key.take_back, expected.take_back);
        assert_int_equal(f->srtp_key.seconds, expected.seconds);
        const char *body = strstr(answer, "\r\n\r\n") + 4;
        long long until = 0;
        if (expected.take_back)
            assert_string_equal(body, "{\"until\": null}\n");
        else
            assert_int_equal(sscanf(body, "{\"until\": %lld}\n", &until), 1);
        assert_in_range(until, expected.take_back ? 0 : before + expected.seconds,
            expected.take_back ? 0 : clock_now().wall_s + expected.seconds);
    }
    assert_int_equal(f->srtp_keys, sizeof(rows) / sizeof(rows[0]));
}

static void test_post_srtp_key_that_the_daemon_refuses_says_why(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int r;
        const char *start;
    } rows[] = {{-ENOENT, "HTTP/1.1 404 "}, {-EINVAL, "HTTP/1.1 422 "}, {-ENOSPC, "HTTP/1.1 507 "},
        {-ENOSYS, "HTTP/1.1 501 "}, {-ENOMEM, "HTTP/1.1 500 "}};
    f->srtp_key_why = "a suite that is not known";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f->srtp_key_returns = rows[i].r;
        const char *answer = post_json(f, KEYS,
            "{\"allocation\":\"0123456789abcdef\",\"direction\":\"to_peer\",\"crypto\":\"" CANARY
            "\",\"seconds\":60}");
        assert_starts(answer, rows[i].start);
        assert_non_null(strstr(answer, "content-type: application/problem+json\r\n"));
        assert_null(strstr(answer, "Q0FO"));
        assert_null(strstr(answer, "0123456789abcdef"));
        if (rows[i].r == -EINVAL)
            assert_string_equal(strstr(answer, "\r\n\r\n") + 4,
                "{\n  \"type\": \"about:blank\",\n  \"title\": \"Unprocessable Content\",\n"
                "  \"status\": 422,\n  \"detail\": \"a suite that is not known\"\n}\n");
    }
    assert_int_equal(counted(f, METRIC_ADMIN_501), 1);
    assert_int_equal(counted(f, METRIC_ADMIN_500), 1);
}

#define TO_PEER    "\"direction\":\"to_peer\""
#define ALLOCATION "\"allocation\":\"0123456789abcdef\""
#define KEY        "\"crypto\":\"" CANARY "\",\"seconds\":60"

static void test_post_srtp_key_that_cannot_be_is_422(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"{}", "{" TO_PEER "," KEY "}", "{" ALLOCATION "," KEY "}",
        "{" ALLOCATION "," TO_PEER ",\"seconds\":60}",
        "{" ALLOCATION "," TO_PEER ",\"crypto\":\"x\"}",
        "{" ALLOCATION "," TO_PEER ",\"crypto\":\"\",\"seconds\":60}",
        "{" ALLOCATION "," TO_PEER ",\"crypto\":7,\"seconds\":60}",
        "{" ALLOCATION "," TO_PEER ",\"crypto\":\"x\",\"seconds\":172801}",
        "{" ALLOCATION "," TO_PEER ",\"crypto\":\"x\",\"seconds\":-1}",
        "{" ALLOCATION "," TO_PEER ",\"crypto\":\"x\",\"seconds\":\"60\"}",
        "{" ALLOCATION "," TO_PEER ",\"crypto\":\"x\",\"seconds\":0}",
        "{" ALLOCATION "," TO_PEER ",\"roc\":1,\"seconds\":0}",
        "{" ALLOCATION "," TO_PEER "," KEY ",\"roc\":4294967296}",
        "{" ALLOCATION "," TO_PEER "," KEY ",\"roc\":-1}",
        "{" ALLOCATION "," TO_PEER "," KEY ",\"ssrc\":4294967296}",
        "{" ALLOCATION "," TO_PEER "," KEY ",\"ssrc\":\"7\"}",
        "{" ALLOCATION "," TO_PEER "," KEY ",\"user\":\"alice\"}",
        "{" ALLOCATION "," TO_PEER "," KEY ",\"realm\":\"r\"}",
        "{" ALLOCATION "," TO_PEER "," KEY ",\"canary\":1}",
        "{" ALLOCATION ",\"direction\":\"to_peers\"," KEY "}",
        "{" ALLOCATION ",\"direction\":\"up\"," KEY "}", "{" ALLOCATION ",\"direction\":1," KEY "}",
        "{\"allocation\":\"\"," TO_PEER "," KEY "}",
        "{\"allocation\":\"\",\"user\":\"alice\",\"ssrc\":1," TO_PEER "," KEY "}",
        "{\"allocation\":\"0000000000000000\"," TO_PEER "," KEY "}",
        "{\"allocation\":\"0123456789ABCDEF\"," TO_PEER "," KEY "}",
        "{\"allocation\":\"123456789abcdef\"," TO_PEER "," KEY "}",
        "{\"allocation\":81985529216486895," TO_PEER "," KEY "}",
        "{\"user\":\"alice\"," TO_PEER "," KEY "}",
        "{\"user\":\"\",\"ssrc\":1," TO_PEER "," KEY "}"};
    char body[2 * 1024];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *answer = post_json(f, KEYS, bad[i]);
        if (strncmp(answer, "HTTP/1.1 422 ", 13) != 0)
            fail_msg("%s draws %.20s", bad[i], answer);
        assert_null(strstr(answer, "Q0FO"));
    }
    snprintf(
        body, sizeof(body), "{" ALLOCATION "," TO_PEER ",\"seconds\":1,\"crypto\":\"%01025d\"}", 0);
    assert_starts(post_json(f, KEYS, body), "HTTP/1.1 422 ");
    assert_starts(post_json(f, KEYS, "[]"), "HTTP/1.1 400 ");
    assert_int_equal(f->srtp_keys, 0);
}

static void test_post_body_in_single_bytes_is_read(void **state)
{
    struct fixture *f = *state;
    int fd = join(f, true, true, 0);
    for (const char *p =
             "POST " REVOKE " HTTP/1.1\r\ncontent-type: application/json\r\n"
             "content-length: 38\r\n\r\n{\"kind\":\"user\",\"id\":\"al\",\"seconds\":60}";
         *p != '\0'; p++) {
        char byte[2] = {*p, '\0'};
        say(fd, byte);
        run(f);
    }
    assert_starts(hear(f, fd), "HTTP/1.1 200 ");
    assert_string_equal(f->asked, "[][al]");
}

static void test_post_garbled_bodies_end_and_leave_nothing(void **state)
{
    static const char *const pieces[] = {"{", "}", "[", "]", ":", ",", "\"user\"", "\"kind\"",
        "\"id\"", "\"seconds\"", "\"token\"", "\"a\"", "\"AAEC\"", "60", "-1", "1e9", "null",
        "true", "\\u0000", "\"\\u0000\"", "\xff", "\"", " ", "\n", "\"realm\"", "\"password\"",
        "\"secret\"", "\"\\ud800\""};
    struct fixture *f = *state;
    uint64_t seed = 0x9e3779b97f4a7c15ull;
    char body[512];
    for (int i = 0; i < 2000; i++) {
        size_t len = (size_t)snprintf(body, sizeof(body), "{");
        for (unsigned k = 1 + (unsigned)(seed % 12); k > 0; k--) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            len += (size_t)snprintf(body + len, sizeof(body) - len, "%s",
                pieces[(seed >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
        }
        post(f, seed >> 40 & 1 ? REVOKE : EXPLAIN, "application/json", body, len);
    }
    assert_true(counted(f, METRIC_ADMIN_400) > 1000);
    assert_int_equal(counted(f, METRIC_ADMIN_500), 0);
    assert_starts(ask(f, true, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER(test_post_revocation_of_each_kind_reaches_the_daemon),
        SERVER(test_post_revocation_that_the_daemon_refuses_says_why),
        SERVER(test_post_revocation_of_what_is_no_tokens_id_is_422),
        SERVER(test_post_explain_answered_at_once),
        SERVER(test_post_explain_token_is_decoded),
        SERVER(test_post_explain_answered_later),
        SERVER(test_post_that_waits_to_be_told_is_told_to_go_on),
        SERVER(test_post_explain_of_a_client_that_left_is_dropped),
        SERVER(test_post_explain_without_answer_is_503_after_its_time),
        SERVER(test_post_explain_answered_while_the_server_ends),
        SERVER(test_post_explain_answered_when_the_server_is_gone),
        SERVER(test_post_explain_second_request_behind_it_is_not_served),
        SERVER(test_post_limits_without_a_scope_says_how_they_are_shared),
        SERVER(test_post_limits_of_somebody_are_shown_without_their_names),
        SERVER(test_post_limits_that_cannot_be_asked_for_are_refused),
        SERVER(test_post_srtp_key_reaches_the_daemon),
        SERVER(test_post_srtp_key_that_the_daemon_refuses_says_why),
        SERVER(test_post_srtp_key_that_cannot_be_is_422),
        SERVER(test_post_body_in_single_bytes_is_read),
        SERVER(test_post_garbled_bodies_end_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
