/* Manual pages: man reads them without a warning, and every command, option and key stands there.
 */
#include "tests/unit/made.h"

#include "cli/manual.h"
#include "config/schema.h"

/* The page as people read it, in `said`. */
static void read_page(const char *page)
{
    char source[512], line[256];
    FILE *f = made_open("page.scd");
    snprintf(source, sizeof(source), "%s/docs/man/%s.scd", getenv("TURNPIKE_SOURCE_ROOT"), page);
    assert_int_equal(manual_write(f, source), 0);
    fclose(f);
    snprintf(line, sizeof(line), "scdoc <page.scd >%s && LC_ALL=C.UTF-8 man --warnings -l %s >text",
        page, page);
    assert_int_equal(made_run(line), 0);
    assert_string_equal(said, "");
    assert_int_equal(made_run("tr -s ' \\n' ' ' <text"), 0);
}

static void assert_said(const char *text)
{
    if (!strstr(said, text))
        fail_msg("the page lacks '%s'", text);
}

static void test_manual_of_turnpikectl_has_every_command_and_option(void **state)
{
    read_page("turnpikectl.1");
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        char words[256];
        snprintf(words, sizeof(words), " %s%s%s %.12s", c->name, c->argument[0] ? " " : "",
            c->argument, c->help);
        assert_said(words);
        for (const struct cli_row *row = c + 1; row < cli_command_end(c); row++) {
            snprintf(words, sizeof(words), " --%s ", row->name ? row->name : "json");
            assert_said(words);
        }
    }
    assert_null(strstr(said, "@COMMANDS@"));
}

static void test_manual_of_the_configuration_has_every_key(void **state)
{
    read_page("turnpike.yaml.5");
    for (size_t i = 0; i < schema_key_count; i++) {
        char words[128];
        snprintf(words, sizeof(words), " %s ", schema_keys[i].path);
        if (schema_keys[i].help && schema_depth(&schema_keys[i]) > 0)
            assert_said(words);
    }
    assert_null(strstr(said, "`"));
}

static void test_manual_of_turnpike_has_every_option(void **state)
{
    static const char *const words[] = {" --config FILE ", " --check-config ", " --dump-config ",
        " --version ", " SIGHUP ", " SIGUSR1 ", " SIGTERM"};
    read_page("turnpike.8");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_said(words[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manual_of_turnpikectl_has_every_command_and_option),
        cmocka_unit_test(test_manual_of_the_configuration_has_every_key),
        cmocka_unit_test(test_manual_of_turnpike_has_every_option),
    };
    return cmocka_run_group_tests(tests, made_set_up, made_tear_down);
}
