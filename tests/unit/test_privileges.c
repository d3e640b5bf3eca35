/*
 * daemon/privileges: what is left when it has been given up, looked at from inside, in children.
 * Becoming another user is interop's, which has root in any case.
 */
#include <cap-ng.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/privileges.h"

/* Runs it in a child; its result, or -1. A leak check would start threads there. */
static int in_child(int (*body)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 0, or which of them is wrong. */
static int after_drop(void)
{
    if (privileges_drop() != 0)
        return 1;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 2;
    if (prctl(PR_GET_DUMPABLE) != 0)
        return 3;
    if (umask(0) != 0027)
        return 4;
    capng_get_caps_process();
    for (int c = 0; c <= CAP_LAST_CAP; c++) {
        bool kept = c == CAP_NET_BIND_SERVICE || (geteuid() == 0 && c == CAP_DAC_READ_SEARCH);
        if (!kept && (capng_have_capability(CAPNG_PERMITTED, (unsigned)c) ||
                         capng_have_capability(CAPNG_EFFECTIVE, (unsigned)c) ||
                         capng_have_capability(CAPNG_INHERITABLE, (unsigned)c)))
            return 10 + c;
    }
    return 0;
}

static void test_privileges_drop_leaves_what_is_needed(void **state)
{
    assert_int_equal(in_child(after_drop), 0);
}

static int drop_twice(void)
{
    const int first = privileges_drop(), again = privileges_drop();
    return first != 0 || again != 0;
}

static void test_privileges_dropped_again_is_no_error(void **state)
{
    assert_int_equal(in_child(drop_twice), 0);
}

static void test_privileges_of_nobody_known_are_an_error(void **state)
{
    char user[] = "no-such-user", error[128] = "";
    const struct sandbox_settings s = {.user = user};
    assert_int_equal(privileges_become(&s, NULL, error, sizeof(error)), -ENOENT);
    assert_string_equal(error, "user: cannot become 'no-such-user': there is none of that name");
}

static int group_unknown(void)
{
    char user[] = "nobody", group[] = "no-such-group", error[128] = "";
    const struct sandbox_settings s = {.user = user, .group = group};
    int r = privileges_become(&s, NULL, error, sizeof(error));
    return geteuid() == 0 && (r != -ENOENT || strncmp(error, "group: ", 7) != 0);
}

static void test_privileges_of_an_unknown_group_are_an_error(void **state)
{
    assert_int_equal(in_child(group_unknown), 0);
}

static int stay_root(void)
{
    char user[] = "root", error[128] = "";
    const struct sandbox_settings s = {.user = user};
    int r = privileges_become(&s, NULL, error, sizeof(error));
    return geteuid() == 0 ? r != 0 : r != -EPERM;
}

/* As root nothing happens; anybody else cannot become root, and is not left in doubt. */
static void test_privileges_of_root_are_kept_only_by_root(void **state)
{
    assert_int_equal(in_child(stay_root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_privileges_drop_leaves_what_is_needed),
        cmocka_unit_test(test_privileges_dropped_again_is_no_error),
        cmocka_unit_test(test_privileges_of_nobody_known_are_an_error),
        cmocka_unit_test(test_privileges_of_an_unknown_group_are_an_error),
        cmocka_unit_test(test_privileges_of_root_are_kept_only_by_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
