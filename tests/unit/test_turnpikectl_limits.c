/*
 * turnpikectl limits: what it asks, how it shows what it is told, and its exit codes.
 */
#include "tests/unit/turnpikectl.h"

#define RATE(scope, more)                                                                          \
    "{\"scope\":\"" scope "\",\"limit\":{\"count\":100,\"period_s\":1,\"burst\":300}," more "}"
#define HERE "\"here\":{\"left\":33,\"unreported\":2,\"owed\":1,\"denied_ms\":0,\"silent\":false}"
#define LIMITS                                                                                     \
    HEAD "{\"sharing\":\"shared\",\"on_failure\":\"local\",\"instances\":3,\"redis\":\"up\","      \
         "\"rates\":[" RATE("a", "\"shared\":true," HERE ",\"fleet\":null") "," RATE("b",          \
             "\"shared\":true," HERE ",\"fleet\":{\"left\":0,\"denied_ms\":1250}") "," RATE("c",   \
             "\"shared\":false," HERE                                                              \
             ",\"fleet\":null") "],"                                                               \
                                "\"quotas\":[{\"scope\":\"user\",\"limit\":10,\"shared\":true,"    \
                                "\"here\":3,"                                                      \
                                "\"elsewhere\":4,\"unreported\":0,\"silent\":true},{\"scope\":"    \
                                "\"realm\",\"limit\":null,"                                        \
                                "\"shared\":true,\"here\":3,\"elsewhere\":0,\"unreported\":0,"     \
                                "\"silent\":false}],"                                              \
                                "\"bandwidth\":{\"allocation\":null,\"user\":125000,\"realm\":"    \
                                "null,\"instance\":null,"                                          \
                                "\"burst_ms\":500}}\n"

static void test_turnpikectl_limits_shows_what_is_left_and_where(void **state)
{
    struct run r = {.answer = LIMITS,
        .argv = {"limits", "--user", "alice", "--realm", "r", "--address", "192.0.2.1"}};
    run(&r);
    assert_int_equal(r.code, 0);
    assert_memory_equal(r.request, "POST /api/v1/limits HTTP/1.1\r\n", 30);
    assert_string_equal(
        body_of(&r), "{\"user\":\"alice\",\"realm\":\"r\",\"address\":\"192.0.2.1\"}");
    assert_string_equal(r.out,
        "limits:       shared\ninstances:    3\nredis:        up\non failure:   local\nrates:\n"
        "  a                         100/s burst 300      here: 33 left of its part, 2 unreported, "
        "1 owed; fleet: unknown\n"
        "  b                         100/s burst 300      here: 33 left of its part, 2 unreported, "
        "1 owed; fleet: 0 left, denied for 1.250 s\n"
        "  c                         100/s burst 300      here: 33 left\n"
        "at once:\n"
        "  user                      10                   here: 3, elsewhere: 4, 0 unreported, "
        "silent\n"
        "  realm                     unlimited            here: 3\n"
        "bandwidth, each direction:\n"
        "  user                      1000 kbit/s, 500 ms at once\n");
    struct run json = {.answer = LIMITS, .argv = {"limits", "--json"}};
    run(&json);
    assert_int_equal(json.code, 0);
    assert_string_equal(body_of(&json), "{}");
    assert_string_equal(json.out, strstr(LIMITS, "{"));
}

static void test_turnpikectl_limits_says_whose_they_are(void **state)
{
    static const struct {
        const char *answer, *says;
    } rows[] = {
        {HEAD "{\"sharing\":\"own\",\"on_failure\":\"local\",\"instances\":1,\"redis\":null}",
            "limits:       of this instance alone\ninstances:    1\n"},
        {HEAD "{\"sharing\":\"alone\",\"on_failure\":\"local\",\"instances\":2,"
              "\"redis\":\"down\"}",
            "limits:       alone: Redis does not answer, and each instance has its part\n"
            "instances:    2\nredis:        down\non failure:   local\n"},
        {HEAD "{\"sharing\":\"alone\",\"on_failure\":\"deny\",\"instances\":2,"
              "\"redis\":\"up\"}",
            "limits:       alone: Redis does not answer, and allocations are refused\n"
            "instances:    2\nredis:        up\non failure:   deny\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run r = {.answer = rows[i].answer, .argv = {"limits"}};
        run(&r);
        assert_int_equal(r.code, 0);
        assert_string_equal(r.out, rows[i].says);
    }
}

static void test_turnpikectl_limits_exit_codes_are_stable(void **state)
{
    struct run refused = {.answer = "HTTP/1.1 404 Not Found\r\n\r\nno such realm\n",
        .argv = {"limits", "--realm", "r"}};
    run(&refused);
    assert_int_equal(refused.code, 1);
    struct run strange = {.answer = HEAD "{}", .argv = {"limits"}};
    run(&strange);
    assert_int_equal(strange.code, 3);
    static const char *const rows[][4] = {
        {"limits", "alice"}, {"limits", "--user"}, {"limits", "--user", "\xff"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_wrong_usage(rows[i], sizeof(rows[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turnpikectl_limits_shows_what_is_left_and_where),
        cmocka_unit_test(test_turnpikectl_limits_says_whose_they_are),
        cmocka_unit_test(test_turnpikectl_limits_exit_codes_are_stable),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
