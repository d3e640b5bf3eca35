/*
 * daemon/syscall_filter: what the filter refuses, whatever build this is; each try in a child. What
 * only the filter of a build without sanitizers refuses is tried by tests/check_release.py.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/syscall_filter.h"

#define NO_FILTER 77

/* How the child ends that tries it behind the filter: the errno it got, 0; or minus the signal. */
static int tried(int (*act)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall_filter_enter() != 0)
            _exit(NO_FILTER);
        _exit(act() < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int udp(void)
{
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int tcp6(void)
{
    return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int route(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static void test_syscall_filter_sockets_of_a_relay_are_made(void **state)
{
    assert_int_equal(tried(udp), 0);
    assert_int_equal(tried(route), 0);
    int r = tried(tcp6);
    assert_true(r == 0 || r == EAFNOSUPPORT);
}

static int packet(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static int raw(void)
{
    return socket(AF_INET, SOCK_RAW, 1);
}

static int netfilter(void)
{
    return socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static void test_syscall_filter_other_sockets_are_refused(void **state)
{
    assert_int_equal(tried(packet), -SIGSYS);
    assert_int_equal(tried(raw), EPERM);
    assert_int_equal(tried(netfilter), EPERM);
}

static int run_program(void)
{
    char *const arguments[] = {(char *)"true", NULL}, *const environment[] = {NULL};
    return execve("/bin/true", arguments, environment);
}

static int read_memory(void)
{
    char from[8] = "secret", to[8];
    struct iovec local = {to, sizeof(to)}, remote = {from, sizeof(from)};
    return (int)process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static void test_syscall_filter_who_has_taken_over_is_ended(void **state)
{
    assert_int_equal(tried(run_program), -SIGSYS);
    assert_int_equal(tried(read_memory), -SIGSYS);
}

static int write_and_run(void)
{
    void *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED ? -1 : 0;
}

static int written_then_run(void)
{
    void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return data == MAP_FAILED ? 0 : mprotect(data, 4096, PROT_READ | PROT_EXEC);
}

static void test_syscall_filter_what_can_be_written_cannot_be_run(void **state)
{
    assert_int_equal(tried(write_and_run), EPERM);
    assert_int_equal(tried(written_then_run), EPERM);
}

static int become_root(void)
{
    return setuid(0);
}

static int new_clone(void)
{
    uint64_t arguments[11] = {0};
    return (int)syscall(SYS_clone3, arguments, sizeof(arguments));
}

static void test_syscall_filter_the_unknown_is_refused(void **state)
{
    assert_int_equal(tried(become_root), EPERM);
    assert_int_equal(tried(new_clone), ENOSYS);
}

static sem_t entered;
static int of_thread;

static void *try_later(void *arg)
{
    sem_wait(&entered);
    of_thread = setuid(0) < 0 ? errno : 0;
    return NULL;
}

/* 0: refused in a thread that ran before, too. */
static int threads(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        sem_init(&entered, 0, 0);
        if (pthread_create(&thread, NULL, try_later, NULL) != 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall_filter_enter() != 0)
            _exit(NO_FILTER);
        sem_post(&entered);
        _exit(pthread_join(thread, NULL) == 0 ? of_thread : NO_FILTER);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_syscall_filter_holds_for_threads_that_ran_before(void **state)
{
    assert_int_equal(threads(), EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syscall_filter_sockets_of_a_relay_are_made),
        cmocka_unit_test(test_syscall_filter_other_sockets_are_refused),
        cmocka_unit_test(test_syscall_filter_who_has_taken_over_is_ended),
        cmocka_unit_test(test_syscall_filter_what_can_be_written_cannot_be_run),
        cmocka_unit_test(test_syscall_filter_the_unknown_is_refused),
        cmocka_unit_test(test_syscall_filter_holds_for_threads_that_ran_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
