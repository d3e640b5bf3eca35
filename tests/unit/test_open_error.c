/* base/open_error: what the line says that an operator mends. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/open_error.h"

static void test_open_error_other_causes_are_the_systems(void **state)
{
    assert_string_equal(open_error_text("/nowhere", ENOENT), strerror(ENOENT));
    assert_string_equal(open_error_text("/dev/null", EMFILE), strerror(EMFILE));
}

/* Its mode lets this user read it: something else refuses. */
static void test_open_error_of_a_readable_file_names_the_sandbox(void **state)
{
    assert_non_null(strstr(open_error_text("/dev/null", EACCES), "outside the sandbox"));
}

static void test_open_error_of_an_unreadable_file_names_its_mode(void **state)
{
    char path[] = "/tmp/turnpike-test-XXXXXX";
    int fd = mkstemp(path), status = 0;
    assert_true(fd >= 0 && fchmod(fd, 0) == 0);
    close(fd);
    pid_t child = fork();
    if (child == 0) {
        /* Root may read everything. */
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
            _exit(0);
        _exit(strstr(open_error_text(path, EACCES), "Permission denied: the user") ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    unlink(path);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A folder that is there and may be written: something else refuses. */
static void test_open_error_of_output_says_what_is_missing(void **state)
{
    assert_non_null(strstr(open_error_of_output("/nowhere/file", ENOENT), "its folder"));
    assert_non_null(strstr(open_error_of_output("/usr/file", EROFS), "ReadWritePaths="));
    assert_string_equal(open_error_of_output("/tmp", EISDIR), strerror(EISDIR));
    assert_non_null(strstr(open_error_of_output("/tmp/nobody-has-this", EACCES), "the sandbox"));
    assert_non_null(strstr(open_error_of_output("/dev/null", EACCES), "the sandbox"));
    assert_non_null(strstr(open_error_of_output("/nowhere/file", EACCES), "able to write it"));
}

static void test_open_error_of_port_says_who_has_it(void **state)
{
    assert_non_null(strstr(open_error_of_port(EADDRINUSE), "ss -lntup"));
    assert_non_null(strstr(open_error_of_port(EACCES), "CAP_NET_BIND_SERVICE"));
    assert_non_null(strstr(open_error_of_port(EADDRNOTAVAIL), "no interface"));
    assert_string_equal(open_error_of_port(EMFILE), strerror(EMFILE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_error_other_causes_are_the_systems),
        cmocka_unit_test(test_open_error_of_a_readable_file_names_the_sandbox),
        cmocka_unit_test(test_open_error_of_an_unreadable_file_names_its_mode),
        cmocka_unit_test(test_open_error_of_output_says_what_is_missing),
        cmocka_unit_test(test_open_error_of_port_says_who_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
