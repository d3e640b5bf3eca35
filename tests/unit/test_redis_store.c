/* Keys from a real redis-server: found, missing, broken, and Redis away, frozen or unwilling. */
#include "fleet/redis_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/fleet/fake_redis.h"
#include "tests/fleet/fleet_fixture.h"

#define ALICE "turn/realm/example.org/user/alice/key"
#define HEX32 "543e1aec5d3614f03141652d6ada51b2" /* MD5 of alice:example.org:secret */

static struct test_fleet f;

static void set(const char *key, const char *value)
{
    const struct slice argv[] = {
        slice_of_string("SET"), slice_of_string(key), slice_of_string(value)};
    assert_true(test_redis_command(&redis, argv, 3, "+OK"));
}

static void assert_verdict(enum store_kind kind, const char *name, enum store_verdict verdict)
{
    const struct test_asked a = test_fleet_question(&f, &l, kind, name);
    assert_int_equal(a.answer.verdict, verdict);
    assert_int_equal(a.answer.question.kind, kind);
    assert_int_equal(a.answer.question.realm, 1);
    assert_int_equal(a.answer.question.name_len, strlen(name));
    assert_memory_equal(a.answer.question.name, name, strlen(name));
    if (verdict == STORE_FOUND)
        return;
    const struct store_oauth_key none = {0}; /* no key in what is no key */
    assert_memory_equal(&a.answer.u.oauth, &none, sizeof(none));
}

static void test_redis_store_users_and_what_is_none(void **state)
{
    fleet_begin_at(&f, redis.port);
    set(ALICE, HEX32);
    set("turn/realm/example.org/user/broken/key", "secret");
    set("turn/realm/other.example/user/carol/key", HEX32);
    assert_true(test_redis_says(&redis, "SADD turn/realm/example.org/user/set/key x", ":1"));
    assert_verdict(STORE_USER, "alice", STORE_FOUND);
    const struct test_asked a = test_fleet_question(&f, &l, STORE_USER, "alice");
    assert_int_equal(a.answer.u.user.len, 16);
    assert_int_equal(a.answer.u.user.bytes[0], 0x54);
    assert_int_equal(a.answer.u.user.bytes[15], 0xb2);
    assert_verdict(STORE_USER, "nobody", STORE_NOT_FOUND);
    assert_verdict(STORE_USER, "broken", STORE_NOT_FOUND);
    assert_verdict(STORE_USER, "set", STORE_NOT_FOUND);
    assert_verdict(STORE_USER, "carol", STORE_NOT_FOUND);
    assert_verdict(STORE_USER, "user/x", STORE_NOT_FOUND);
    fleets_end(&f, NULL);
}

static void test_redis_store_oauth_keys_belong_to_their_realm(void **state)
{
    fleet_begin_at(&f, redis.port);
    assert_true(test_redis_says(&redis,
        "HSET turn/oauth/kid/mine ikm_key MTIzNDU2Nzg5MDEyMzQ1Ngo= as_rs_alg A128GCM timestamp 5 "
        "lifetime 10 realm example.org",
        ":5"));
    assert_true(test_redis_says(&redis,
        "HSET turn/oauth/kid/theirs ikm_key MTIzNDU2Nzg5MDEyMzQ1Ngo= as_rs_alg A128GCM realm x",
        ":3"));
    assert_true(test_redis_says(&redis, "SET turn/oauth/kid/text x", "+OK"));
    const struct test_asked a = test_fleet_question(&f, &l, STORE_OAUTH_KEY, "mine");
    assert_int_equal(a.answer.verdict, STORE_FOUND);
    assert_memory_equal(a.answer.u.oauth.key, "1234567890123456", 16);
    assert_int_equal(a.answer.u.oauth.not_after, 15);
    assert_verdict(STORE_OAUTH_KEY, "theirs", STORE_NOT_FOUND);
    assert_verdict(STORE_OAUTH_KEY, "none", STORE_NOT_FOUND);
    assert_verdict(STORE_OAUTH_KEY, "text", STORE_NOT_FOUND);
    fleets_end(&f, NULL);
}

static void test_redis_store_equal_questions_are_asked_once(void **state)
{
    struct test_asked many[50], other[4];
    fleet_begin_at(&f, redis.port);
    set(ALICE, HEX32);
    linked_sleep(&l, 50);
    const uint64_t before = fleet_stats(f.fleet).sent;
    for (size_t i = 0; i < 50; i++)
        test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &many[i]);
    test_fleet_ask(&f, STORE_USER, 2, slice_of_string("alice"), &other[0]);
    test_fleet_ask(&f, STORE_OAUTH_KEY, 1, slice_of_string("alice"), &other[1]);
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alic"), &other[2]);
    test_fleet_ask(&f, STORE_USER, 1, slice_of("alice\0", 6), &other[3]);
    assert_int_equal(fleet_stats(f.fleet).sent - before, 5);
    for (size_t i = 0; i < 50; i++) {
        assert_true(test_fleet_answered(&l, &many[i], 2000));
        assert_int_equal(many[i].answer.verdict, STORE_FOUND);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_true(test_fleet_answered(&l, &other[i], 2000));
        assert_int_equal(other[i].answer.verdict, STORE_NOT_FOUND);
    }
    /* Asked anew, once there is an answer. */
    assert_true(test_redis_says(&redis, "DEL " ALICE, ":1"));
    assert_verdict(STORE_USER, "alice", STORE_NOT_FOUND);
    fleets_end(&f, NULL);
}

struct counted {
    unsigned answers, strangers;
    struct store_question asked;
};

static void on_counted(void *ctx, const struct store_answer *answer)
{
    struct counted *c = ctx;
    c->answers++;
    c->strangers += answer->question.kind != c->asked.kind ||
                    answer->question.realm != c->asked.realm || answer->verdict != STORE_NOT_FOUND;
}

/* So many of one name that some of them share their place in the table of questions. */
static void test_redis_store_realms_and_kinds_share_no_answer(void **state)
{
    static struct counted of[1200];
    unsigned answers = 0;
    fleet_begin_at(&f, redis.port);
    linked_sleep(&l, 50);
    const struct store store = fleet_store(f.fleet);
    const uint64_t before = fleet_stats(f.fleet).sent;
    for (uint32_t i = 0; i < 1200; i++) {
        of[i] = (struct counted){.asked = {.kind = i % 2 ? STORE_USER : STORE_OAUTH_KEY,
                                     .realm = i / 2,
                                     .name_len = 3,
                                     .name = "bob"}};
        store.ask(store.ctx, &of[i].asked, slice_of_string("r"), on_counted, &of[i]);
    }
    assert_int_equal(fleet_stats(f.fleet).sent - before, 1200);
    for (unsigned turn = 0; answers < 1200 && turn < 100; turn++) {
        linked_sleep(&l, 20);
        answers = 0;
        for (size_t i = 0; i < 1200; i++)
            answers += of[i].answers;
    }
    for (size_t i = 0; i < 1200; i++) {
        assert_int_equal(of[i].answers, 1);
        assert_int_equal(of[i].strangers, 0);
    }
    fleets_end(&f, NULL);
}

static void test_redis_store_frozen_redis_is_unreachable_within_two_seconds(void **state)
{
    struct test_asked a[3];
    fleet_begin_at(&f, redis.port);
    set(ALICE, HEX32);
    test_redis_signal(&redis, SIGSTOP);
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &a[0]);
    linked_sleep(&l, 700);
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &a[1]); /* joins */
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("bob"), &a[2]);
    for (size_t i = 0; i < 3; i++) {
        assert_true(test_fleet_answered(&l, &a[i], 3000));
        assert_int_equal(a[i].answer.verdict, STORE_UNREACHABLE);
        assert_in_range(a[i].after_us, 100000, 2000000);
    }
    test_redis_signal(&redis, SIGCONT);
    assert_true(test_fleet_up(&f, &l, 2));
    assert_verdict(STORE_USER, "alice", STORE_FOUND);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(a[i].calls, 1);
    fleets_end(&f, NULL);
}

/* Answers trickle in, so that the link lives; this one comes too late. */
static void test_redis_store_late_answer_is_unreachable(void **state)
{
    struct test_asked a;
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    fleet_begin_at(&f, fake_redis_port(fake));
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &a);
    for (unsigned i = 0; i < 14 && a.calls == 0; i++) {
        fake_redis_say(fake, slice_of_string(i == 0 ? "*2\r\n" : i == 1 ? "$900\r\n" : "x"));
        linked_sleep(&l, 150);
    }
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.answer.verdict, STORE_UNREACHABLE);
    assert_in_range(a.after_us, 1000000, 2000000);
    fake_redis_free(fake);
    fleets_end(&f, NULL);
}

static void test_redis_store_redis_away_answers_with_the_next_turn(void **state)
{
    struct test_asked a[2];
    fleet_begin_at(&f, redis.port);
    test_redis_signal(&redis, SIGSTOP);
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &a[0]);
    linked_sleep(&l, 5);
    test_redis_kill(&redis);
    assert_true(test_fleet_answered(&l, &a[0], 1000));
    assert_int_equal(a[0].answer.verdict, STORE_UNREACHABLE);
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &a[1]);
    assert_true(test_fleet_answered(&l, &a[1], 1000));
    assert_int_equal(a[1].answer.verdict, STORE_UNREACHABLE);
    assert_in_range(a[1].after_us, 0, 100000);
    test_redis_restart(&redis);
    assert_true(test_fleet_up(&f, &l, 2));
    set(ALICE, HEX32);
    assert_verdict(STORE_USER, "alice", STORE_FOUND);
    fleets_end(&f, NULL);
}

static void test_redis_store_unwilling_server_is_unreachable(void **state)
{
    static const char *const answers[] = {"-LOADING Redis is loading the dataset in memory\r\n",
        "-NOPERM this user has no permissions\r\n", "-MASTERDOWN Link with MASTER is down\r\n",
        ":5\r\n", "*0\r\n", "+OK\r\n"};
    linked_loop(&l);
    struct fake_redis *fake = fake_redis_new(&l.loop);
    fleet_begin_at(&f, fake_redis_port(fake));
    linked_sleep(&l, 20);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct test_asked a;
        test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &a);
        while (a.calls == 0) { /* what is in flight before it is answered, too */
            fake_redis_say(fake, slice_of_string(answers[i]));
            linked_sleep(&l, 20);
        }
        assert_int_equal(a.answer.verdict, STORE_UNREACHABLE);
    }
    fake_redis_free(fake);
    fleets_end(&f, NULL);
}

static void test_redis_store_free_answers_what_is_asked(void **state)
{
    struct test_asked a[3];
    fleet_begin_at(&f, redis.port);
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &a[0]);
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("alice"), &a[1]);
    test_fleet_ask(&f, STORE_USER, 1, slice_of_string("user/x"), &a[2]); /* with the next turn */
    test_fleet_end(&f);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(a[i].calls, 1);
    assert_int_equal(a[0].answer.verdict, STORE_UNREACHABLE);
    assert_int_equal(a[1].answer.verdict, STORE_UNREACHABLE);
    linked_end(&l);
}

/* Runs Debian's turnadmin against the server; its log goes to a file whose name it prints. */
static void turnadmin(const char *arguments)
{
    char command[512], line[512];
    snprintf(command, sizeof(command),
        "turnadmin -N 'ip=127.0.0.1 dbname=0 port=%u' %s 2>&1 </dev/null", (unsigned)redis.port,
        arguments);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    while (fgets(line, sizeof(line), output)) {
        const char *opened = strstr(line, "log file opened: ");
        line[strcspn(line, "\n")] = '\0';
        if (opened)
            unlink(opened + strlen("log file opened: "));
    }
    const int status = pclose(output);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 127);
}

static void test_redis_store_reads_what_turnadmin_has_written(void **state)
{
    turnadmin("-a -u alice -r example.org -p secret");
    turnadmin("-a -u 'we/ird+name@x' -r example.org -p secret");
    turnadmin("-a -u gone -r example.org -p secret");
    turnadmin("-d -u gone -r example.org");
    turnadmin("-s first -r example.org");
    turnadmin("-s second -r example.org");
    turnadmin("-s not-mine -r other.example");
    fleet_begin_at(&f, redis.port);
    const struct test_asked a = test_fleet_question(&f, &l, STORE_USER, "alice");
    assert_int_equal(a.answer.verdict, STORE_FOUND);
    assert_int_equal(a.answer.u.user.len, 16);
    assert_int_equal(a.answer.u.user.bytes[0], 0x54);
    assert_int_equal(a.answer.u.user.bytes[15], 0xb2);
    assert_verdict(STORE_USER, "we/ird+name@x", STORE_FOUND);
    assert_verdict(STORE_USER, "gone", STORE_NOT_FOUND);
    assert_true(test_fleet_secrets(&f, &l, 1, 2000));
    assert_int_equal(f.secrets.count, 2);
    assert_memory_equal(f.secrets.list[0].data, "first", 6);
    assert_memory_equal(f.secrets.list[1].data, "second", 7);
    fleets_end(&f, NULL);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_redis_store_users_and_what_is_none, redis_reset),
        cmocka_unit_test_setup(test_redis_store_oauth_keys_belong_to_their_realm, redis_reset),
        cmocka_unit_test_setup(test_redis_store_equal_questions_are_asked_once, redis_reset),
        cmocka_unit_test_setup(test_redis_store_realms_and_kinds_share_no_answer, redis_reset),
        cmocka_unit_test_setup(
            test_redis_store_frozen_redis_is_unreachable_within_two_seconds, redis_reset),
        cmocka_unit_test_setup(test_redis_store_late_answer_is_unreachable, redis_reset),
        cmocka_unit_test_setup(test_redis_store_redis_away_answers_with_the_next_turn, redis_reset),
        cmocka_unit_test_setup(test_redis_store_unwilling_server_is_unreachable, redis_reset),
        cmocka_unit_test_setup(test_redis_store_free_answers_what_is_asked, redis_reset),
        cmocka_unit_test_setup(test_redis_store_reads_what_turnadmin_has_written, redis_reset),
    };
    return cmocka_run_group_tests(tests, redis_set_up, redis_tear_down);
}
