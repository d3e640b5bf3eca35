/* POST /api/v1/kick: what is asked of the daemon, and what is answered. */
#include "tests/unit/admin_server.h"

#define KICK "/api/v1/kick"

static struct {
    struct admin_kick what; /* its texts are in f->asked */
    unsigned count;
    int error;
    uint64_t kicked;
} asked;

static void fake_kick(void *ctx, const struct admin_kick *what)
{
    struct fixture *f = ctx;
    asked.what = *what;
    asked.count++;
    f->asked[0] = '\0';
    keep(f, what->realm);
    keep(f, what->user);
    what->done(what->ctx, asked.error, asked.kicked);
}

static int begin(void **state)
{
    memset(&asked, 0, sizeof(asked));
    if (set_up(state) != 0)
        return -1;
    ((struct fixture *)*state)->ops.kick = fake_kick;
    return 0;
}

static void test_post_kick_reaches_the_daemon(void **state)
{
    struct fixture *f = *state;
    const struct addr peer = addr_ipv4(203, 0, 113, 7, 0);
    asked.kicked = 3;
    const char *answer = post_json(f, KICK, "{\"user\": \"a\\u00e9\", \"realm\": \"r\"}");
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_non_null(strstr(answer, "\"kicked\": 3"));
    assert_string_equal(f->asked, "[r][a\xc3\xa9]");
    assert_true(asked.what.id == 0 && asked.what.peer.family == ADDR_NONE);
    assert_starts(post_json(f, KICK, "{\"id\": \"ff000001deadbeef\"}"), "HTTP/1.1 200 ");
    assert_true(asked.what.id == 0xff000001deadbeef);
    assert_string_equal(f->asked, "[][]");
    assert_starts(post_json(f, KICK, "{\"peer\": \"203.0.113.7\"}"), "HTTP/1.1 200 ");
    assert_true(addr_equal(&asked.what.peer, &peer));
    assert_starts(post_json(f, KICK, "{\"peer\": \"2001:db8::7\"}"), "HTTP/1.1 200 ");
    assert_int_equal(asked.what.peer.family, ADDR_IPV6);
}

static void test_post_kick_that_names_nobody_or_more_is_refused(void **state)
{
    static const char *const bad[] = {"{}", "{\"id\": \"ff\"}", "{\"id\": \"\"}",
        "{\"user\": \"\"}", "{\"user\": 1}", "{\"realm\": \"r\"}", "{\"peer\": \"\"}",
        "{\"peer\": \"203.0.113.7:80\"}", "{\"peer\": \"203.0.113.0/24\"}",
        "{\"peer\": \"example.org\"}", "{\"user\": \"a\", \"peer\": \"203.0.113.7\"}",
        "{\"id\": \"ff000001deadbeef\", \"user\": \"a\"}",
        "{\"id\": \"ff000001deadbeef\", \"realm\": \"r\"}", "{\"user\": \"a\", \"all\": true}"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (strncmp(post_json(f, KICK, bad[i]), "HTTP/1.1 422 ", 13) != 0)
            fail_msg("'%s' is taken", bad[i]);
    }
    assert_starts(post_json(f, KICK, "[]"), "HTTP/1.1 400 ");
    assert_int_equal(asked.count, 0);
}

static void test_post_kick_that_the_daemon_refuses_says_why(void **state)
{
    static const struct {
        int error;
        const char *start, *says;
    } rows[] = {{-ENOENT, "HTTP/1.1 404 ", "no such realm"}, {-EBUSY, "HTTP/1.1 503 ", "others"},
        {-ETIMEDOUT, "HTTP/1.1 503 ", "some may have been ended"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        asked.error = rows[i].error;
        const char *answer = post_json(*state, KICK, "{\"user\": \"alice\"}");
        assert_starts(answer, rows[i].start);
        assert_non_null(strstr(answer, rows[i].says));
    }
}

#define KICK_TEST(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KICK_TEST(test_post_kick_reaches_the_daemon),
        KICK_TEST(test_post_kick_that_names_nobody_or_more_is_refused),
        KICK_TEST(test_post_kick_that_the_daemon_refuses_says_why),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
