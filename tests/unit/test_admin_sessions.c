/* POST /api/v1/sessions: what is asked of the daemon, and how a page of it becomes JSON, whatever
 * bytes are in its names. */
#include "tests/unit/admin_server.h"

#include <sys/ioctl.h>

#include "admin/answer.h"
#include "admin/json_answer.h"
#include "base/transport.h"
#include "srtp/srtp_settings.h"

#define SESSIONS "/api/v1/sessions"
#define BODY     "{\"media\": true}"

static struct {
    struct admin_sessions what; /* its texts are in f->asked */
    unsigned count;
    bool waits;
    int error;
    uint64_t next;
    struct session_page page;
} asked;

static void give(void)
{
    asked.what.found(asked.what.ctx, asked.error, asked.error ? NULL : &asked.page, asked.next);
}

static void fake_sessions(void *ctx, const struct admin_sessions *what)
{
    struct fixture *f = ctx;
    asked.what = *what;
    asked.count++;
    f->asked[0] = '\0';
    keep(f, what->realm);
    keep(f, what->user);
    if (!asked.waits)
        give();
}

static struct slice fake_realm_name(void *ctx, uint32_t realm)
{
    static char longest[ADMIN_REALM_MAX];
    memset(longest, '"', sizeof(longest));
    return realm == 0 ? slice_of_string("example.org") : slice_of(longest, sizeof(longest));
}

static int begin(void **state)
{
    memset(&asked, 0, sizeof(asked));
    if (set_up(state) != 0)
        return -1;
    struct fixture *f = *state;
    f->ops.sessions = fake_sessions;
    f->ops.realm_name = fake_realm_name;
    return 0;
}

/* alice, with a stream in each direction. */
static void fill_in(void)
{
    asked.page =
        (struct session_page){.now_us = 100 * US_PER_S, .media = true, .count = 1, .streams = 2};
    struct session_info *s = &asked.page.sessions[0];
    *s = (struct session_info){.id = 0x1a2,
        .user_len = 5,
        .user = "alice",
        .transport = TRANSPORT_TLS,
        .client = addr_ipv4(192, 0, 2, 7, 43278),
        .relayed = {addr_ipv4(203, 0, 113, 1, 49152)},
        .relayed_count = 2,
        .age_s = 60,
        .expires_s = 540,
        .packets_to_peer = 10,
        .bytes_to_peer = 1000,
        .packets_to_client = 20,
        .bytes_to_client = 2000,
        .permissions = 3,
        .channels = 1,
        .guard = SRTP_GUARD_VERIFY_REQUIRED,
        .keys = 2,
        .stream_count = 2,
        .streams_kept = 2,
        .untracked = 9};
    assert_int_equal(addr_parse(&s->relayed[1], "[2001:db8::1]:50000"), 0);
    asked.page.stream[0] = (struct srtp_stream){.ssrc = 0xfffffffe,
        .direction = SRTP_TO_PEER,
        .payload_type = 96,
        .packets = 101,
        .bytes = 9000,
        .rtcp_packets = 4,
        .expected = 110,
        .duplicates = 1,
        .late = 2,
        .resets = 1,
        .dropped = 5,
        .clock_rate = 90000,
        .jitter = 45,
        .last_us = 98500 * US_PER_MS};
    asked.page.stream[1] =
        (struct srtp_stream){.ssrc = 1, .direction = SRTP_TO_CLIENT, .last_us = 101 * US_PER_S};
}

static void test_post_sessions_page_is_shown_with_its_streams(void **state)
{
    fill_in();
    asked.next = 3ull << 32 | 17;
    const char *answer = post_json(*state, SESSIONS, BODY);
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_string_equal(strstr(answer, "\r\n\r\n") + 4,
        "{\"sessions\":[{\"id\":\"00000000000001a2\",\"realm\":\"example.org\",\"user\":\"alice\","
        "\"transport\":\"tls\",\"client\":\"192.0.2.7:43278\",\"relayed\":[\"203.0.113.1:49152\","
        "\"[2001:db8::1]:50000\"],\"age_s\":60,\"expires_s\":540,"
        "\"to_peer\":{\"packets\":10,\"bytes\":1000},\"to_client\":{\"packets\":20,\"bytes\":2000},"
        "\"permissions\":3,\"channels\":1,\"guard\":\"verify_required\",\"keys\":2,\"streams\":2,"
        "\"untracked\":9,\"media\":[{\"direction\":\"to_peer\",\"ssrc\":4294967294,"
        "\"payload_type\":96,\"packets\":101,\"bytes\":9000,\"rtcp_packets\":4,\"expected\":110,"
        "\"lost\":10,\"late\":2,\"duplicates\":1,\"resets\":1,\"dropped\":5,\"clock_rate\":90000,"
        "\"jitter_us\":500,\"seen_ms\":1500},{\"direction\":\"to_client\",\"ssrc\":1,"
        "\"payload_type\":0,\"packets\":0,\"bytes\":0,\"rtcp_packets\":0,\"expected\":0,"
        "\"lost\":0,\"late\":0,\"duplicates\":0,\"resets\":0,\"dropped\":0,\"clock_rate\":null,"
        "\"jitter_us\":null,\"seen_ms\":0}]}],\"next\":12884901905}\n");
    asked.page.media = false;
    asked.next = 0;
    answer = post_json(*state, SESSIONS, "{}");
    assert_null(strstr(answer, "\"media\""));
    assert_non_null(strstr(answer, "\"untracked\":9}],\"next\":null}\n"));
}

static void test_post_sessions_question_reaches_the_daemon(void **state)
{
    struct fixture *f = *state;
    assert_starts(post_json(f, SESSIONS, "{}"), "HTTP/1.1 200 ");
    assert_int_equal(asked.what.max, SESSIONS_PAGE_MAX);
    assert_true(asked.what.cursor == 0 && asked.what.id == 0 && !asked.what.media);
    assert_string_equal(f->asked, "[][]");
    assert_starts(post_json(f, SESSIONS,
                      "{\"cursor\": 12884901905, \"max\": 1, \"media\": true, "
                      "\"id\": \"ff000001deadbeef\", \"user\": \"a\\u00e9\", \"realm\": \"r\"}"),
        "HTTP/1.1 200 ");
    assert_int_equal(asked.what.cursor, 12884901905);
    assert_int_equal(asked.what.max, 1);
    assert_true(asked.what.media);
    assert_int_equal(asked.what.id, 0xff000001deadbeef);
    assert_string_equal(f->asked, "[r][a\xc3\xa9]");
    assert_false(asked.what.by_peer);
    assert_starts(post_json(f, SESSIONS,
                      "{\"realm\": \"r\", \"peer\": \"192.0.2.0/24\", \"older_s\": 60, "
                      "\"younger_s\": 4294967295}"),
        "HTTP/1.1 200 ");
    assert_string_equal(f->asked, "[r][]");
    assert_true(asked.what.by_peer && asked.what.peer.bits == 24);
    assert_true(asked.what.older_s == 60 && asked.what.younger_s == UINT32_MAX);
    assert_starts(post_json(f, SESSIONS, "{\"peer\": \"2001:db8::1\"}"), "HTTP/1.1 200 ");
    assert_int_equal(asked.what.peer.bits, 128);
    assert_int_equal(asked.what.peer.ip.family, ADDR_IPV6);
}

static void test_post_sessions_that_cannot_be_asked_for_are_refused(void **state)
{
    static const char *const bad[] = {"{\"cursor\": -1}", "{\"cursor\": \"0\"}", "{\"max\": 0}",
        "{\"max\": 101}", "{\"max\": 1.5}", "{\"media\": 1}", "{\"id\": 7}", "{\"id\": \"\"}",
        "{\"id\": \"0000000000000000\"}", "{\"id\": \"ff000001deadbee\"}",
        "{\"id\": \"FF000001DEADBEEF\"}", "{\"id\": \"ff000001deadbeef0\"}",
        "{\"id\": \"ff000001deadbeeg\"}", "{\"user\": 1}", "{\"realm\": 1}", "{\"peer\": \"\"}",
        "{\"peer\": \"192.0.2.1/24\"}", "{\"peer\": \"192.0.2.1:80\"}",
        "{\"peer\": \"192.0.2.0/33\"}", "{\"older_s\": 4294967296}", "{\"younger_s\": 0}",
        "{\"name\": \"canary\"}"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *answer = post_json(f, SESSIONS, bad[i]);
        if (strncmp(answer, "HTTP/1.1 422 ", 13) != 0)
            fail_msg("'%s' is taken", bad[i]);
        assert_null(strstr(answer, "canary"));
    }
    assert_starts(post_json(f, SESSIONS, "[]"), "HTTP/1.1 400 ");
    assert_int_equal(asked.count, 0);
}

static void test_post_sessions_that_the_daemon_refuses_says_why(void **state)
{
    static const struct {
        int error;
        const char *start, *says;
    } rows[] = {{-ENOENT, "HTTP/1.1 404 ", "no such realm"}, {-EINVAL, "HTTP/1.1 422 ", "cursor"},
        {-ETIMEDOUT, "HTTP/1.1 503 ", "worker"}, {-EBUSY, "HTTP/1.1 503 ", "others"},
        {-ENOMEM, "HTTP/1.1 503 ", "worker"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        asked.error = rows[i].error;
        const char *answer = post_json(*state, SESSIONS, "{}");
        assert_starts(answer, rows[i].start);
        assert_non_null(strstr(answer, rows[i].says));
    }
}

/* RFC 8259 section 8.1: "JSON text exchanged between systems that are not part of a closed
 * ecosystem MUST be encoded using UTF-8". */
static void test_post_sessions_names_of_any_bytes_are_utf8(void **state)
{
    static const struct {
        const char *user;
        uint16_t len;
        const char *shown;
    } rows[] = {
        {"\xff\x80z", 3, "\"user\":\"\xc3\xbf\xc2\x80z\""},
        {"\xc3\xa9\xc3", 3, "\"user\":\"\xc3\xa9\xc3\x83\""},
        {"a\0\"\\\x1b\n", 6, "\"user\":\"a\\u0000\\\"\\\\\\u001B\\n\""},
        {"\xed\xa0\x80", 3, "\"user\":\"\xc3\xad\xc2\xa0\xc2\x80\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fill_in();
        memcpy(asked.page.sessions[0].user, rows[i].user, rows[i].len);
        asked.page.sessions[0].user_len = rows[i].len;
        const char *answer = post_json(*state, SESSIONS, BODY);
        assert_starts(answer, "HTTP/1.1 200 ");
        if (!strstr(answer, rows[i].shown))
            fail_msg("no %s in %s", rows[i].shown, answer);
    }
    /* All 508 bytes of them. */
    fill_in();
    memset(asked.page.sessions[0].user, 0xff, SESSIONS_USER_MAX);
    asked.page.sessions[0].user_len = SESSIONS_USER_MAX;
    const char *user = strstr(post_json(*state, SESSIONS, BODY), "\"user\":\"") + 8;
    assert_int_equal(strchr(user, '"') - user, 2 * SESSIONS_USER_MAX);
}

/* Everything in it as long as it can be; the streams are the first one's. */
static void fill_longest(unsigned sessions, unsigned user_len, unsigned streams)
{
    struct session_page *page = &asked.page;
    struct addr longest;
    memset(&longest, 0xff, sizeof(longest));
    longest.family = ADDR_IPV6;
    memset(page, 0xff, sizeof(*page));
    page->media = true;
    page->now_us = UINT64_MAX;
    page->count = (uint16_t)sessions;
    page->streams = (uint16_t)streams;
    for (unsigned i = 0; i < sessions; i++) {
        struct session_info *s = &page->sessions[i];
        s->realm = 1;
        s->user_len = (uint16_t)user_len;
        memset(s->user, 1, sizeof(s->user));
        s->transport = TRANSPORT_DTLS;
        s->relayed_count = 2;
        s->client = s->relayed[0] = s->relayed[1] = longest;
        s->guard = SRTP_GUARD_VERIFY_REQUIRED;
        s->first_stream = 0;
        s->streams_kept = i == 0 ? streams : 0;
    }
    for (unsigned i = 0; i < streams; i++) {
        page->stream[i].direction = SRTP_TO_CLIENT;
        page->stream[i].duplicates = INT64_MAX;
        page->stream[i].clock_rate = 1;
        page->stream[i].last_us = 0;
    }
}

/* The body, all of which went to the socket before the client read any. */
static const char *longest_answer(struct fixture *f)
{
    int fd = join(f, true, true, 0), waiting = 0;
    const unsigned before = asked.count;
    say(fd, "POST " SESSIONS " HTTP/1.1\r\nContent-Type: application/json\r\n"
            "Content-Length: 15\r\n\r\n" BODY);
    run(f);
    assert_int_equal(asked.count, before + 1);
    give();
    run(f);
    assert_int_equal(ioctl(fd, FIONREAD, &waiting), 0);
    const char *answer = hear(f, fd), *body = strstr(answer, "\r\n\r\n") + 4;
    assert_starts(answer, "HTTP/1.1 200 ");
    assert_int_equal(strlen(answer), waiting);
    assert_string_equal(body + strlen(body) - 22, ":9223372036854775807}\n");
    return body;
}

/* relay/sessions.c ends a page by these bounds: none of them is too low, whatever it is made of. */
static void test_post_sessions_longest_page_fits_an_answer(void **state)
{
    static const struct {
        unsigned sessions, user_len, streams;
    } rows[] = {{SESSIONS_PAGE_MAX, 0, 0}, {1, 0, SESSIONS_STREAMS_MAX},
        {1, SESSIONS_USER_MAX, SESSIONS_STREAMS_MAX}, {56, SESSIONS_USER_MAX, 0},
        {33, SESSIONS_USER_MAX, SESSIONS_STREAMS_MAX}, {SESSIONS_PAGE_MAX, 110, 0}};
    struct fixture *f = *state;
    asked.next = INT64_MAX;
    asked.waits = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const size_t bound =
            rows[i].sessions * (SESSIONS_SESSION_TEXT + SESSIONS_BYTE_TEXT * rows[i].user_len) +
            rows[i].streams * SESSIONS_STREAM_TEXT;
        fill_longest(rows[i].sessions, rows[i].user_len, rows[i].streams);
        const size_t len = strlen(longest_answer(f));
        print_message("%zu bytes of %zu\n", len, bound);
        assert_in_range(bound, 1, SESSIONS_PAGE_TEXT_MAX + SESSIONS_STREAM_TEXT);
        assert_in_range(len, bound / 2, bound + 64);
    }
    assert_true(SESSIONS_PAGE_TEXT_MAX + 1024 < ADMIN_ANSWER_MAX);
}

static void test_post_sessions_of_a_client_that_left_are_dropped(void **state)
{
    struct fixture *f = *state;
    fill_in();
    asked.waits = true;
    int fd = join(f, true, true, 0);
    say(fd, "POST " SESSIONS " HTTP/1.1\r\nContent-Type: application/json\r\n"
            "Content-Length: 15\r\n\r\n" BODY);
    run(f);
    close(fd);
    run(f);
    assert_int_equal(asked.count, 1);
    give();
    asked.waits = false;
    assert_starts(post_json(f, SESSIONS, BODY), "HTTP/1.1 200 ");
}

#define SESSION_TEST(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(test_post_sessions_page_is_shown_with_its_streams),
        SESSION_TEST(test_post_sessions_question_reaches_the_daemon),
        SESSION_TEST(test_post_sessions_that_cannot_be_asked_for_are_refused),
        SESSION_TEST(test_post_sessions_that_the_daemon_refuses_says_why),
        SESSION_TEST(test_post_sessions_names_of_any_bytes_are_utf8),
        SESSION_TEST(test_post_sessions_longest_page_fits_an_answer),
        SESSION_TEST(test_post_sessions_of_a_client_that_left_are_dropped),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
