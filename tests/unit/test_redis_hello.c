/* The first flight of each kind of connection, and every answer to it that is not good enough. */
#include "fleet/redis_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define RUN_ID "0123456789abcdef0123456789abcdef01234567"

static const char *const channels[] = {"a", "b"};
static const struct redis_hello_plan server = {.client_name = "turnpike"};

static struct redis_hello begin(const struct redis_hello_plan *plan, const char *expected)
{
    struct redis_hello h;
    struct redis_buffer out = {0};
    assert_int_equal(redis_hello_begin(&h, plan, &out), 0);
    if (expected) {
        assert_int_equal(out.len, strlen(expected));
        assert_memory_equal(out.data, expected, out.len);
    }
    redis_buffer_deinit(&out);
    return h;
}

/* All of `text`; what the last reply in it brought. */
static enum redis_hello_outcome hear(struct redis_hello *h, const char *text)
{
    struct redis_reader *reader = redis_reader_new(65536);
    struct redis_reply *reply;
    enum redis_hello_outcome outcome = REDIS_HELLO_MORE;
    redis_reader_feed(reader, slice_of_string(text));
    while (redis_reader_next(reader, &reply) == REDIS_READ_REPLY) {
        assert_int_equal(outcome, REDIS_HELLO_MORE);
        outcome = redis_hello_reply(h, reply);
        redis_reply_free(reply);
    }
    redis_reader_free(reader);
    return outcome;
}

/* As Redis would: with the length in front. */
static const char *info_with(const char *line)
{
    static char text[256];
    snprintf(text, sizeof(text), "+OK\r\n$%zu\r\n%s\r\n+PONG\r\n", strlen(line), line);
    return text;
}

static void test_redis_hello_flight_of_a_server_is_said_and_heard(void **state)
{
    struct redis_hello h =
        begin(&server, "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$8\r\nturnpike\r\n"
                       "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n*1\r\n$4\r\nPING\r\n");
    assert_int_equal(hear(&h, info_with("# Server\r\nrun_id:" RUN_ID "\r\nx:y")), REDIS_HELLO_DONE);
    assert_string_equal(h.run_id, RUN_ID);

    struct redis_hello_plan plan = server;
    plan.user = slice_of_string("u");
    plan.password = slice_of("p\0", 2);
    plan.database = 15;
    plan.must_be_master = true;
    plan.channels = channels;
    plan.channel_count = 2;
    struct redis_buffer out = {0};
    assert_int_equal(redis_hello_begin(&h, &plan, &out), 0);
    static const char head[] = "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$2\r\np\0\r\n*3\r\n$6\r\nCLIENT";
    static const char tail[] = "*2\r\n$6\r\nSELECT\r\n$2\r\n15\r\n*1\r\n$4\r\nROLE\r\n"
                               "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n*1\r\n$4\r\nPING\r\n"
                               "*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n";
    assert_memory_equal(out.data, head, sizeof(head) - 1);
    assert_memory_equal(out.data + out.len - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
    redis_buffer_deinit(&out);
    assert_int_equal(
        hear(&h, "+OK\r\n+OK\r\n+OK\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"), REDIS_HELLO_MORE);
    assert_int_equal(hear(&h, info_with("\r\nrun_id:" RUN_ID) + 5), REDIS_HELLO_MORE);
    assert_int_equal(hear(&h, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"), REDIS_HELLO_MORE);
    assert_int_equal(hear(&h, "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"), REDIS_HELLO_DONE);
}

static void test_redis_hello_password_without_user_is_said(void **state)
{
    struct redis_hello_plan plan = server;
    plan.password = slice_of_string("p");
    struct redis_buffer out = {0};
    struct redis_hello h;
    assert_int_equal(redis_hello_begin(&h, &plan, &out), 0);
    assert_memory_equal(out.data, "*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n", 21);
    redis_buffer_deinit(&out);
}

static void test_redis_hello_sentinel_is_asked_and_read(void **state)
{
    const struct redis_hello_plan plan = {.master = "m"};
    static const char flight[] =
        "*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n$1\r\nm\r\n";
    static const struct {
        const char *reply, *host;
        unsigned port; /* 0: refused */
    } row[] = {
        {"*2\r\n$9\r\n192.0.2.1\r\n$4\r\n6379\r\n", "192.0.2.1", 6379},
        {"*2\r\n$11\r\n2001:db8::1\r\n$5\r\n65535\r\n", "2001:db8::1", 65535},
        {"*2\r\n$3\r\na-b\r\n$1\r\n1\r\n", "a-b", 1},
        {"*-1\r\n", NULL, 0},
        {"$-1\r\n", NULL, 0},
        {"-IDONTKNOW\r\n", NULL, 0},
        {"*2\r\n$0\r\n\r\n$1\r\n1\r\n", NULL, 0},
        {"*2\r\n$1\r\na\r\n$1\r\n0\r\n", NULL, 0},
        {"*2\r\n$1\r\na\r\n$5\r\n65536\r\n", NULL, 0},
        {"*2\r\n$1\r\na\r\n$6\r\n065535\r\n", NULL, 0},
        {"*2\r\n$1\r\na\r\n$2\r\n-1\r\n", NULL, 0},
        {"*2\r\n$2\r\n.a\r\n$1\r\n1\r\n", NULL, 0},
        {"*2\r\n$2\r\na\n\r\n$1\r\n1\r\n", NULL, 0},
        {"*1\r\n$1\r\na\r\n", NULL, 0},
        {"+OK\r\n", NULL, 0},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct redis_hello h = begin(&plan, flight);
        assert_int_equal(
            hear(&h, row[i].reply), row[i].port ? REDIS_HELLO_DONE : REDIS_HELLO_REFUSED);
        if (row[i].port) {
            assert_string_equal(h.master.host, row[i].host);
            assert_int_equal(h.master.port, row[i].port);
        } else {
            assert_string_equal(h.refusal, "the Sentinel does not know the master");
        }
    }
}

static void test_redis_hello_anything_else_is_refused_by_name(void **state)
{
    struct redis_hello_plan plan = server;
    plan.password = slice_of_string("p");
    plan.database = 1;
    plan.must_be_master = true;
    static const struct {
        const char *replies, *refusal;
    } row[] = {
        {"-WRONGPASS invalid\r\n", "AUTH: wrong user or password"},
        {"-ERR AUTH called without any password configured\r\n", "AUTH: wrong user or password"},
        {"-LOADING soon\r\n", "it is loading its data"},
        {"+OK\r\n-NOAUTH needed\r\n", "it demands a password"},
        {"+OK\r\n-NOPERM no\r\n", "CLIENT SETNAME is forbidden to the user"},
        {"+OK\r\n+OK\r\n-ERR DB index is out of range\r\n", "SELECT: there is no such database"},
        {"+OK\r\n+OK\r\n-NOPERM no\r\n", "SELECT is forbidden to the user"},
        {"+OK\r\n+OK\r\n+OK\r\n*1\r\n$5\r\nslave\r\n", "it is not the master"},
        {"+OK\r\n+OK\r\n+OK\r\n+master\r\n", "it is not the master"},
        {"+OK\r\n+OK\r\n+OK\r\n*1\r\n$6\r\nmaster\r\n$4\r\nnone\r\n", "INFO: there is no run_id"},
        {"+OK\r\n+OK\r\n+OK\r\n*1\r\n$6\r\nmaster\r\n:1\r\n", "INFO: there is no run_id"},
        {"+OK\r\n+OK\r\n+OK\r\n*1\r\n$6\r\nmaster\r\n-BUSY x\r\n", "it is busy with a script"},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct redis_hello h = begin(&plan, NULL);
        assert_int_equal(hear(&h, row[i].replies), REDIS_HELLO_REFUSED);
        assert_string_equal(h.refusal, row[i].refusal);
    }
}

static void test_redis_hello_run_ids_and_pongs_are_judged(void **state)
{
    static const char *const bad[] = {"run_id:0123456789abcdef0123456789abcdef01234567",
        "\r\nrun_id:0123456789abcdef0123456789abcdef0123456",
        "\r\nrun_id:", "\r\nrun_id:0123456789abcdef0123456789abcdef0123456g", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct redis_hello h = begin(&server, NULL);
        struct redis_buffer text = {0};
        char head[32];
        snprintf(head, sizeof(head), "+OK\r\n$%zu\r\n", strlen(bad[i]));
        redis_buffer_append(&text, slice_of_string(head));
        redis_buffer_append(&text, slice_of_string(bad[i]));
        redis_buffer_append(&text, slice_of("\r\n", 3));
        assert_int_equal(hear(&h, (const char *)text.data), REDIS_HELLO_REFUSED);
        redis_buffer_deinit(&text);
    }
    static const struct {
        const char *pong;
        enum redis_hello_outcome outcome;
    } row[] = {{"+PONG\r\n", REDIS_HELLO_DONE}, {"-MISCONF disk\r\n", REDIS_HELLO_DONE},
        {"-LOADING\r\n", REDIS_HELLO_REFUSED}, {"-MASTERDOWN x\r\n", REDIS_HELLO_REFUSED},
        {"+OK\r\n", REDIS_HELLO_REFUSED}, {":1\r\n", REDIS_HELLO_REFUSED}};
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct redis_hello h = begin(&server, NULL);
        char text[256];
        snprintf(text, sizeof(text), "+OK\r\n$49\r\n\r\nrun_id:" RUN_ID "\r\n%s", row[i].pong);
        assert_int_equal(hear(&h, text), row[i].outcome);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_hello_flight_of_a_server_is_said_and_heard),
        cmocka_unit_test(test_redis_hello_password_without_user_is_said),
        cmocka_unit_test(test_redis_hello_sentinel_is_asked_and_read),
        cmocka_unit_test(test_redis_hello_anything_else_is_refused_by_name),
        cmocka_unit_test(test_redis_hello_run_ids_and_pongs_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
