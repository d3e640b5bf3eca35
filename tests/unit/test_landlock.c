/*
 * daemon/landlock: what can be opened, made and removed where, tried in children. A kernel without
 * Landlock refuses to enter, and that is said.
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/landlock.h"

#define NO_LANDLOCK 77

static char top[] = "/tmp/turnpike-landlock-XXXXXX";
static char in_read[80], in_write[80], in_socket[80], outside[80];

static int set_up(void **state)
{
    if (!mkdtemp(top) || chdir(top) != 0)
        return -1;
    const char *folders[] = {"read", "write", "socket", "outside"};
    char *files[] = {in_read, in_write, in_socket, outside};
    for (unsigned i = 0; i < 4; i++) {
        char folder[64];
        snprintf(folder, sizeof(folder), "%s/%s", top, folders[i]);
        snprintf(files[i], 80, "%s/file", folder);
        if (mkdir(folder, 0700) != 0)
            return -1;
        int fd = open(files[i], O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || close(fd) != 0)
            return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", top);
    return chdir("/") == 0 ? system(command) : -1;
}

/* The errno of `act` within the places, 0 if it worked. */
static int tried(int (*act)(void))
{
    char read_folder[64], write_folder[64], socket_folder[64];
    snprintf(read_folder, sizeof(read_folder), "%s/read", top);
    snprintf(write_folder, sizeof(write_folder), "%s/write", top);
    snprintf(socket_folder, sizeof(socket_folder), "%s/socket", top);
    const struct landlock_place places[] = {{read_folder, LANDLOCK_READ},
        {"/dev/null", LANDLOCK_READ}, {"/nowhere/at/all", LANDLOCK_READ},
        {write_folder, LANDLOCK_WRITE}, {socket_folder, LANDLOCK_SOCKET}, {0}};
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || landlock_enter(places) < 1)
            _exit(NO_LANDLOCK);
        _exit(act() < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int read_there(void)
{
    return open(in_read, O_RDONLY) < 0 || open("/dev/null", O_RDONLY) < 0 ? -1 : 0;
}

static int write_there(void)
{
    return open(in_read, O_WRONLY);
}

static int remove_there(void)
{
    return unlink(in_read);
}

static void test_landlock_of_a_folder_to_read_nothing_is_written(void **state)
{
    assert_int_equal(tried(read_there), 0);
    assert_int_equal(tried(write_there), EACCES);
    assert_int_equal(tried(remove_there), EACCES);
}

static int read_shadow(void)
{
    return open("/etc/shadow", O_RDONLY);
}

static int read_outside(void)
{
    return open(outside, O_RDONLY);
}

static int list_outside(void)
{
    return open(top, O_RDONLY | O_DIRECTORY);
}

static int make_outside(void)
{
    char path[80];
    snprintf(path, sizeof(path), "%s/new", top);
    return open(path, O_WRONLY | O_CREAT, 0600);
}

static void test_landlock_outside_nothing_is_opened(void **state)
{
    assert_int_equal(tried(read_shadow), EACCES);
    assert_int_equal(tried(read_outside), EACCES);
    assert_int_equal(tried(list_outside), EACCES);
    assert_int_equal(tried(make_outside), EACCES);
}

static int append(void)
{
    char path[80];
    snprintf(path, sizeof(path), "%s/write/new", top);
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
    return fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) != 0 || unlink(path) != 0 ? -1 : 0;
}

static void test_landlock_of_a_folder_to_write_files_come_and_go(void **state)
{
    assert_int_equal(tried(append), 0);
}

static int make_socket(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/socket/s", top);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -1 : unlink(sa.sun_path);
}

static int file_for_socket(void)
{
    char path[80];
    snprintf(path, sizeof(path), "%s/socket/new", top);
    return open(path, O_WRONLY | O_CREAT, 0600);
}

static void test_landlock_of_a_folder_for_sockets_only_sockets_are_made(void **state)
{
    assert_int_equal(tried(make_socket), 0);
    assert_int_equal(tried(file_for_socket), EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_landlock_of_a_folder_to_read_nothing_is_written),
        cmocka_unit_test(test_landlock_outside_nothing_is_opened),
        cmocka_unit_test(test_landlock_of_a_folder_to_write_files_come_and_go),
        cmocka_unit_test(test_landlock_of_a_folder_for_sockets_only_sockets_are_made),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
