/* POST /api/v1/reload, and /api/v1/drain: what of a body reaches the daemon, and what its answers
 * become. */
#include "tests/unit/admin_server.h"

#define RELOAD "/api/v1/reload"
#define DRAIN  "/api/v1/drain"

/* What the daemon of the test was asked, and what it says. */
static struct {
    unsigned reloads, drains;
    struct admin_reload reload; /* that waits */
    bool waits, refuses;
    struct admin_reloaded told;
    struct admin_drain_asked asked;
    struct drain_alternates alternates;
    struct admin_drain now;
} daemon_said;

static void fake_reload(void *ctx, const struct admin_reload *what)
{
    daemon_said.reloads++;
    daemon_said.reload = *what;
    if (!daemon_said.waits)
        what->done(what->ctx, &daemon_said.told);
}

static int fake_drain(void *ctx, const struct admin_drain_asked *what)
{
    if (daemon_said.refuses)
        return -ECANCELED;
    daemon_said.drains++;
    daemon_said.asked = *what;
    daemon_said.alternates = *what->alternates;
    what->done(what->ctx, &daemon_said.now);
    return 0;
}

static void fake_drain_state(void *ctx, struct admin_drain *out)
{
    *out = daemon_said.now;
}

static int set_up_life(void **state)
{
    static const struct drain_alternates none;
    memset(&daemon_said, 0, sizeof(daemon_said));
    daemon_said.now.alternates = &none;
    if (set_up(state) != 0)
        return -1;
    struct fixture *f = *state;
    f->ops.reload = fake_reload;
    f->ops.drain = fake_drain;
    f->ops.drain_state = fake_drain_state;
    return 0;
}

/* Without what JSON may have between its words. */
static const char *body_of(const char *answer)
{
    static char text[4096];
    const char *body = strstr(answer, "\r\n\r\n");
    size_t len = 0;
    assert_non_null(body);
    for (const char *p = body + 4; *p && len < sizeof(text) - 1; p++)
        if (*p != ' ' && *p != '\n')
            text[len++] = *p;
    text[len] = '\0';
    return text;
}

static void test_post_reload_says_what_changed_and_what_waits(void **state)
{
    struct fixture *f = *state;
    static const struct admin_change changes[] = {{"a:1->2", false}, {"b:\"x\"->3", true}};
    daemon_said.told = (struct admin_reloaded){
        .version = 4, .listeners_kept = 2, .changes = changes, .change_count = 2};
    const char *answer = post_json(f, RELOAD, "{}");
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_string_equal(body_of(answer),
        "{\"reloaded\":true,\"version\":4,\"changed\":[\"a:1->2\"],\"needs_restart\":[\"b:\\\"x\\\""
        "->3\"],\"listeners_kept\":2}");
    assert_int_equal(daemon_said.reloads, 1);
}

static void test_post_reload_that_fails_is_422_with_its_line(void **state)
{
    struct fixture *f = *state;
    daemon_said.told = (struct admin_reloaded){.error = "f.yaml:12: unknown key 'relm'"};
    const char *answer = post_json(f, RELOAD, "{}");
    assert_starts(answer, "HTTP/1.1 422 ");
    assert_non_null(strstr(answer, "application/problem+json"));
    assert_non_null(strstr(answer, "f.yaml:12: unknown key 'relm'"));
    daemon_said.told.busy = true;
    assert_starts(post_json(f, RELOAD, "{}"), "HTTP/1.1 503 ");
}

static void test_post_reload_with_anything_in_its_body_reloads_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"{\"file\": \"/etc/passwd\"}", "[]", "1", "{"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_starts(post_json(f, RELOAD, bad[i]), "HTTP/1.1 4");
    assert_int_equal(daemon_said.reloads, 0);
}

static void test_post_reload_waits_for_the_workers(void **state)
{
    struct fixture *f = *state;
    static const char request[] = "POST " RELOAD " HTTP/1.1\r\nContent-Type: application/json\r\n"
                                  "Content-Length: 2\r\n\r\n{}";
    daemon_said.waits = true;
    const int fd = join(f, true, true, 0);
    say(fd, request);
    assert_true(is_open(f, fd));
    assert_int_equal(daemon_said.reloads, 1);
    daemon_said.reload.done(daemon_said.reload.ctx, &daemon_said.told);
    assert_starts(hear(f, fd), "HTTP/1.1 200 ");
}

static void test_post_drain_hands_on_what_is_said_and_no_more(void **state)
{
    struct fixture *f = *state;
    assert_starts(post_json(f, DRAIN, "{}"), "HTTP/1.1 200 ");
    const struct admin_drain_asked *a = &daemon_said.asked;
    assert_false(a->off || a->has_deadline || a->has_stop || a->has_alternates);
    assert_starts(post_json(f, DRAIN, "{\"deadline_s\": 0, \"stop\": false}"), "HTTP/1.1 200 ");
    assert_true(a->has_deadline && a->has_stop);
    assert_int_equal(a->deadline_s, 0);
    assert_false(a->stop || a->has_alternates);
    assert_starts(post_json(f, DRAIN,
                      "{\"deadline_s\": 172800, \"stop\": true, \"alternate\": [\"192.0.2.7\", "
                      "\"[2001:db8::7]:3478\"], \"alternate_domain\": \"b.example\"}"),
        "HTTP/1.1 200 ");
    assert_int_equal(a->deadline_s, 172800);
    assert_true(a->stop && a->has_alternates);
    assert_int_equal(daemon_said.alternates.count, 2);
    const struct addr first = addr_ipv4(192, 0, 2, 7, 0);
    assert_true(addr_equal(&daemon_said.alternates.servers[0], &first));
    assert_int_equal(daemon_said.alternates.servers[1].port, 3478);
    assert_string_equal(daemon_said.alternates.domain, "b.example");
    assert_starts(post_json(f, DRAIN, "{\"alternate\": []}"), "HTTP/1.1 200 ");
    assert_true(a->has_alternates);
    assert_int_equal(daemon_said.alternates.count, 0);
    assert_starts(post_json(f, DRAIN, "{\"off\": true}"), "HTTP/1.1 200 ");
    assert_true(a->off);
    assert_int_equal(daemon_said.drains, 5);
}

static void test_post_drain_that_cannot_be_is_422(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"{\"deadline_s\": 172801}", "{\"deadline_s\": -1}",
        "{\"deadline_s\": \"1h\"}", "{\"stop\": 1}", "{\"off\": \"true\"}",
        "{\"off\": true, \"stop\": true}", "{\"dead_line\": 1}", "{\"alternate\": \"192.0.2.7\"}",
        "{\"alternate\": [7]}", "{\"alternate\": [\"192.0.2.7:0\"]}",
        "{\"alternate\": [\"host.example\"]}", "{\"alternate\": [\"0.0.0.0\"]}",
        "{\"alternate\": [\"[::]:3478\"]}", "{\"alternate\": [\"224.0.0.1\"]}",
        "{\"alternate\": [\"ff02::1\"]}", "{\"alternate\": [\"::ffff:192.0.2.7\"]}",
        "{\"alternate_domain\": \"b.example\"}",
        "{\"alternate\": [], \"alternate_domain\": \"b example\"}",
        "{\"alternate\": [], \"alternate_domain\": \"b..example\"}",
        "{\"alternate\": [], \"alternate_domain\": \"-b.example\"}",
        "{\"alternate\": [], \"alternate_domain\": \"b.example.\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (strncmp(post_json(f, DRAIN, bad[i]), "HTTP/1.1 422 ", 13) != 0)
            fail_msg("taken: %s", bad[i]);
    char many[1024] = "{\"alternate\": [\"192.0.2.1\"";
    size_t len = strlen(many);
    for (unsigned i = 0; i < DRAIN_ALTERNATES_MAX; i++)
        len += (size_t)snprintf(many + len, sizeof(many) - len, ", \"192.0.2.2\"");
    snprintf(many + len, sizeof(many) - len, "]}");
    assert_starts(post_json(f, DRAIN, many), "HTTP/1.1 422 ");
    assert_int_equal(daemon_said.drains, 0);
}

static void test_drain_is_told_as_it_is(void **state)
{
    struct fixture *f = *state;
    const struct drain_alternates two = {
        .servers = {addr_ipv4(192, 0, 2, 7, 0), addr_ipv4(192, 0, 2, 8, 3479)},
        .count = 2,
        .domain = "b.example"};
    static const char whole[] =
        "{\"draining\":true,\"seconds\":12,\"deadline_s\":588,\"allocations\":3,\"at_first\":7,"
        "\"stop\":true,\"alternate\":[\"192.0.2.7\",\"192.0.2.8:3479\"],\"alternate_domain\":"
        "\"b.example\"}";
    assert_non_null(
        strstr(body_of(ask(f, true, "GET " DRAIN " HTTP/1.1\r\n\r\n")), "\"draining\":false"));
    assert_int_equal(daemon_said.drains, 0);
    daemon_said.now = (struct admin_drain){.on = true,
        .stop = true,
        .since_s = 12,
        .left_s = 588,
        .allocations = 3,
        .at_first = 7,
        .alternates = &two};
    assert_string_equal(body_of(ask(f, true, "GET " DRAIN " HTTP/1.1\r\n\r\n")), whole);
    assert_string_equal(body_of(post_json(f, DRAIN, "{}")), whole);
}

static void test_post_drain_while_the_daemon_stops_is_503(void **state)
{
    struct fixture *f = *state;
    daemon_said.refuses = true;
    assert_starts(post_json(f, DRAIN, "{}"), "HTTP/1.1 503 ");
}

static void test_draining_is_not_ready_and_says_so(void **state)
{
    struct fixture *f = *state;
    f->state = ADMIN_DRAINING;
    const char *answer = ask(f, true, "GET /ready HTTP/1.1\r\n\r\n");
    assert_starts(answer, "HTTP/1.1 503 ");
    assert_non_null(strstr(answer, "\r\n\r\ndraining\n"));
    assert_starts(ask(f, true, "GET /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    answer = ask(f, true, "GET /api/v1/status HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "\"draining\""));
    assert_non_null(strstr(answer, "\"ready\": false"));
}

static void test_a_method_that_drain_has_not_is_told_those_that_it_has(void **state)
{
    struct fixture *f = *state;
    const char *answer = ask(f, true, "PUT " DRAIN " HTTP/1.1\r\n\r\n");
    assert_starts(answer, "HTTP/1.1 405 ");
    assert_non_null(strstr(answer, "GET, HEAD, POST"));
    answer = ask(f, true, "GET " RELOAD " HTTP/1.1\r\n\r\n");
    assert_starts(answer, "HTTP/1.1 405 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_life, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_post_reload_says_what_changed_and_what_waits),
        TEST(test_post_reload_that_fails_is_422_with_its_line),
        TEST(test_post_reload_with_anything_in_its_body_reloads_nothing),
        TEST(test_post_reload_waits_for_the_workers),
        TEST(test_post_drain_hands_on_what_is_said_and_no_more),
        TEST(test_post_drain_that_cannot_be_is_422),
        TEST(test_drain_is_told_as_it_is),
        TEST(test_post_drain_while_the_daemon_stops_is_503),
        TEST(test_draining_is_not_ready_and_says_so),
        TEST(test_a_method_that_drain_has_not_is_told_those_that_it_has),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
