/* Completions against the table of commands: bash and fish are asked what they would complete. */
#include "tests/unit/made.h"

#include "cli/completions.h"

/* The line of `said` that begins with the word, or NULL. */
static const char *line_of(const char *word, char out[8192])
{
    const size_t len = strlen(word);
    for (const char *at = said; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, word, len) == 0 && at[len] == ' ') {
            snprintf(out, 8192, "%.*s ", (int)strcspn(at, "\n"), at);
            return out;
        }
    }
    return NULL;
}

static void assert_has_all(const struct cli_row *c)
{
    char line[8192], word[64];
    if (!line_of(c->name, line))
        fail_msg("%s: nothing is completed", c->name);
    for (const struct cli_row *row = c + 1; row < cli_command_end(c); row++) {
        snprintf(word, sizeof(word), " --%s ", row->name ? row->name : "json");
        if (!strstr(line, word))
            fail_msg("%s lacks%s", line, word);
    }
    assert_non_null(strstr(line, " --socket "));
}

static void test_completions_of_bash_are_all_options_and_words(void **state)
{
    FILE *f = made_open("turnpikectl.bash");
    completions_write_bash(f);
    fprintf(f, "ask() { COMP_WORDS=(turnpikectl \"$@\"); COMP_CWORD=$#; _turnpikectl; "
               "echo \"$*\" \"${COMPREPLY[@]}\"; }\nask ''\n");
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c))
        fprintf(f, "ask %s ''\n", c->name);
    fprintf(f, "touch 'a file'\nask --socket x revo\nask token --algorithm ''\n"
               "ask --socket 'a '\nask revoke --user ''\nask nonsense ''\n");
    fclose(f);
    assert_int_equal(made_run("bash --norc turnpikectl.bash"), 0);
    char first[8192], word[64];
    snprintf(first, sizeof(first), "%.*s ", (int)strcspn(said, "\n"), said);
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        snprintf(word, sizeof(word), " %s ", c->name);
        assert_non_null(strstr(first, word));
        assert_has_all(c);
    }
    assert_non_null(strstr(said, "\n--socket x revo revoke\n"));
    assert_non_null(strstr(said, "\ntoken --algorithm  A256GCM A128GCM\n"));
    assert_non_null(strstr(said, "\n--socket a  a file\n"));
    assert_non_null(strstr(said, "\nrevoke --user \n"));
    assert_non_null(strstr(said, "\nnonsense \n"));
}

static void test_completions_of_fish_are_all_options(void **state)
{
    FILE *f = made_open("turnpikectl.fish");
    completions_write_fish(f);
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c))
        fprintf(f, "echo %s (complete -C 'turnpikectl %s --' | string replace -r '\\t.*' '') ''\n",
            c->name, c->name);
    fprintf(f, "complete -C 'turnpikectl token --algorithm '\n");
    fclose(f);
    assert_int_equal(made_run("HOME=. fish --no-config turnpikectl.fish"), 0);
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c))
        assert_has_all(c);
    assert_non_null(strstr(said, "A128GCM"));
}

static void test_completions_of_zsh_are_all_options(void **state)
{
    FILE *f = made_open("_turnpikectl");
    completions_write_zsh(f);
    fclose(f);
    assert_int_equal(made_run("zsh -n _turnpikectl && cat _turnpikectl"), 0);
    assert_memory_equal(said, "#compdef turnpikectl\n", 21);
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        char place[64];
        snprintf(place, sizeof(place), "\n    %s) _arguments", c->name);
        char *from = strstr(said, place);
        assert_non_null(from);
        char *end = strstr(from, ";;");
        assert_non_null(end);
        for (const struct cli_row *row = c + 1; row < cli_command_end(c); row++) {
            snprintf(place, sizeof(place), "'--%s[", row->name ? row->name : "json");
            assert_in_range((uintptr_t)strstr(from, place), (uintptr_t)from, (uintptr_t)end);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completions_of_bash_are_all_options_and_words),
        cmocka_unit_test(test_completions_of_fish_are_all_options),
        cmocka_unit_test(test_completions_of_zsh_are_all_options),
    };
    return cmocka_run_group_tests(tests, made_set_up, made_tear_down);
}
