/* Sockets from the environment: which are taken, by whom, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/activation.h"

#define FIRST 3

struct fixture {
    char path[128], error[256];
    int given;
    struct activation activation;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    return f ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    activation_deinit(&f->activation);
    for (int i = 0; i < f->given; i++) {
        close(FIRST + i); /* those that were refused; others are closed already */
    }
    unlink(f->path);
    free(f);
    return 0;
}

/* The next descriptor that is handed over. */
static void give(struct fixture *f, int fd)
{
    assert_true(fd >= 0);
    if (fd != FIRST + f->given) {
        assert_int_equal(dup2(fd, FIRST + f->given), FIRST + f->given);
        close(fd);
    }
    f->given++;
}

static int listener(const char *ip, int type, bool v6only, struct addr *out)
{
    struct sockaddr_storage sa;
    struct addr addr;
    int only = v6only;
    assert_int_equal(addr_parse_ip(&addr, ip), 0);
    socklen_t len = addr_to_sockaddr(&addr, &sa);
    int fd = socket(sa.ss_family, type, 0);
    assert_true(sa.ss_family == AF_INET ||
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) == 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_true(type != SOCK_STREAM || listen(fd, 8) == 0);
    len = sizeof(sa);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(addr_from_sockaddr(out, (struct sockaddr *)&sa), 0);
    return fd;
}

/* `len`: of its path. */
static int path_listener(struct fixture *f, size_t len)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const int n = snprintf(f->path, sizeof(f->path), "/tmp/turnpike-given-%d-", (int)getpid());
    memset(f->path + n, 'x', len - (size_t)n);
    memcpy(sa.sun_path, f->path, len);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* As a service manager says it, of this process. */
static int take(struct fixture *f)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    snprintf(text, sizeof(text), "%d", f->given);
    setenv("LISTEN_FDS", text, 1);
    setenv("LISTEN_FDNAMES", "a:b", 1);
    return activation_init(&f->activation, f->error, sizeof(f->error));
}

static void test_activation_sockets_are_taken_by_address(void **state)
{
    struct fixture *f = *state;
    struct addr four, six, other;
    int fds[4];
    give(f, listener("127.0.0.1", SOCK_STREAM, false, &four));
    give(f, path_listener(f, 40));
    give(f, listener("::1", SOCK_STREAM, true, &six));
    assert_int_equal(take(f), 0);
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
    other = four;
    other.port++;
    assert_int_equal(activation_take_tcp(&f->activation, &other, fds, 4), 0);
    assert_int_equal(activation_take_path(&f->activation, "/tmp/other"), -ENOENT);
    assert_int_equal(activation_check(&f->activation, f->error, sizeof(f->error)), -EINVAL);
    assert_int_equal(activation_take_tcp(&f->activation, &six, fds, 4), 1);
    assert_int_equal(fds[0], FIRST + 2);
    assert_int_equal(activation_take_tcp(&f->activation, &four, fds, 4), 1);
    assert_int_equal(fds[0], FIRST);
    assert_int_equal(activation_take_tcp(&f->activation, &four, fds, 4), 0);
    assert_int_equal(activation_check(&f->activation, f->error, sizeof(f->error)), -EINVAL);
    assert_non_null(strstr(f->error, f->path));
    assert_int_equal(activation_take_path(&f->activation, f->path), FIRST + 1);
    assert_int_equal(activation_check(&f->activation, f->error, sizeof(f->error)), 0);
    assert_int_equal(fcntl(FIRST, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(FIRST, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

static void test_activation_of_another_process_is_not_ours(void **state)
{
    struct fixture *f = *state;
    static const char *const pids[] = {"1", "", "-5", "x", NULL};
    struct addr addr;
    give(f, listener("127.0.0.1", SOCK_STREAM, false, &addr));
    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
        setenv("LISTEN_FDS", "1", 1);
        unsetenv("LISTEN_PID");
        if (pids[i]) {
            setenv("LISTEN_PID", pids[i], 1);
        }
        assert_int_equal(activation_init(&f->activation, f->error, sizeof(f->error)), 0);
        assert_int_equal(f->activation.count, 0);
        assert_null(getenv("LISTEN_FDS"));
    }
}

static void test_activation_unusable_count_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const counts[] = {"65", "-1", "", "1x", "99999999999999999999"};
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", counts[i], 1);
        assert_int_equal(activation_init(&f->activation, f->error, sizeof(f->error)), -EINVAL);
        assert_int_equal(f->activation.count, 0);
    }
}

static void refused(struct fixture *f, const char *why)
{
    assert_int_equal(take(f), -EINVAL);
    assert_non_null(strstr(f->error, why));
}

static void test_activation_datagram_socket_is_refused(void **state)
{
    struct addr addr;
    give(*state, listener("127.0.0.1", SOCK_DGRAM, false, &addr));
    refused(*state, "descriptor 3 is a datagram socket");
}

/* What Accept=yes hands over is bound to the address of the listener that it came in at. */
static void test_activation_connection_is_refused(void **state)
{
    struct sockaddr_storage sa;
    struct addr addr;
    const int from = listener("127.0.0.1", SOCK_STREAM, false, &addr);
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    const socklen_t len = addr_to_sockaddr(&addr, &sa);
    assert_int_equal(connect(client, (struct sockaddr *)&sa, len), 0);
    const int connection = accept(from, NULL, NULL);
    assert_int_equal(dup2(connection, FIRST), FIRST);
    ((struct fixture *)*state)->given = 1;
    refused(*state, "descriptor 3 does not listen: Accept=no");
    const int all[] = {from, client, connection};
    for (size_t i = 0; i < 3; i++) {
        if (all[i] != FIRST) {
            close(all[i]);
        }
    }
}

static void test_activation_ipv4_over_ipv6_is_refused(void **state)
{
    struct addr addr;
    give(*state, listener("::", SOCK_STREAM, false, &addr));
    refused(*state, "BindIPv6Only=ipv6-only");
}

static void test_activation_ipv6_alone_is_taken(void **state)
{
    struct fixture *f = *state;
    struct addr addr;
    give(f, listener("::", SOCK_STREAM, true, &addr));
    assert_int_equal(take(f), 0);
}

static void test_activation_what_is_no_socket_is_refused(void **state)
{
    struct fixture *f = *state;
    give(f, open("/dev/null", O_RDONLY | O_CLOEXEC));
    refused(f, "is no stream socket");
    give(f, socket(AF_UNIX, SOCK_STREAM, 0));
    close(FIRST);
    assert_int_equal(dup2(FIRST + 1, FIRST), FIRST);
    f->given = 1;
    refused(f, "is a unix socket without a path");
    f->given = 2;
}

/* No room for a NUL is left in its address. */
static void test_activation_longest_path_is_taken_whole(void **state)
{
    struct fixture *f = *state;
    give(f, path_listener(f, sizeof(((struct sockaddr_un *)NULL)->sun_path)));
    assert_int_equal(take(f), 0);
    assert_int_equal(activation_take_path(&f->activation, f->path), FIRST);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_activation_sockets_are_taken_by_address),
        CASE(test_activation_of_another_process_is_not_ours),
        CASE(test_activation_unusable_count_is_refused),
        CASE(test_activation_datagram_socket_is_refused),
        CASE(test_activation_connection_is_refused),
        CASE(test_activation_ipv4_over_ipv6_is_refused),
        CASE(test_activation_ipv6_alone_is_taken),
        CASE(test_activation_what_is_no_socket_is_refused),
        CASE(test_activation_longest_path_is_taken_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
