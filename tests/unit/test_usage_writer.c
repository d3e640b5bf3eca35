/* The thread that writes usage records down: what control says, a disk that is full, and the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/usage_writer.h"

#define PATIENCE_US   (10 * US_PER_S)
#define END_US        (200 * US_PER_MS)
#define RING_ROOM     1024u /* of both workers */
#define USAGE_ID_TEXT 64

struct fixture {
    _Alignas(64) struct counters counters;
    struct usage_writer *writer;
    char folder[64], path[128], other[128];
    struct usage_settings settings;
    struct auth_realm_settings realms[2];
    struct auth_settings auth;
    uint32_t put;
};

static int set_up(void **state)
{
    static char names[2][16] = {"example.org", "example.net"};
    struct fixture *f = NULL;
    if (posix_memalign((void **)&f, 64, sizeof(*f)) != 0)
        return -1;
    memset(f, 0, sizeof(*f));
    snprintf(f->folder, sizeof(f->folder), "/tmp/usage-writer-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/a", f->folder);
    snprintf(f->other, sizeof(f->other), "%s/b", f->folder);
    f->settings.file = f->path;
    f->realms[0].name = names[0];
    f->realms[1].name = names[1];
    f->auth = (struct auth_settings){.realms = f->realms, .realm_count = 1};
    f->writer = usage_writer_new(2, &f->counters, random_system());
    *state = f;
    return f->writer ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    usage_writer_end(f->writer, PATIENCE_US);
    usage_writer_free(f->writer);
    unlink(f->path);
    unlink(f->other);
    rmdir(f->folder);
    free(f);
    return 0;
}

static void start(struct fixture *f)
{
    char error[256];
    assert_int_equal(
        usage_writer_start(f->writer, &f->settings, &f->auth, error, sizeof(error)), 0);
}

/* The thread looks by itself too, but five times a second only. */
static void hurry(struct fixture *f, unsigned ms)
{
    (void)usage_writer_hurry(f->writer);
    usleep(ms * 1000);
}

/* One record more, of a realm; false: the ring is full. */
static bool put(struct fixture *f, unsigned worker, uint32_t realm)
{
    const struct usage_record r = {.kind = USAGE_END,
        .realm = realm,
        .sequence = f->put + 1,
        .allocation = 7,
        .delta = {.bytes_to_peer = 1},
        .total = {.bytes_to_peer = 1}};
    const bool ok = usage_ring_put(usage_writer_ring(f->writer, worker), &r);
    f->put += ok;
    return ok;
}

static const char *text_of(const char *path)
{
    static char text[1 << 21];
    FILE *in = fopen(path, "r");
    const size_t len = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
    if (in)
        fclose(in);
    text[len] = '\0';
    return text;
}

static unsigned lines_of(const char *path)
{
    unsigned lines = 0;
    for (const char *p = text_of(path); *p; p++)
        lines += *p == '\n';
    return lines;
}

static void wait_for_lines(struct fixture *f, const char *path, unsigned lines)
{
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    while (lines_of(path) < lines && clock_now().mono_us < by)
        hurry(f, 2);
    assert_int_equal(lines_of(path), lines);
}

static void wait_for_file(struct fixture *f, const char *path)
{
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    while (access(path, F_OK) != 0 && clock_now().mono_us < by)
        hurry(f, 2);
    assert_int_equal(access(path, F_OK), 0);
}

/* Until there is no room anywhere: not before `least` are in, and then nowhere for a while. */
static void put_until_full(struct fixture *f, uint32_t least)
{
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    for (unsigned quiet = 0; quiet < 20 && clock_now().mono_us < by; quiet += f->put >= least) {
        while (f->put < 50000 && (put(f, 0, 0) || put(f, 1, 0)))
            quiet = 0;
        assert_true(f->put < 50000);
        hurry(f, 2);
    }
    assert_true(f->put >= least);
}

static uint64_t counted(struct fixture *f, enum metric m)
{
    usage_writer_tick(f->writer, NULL, NULL, 0);
    return atomic_load(&f->counters.metric[m]);
}

static void test_usage_writer_takes_from_all_workers(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_true(put(f, 0, 0) && put(f, 1, 0) && put(f, 0, 0));
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    while (lines_of(f->path) < 3 && clock_now().mono_us < by)
        usleep(2000); /* nobody hurries it */
    assert_int_equal(lines_of(f->path), 3);
    assert_non_null(strstr(text_of(f->path), "\"realm\":\"example.org\""));
    assert_int_equal(counted(f, METRIC_USAGE_WRITTEN), 3);
    assert_int_equal(counted(f, METRIC_USAGE_FAILURES), 0);
}

static void test_usage_writer_without_a_file_lets_everything_go(void **state)
{
    struct fixture *f = *state;
    f->settings.file = NULL;
    start(f);
    while (put(f, 0, 0)) {
    }
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    while (!put(f, 0, 0) && clock_now().mono_us < by)
        hurry(f, 2);
    assert_true(clock_now().mono_us < by);
    assert_int_equal(counted(f, METRIC_USAGE_WRITTEN), 0);
}

static void test_usage_writer_follows_the_configuration(void **state)
{
    struct fixture *f = *state;
    start(f);
    put(f, 0, 0);
    wait_for_lines(f, f->path, 1);
    f->settings.file = f->other;
    f->auth.realm_count = 2;
    usage_writer_configure(f->writer, &f->settings, &f->auth);
    wait_for_file(f, f->other);
    put(f, 0, 1);
    wait_for_lines(f, f->other, 1);
    assert_non_null(strstr(text_of(f->other), "\"realm\":\"example.net\""));
    assert_int_equal(lines_of(f->path), 1);
}

static void test_usage_writer_opens_a_moved_file_again(void **state)
{
    struct fixture *f = *state;
    start(f);
    put(f, 0, 0);
    wait_for_lines(f, f->path, 1);
    assert_int_equal(rename(f->path, f->other), 0);
    usage_writer_reopen(f->writer);
    wait_for_file(f, f->path);
    put(f, 0, 0);
    wait_for_lines(f, f->path, 1);
    assert_int_equal(lines_of(f->other), 1);
}

static void test_usage_writer_full_disk_loses_nothing_that_there_was_room_for(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(symlink("/dev/full", f->path), 0);
    start(f);
    /* Its memory and both rings. */
    put_until_full(f, RING_ROOM + 1);
    assert_true(counted(f, METRIC_USAGE_FAILURES) > 0);
    assert_int_equal(counted(f, METRIC_USAGE_WRITTEN), 0);
    f->settings.file = f->other;
    usage_writer_configure(f->writer, &f->settings, &f->auth);
    wait_for_lines(f, f->other, f->put);
    /* Counted when they are there. */
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    while (counted(f, METRIC_USAGE_WRITTEN) < f->put && clock_now().mono_us < by)
        hurry(f, 2);
    assert_int_equal(counted(f, METRIC_USAGE_WRITTEN), f->put);
}

/* Reads what there is; whether `expected` has come by now. */
static bool has_said(int fd, const char *expected)
{
    static char said[4096];
    static size_t len;
    const ssize_t n = read(fd, said + len, sizeof(said) - 1 - len);
    len += n > 0 ? (size_t)n : 0;
    said[len] = '\0';
    return strstr(said, expected) != NULL;
}

static void test_usage_writer_names_the_file_that_is_written_again(void **state)
{
    struct fixture *f = *state;
    char expected[256], nowhere[256], rest[4096];
    int fds[2];
    /* A terminal that nobody reads is full after a few pages. */
    const int reader = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(reader >= 0 && grantpt(reader) == 0 && unlockpt(reader) == 0);
    assert_int_equal(symlink(ptsname(reader), f->path), 0);
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    assert_int_equal(log_init(fds[1], LOG_INFO, LOG_TEXT), 0);
    start(f);
    put_until_full(f, RING_ROOM + 1);
    assert_true(counted(f, METRIC_USAGE_FAILURES) > 0);
    /* Not the one that was configured in between and cannot be had. */
    snprintf(nowhere, sizeof(nowhere), "%s/c/d", f->folder);
    f->settings.file = nowhere;
    usage_writer_configure(f->writer, &f->settings, &f->auth);
    snprintf(expected, sizeof(expected), "usage_written_again file=%s\n", f->path);
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    while (!has_said(fds[0], expected) && clock_now().mono_us < by) {
        while (read(reader, rest, sizeof(rest)) > 0) {
        }
        hurry(f, 2);
    }
    assert_true(has_said(fds[0], expected));
    assert_true(has_said(fds[0], "usage_file_not_opened"));
    usage_writer_end(f->writer, PATIENCE_US);
    log_deinit();
    close(reader);
    close(fds[0]);
    close(fds[1]);
}

struct sends {
    unsigned count, most; /* -EAGAIN behind `most` */
    uint32_t max;
    char ids[64][USAGE_ID_TEXT], record[256];
};

static int fake_send(void *ctx, struct slice id, struct slice record, uint32_t max)
{
    struct sends *s = ctx;
    if (s->count == s->most)
        return -EAGAIN;
    snprintf(s->ids[s->count++], USAGE_ID_TEXT, "%.*s", (int)id.len, (const char *)id.data);
    snprintf(s->record, sizeof(s->record), "%.*s", (int)record.len, (const char *)record.data);
    s->max = max;
    assert_null(memchr(record.data, '\n', record.len));
    return 0;
}

/* Until so many have been sent. */
static void wait_for_sends(struct fixture *f, struct sends *s, unsigned count)
{
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    while (s->count < count && clock_now().mono_us < by) {
        usage_writer_tick(f->writer, fake_send, s, s->count);
        hurry(f, 2);
    }
    assert_int_equal(s->count, count);
}

static void test_usage_writer_lines_for_redis_wait_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct sends sends = {.most = 3};
    f->settings.redis = true;
    f->settings.redis_max = 4711;
    start(f);
    for (unsigned i = 0; i < 10; i++)
        assert_true(put(f, 0, 0));
    wait_for_sends(f, &sends, 3);
    sends.most = 64;
    wait_for_sends(f, &sends, 10);
    assert_int_equal(sends.max, 4711);
    for (unsigned i = 0; i < 10; i++) {
        char end[32];
        snprintf(end, sizeof(end), "-0000000000000007-%u", i + 1);
        assert_non_null(strstr(sends.ids[i], end));
    }
    assert_non_null(strstr(sends.record, sends.ids[9]));
    wait_for_lines(f, f->path, 10);
    usage_writer_tick(f->writer, fake_send, &sends, sends.count);
    assert_int_equal(atomic_load(&f->counters.metric[METRIC_USAGE_SENT]), 10);
    f->settings.redis = false;
    usage_writer_configure(f->writer, &f->settings, &f->auth);
    hurry(f, 50);
    put(f, 0, 0);
    wait_for_lines(f, f->path, 11);
    usage_writer_tick(f->writer, fake_send, &sends, sends.count);
    assert_int_equal(sends.count, 10);
}

static int count_sent(void *ctx, struct slice id, struct slice record, uint32_t max)
{
    ++*(uint32_t *)ctx;
    return 0;
}

static void test_usage_writer_without_a_file_nothing_is_dropped_for_redis(void **state)
{
    struct fixture *f = *state;
    f->settings.file = NULL;
    f->settings.redis = true;
    start(f);
    put_until_full(f, USAGE_LINES_MAX + RING_ROOM);
    assert_int_equal(f->put, USAGE_LINES_MAX + RING_ROOM);
    const uint64_t by = clock_now().mono_us + PATIENCE_US;
    uint32_t sent = 0;
    while (usage_writer_hurry(f->writer) > 0 && clock_now().mono_us < by)
        usage_writer_tick(f->writer, count_sent, &sent, 0);
    assert_int_equal(sent, f->put);
    assert_int_equal(counted(f, METRIC_USAGE_NOT_SENT), 0);
}

static void test_usage_writer_end_writes_everything(void **state)
{
    struct fixture *f = *state;
    start(f);
    while (put(f, 0, 0) || put(f, 1, 0)) {
    }
    usage_writer_end(f->writer, PATIENCE_US);
    assert_int_equal(lines_of(f->path), f->put);
}

static void test_usage_writer_end_does_not_wait_for_a_full_disk(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(symlink("/dev/full", f->path), 0);
    start(f);
    put(f, 0, 0);
    const uint64_t since = clock_now().mono_us;
    usage_writer_end(f->writer, END_US);
    assert_in_range(clock_now().mono_us - since, END_US / 2, END_US + US_PER_S);
}

static void test_usage_writer_file_that_cannot_be_had_is_said(void **state)
{
    struct fixture *f = *state;
    char error[256], nowhere[256];
    snprintf(nowhere, sizeof(nowhere), "%s/c/d", f->folder);
    f->settings.file = nowhere;
    assert_int_equal(usage_writer_check(&f->settings, error, sizeof(error)), -ENOENT);
    assert_non_null(strstr(error, "usage.file "));
    assert_non_null(strstr(error, "No such file"));
    error[0] = '\0';
    assert_int_equal(
        usage_writer_start(f->writer, &f->settings, &f->auth, error, sizeof(error)), -ENOENT);
    assert_non_null(strstr(error, "usage.file "));
    f->settings.file = NULL;
    assert_int_equal(usage_writer_check(&f->settings, error, sizeof(error)), 0);
}

#define WRITER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WRITER(test_usage_writer_takes_from_all_workers),
        WRITER(test_usage_writer_without_a_file_lets_everything_go),
        WRITER(test_usage_writer_follows_the_configuration),
        WRITER(test_usage_writer_opens_a_moved_file_again),
        WRITER(test_usage_writer_full_disk_loses_nothing_that_there_was_room_for),
        WRITER(test_usage_writer_names_the_file_that_is_written_again),
        WRITER(test_usage_writer_lines_for_redis_wait_in_their_order),
        WRITER(test_usage_writer_without_a_file_nothing_is_dropped_for_redis),
        WRITER(test_usage_writer_end_writes_everything),
        WRITER(test_usage_writer_end_does_not_wait_for_a_full_disk),
        WRITER(test_usage_writer_file_that_cannot_be_had_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
