/* base/log: one event is one line whatever a client sends, and no file can hold up who logs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_format.h"

/* 2026-11-21T20:31:48.123Z */
#define WALL_MS 1795293108123ll

static char line[LOG_LINE_MAX + 1];

static const char *format_fields(enum log_format format, const struct log_field *fields, size_t n)
{
    struct log_line l = {LOG_INFO, format, WALL_MS, "event", fields, n};
    memset(line, '#', sizeof(line));
    size_t len = log_format_line(line, LOG_LINE_MAX, &l);
    assert_in_range(len, 1, LOG_LINE_MAX);
    assert_int_equal(line[LOG_LINE_MAX], '#');
    line[len] = '\0';
    /* Exactly one line, at its end. */
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    assert_int_equal(strlen(line), len);
    return line;
}

static void assert_value(enum log_format format, struct slice value, const char *expected)
{
    struct log_field f = log_bytes("user", value);
    const char *head = format == LOG_TEXT
                           ? "2026-11-21T20:31:48.123Z info event user="
                           : "{\"ts\":\"2026-11-21T20:31:48.123Z\",\"level\":\"info\","
                             "\"event\":\"event\",\"user\":";
    const char *got = format_fields(format, &f, 1);
    assert_memory_equal(got, head, strlen(head));
    char whole[LOG_LINE_MAX];
    snprintf(whole, sizeof(whole), "%s%s\n", expected, format == LOG_TEXT ? "" : "}");
    assert_string_equal(got + strlen(head), whole);
}

static void test_log_format_text_shows_each_kind(void **state)
{
    struct addr client = addr_ipv4(192, 0, 2, 1, 80);
    const struct log_field fields[] = {log_u64("id", UINT64_MAX), log_i64("delta", INT64_MIN),
        log_hex64("handle", 0xabc), log_addr("client", &client), log_addr("peer", NULL),
        log_bool("ok", true), log_bool("bad", false), log_str("user", "a b\n"),
        log_str("none", NULL), log_secret("password")};
    assert_string_equal(format_fields(LOG_TEXT, fields, 10),
        "2026-11-21T20:31:48.123Z info event id=18446744073709551615 delta=-9223372036854775808 "
        "handle=0000000000000abc client=192.0.2.1:80 peer=none ok=true bad=false user=\"a b\\n\" "
        "none=\"\" password=\"***\"\n");
}

static void test_log_format_json_shows_each_kind(void **state)
{
    struct addr client = {.family = ADDR_IPV6, .port = 80, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}};
    const struct log_field fields[] = {log_u64("id", 7), log_i64("delta", -7),
        log_hex64("handle", 0xabc), log_addr("client", &client), log_bool("ok", true),
        log_str("user", "alice")};
    assert_string_equal(format_fields(LOG_JSON, fields, 6),
        "{\"ts\":\"2026-11-21T20:31:48.123Z\",\"level\":\"info\",\"event\":\"event\",\"id\":7,"
        "\"delta\":-7,\"handle\":\"0000000000000abc\",\"client\":\"[2001:db8::1]:80\",\"ok\":true,"
        "\"user\":\"alice\"}\n");
    assert_string_equal(format_fields(LOG_JSON, NULL, 0),
        "{\"ts\":\"2026-11-21T20:31:48.123Z\",\"level\":\"info\",\"event\":\"event\"}\n");
}

static void test_log_format_hostile_values_are_escaped(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text, *json;
    } cases[] = {
        {"alice", 5, "alice", "\"alice\""},
        {"a-b_C.9:/@+[]", 13, "a-b_C.9:/@+[]", "\"a-b_C.9:/@+[]\""}, {"", 0, "\"\"", "\"\""},
        {"a=b", 3, "\"a=b\"", "\"a=b\""}, {"\r\n", 2, "\"\\r\\n\"", "\"\\r\\n\""},
        {"\x1b[2J", 4, "\"\\x1b[2J\"", "\"\\u001b[2J\""},
        {"a\0b", 3, "\"a\\x00b\"", "\"a\\u0000b\""}, {"%n%s%%", 6, "\"%n%s%%\"", "\"%n%s%%\""},
        {"\"\\", 2, "\"\\\"\\\\\"", "\"\\\"\\\\\""},
        {"\t\x7f", 2, "\"\\t\\x7f\"", "\"\\t\\u007f\""},
        {"J\xc3\xbcrgen", 7, "\"J\xc3\xbcrgen\"", "\"J\xc3\xbcrgen\""},
        {"\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""},
        {"\xff\xfe", 2, "\"\\xff\\xfe\"", "\"\\u00ff\\u00fe\""},
        {"\xc0\x8a", 2, "\"\\xc0\\x8a\"", "\"\\u00c0\\u008a\""},                 /* overlong LF */
        {"\xe0\x80\x8a", 3, "\"\\xe0\\x80\\x8a\"", "\"\\u00e0\\u0080\\u008a\""}, /* again */
        {"\xed\xa0\x80", 3, "\"\\xed\\xa0\\x80\"", "\"\\u00ed\\u00a0\\u0080\""}, /* a surrogate */
        {"\xf4\x90\x80\x80", 4, "\"\\xf4\\x90\\x80\\x80\"", "\"\\u00f4\\u0090\\u0080\\u0080\""},
        {"\xe2\x82", 2, "\"\\xe2\\x82\"", "\"\\u00e2\\u0082\""}, /* cut by its sender */
        {"\xc2\x85", 2, "\"\\u0085\"", "\"\\u0085\""},           /* next line */
        {"\xc2\x9b", 2, "\"\\u009b\"", "\"\\u009b\""},           /* a terminal's CSI */
        {"\xe2\x80\xa8", 3, "\"\\u2028\"", "\"\\u2028\""},       /* line separator */
        {"\xe2\x80\xae", 3, "\"\\u202e\"", "\"\\u202e\""},       /* right-to-left override */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice value = slice_of(cases[i].bytes, cases[i].len);
        assert_value(LOG_TEXT, value, cases[i].text);
        assert_value(LOG_JSON, value, cases[i].json);
    }
}

/* A name of the most bytes a USERNAME may have, each as bad as can be: fits, escaped, on one line.
 */
static void test_log_format_long_hostile_names_stay_one_line(void **state)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t name[508];
        memset(name, (int)byte, sizeof(name));
        struct log_field f = log_bytes("user", slice_of(name, sizeof(name)));
        for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
            const char *got = format_fields((enum log_format)format, &f, 1);
            for (const char *p = got; p[1] != '\0'; p++)
                assert_in_range((unsigned char)*p, 0x20, 0x7e);
        }
    }
}

/* Whether `s` is one JSON object of flat members, as far as this formatter can write them. */
static bool is_flat_json(const char *s)
{
    bool quoted = false;
    size_t len = strlen(s);
    if (len < 3 || s[0] != '{' || s[len - 2] != '}' || s[len - 1] != '\n')
        return false;
    for (size_t i = 1; i < len - 2; i++) {
        if (quoted && s[i] == '\\') {
            i++;
            if (!strchr("\"\\nrtu", s[i]) ||
                (s[i] == 'u' && strspn(s + i + 1, "0123456789abcdef") < 4))
                return false;
        } else if (s[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && (s[i] == '{' || s[i] == '}')) {
            return false;
        }
    }
    return !quoted;
}

static void test_log_format_overlong_line_is_cut_and_marked(void **state)
{
    static char value[4000];
    static const char *const fillers[] = {"x", "\n", "\xc3\xbc", "\x01", "\""};
    for (size_t f = 0; f < sizeof(fillers) / sizeof(fillers[0]); f++) {
        size_t unit = strlen(fillers[f]);
        for (size_t i = 0; i + unit <= sizeof(value); i += unit)
            memcpy(value + i, fillers[f], unit);
        for (size_t len = 0; len <= sizeof(value); len += unit) {
            if (len == 200)
                len = 300; /* nothing is near the limit in between */
            const struct log_field fields[] = {
                log_bytes("user", slice_of(value, len)), log_u64("id", 1234567), log_str("k", "v")};
            const char *got = format_fields(LOG_TEXT, fields, 3);
            const char *mark = strstr(got, " cut=true\n");
            assert_true((mark != NULL) == (strstr(got, " k=v\n") == NULL));
            got = format_fields(LOG_JSON, fields, 3);
            assert_true(is_flat_json(got));
            mark = strstr(got, ",\"cut\":true}\n");
            assert_true((mark != NULL) == (strstr(got, ",\"k\":\"v\"}\n") == NULL));
        }
        struct log_field alone = log_bytes("user", slice_of(value, sizeof(value)));
        assert_non_null(strstr(format_fields(LOG_TEXT, &alone, 1), " cut=true\n"));
        /* Cut where room ends, not long before. */
        assert_in_range(strlen(line), LOG_LINE_MAX - 16, LOG_LINE_MAX);
    }
}

static void test_log_format_time_is_utc_of_the_calendar(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000Z"}, {-5, "1970-01-01T00:00:00.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"}, {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"}, {1704067199999, "2023-12-31T23:59:59.999Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z"}, {4107542400000, "2100-03-01T00:00:00.000Z"},
        {4107456000000, "2100-02-28T00:00:00.000Z"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_line l = {LOG_ERROR, LOG_TEXT, cases[i].ms, "e", NULL, 0};
        size_t len = log_format_line(line, LOG_LINE_MAX, &l);
        line[len] = '\0';
        assert_memory_equal(line, cases[i].text, strlen(cases[i].text));
        assert_string_equal(line + strlen(cases[i].text), " error e\n");
    }
}

/* All that comes out of a pipe until its writers are gone or `cap` is reached. */
static size_t read_all(int fd, char *out, size_t cap)
{
    size_t len = 0;
    ssize_t n;
    while (len < cap && (n = read(fd, out + len, cap - len)) > 0)
        len += (size_t)n;
    return len;
}

static void make_pipe(int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

/* Fills the pipe to the last byte. */
static void fill_pipe(int fd)
{
    char block[4096];
    memset(block, '.', sizeof(block));
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, block, sizeof(block)) > 0 || write(fd, block, 1) > 0) {
    }
    assert_int_equal(errno, EAGAIN);
    fcntl(fd, F_SETFL, flags);
}

static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    while (readdir(tasks))
        count++;
    closedir(tasks);
    return count;
}

static void test_log_lines_arrive_in_order_and_by_level(void **state)
{
    int fds[2];
    char out[8192] = "";
    make_pipe(fds);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), -EALREADY);
    assert_true(log_enabled(LOG_INFO));
    assert_false(log_enabled(LOG_DEBUG));
    log_event(LOG_INFO, "first", log_u64("n", 1));
    log_event(LOG_DEBUG, "hidden", log_u64("n", 2));
    log_event(LOG_ERROR, "third");
    log_configure(LOG_DEBUG, LOG_JSON);
    log_event(LOG_DEBUG, "fourth", log_u64("n", 4));
    log_deinit();
    log_event(LOG_ERROR, "after_deinit");
    close(fds[1]);
    read_all(fds[0], out, sizeof(out) - 1);
    close(fds[0]);
    char *first = strstr(out, " info first n=1\n"), *third = strstr(out, " error third\n");
    char *fourth = strstr(out, "\"event\":\"fourth\",\"n\":4}\n");
    assert_true(first && third && fourth && first < third && third < fourth);
    assert_null(strstr(out, "hidden"));
    assert_null(strstr(out, "after_deinit"));
    assert_int_equal(log_lost(), 0);
}

/* No thread may be there before privileges are given up, and what is logged until then is kept. */
static void test_log_opened_has_no_thread_and_keeps_its_lines(void **state)
{
    for (int started = 0; started < 2; started++) {
        int fds[2];
        char out[8192] = "";
        make_pipe(fds);
        assert_int_equal(log_open(fds[1], LOG_INFO, LOG_TEXT), 0);
        assert_int_equal(log_open(fds[1], LOG_INFO, LOG_TEXT), -EALREADY);
        unsigned before = count_threads();
        log_event(LOG_INFO, "held", log_u64("n", 1));
        if (started) {
            assert_int_equal(log_start(), 0);
            assert_int_equal(count_threads(), before + 1);
        }
        log_deinit();
        close(fds[1]);
        read_all(fds[0], out, sizeof(out) - 1);
        close(fds[0]);
        assert_non_null(strstr(out, " info held n=1\n"));
        assert_int_equal(log_lost(), 0);
    }
}

static void test_log_deinit_twice_or_before_init_does_nothing(void **state)
{
    log_deinit();
    log_deinit();
    assert_false(log_enabled(LOG_ERROR));
    log_write(LOG_ERROR, "nobody_listens", NULL, 0);
    assert_int_equal(log_init(-1, LOG_INFO, LOG_TEXT), -EBADF);
}

#define FLOOD 3000

static void test_log_blocked_pipe_blocks_nobody_and_loses_are_counted(void **state)
{
    int fds[2];
    make_pipe(fds);
    fill_pipe(fds[1]);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    uint64_t start = clock_now().mono_us;
    for (unsigned i = 0; i < FLOOD; i++)
        log_event(LOG_INFO, "flood", log_u64("n", i));
    assert_true(clock_now().mono_us - start < US_PER_S);
    /* 1024 in the ring, at most one in the writer's hands. */
    uint64_t lost = log_lost();
    assert_in_range(lost, FLOOD - 1025, FLOOD - 1024);

    /* The pipe is read again: what is in the ring comes out, in order, and logging goes on. */
    static char out[1 << 20];
    size_t len = 0;
    bool resumed = false;
    while (!strstr(out, " resumed\n")) {
        struct pollfd readable = {.fd = fds[0], .events = POLLIN};
        assert_int_equal(poll(&readable, 1, 5000), 1);
        ssize_t n = read(fds[0], out + len, sizeof(out) - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
        if (!resumed && strstr(out, " n=1023\n")) {
            log_event(LOG_INFO, "resumed");
            resumed = true;
        }
    }
    const char *p = out;
    for (unsigned i = 0; i < 1024; i++) {
        char expected[64];
        snprintf(expected, sizeof(expected), " info flood n=%u\n", i);
        p = strstr(p, expected);
        assert_non_null(p);
    }
    assert_true(log_lost() == lost);
    log_deinit();
    close(fds[0]);
    close(fds[1]);
}

static void test_log_deinit_on_blocked_pipe_waits_a_second_at_most(void **state)
{
    int fds[2];
    make_pipe(fds);
    fill_pipe(fds[1]);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    log_event(LOG_INFO, "stuck");
    log_event(LOG_INFO, "stuck_too");
    uint64_t start = clock_now().mono_us;
    log_deinit();
    uint64_t took = clock_now().mono_us - start;
    assert_int_equal(log_lost(), 2);
    assert_true(took < 1300 * US_PER_MS);
    assert_true(took > 500 * US_PER_MS); /* it did try */
    close(fds[0]);
    close(fds[1]);

    /* What was given up does not come out of the next log. */
    char out[4096] = "";
    make_pipe(fds);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    log_event(LOG_INFO, "fresh");
    log_deinit();
    close(fds[1]);
    read_all(fds[0], out, sizeof(out) - 1);
    close(fds[0]);
    assert_non_null(strstr(out, "fresh"));
    assert_null(strstr(out, "stuck"));
}

static void test_log_closed_reader_is_counted_not_fatal(void **state)
{
    int fds[2];
    make_pipe(fds);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    close(fds[0]);
    for (int i = 0; i < 10; i++)
        log_event(LOG_INFO, "into_the_void");
    log_deinit(); /* SIGPIPE would have ended the test */
    assert_int_equal(log_lost(), 10);
    close(fds[1]);
}

static void test_log_nonblocking_file_loses_nothing(void **state)
{
    int fds[2];
    static char out[1 << 20];
    make_pipe(fds);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    char value[1500];
    memset(value, 'v', sizeof(value));
    size_t len = 0;
    for (unsigned i = 0; i < 200; i++)
        log_event(LOG_INFO, "long", log_bytes("value", slice_of(value, sizeof(value))));
    log_event(LOG_INFO, "end");
    while (!memmem(out, len, " end\n", 5)) {
        struct pollfd readable = {.fd = fds[0], .events = POLLIN};
        assert_int_equal(poll(&readable, 1, 5000), 1);
        len += (size_t)read(fds[0], out + len, sizeof(out) - len);
    }
    log_deinit();
    size_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += out[i] == '\n';
    assert_int_equal(lines, 201);
    assert_int_equal(log_lost(), 0);
    close(fds[0]);
    close(fds[1]);
}

#define THREADS 4
#define EACH    20000

static void *flood_thread(void *arg)
{
    uint64_t thread = (uint64_t)(uintptr_t)arg;
    for (uint64_t i = 0; i < EACH; i++)
        log_event(LOG_INFO, "from", log_u64("thread", thread), log_u64("n", i));
    return NULL;
}

struct reader {
    int fd;
    size_t lines, bad;
};

/* Counts whole lines and those that do not look like one of flood_thread's in rising order. */
static void *reader_thread(void *arg)
{
    struct reader *r = arg;
    uint64_t next[THREADS] = {0};
    char text[512];
    FILE *f = fdopen(r->fd, "r");
    while (f && fgets(text, sizeof(text), f)) {
        unsigned long long thread, n;
        int end = 0;
        r->lines++;
        if (sscanf(text, "%*s info from thread=%llu n=%llu%n", &thread, &n, &end) != 2 ||
            strcmp(text + end, "\n") != 0 || thread >= THREADS || n < next[thread])
            r->bad++;
        else
            next[thread] = n + 1;
    }
    if (f)
        fclose(f);
    return NULL;
}

static void test_log_many_threads_give_whole_lines_and_exact_losses(void **state)
{
    int fds[2];
    pthread_t threads[THREADS], reading;
    make_pipe(fds);
    struct reader r = {.fd = fds[0]};
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    assert_int_equal(pthread_create(&reading, NULL, reader_thread, &r), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flood_thread, (void *)i), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_deinit();
    close(fds[1]);
    pthread_join(reading, NULL);
    assert_int_equal(r.bad, 0);
    assert_int_equal(r.lines + log_lost(), THREADS * EACH);
    assert_true(r.lines >= 1024);
}

static void test_log_once_a_minute_lets_one_through(void **state)
{
    uint64_t last = 0, suppressed = 0;
    uint64_t start = 5 * US_PER_S;
    assert_true(log_once_a_minute(start, &last, &suppressed));
    assert_false(log_once_a_minute(start, &last, &suppressed));
    assert_false(log_once_a_minute(start + 60 * US_PER_S - 1, &last, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_true(log_once_a_minute(start + 60 * US_PER_S, &last, &suppressed));
    assert_int_equal(suppressed, 2);
    last = 0;
    assert_true(log_once_a_minute(0, &last, &suppressed));
    assert_false(log_once_a_minute(0, &last, &suppressed));
}

static void test_log_level_names_are_words(void **state)
{
    assert_string_equal(log_level_name(LOG_ERROR), "error");
    assert_string_equal(log_level_name(LOG_WARN), "warn");
    assert_string_equal(log_level_name(LOG_INFO), "info");
    assert_string_equal(log_level_name(LOG_DEBUG), "debug");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_format_text_shows_each_kind),
        cmocka_unit_test(test_log_format_json_shows_each_kind),
        cmocka_unit_test(test_log_format_hostile_values_are_escaped),
        cmocka_unit_test(test_log_format_long_hostile_names_stay_one_line),
        cmocka_unit_test(test_log_format_overlong_line_is_cut_and_marked),
        cmocka_unit_test(test_log_format_time_is_utc_of_the_calendar),
        cmocka_unit_test(test_log_deinit_twice_or_before_init_does_nothing),
        cmocka_unit_test(test_log_lines_arrive_in_order_and_by_level),
        cmocka_unit_test(test_log_opened_has_no_thread_and_keeps_its_lines),
        cmocka_unit_test(test_log_blocked_pipe_blocks_nobody_and_loses_are_counted),
        cmocka_unit_test(test_log_deinit_on_blocked_pipe_waits_a_second_at_most),
        cmocka_unit_test(test_log_closed_reader_is_counted_not_fatal),
        cmocka_unit_test(test_log_nonblocking_file_loses_nothing),
        cmocka_unit_test(test_log_many_threads_give_whole_lines_and_exact_losses),
        cmocka_unit_test(test_log_once_a_minute_lets_one_through),
        cmocka_unit_test(test_log_level_names_are_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
