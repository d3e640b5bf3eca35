/* The table of commands, cli/commands.def, against the program: every option of a command is read
 * by it, and help says all of them. */
#include "tests/unit/turnpikectl.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turnpikectl_commands_read_every_option_of_the_table),
        cmocka_unit_test(test_turnpikectl_help_names_every_command),
        cmocka_unit_test(test_turnpikectl_names_are_unique),
        cmocka_unit_test(test_turnpikectl_unknown_command_option_and_argument_are_2),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
