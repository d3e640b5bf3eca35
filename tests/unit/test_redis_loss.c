/* A real redis-server that is frozen, killed, restarted empty and slowed, and impostors. */
#include "fleet/redis_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "fleet/redis_backoff.h"
#include "fleet/redis_script.h"
#include "tests/fleet/fake_redis.h"
#include "tests/fleet/redis_fixture.h"
#include "tests/fleet/slow_proxy.h"

#define REPLY_BOUND 65536

static int reset(void **state)
{
    l = (struct linked){0};
    return 0;
}

static const char *url_of(uint16_t port)
{
    static char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", (unsigned)port);
    return url;
}

static void begin(void)
{
    linked_begin(&l, url_of(redis.port));
    assert_true(linked_up(&l, 1));
}

/* A frozen server accepts connections and says nothing: only time tells. */
static void test_redis_loss_frozen_server_is_noticed_within_three_seconds(void **state)
{
    struct answer before, idle;
    begin();
    for (unsigned busy = 0; busy < 2; busy++) {
        test_redis_signal(&redis, SIGSTOP);
        const uint64_t frozen = clock_now().mono_us;
        if (busy)
            assert_int_equal(linked_issue(&l, "INCR lost", 10000, &before), 0);
        assert_true(linked_down(&l, busy + 1));
        assert_in_range(clock_now().mono_us - frozen, 1000000, 3000000);
        assert_string_equal(l.cause, "it does not answer");
        if (busy) {
            assert_int_equal(before.calls, 1);
            assert_int_equal(before.result, REDIS_LOST);
        }
        assert_int_equal(linked_issue(&l, "PING", 1000, &idle), -EAGAIN);
        test_redis_signal(&redis, SIGCONT);
        assert_true(linked_up(&l, busy + 2));
        assert_int_equal(l.server, REDIS_SERVER_SAME);
    }
    linked_end(&l);
}

static void test_redis_loss_killed_and_restarted_empty_is_another_server(void **state)
{
    static const char text[] = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
    const struct slice argv[] = {slice_of_string("n"), slice_of_string("5")};
    struct redis_script script;
    struct answer a, stuck;
    char first[41];
    begin();
    assert_int_equal(redis_script_init(&script, text), 0);
    for (unsigned life = 1; life <= 3; life++) {
        a = (struct answer){0};
        assert_int_equal(redis_link_script(l.link, &script, 1,
                             &(struct redis_request){argv, 2, 5000, linked_answer, &a}),
            0);
        assert_true(linked_answered(&l, &a, 5000));
        assert_true(answer_is(&a, "5")); /* empty each time, and the script is loaded again */
        assert_int_equal(script.loads, life);
        if (life == 3)
            break;
        memcpy(first, l.run_id, sizeof(first));
        test_redis_signal(&redis, SIGSTOP);
        assert_int_equal(linked_issue(&l, "GET n", 5000, &stuck), 0);
        linked_sleep(&l, 5);
        test_redis_kill(&redis);
        assert_true(linked_down(&l, life));
        assert_true(linked_answered(&l, &stuck, 10));
        assert_int_equal(stuck.result, REDIS_LOST);
        assert_int_equal(linked_issue(&l, "GET n", 5000, &stuck), -EAGAIN);
        assert_string_equal(l.run_id, first); /* the last known */
        linked_sleep(&l, 100);
        test_redis_restart(&redis);
        assert_true(linked_up(&l, life + 1));
        assert_int_equal(l.server, REDIS_SERVER_OTHER);
        assert_string_not_equal(l.run_id, first);
    }
    linked_end(&l);
}

static void test_redis_loss_connection_killed_by_the_server_comes_back(void **state)
{
    struct answer a;
    begin();
    assert_int_equal(linked_issue(&l, "CLIENT KILL TYPE normal SKIPME no", 5000, &a), 0);
    assert_true(linked_down(&l, 1));
    assert_int_equal(a.calls, 1);
    assert_true(linked_up(&l, 2));
    assert_int_equal(l.server, REDIS_SERVER_SAME);
    linked_end(&l);
}

/* A server that needs 150 ms for everything: nothing is lost, short deadlines are missed. */
static void test_redis_loss_slow_server_is_waited_for(void **state)
{
    struct answer slow, fast;
    linked_loop(&l);
    struct slow_proxy *proxy = slow_proxy_new(&l.loop, redis.port);
    slow_proxy_delay(proxy, 75);
    linked_begin(&l, url_of(slow_proxy_port(proxy)));
    assert_true(linked_up(&l, 1));
    assert_int_equal(linked_issue(&l, "ECHO slow", 2000, &slow), 0);
    assert_int_equal(linked_issue(&l, "ECHO fast", 50, &fast), 0);
    assert_true(linked_answered(&l, &fast, 1000));
    assert_int_equal(fast.result, REDIS_TIMED_OUT);
    assert_in_range(fast.after_us, 50000, 1000000);
    assert_true(linked_answered(&l, &slow, 2000));
    assert_true(answer_is(&slow, "slow"));
    assert_in_range(slow.after_us, 149000, 1500000);
    assert_in_range(redis_link_stats(l.link).rtt_us, 149000, 1500000);
    linked_sleep(&l, 1600); /* PINGs are slow, too, and no reason to give up */
    assert_int_equal(l.downs, 0);
    assert_int_equal(redis_link_stats(l.link).late, 1);
    assert_int_equal(fast.calls, 1);
    slow_proxy_delay(proxy, 5000); /* as good as dead */
    assert_true(linked_down(&l, 1));
    slow_proxy_free(proxy);
    linked_end(&l);
}

static bool has_failed(struct linked *linked, void *ctx)
{
    return redis_link_stats(linked->link).failed >= *(unsigned *)ctx;
}

static void test_redis_loss_refused_connections_are_tried_again_with_pauses(void **state)
{
    unsigned five = 5;
    linked_begin(&l, url_of(test_free_port()));
    const uint64_t begun = clock_now().mono_us;
    assert_true(linked_run(&l, has_failed, &five, 8000));
    /* Pauses of up to 50, 100, 200, 400 ms. */
    assert_in_range(clock_now().mono_us - begun, 4000, 3000000);
    assert_int_equal(l.ups, 0);
    linked_end(&l);
}

static void test_redis_loss_silent_greeting_has_a_deadline(void **state)
{
    unsigned one = 1;
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    fake_redis_greet(fake, slice_of_string("+OK\r\n"));
    l.settings.handshake_ms = 200;
    linked_begin(&l, url_of(fake_redis_port(fake)));
    const uint64_t begun = clock_now().mono_us;
    assert_true(linked_run(&l, has_failed, &one, 2000));
    assert_in_range(clock_now().mono_us - begun, 200000, 1500000);
    fake_redis_free(fake);
    linked_end(&l);
}

/* A port that swallows what is sent to it: its queue of connections is full, nobody accepts. */
static void test_redis_loss_silent_address_has_a_deadline(void **state)
{
    unsigned one = 1;
    int fds[3];
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    for (size_t i = 0; i < 3; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&sa, len) | listen(fds[0], 0), 0);
    assert_int_equal(getsockname(fds[0], (struct sockaddr *)&sa, &len), 0);
    for (size_t i = 1; i < 3; i++)
        assert_true(connect(fds[i], (struct sockaddr *)&sa, len) == 0 || errno == EINPROGRESS);
    l.settings.connect_ms = 100;
    linked_begin(&l, url_of(ntohs(sa.sin_port)));
    const uint64_t begun = clock_now().mono_us;
    assert_true(linked_run(&l, has_failed, &one, 2000));
    assert_in_range(clock_now().mono_us - begun, 90000, 1500000); /* libuv counts whole ms */
    linked_end(&l);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
}

static void test_redis_loss_what_was_not_asked_ends_the_connection(void **state)
{
    static const struct {
        const char *bytes, *cause;
    } row[] = {{"+OK\r\n", "it has answered what was not asked"},
        {"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n", "it has answered what was not asked"},
        {"HTTP/1.0 200 OK\r\n", "what it sent is no RESP2"},
        {"*2147483647\r\n", "a reply was too large"}};
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    linked_begin(&l, url_of(fake_redis_port(fake)));
    for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        assert_true(linked_up(&l, i + 1));
        fake_redis_say(fake, slice_of_string(row[i].bytes));
        assert_true(linked_down(&l, i + 1));
        assert_string_equal(l.cause, row[i].cause);
    }
    fake_redis_free(fake);
    linked_end(&l);
}

/* What a test's own generator makes: pieces of RESP, whole and broken. */
static size_t make_garbage(uint32_t *seed, uint8_t *out, size_t cap)
{
    static const char *const pieces[] = {"+OK\r\n", "-ERR x\r\n", ":1\r\n",
        ":99999999999999999999\r\n", "$3\r\nabc\r\n", "$3\r\nabcd\r\n", "$-1\r\n", "$-7\r\n",
        "*2\r\n", "*-1\r\n", "*1000000\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n", "$40\r\n", "\r\n", "\n",
        "\0", "*3\r\n$7\r\nmessage\r\n", "+PONG\r\n", "-NOSCRIPT\r\n", "-READONLY\r\n", "%1\r\n",
        "x"};
    size_t len = 0;
    for (;;) {
        *seed = *seed * 1664525u + 1013904223u;
        const char *piece = pieces[(*seed >> 8) % (sizeof(pieces) / sizeof(pieces[0]))];
        const size_t piece_len = strlen(piece) + (piece[0] == '\0');
        if (len + piece_len > cap || (*seed >> 20) % 16 == 0)
            return len;
        memcpy(out + len, piece, piece_len);
        if ((*seed >> 24) % 8 == 0)
            out[len] = (uint8_t)(*seed >> 16);
        len += piece_len;
    }
}

static unsigned answered;

static void count_answer(void *ctx, enum redis_result result, const struct redis_reply *reply)
{
    assert_true((result == REDIS_REPLIED) == (reply != NULL));
    answered++;
}

static void test_redis_loss_garbage_never_crashes_and_answers_each_command_once(void **state)
{
    const struct slice argv[] = {slice_of_string("GET"), slice_of_string("x")};
    uint8_t garbage[512];
    uint32_t seed = 11;
    unsigned issued = 0;
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    l.settings.reply_max = REPLY_BOUND;
    l.random = &linked_hurry;
    linked_begin(&l, url_of(fake_redis_port(fake)));
    struct redis_script script;
    assert_int_equal(redis_script_init(&script, "return 1"), 0);
    answered = 0;
    const uint64_t end = clock_now().mono_us + 2 * US_PER_S;
    while (clock_now().mono_us < end) {
        const struct redis_request request = {argv, 2, 30, count_answer, NULL};
        const struct redis_request call = {argv + 1, 1, 30, count_answer, NULL};
        for (unsigned i = 0; i < 4; i++) {
            issued += redis_link_command(l.link, &request) == 0;
            issued += redis_link_script(l.link, &script, 1, &call) == 0;
        }
        fake_redis_say(fake, slice_of(garbage, make_garbage(&seed, garbage, sizeof(garbage))));
        linked_sleep(&l, 2);
    }
    assert_true(l.downs > 100 && issued > 500);
    linked_sleep(&l, 50);
    fake_redis_free(fake);
    linked_end(&l);
    assert_int_equal(answered, issued);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            test_redis_loss_frozen_server_is_noticed_within_three_seconds, reset),
        cmocka_unit_test_setup(test_redis_loss_killed_and_restarted_empty_is_another_server, reset),
        cmocka_unit_test_setup(test_redis_loss_connection_killed_by_the_server_comes_back, reset),
        cmocka_unit_test_setup(test_redis_loss_slow_server_is_waited_for, reset),
        cmocka_unit_test_setup(
            test_redis_loss_refused_connections_are_tried_again_with_pauses, reset),
        cmocka_unit_test_setup(test_redis_loss_silent_greeting_has_a_deadline, reset),
        cmocka_unit_test_setup(test_redis_loss_silent_address_has_a_deadline, reset),
        cmocka_unit_test_setup(test_redis_loss_what_was_not_asked_ends_the_connection, reset),
        cmocka_unit_test_setup(
            test_redis_loss_garbage_never_crashes_and_answers_each_command_once, reset),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}
