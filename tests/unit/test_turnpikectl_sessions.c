/* turnpikectl sessions: what it asks, page after page, how it shows what it is told, and that no
 * name reaches the terminal that it would obey. */
#include "tests/unit/turnpikectl.h"

#define LEG(packets, bytes) "{\"packets\":" packets ",\"bytes\":" bytes "}"
#define SESSION(id, user, more)                                                                    \
    "{\"id\":\"" id "\",\"realm\":\"example.org\",\"user\":\"" user                                \
    "\",\"transport\":\"udp\",\"client\":\"192.0.2.7:43278\",\"relayed\":[\"203.0.113.1:49152\"]," \
    "\"age_s\":3725,\"expires_s\":599,\"to_peer\":" LEG(                                           \
        "120345", "12345678") ",\"to_client\":" LEG("7",                                           \
        "999") ",\"permissions\":1,\"channels\":1,\"guard\":\"verify\",\"keys\":2" more "}"
#define STREAM(direction, more)                                                                    \
    "{\"direction\":\"" direction "\",\"ssrc\":439041101,\"payload_type\":96,\"packets\":990,"     \
    "\"bytes\":99000,\"rtcp_packets\":4,\"expected\":1000,\"lost\":12,\"late\":3,"                 \
    "\"duplicates\":2,\"resets\":0,\"dropped\":5,\"seen_ms\":1250," more "}"
#define PAGE(sessions, next) HEAD "{\"sessions\":[" sessions "],\"next\":" next "}\n"
#define TITLE                                                                                      \
    "ID                USER                  VIA   CLIENT                 RELAYED                " \
    "    AGE  EXPIRES    TO PEER   BYTES  TO CLIENT   BYTES  GUARD     KEYS  REALM\n"
#define LINE(id, user)                                                                             \
    id "  " user "  udp   192.0.2.7:43278        203.0.113.1:49152        1h02m    9m59s"          \
       "     120345   12.3M          7     999  verify       2  example.org\n"

/* As run, but with a further answer behind each that is asked for. */
static void run_pages(struct run *r, const char *const *more)
{
    int out[2], errors[2], status;
    assert_int_equal(pipe2(out, O_CLOEXEC) | pipe2(errors, O_CLOEXEC), 0);
    const int listener = listen_here();
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        start(r, 0, out[1], errors[1]);
    close(out[1]);
    close(errors[1]);
    serve(r, listener, pid);
    for (; *more; more++) {
        r->answer = *more;
        serve(r, listener, pid);
    }
    read_text(out[0], r->out);
    read_text(errors[0], r->errors);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    r->code = WEXITSTATUS(status);
    close(listener);
}

static void test_turnpikectl_sessions_shows_a_line_for_each_of_all_pages(void **state)
{
    static const char *const more[] = {
        PAGE("", "4294967296"), PAGE(SESSION("0100000000000002", "bob", ""), "null"), NULL};
    struct run r = {.answer = PAGE(SESSION("00000000000000a1", "alice", "") "," SESSION(
                                       "00000001000000a2", "a-name-of-twenty-one.", ""),
                        "1024"),
        .argv = {"sessions"}};
    run_pages(&r, more);
    assert_int_equal(r.code, 0);
    assert_memory_equal(r.request, "POST /api/v1/sessions HTTP/1.1\r\n", 32);
    assert_string_equal(body_of(&r), "{\"cursor\":4294967296,\"media\":false}");
    assert_string_equal(r.out, TITLE LINE("00000000000000a1", "alice               ")
                                   LINE("00000001000000a2", "a-name-of-twenty-on…")
                                       LINE("0100000000000002", "bob                 "));
}

static void test_turnpikectl_sessions_media_has_a_line_for_each_stream(void **state)
{
    struct run r = {
        .answer = PAGE(SESSION("00000000000000a1", "alice",
                           ",\"streams\":3,\"untracked\":17,\"media\":[" STREAM("to_peer",
                               "\"clock_rate\":90000,\"jitter_us\":1250") "," STREAM("to_client",
                               "\"clock_rate\":null,\"jitter_us\":null") "]"),
            "null"),
        .argv = {"sessions", "--media", "--user", "alice", "--realm", "example.org", "--id",
            "00000000000000a1", "--peer", "192.0.2.0/24", "--older", "2h", "--younger", "2d"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_string_equal(body_of(&r),
        "{\"cursor\":0,\"media\":true,\"user\":\"alice\",\"realm\":\"example.org\","
        "\"id\":\"00000000000000a1\",\"peer\":\"192.0.2.0/24\",\"older_s\":7200,"
        "\"younger_s\":172800}");
    assert_string_equal(r.out,
        TITLE LINE(
            "00000000000000a1", "alice               ") "    to peer    ssrc 1a2b3c4d  type  96  "
                                                        "990 packets  lost 12 (1.2 %)  late 3  "
                                                        "duplicates 2  jitter 1.2 ms  dropped 5  "
                                                        "rtcp 4  seen 1.2 s ago\n"
                                                        "    to client  ssrc 1a2b3c4d  type  96  "
                                                        "990 packets  lost 12 (1.2 %)  late 3  "
                                                        "duplicates 2  jitter unknown  dropped 5  "
                                                        "rtcp 4  seen 1.2 s ago\n"
                                                        "    2 of 3 streams are shown\n"
                                                        "    17 packets of streams for which there "
                                                        "was no place (srtp_verify.streams)\n");
}

static void test_turnpikectl_sessions_hostile_names_move_no_cursor(void **state)
{
    static const struct {
        const char *user, *shown;
    } rows[] = {
        {"\\u001b[2J\\u0000\\u007f", "\\x1b[2J\\x00\\x7f     "},
        {"\\u009b1m\\u202e", "\\u{9b}1m\\u{202e}    "},
        {"a\\\\x1b", "a\\\\x1b              "},
        {"\\u00e9\\u4e2d", "\xc3\xa9\xe4\xb8\xad                  "},
        {"\\n\\n\\n\\n\\n\\n\\n\\n", "\\x0a\\x0a\\x0a\\x0a…   "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char answer[2048], expected[1024];
        snprintf(answer, sizeof(answer), PAGE(SESSION("00000000000000a1", "%s", ""), "null"),
            rows[i].user);
        snprintf(expected, sizeof(expected), TITLE LINE("00000000000000a1", "%s"), rows[i].shown);
        struct run r = {.answer = answer, .argv = {"sessions"}};
        run(&r);
        assert_int_equal(r.code, 0);
        assert_string_equal(r.out, expected);
    }
}

static void test_turnpikectl_sessions_json_is_one_object_of_all_pages(void **state)
{
    static const char *const more[] = {PAGE("{\"b\":2},{\"c\":3}", "null"), NULL};
    struct run r = {.answer = PAGE("{\"a\":\"\\u0000\"}", "32"), .argv = {"sessions", "--json"}};
    run_pages(&r, more);
    assert_int_equal(r.code, 0);
    assert_string_equal(
        r.out, "{\"sessions\": [\n{\"a\":\"\\u0000\"},\n{\"b\":2},\n{\"c\":3}\n]}\n");
    struct run none = {.answer = PAGE("", "null"), .argv = {"sessions", "--json"}};
    run(&none);
    assert_string_equal(none.out, "{\"sessions\": []}\n");
    struct run nobody = {.answer = PAGE("", "null"), .argv = {"sessions"}};
    run(&nobody);
    assert_int_equal(nobody.code, 0);
    assert_string_equal(nobody.out, "no sessions\n");
}

static void test_turnpikectl_sessions_exit_codes_are_stable(void **state)
{
    static const char *const refusal[] = {
        "HTTP/1.1 503 Service Unavailable\r\n\r\na worker did not answer\n", NULL};
    struct run refused = {
        .answer = PAGE(SESSION("00000000000000a1", "alice", ""), "32"), .argv = {"sessions"}};
    run_pages(&refused, refusal);
    assert_int_equal(refused.code, 1);
    assert_non_null(strstr(refused.out, "alice"));
    /* The same place again would go on for ever. */
    static const char *const strange[] = {
        HEAD "{}", HEAD "[]", HEAD "?", PAGE("", "0"), PAGE("", "\"x\""), HEAD "{\"sessions\":[]}"};
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        struct run r = {.answer = strange[i], .argv = {"sessions"}};
        run(&r);
        assert_int_equal(r.code, 3);
    }
    static const char *const rows[][4] = {
        {"sessions", "alice"}, {"sessions", "--user"}, {"sessions", "--user", "\xff"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_wrong_usage(rows[i], sizeof(rows[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turnpikectl_sessions_shows_a_line_for_each_of_all_pages),
        cmocka_unit_test(test_turnpikectl_sessions_media_has_a_line_for_each_stream),
        cmocka_unit_test(test_turnpikectl_sessions_hostile_names_move_no_cursor),
        cmocka_unit_test(test_turnpikectl_sessions_json_is_one_object_of_all_pages),
        cmocka_unit_test(test_turnpikectl_sessions_exit_codes_are_stable),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
