/* The file of usage records: whole lines, over a disk that is full, a file that is moved away and a
 * process that was killed within a line. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/usage_file.h"

struct fixture {
    struct usage_file *file;
    char folder[64], path[128], other[128];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->folder, sizeof(f->folder), "/tmp/usage-file-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/a", f->folder);
    snprintf(f->other, sizeof(f->other), "%s/b", f->folder);
    f->file = usage_file_new();
    *state = f;
    return f->file ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    usage_file_free(f->file);
    unlink(f->path);
    unlink(f->other);
    rmdir(f->folder);
    free(f);
    return 0;
}

static const char *text_of(const char *path)
{
    static char text[1 << 20];
    FILE *in = fopen(path, "r");
    size_t len = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
    if (in)
        fclose(in);
    text[len] = '\0';
    return text;
}

static void put_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static void add(struct fixture *f, const char *line)
{
    assert_true(usage_file_add(f->file, line, strlen(line)));
}

/* As a disk with so many bytes on it. */
static void limit(rlim_t bytes)
{
    const struct rlimit l = {bytes, RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void test_usage_file_lines_are_appended(void **state)
{
    struct fixture *f = *state;
    struct stat s;
    put_text(f->path, "before\n");
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    add(f, "one\n");
    add(f, "two\n");
    assert_int_equal(usage_file_waiting(f->file), 2);
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->path), "before\none\ntwo\n");
    assert_true(usage_file_waiting(f->file) == 0 && usage_file_written(f->file) == 2);
    assert_int_equal(usage_file_open(f->file, f->other), 0);
    assert_int_equal(stat(f->other, &s), 0);
    assert_int_equal(s.st_mode & 0137, 0);
}

static void test_usage_file_moved_away_goes_on_in_the_next(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    add(f, "one\n");
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_int_equal(rename(f->path, f->other), 0);
    add(f, "two\n");
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->other), "one\ntwo\n");
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    add(f, "three\n");
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->path), "three\n");
}

static void test_usage_file_that_cannot_be_opened_leaves_the_one_before(void **state)
{
    struct fixture *f = *state;
    char nowhere[256];
    snprintf(nowhere, sizeof(nowhere), "%s/c/d", f->folder);
    assert_int_equal(usage_file_open(f->file, nowhere), -ENOENT);
    assert_false(usage_file_is_open(f->file));
    add(f, "one\n");
    assert_int_equal(usage_file_flush(f->file), -EBADF);
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    assert_int_equal(usage_file_open(f->file, f->folder), -EISDIR);
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->path), "one\n");
}

static void test_usage_file_full_disk_cuts_no_line(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    add(f, "one\n");
    add(f, "two two two\n");
    add(f, "three\n");
    limit(9);
    assert_int_equal(usage_file_flush(f->file), -EFBIG);
    assert_string_equal(text_of(f->path), "one\ntwo t");
    assert_true(usage_file_written(f->file) == 1 && usage_file_waiting(f->file) == 2);
    assert_int_equal(usage_file_flush(f->file), -EFBIG);
    limit(10);
    assert_int_equal(usage_file_flush(f->file), -EFBIG);
    /* The same file again: the line goes on where it was. */
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    limit(RLIM_INFINITY);
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->path), "one\ntwo two two\nthree\n");
    assert_int_equal(usage_file_written(f->file), 3);
}

static void test_usage_file_torn_line_comes_whole_in_the_next_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    add(f, "one\n");
    add(f, "two two two\n");
    limit(9);
    assert_int_equal(usage_file_flush(f->file), -EFBIG);
    assert_int_equal(usage_file_open(f->file, f->other), 0);
    limit(RLIM_INFINITY);
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->other), "two two two\n");
    /* Back to the first, which ends within a line. */
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    add(f, "three\n");
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->path), "one\ntwo t\nthree\n");
}

static void test_usage_file_of_a_killed_process_gets_its_newline(void **state)
{
    struct fixture *f = *state;
    put_text(f->path, "one\ntw");
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->path), "one\ntw");
    add(f, "three\n");
    limit(6);
    assert_int_equal(usage_file_flush(f->file), -EFBIG);
    limit(RLIM_INFINITY);
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_string_equal(text_of(f->path), "one\ntw\nthree\n");
}

static void test_usage_file_full_device_keeps_lines_as_long_as_there_is_room(void **state)
{
    struct fixture *f = *state;
    char line[1024];
    unsigned added = 0;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    assert_int_equal(usage_file_open(f->file, "/dev/full"), 0);
    while (usage_file_add(f->file, line, sizeof(line)))
        added++;
    assert_int_equal(added, USAGE_FILE_ROOM / sizeof(line));
    assert_int_equal(usage_file_flush(f->file), -ENOSPC);
    assert_int_equal(usage_file_waiting(f->file), added);
    assert_int_equal(usage_file_open(f->file, f->path), 0);
    assert_int_equal(usage_file_flush(f->file), 0);
    assert_int_equal(strlen(text_of(f->path)), added * sizeof(line));
    assert_true(usage_file_add(f->file, line, sizeof(line)));
    /* None any more. */
    assert_int_equal(usage_file_open(f->file, NULL), 0);
    assert_int_equal(usage_file_waiting(f->file), 0);
    assert_int_equal(usage_file_flush(f->file), 0);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Nobody may read a pipe, a socket does not open, and a folder has no lines. */
static void test_usage_file_that_is_no_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char pipe[sizeof(f->path) + 2];
    snprintf(pipe, sizeof(pipe), "%s-p", f->path);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    const int reader = open(pipe, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(usage_file_open(f->file, pipe), -EINVAL);
    assert_int_equal(usage_file_open(f->file, "/tmp"), -EISDIR);
    assert_false(usage_file_is_open(f->file));
    assert_non_null(strstr(usage_file_error(pipe, -EINVAL), "a regular file"));
    assert_non_null(strstr(usage_file_error("/tmp", -EISDIR), "a regular file"));
    assert_int_equal(usage_file_open(f->file, "/dev/null"), 0);
    close(reader);
    unlink(pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_usage_file_lines_are_appended),
        FILE_TEST(test_usage_file_moved_away_goes_on_in_the_next),
        FILE_TEST(test_usage_file_that_cannot_be_opened_leaves_the_one_before),
        FILE_TEST(test_usage_file_full_disk_cuts_no_line),
        FILE_TEST(test_usage_file_torn_line_comes_whole_in_the_next_file),
        FILE_TEST(test_usage_file_of_a_killed_process_gets_its_newline),
        FILE_TEST(test_usage_file_full_device_keeps_lines_as_long_as_there_is_room),
        FILE_TEST(test_usage_file_that_is_no_file_is_refused),
    };
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
