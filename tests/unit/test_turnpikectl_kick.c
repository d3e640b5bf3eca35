/* turnpikectl kick: what it asks, and how it says what came of it. */
#include "tests/unit/turnpikectl.h"

static void test_turnpikectl_kick_says_how_many(void **state)
{
    struct run user = {.answer = HEAD "{\"kicked\": 3}\n",
        .argv = {"kick", "--user", "alice", "--realm", "example.org"}};
    run(&user);
    assert_int_equal(user.code, 0);
    assert_memory_equal(user.request, "POST /api/v1/kick HTTP/1.1\r\n", 28);
    assert_string_equal(body_of(&user), "{\"user\":\"alice\",\"realm\":\"example.org\"}");
    assert_string_equal(user.out, "3 allocations ended\n");
    struct run id = {
        .answer = HEAD "{\"kicked\": 1}\n", .argv = {"kick", "--id", "00000000000000a1"}};
    run(&id);
    assert_string_equal(body_of(&id), "{\"id\":\"00000000000000a1\"}");
    assert_string_equal(id.out, "1 allocation ended\n");
    struct run peer = {
        .answer = HEAD "{\"kicked\": 0}\n", .argv = {"kick", "--json", "--peer", "2001:db8::1"}};
    run(&peer);
    assert_int_equal(peer.code, 0);
    assert_string_equal(body_of(&peer), "{\"peer\":\"2001:db8::1\"}");
    assert_string_equal(peer.out, "{\"kicked\": 0}\n");
}

static void test_turnpikectl_kick_exit_codes_are_stable(void **state)
{
    struct run refused = {.answer = "HTTP/1.1 404 Not Found\r\n\r\nno such realm\n",
        .argv = {"kick", "--user", "alice", "--realm", "r"}};
    run(&refused);
    assert_int_equal(refused.code, 1);
    struct run strange = {.answer = HEAD "{}", .argv = {"kick", "--user", "alice"}};
    run(&strange);
    assert_int_equal(strange.code, 3);
    assert_string_equal(strange.out, "");
    static const char *const rows[][6] = {{"kick"}, {"kick", "alice"}, {"kick", "--user"},
        {"kick", "--user", "\xff"}, {"kick", "--id", "1", "--peer", "::1"},
        {"kick", "--id", "1", "--realm", "r"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_wrong_usage(rows[i], sizeof(rows[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turnpikectl_kick_says_how_many),
        cmocka_unit_test(test_turnpikectl_kick_exit_codes_are_stable),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
