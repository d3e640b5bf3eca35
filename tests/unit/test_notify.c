/* What the service manager is told, over sockets by path and by abstract name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/notify.h"

struct fixture {
    char folder[64], path[108];
    int manager;
    struct notify notify;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f) {
        return -1;
    }
    snprintf(f->folder, sizeof(f->folder), "/tmp/turnpike-notify-XXXXXX");
    f->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    f->notify.fd = -1;
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return f->manager >= 0 && mkdtemp(f->folder) ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    notify_deinit(&f->notify);
    close(f->manager);
    unlink(f->path);
    rmdir(f->folder);
    free(f);
    return 0;
}

/* The manager's socket, by path, in the environment. */
static void listen_by_path(struct fixture *f)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(f->path, sizeof(f->path), "%s/s", f->folder);
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", f->path);
    assert_int_equal(bind(f->manager, (struct sockaddr *)&sa, sizeof(sa)), 0);
    setenv("NOTIFY_SOCKET", f->path, 1);
}

/* What was said, or "" if nothing. */
static const char *heard(struct fixture *f)
{
    static char text[2048];
    ssize_t len = recv(f->manager, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static void test_notify_path_is_told_with_status(void **state)
{
    struct fixture *f = *state;
    listen_by_path(f);
    assert_int_equal(notify_init(&f->notify), 0);
    notify_state(&f->notify, "READY=1", "two\nlines\tand more");
    assert_string_equal(heard(f), "READY=1\nSTATUS=two lines and more");
    notify_state(&f->notify, "STOPPING=1", NULL);
    assert_string_equal(heard(f), "STOPPING=1\n");
    notify_status(&f->notify, "busy");
    assert_string_equal(heard(f), "STATUS=busy");
    notify_alive(&f->notify);
    assert_string_equal(heard(f), "WATCHDOG=1\n");
    notify_retry(&f->notify);
    assert_string_equal(heard(f), "");
}

static void test_notify_abstract_name_is_told(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char name[64];
    int len = snprintf(name, sizeof(name), "@turnpike-notify-%d", (int)getpid());
    memcpy(sa.sun_path, name, (size_t)len);
    sa.sun_path[0] = '\0';
    const socklen_t sa_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
    assert_int_equal(bind(f->manager, (struct sockaddr *)&sa, sa_len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(notify_init(&f->notify), 0);
    notify_state(&f->notify, "READY=1", NULL);
    assert_string_equal(heard(f), "READY=1\n");
}

static void test_notify_environment_is_taken(void **state)
{
    struct fixture *f = *state;
    char pid[16];
    listen_by_path(f);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_USEC", "30000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(notify_init(&f->notify), 0);
    assert_true(f->notify.watchdog_us == 30000000);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
}

static void test_notify_watchdog_of_another_process_is_none(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[][2] = {{"30000000", "1"}, {"", NULL}, {"-1", NULL},
        {"30s", NULL}, {"99999999999999999999999", NULL}};
    listen_by_path(f);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv("NOTIFY_SOCKET", f->path, 1);
        setenv("WATCHDOG_USEC", wrong[i][0], 1);
        if (wrong[i][1]) {
            setenv("WATCHDOG_PID", wrong[i][1], 1);
        }
        assert_int_equal(notify_init(&f->notify), 0);
        assert_true(f->notify.watchdog_us == 0);
        notify_deinit(&f->notify);
    }
}

static void test_notify_without_manager_says_nothing(void **state)
{
    struct fixture *f = *state;
    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(notify_init(&f->notify), 0);
    assert_true(f->notify.watchdog_us == 0);
    notify_state(&f->notify, "READY=1", NULL);
    assert_false(f->notify.owed);
}

static void test_notify_unusable_name_is_refused(void **state)
{
    struct fixture *f = *state;
    char longer[200];
    memset(longer, 'a', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    const char *const names[] = {"vsock:2:1", "relative", "@", "/", longer};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(notify_init(&f->notify), -EINVAL);
        assert_int_equal(f->notify.fd, -1);
        assert_null(getenv("NOTIFY_SOCKET"));
    }
}

/* A manager that does not read: nothing waits, and the latest state is said as soon as it does. */
static void test_notify_full_socket_owes_the_latest_state(void **state)
{
    struct fixture *f = *state;
    listen_by_path(f);
    assert_int_equal(notify_init(&f->notify), 0);
    for (int i = 0; i < 10000 && !f->notify.refused; i++) {
        notify_alive(&f->notify);
    }
    assert_true(f->notify.refused);
    notify_state(&f->notify, "RELOADING=1\nMONOTONIC_USEC=1", NULL);
    notify_state(&f->notify, "READY=1", NULL);
    assert_true(f->notify.owed);
    while (strcmp(heard(f), "WATCHDOG=1\n") == 0) {
    }
    notify_retry(&f->notify);
    assert_string_equal(heard(f), "READY=1\n");
    assert_false(f->notify.owed);
    notify_retry(&f->notify);
    assert_string_equal(heard(f), "");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_notify_path_is_told_with_status),
        CASE(test_notify_abstract_name_is_told),
        CASE(test_notify_environment_is_taken),
        CASE(test_notify_watchdog_of_another_process_is_none),
        CASE(test_notify_without_manager_says_nothing),
        CASE(test_notify_unusable_name_is_refused),
        CASE(test_notify_full_socket_owes_the_latest_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
