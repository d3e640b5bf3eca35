/* The table of commands, cli/commands.def, against the program: every option of a command is read
 * by it, and help says all of them. */
#include "tests/unit/turnpikectl.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct row {
    const char *name, *argument, *help; /* of a note the name is NULL */
    int command;
};

#define COMMAND(function, name, operand, help) {name, operand, help, 1},
#define OPTION(name, argument, help)           {name, argument, help, 0},
#define NOTE(text)                             {NULL, "", text, 0},
static const struct row rows[] = {
#include "cli/commands.def"
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* `row` is a command's: its name, and all of its options. */
static void list_words(struct run *r, size_t row)
{
    static char words[32][64];
    size_t n = 0, at = 0;
    r->argv[at++] = rows[row].name;
    for (size_t i = row + 1; i < ROWS && !rows[i].command; i++) {
        if (!rows[i].name)
            continue;
        assert_true(n < 32 && at < 60);
        snprintf(words[n], sizeof(words[n]), "--%s", rows[i].name);
        r->argv[at++] = words[n++];
        if (rows[i].argument[0] != '\0')
            r->argv[at++] = "word";
    }
    r->argv[at] = "--help";
}

static void test_turnpikectl_commands_read_every_option_of_the_table(void **state)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!rows[i].command)
            continue;
        struct run r = {0};
        char usage[64];
        list_words(&r, i);
        run(&r);
        snprintf(usage, sizeof(usage), "Usage: turnpikectl %s [OPTION]...", rows[i].name);
        if (r.code != 0)
            print_error("%s: %s\n", rows[i].name, r.errors);
        assert_int_equal(r.code, 0);
        assert_memory_equal(r.out, usage, strlen(usage));
        for (size_t j = i + 1; j < ROWS && !rows[j].command; j++) {
            char option[64];
            snprintf(option, sizeof(option), "  --%s %s", rows[j].name ? rows[j].name : "help",
                rows[j].argument);
            assert_non_null(strstr(r.out, option));
        }
    }
}

static void test_turnpikectl_help_names_every_command(void **state)
{
    struct run r = {.argv = {"--help"}};
    run(&r);
    assert_int_equal(r.code, 0);
    for (size_t i = 0; i < ROWS; i++) {
        char line[64];
        snprintf(line, sizeof(line), "\n  %-14s ", rows[i].name ? rows[i].name : "");
        if (rows[i].command)
            assert_non_null(strstr(r.out, line));
    }
}

static void test_turnpikectl_names_are_unique(void **state)
{
    size_t command = 0;
    for (size_t i = 0; i < ROWS; i++) {
        command = rows[i].command ? i : command;
        assert_true(rows[i].help[0] != '\0' && rows[i].argument != NULL);
        for (size_t j = rows[i].command ? 0 : command + 1; j < i; j++)
            if (rows[i].name && rows[j].name && rows[i].command == rows[j].command)
                assert_string_not_equal(rows[i].name, rows[j].name);
    }
}

static void test_turnpikectl_unknown_command_option_and_argument_are_2(void **state)
{
    static const char *const wrong[][4] = {{"stauts"}, {"status", "--nonsense"}, {"status", "more"},
        {"status", "--user", "a"}, {"revoke", "--user"}, {"--nonsense"}, {"--socket"}, {NULL}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct run r = {0};
        memcpy(r.argv, wrong[i], sizeof(wrong[i]));
        run(&r);
        assert_int_equal(r.code, 2);
        assert_true(strlen(r.errors) > 0);
        assert_string_equal(r.out, "");
    }
}

/* What listens there says nothing: it is not asked. */
static void in_runtime_folder(uid_t listens, struct run *r)
{
    char own[40], path[56];
    int errors[2], status;
    snprintf(own, sizeof(own), "%s/turnpike", folder);
    snprintf(path, sizeof(path), "%s/control.sock", own);
    snprintf(socket_path, sizeof(socket_path), "%s/control.sock", own);
    assert_int_equal(mkdir(own, 0777), 0);
    assert_int_equal(chmod(folder, 0755) | chmod(own, 0777) | pipe2(errors, O_CLOEXEC), 0);
    assert_int_equal(seteuid(listens), 0);
    const int listener = listen_here();
    assert_int_equal(seteuid(getuid()), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(errors[1], 2);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
        /* No daemon of this host is at the usual place. */
        if (getuid() == 0 &&
            (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                mount("none", "/run", "tmpfs", 0, NULL) < 0))
            _exit(98);
        setenv("XDG_RUNTIME_DIR", folder, 1);
        execl(program, program, "status", "--json", NULL);
        _exit(99);
    }
    close(errors[1]);
    if (r->answer)
        serve(r, listener, pid);
    read_text(errors[0], r->errors);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    r->code = WEXITSTATUS(status);
    close(listener);
    assert_int_equal(unlink(path) | rmdir(own), 0);
    snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
}

static void test_turnpikectl_of_another_users_socket_asks_nothing(void **state)
{
    struct run ours = {.answer = HEAD "{}\n"}, others = {0};
    in_runtime_folder(getuid(), &ours);
    assert_int_equal(ours.code, 0);
    assert_string_equal(ours.errors, "");
    if (getuid() != 0)
        return; /* nobody else can be played */
    in_runtime_folder(65534, &others);
    assert_int_equal(others.code, 3);
    assert_non_null(strstr(others.errors, "is another user's"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turnpikectl_commands_read_every_option_of_the_table),
        cmocka_unit_test(test_turnpikectl_help_names_every_command),
        cmocka_unit_test(test_turnpikectl_names_are_unique),
        cmocka_unit_test(test_turnpikectl_unknown_command_option_and_argument_are_2),
        cmocka_unit_test(test_turnpikectl_of_another_users_socket_asks_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
