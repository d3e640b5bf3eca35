/*
 * admin/server over socket pairs and a real loop: answers, deadlines, caps, and that it comes down
 * in two steps without leaving anything.
 */
#include "tests/unit/admin_server.h"

static void test_server_ready_is_503_until_it_runs_and_when_it_stops(void **state)
{
    struct fixture *f = *state;
    const char *request = "GET /ready HTTP/1.1\r\n\r\n";
    f->state = ADMIN_STARTING;
    assert_starts(ask(f, true, request), "HTTP/1.1 503 ");
    f->state = ADMIN_RUNNING;
    assert_starts(ask(f, true, request), "HTTP/1.1 200 ");
    f->state = ADMIN_STOPPING;
    const char *answer = ask(f, true, request);
    assert_starts(answer, "HTTP/1.1 503 ");
    assert_non_null(strstr(answer, "\r\n\r\nstopping\n"));
    assert_starts(ask(f, true, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    assert_int_equal(counted(f, METRIC_ADMIN_503), 2);
    assert_int_equal(counted(f, METRIC_ADMIN_200), 2);
}

static void test_server_answers_carry_nothing_of_the_library(void **state)
{
    struct fixture *f = *state;
    const char *requests[] = {"GET /live HTTP/1.1\r\n\r\n", "GET /no HTTP/1.1\r\n\r\n",
        "HEAD /metrics HTTP/1.1\r\n\r\n", "GET %2 HTTP/1.1\r\n\r\n", "FOO / HTTP/1.1\r\n\r\n"};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        const char *answer = ask(f, true, requests[i]);
        assert_starts(answer, "HTTP/1.");
        assert_null(strcasestr(answer, "server:"));
        assert_null(strcasestr(answer, "websockets"));
        assert_null(strcasestr(answer, "1.2.3"));
    }
}

/* A path that is no UTF-8 must not take the status away. */
static void test_server_status_is_json_whatever_the_path_is(void **state)
{
    struct fixture *f = *state;
    const char *answer = ask(f, true, "GET /api/v1/status HTTP/1.1\r\n\r\n");
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_non_null(strstr(answer, "\"file\": null"));
    assert_non_null(strstr(answer, "\"192.0.2.1:3478\""));
    assert_starts(ask(f, false, "GET /api/v1/status HTTP/1.1\r\n\r\n"), "HTTP/1.1 403 ");
}

static void test_server_refusals_of_the_api_are_problem_details(void **state)
{
    static const struct {
        const char *request, *start, *detail; /* NULL: text */
    } rows[] = {
        {"GET /api/v1/no HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "no such resource"},
        {"POST /api/v1/status HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ", "does not know this method"},
        {"POST /api/v1/explain HTTP/1.1\r\n\r\n", "HTTP/1.1 415 ", "application/json"},
        {"GET /apis HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", NULL},
        {"POST /live HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ", NULL},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *answer = ask(f, true, rows[i].request);
        assert_starts(answer, rows[i].start);
        const bool problem = strstr(answer, "content-type: application/problem+json\r\n");
        assert_int_equal(problem, rows[i].detail != NULL);
        assert_int_equal(problem, strstr(answer, "\"type\": \"about:blank\"") != NULL);
        assert_true(!rows[i].detail || strstr(answer, rows[i].detail));
    }
    const char *head = ask(f, true, "HEAD /api/v1/no HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(head, "content-type: application/problem+json\r\n"));
    assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
}

static const char *ask_over_tcp(struct fixture *f, const char *request)
{
    int fd = join(f, false, true, 0);
    say(fd, request);
    return hear(f, fd);
}

/* RFC 6750 section 3, RFC 9110 sections 6.6.1 and 10.2.1 */
static void test_server_answers_have_the_headers_of_their_status(void **state)
{
    static const char ask_status[] = "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n";
    struct fixture *f = *state;
    char request[256];
    snprintf(request, sizeof(request), "%s\r\n", ask_status);
    const char *answer = ask_over_tcp(f, request);
    assert_starts(answer, "HTTP/1.1 401 ");
    assert_non_null(strstr(answer, "\r\nwww-authenticate: Bearer realm=\"turnpike\"\r\n"));
    assert_non_null(strstr(answer, " GMT\r\n"));
    snprintf(request, sizeof(request), "%sAuthorization: Basic eDp5\r\n\r\n", ask_status);
    answer = ask_over_tcp(f, request);
    assert_non_null(strstr(answer, "\r\nwww-authenticate: Bearer realm=\"turnpike\"\r\n"));
    snprintf(request, sizeof(request), "%sAuthorization: Bearer wrong\r\n\r\n", ask_status);
    answer = ask_over_tcp(f, request);
    assert_non_null(strstr(answer, "Bearer realm=\"turnpike\", error=\"invalid_token\"\r\n"));
    answer = ask(f, true, "PUT /api/v1/log-level HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "\r\nallow: GET, HEAD, POST\r\n"));
    answer = ask(f, true, "GET /live HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "\r\ndate: "));
    assert_null(strstr(answer, "retry-after"));
}

static void test_server_request_in_single_bytes_is_answered(void **state)
{
    struct fixture *f = *state;
    int fd = join(f, true, true, 0);
    for (const char *p = "GET /live HTTP/1.1\r\nHost: a\r\n\r\n"; *p != '\0'; p++) {
        char byte[2] = {*p, '\0'};
        say(fd, byte);
        run(f);
    }
    assert_starts(hear(f, fd), "HTTP/1.1 200 ");
}

/* The whole answer is in the socket before the connection ends, however slowly it is read. */
static void test_server_metrics_for_a_client_that_reads_late_are_whole(void **state)
{
    struct fixture *f = *state;
    int fd = join(f, true, true, 0);
    say(fd, "GET /metrics HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n");
    run(f);
    run(f);
    assert_int_equal(counted(f, METRIC_ADMIN_200), 1);
    const char *answer = hear(f, fd);
    assert_non_null(strstr(answer, "turnpike_build_info{version=\"1.2.3\"} 1\n"));
    size_t length = 0;
    const char *field = strstr(answer, "content-length: ");
    assert_non_null(field);
    assert_int_equal(sscanf(field, "content-length: %zu", &length), 1);
    assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), length);
}

static void test_server_half_a_request_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    int silent = join(f, false, false, 0), half = join(f, false, false, 2 * US_PER_S);
    say(half, "GET /live HT");
    admin_server_tick(f->server, ADMIN_REQUEST_S * US_PER_S - 1);
    assert_true(is_open(f, silent) && is_open(f, half));
    admin_server_tick(f->server, ADMIN_REQUEST_S * US_PER_S);
    assert_false(is_open(f, silent));
    assert_true(is_open(f, half));
    say(half, "TP/1.1\r\n");
    admin_server_tick(f->server, (ADMIN_REQUEST_S + 2) * US_PER_S);
    assert_false(is_open(f, half));
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_LATE), 2);
    close(silent);
    close(half);
}

static void test_server_over_its_cap_the_oldest_silent_one_goes(void **state)
{
    struct fixture *f = *state;
    int fds[ADMIN_TCP_CONNECTIONS + 5];
    for (size_t i = 0; i < ADMIN_TCP_CONNECTIONS + 5; i++) {
        fds[i] = join(f, false, false, i);
        run(f);
    }
    for (size_t i = 0; i < ADMIN_TCP_CONNECTIONS + 5; i++)
        assert_int_equal(is_open(f, fds[i]), i >= 5);
    assert_int_equal(counted(f, METRIC_ADMIN_CLOSED_FULL), 5);
    /* The newest is served, and the socket's places are not TCP's. */
    say(fds[ADMIN_TCP_CONNECTIONS + 4], "GET /live HTTP/1.1\r\n\r\n");
    assert_starts(hear(f, fds[ADMIN_TCP_CONNECTIONS + 4]), "HTTP/1.1 200 ");
    assert_starts(ask(f, true, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    for (size_t i = 0; i < ADMIN_TCP_CONNECTIONS + 4; i++)
        close(fds[i]);
}

/* A burst within one loop turn finds more to close than there are places for what closes. */
static void test_server_burst_over_all_places_is_survived(void **state)
{
    struct fixture *f = *state;
    enum { BURST = 3 * ADMIN_TCP_CONNECTIONS };
    int fds[BURST];
    for (size_t i = 0; i < BURST; i++)
        fds[i] = join(f, false, false, i);
    run(f);
    for (size_t i = 0; i < BURST; i++)
        close(fds[i]);
    run(f);
    assert_starts(ask(f, true, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    int fd = join(f, false, false, 0);
    say(fd, "GET /live HTTP/1.1\r\n\r\n");
    assert_starts(hear(f, fd), "HTTP/1.1 200 ");
}

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % n;
}

/* Requests put together from pieces of good and bad ones. */
static void test_server_garbled_requests_end_and_leave_nothing(void **state)
{
    static const char *const pieces[] = {"GET ", "POST ", "HEAD ", "CONNECT ", "/live", "/metrics",
        "/%2e%2e/", "%", "?a=b&c", " HTTP/1.1", "\r\n", "\r\n\r\n", "\n", "Host: ", "localhost",
        "Content-Length: ", "5", "-1", "99999999999999999999", "Transfer-Encoding: chunked",
        "Upgrade: h2c", "HTTP2-Settings: AA", "Connection: Upgrade", "Authorization: Bearer ",
        TOKEN, ": ", ":", "\t", "\x01\xff", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct fixture *f = *state;
    for (int i = 0; i < 3000; i++) {
        int fd = join(f, below(2), below(2), 0);
        for (uint32_t k = 1 + below(30); k > 0; k--) {
            const char *piece = pieces[below(sizeof(pieces) / sizeof(pieces[0]))];
            /* The server may have ended it already. */
            (void)!send(fd, piece, strlen(piece), MSG_NOSIGNAL);
            if (below(4) == 0)
                uv_run(&f->loop, UV_RUN_NOWAIT);
        }
        uv_run(&f->loop, UV_RUN_NOWAIT);
        close(fd);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    admin_server_tick(f->server, UINT64_MAX);
    run(f);
    /* It has seen something of everything. */
    assert_true(counted(f, METRIC_ADMIN_CLOSED_BROKEN) > 1000);
    assert_true(counted(f, METRIC_ADMIN_403) > 0 && counted(f, METRIC_ADMIN_404) > 0);
    assert_starts(ask(f, true, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
}

static void test_server_closed_with_connections_open_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 10; i++) {
        int fd = join(f, i % 2, true, 0);
        say(fd, i % 3 ? "GET /li" : "GET /metrics HTTP/1.1\r\n\r\n");
        if (i < 5)
            uv_run(&f->loop, UV_RUN_NOWAIT);
        close(fd);
    }
    /* tear_down ends it here, and counts descriptors. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER(test_server_ready_is_503_until_it_runs_and_when_it_stops),
        SERVER(test_server_answers_carry_nothing_of_the_library),
        SERVER(test_server_status_is_json_whatever_the_path_is),
        SERVER(test_server_refusals_of_the_api_are_problem_details),
        SERVER(test_server_answers_have_the_headers_of_their_status),
        SERVER(test_server_request_in_single_bytes_is_answered),
        SERVER(test_server_metrics_for_a_client_that_reads_late_are_whole),
        SERVER(test_server_half_a_request_ends_at_its_deadline),
        SERVER(test_server_over_its_cap_the_oldest_silent_one_goes),
        SERVER(test_server_burst_over_all_places_is_survived),
        SERVER(test_server_garbled_requests_end_and_leave_nothing),
        SERVER(test_server_closed_with_connections_open_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
