/* Bad configurations as cases of a test: one file each, refused with one line that names the file,
 * the right line and the reason, and leaves the configuration that was there as it was. */
#ifndef TESTS_UNIT_CONFIG_BAD_H
#define TESTS_UNIT_CONFIG_BAD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/config_files.h"

#define USERS "auth: { users: [{ name: a, password: b }] }\n"

struct bad {
    const char *name;
    const char *text;
    unsigned line;
    const char *reason; /* part of the error */
};

static struct scratch scratch;

static inline void assert_one_line(const char *text)
{
    assert_true(strlen(text) > 0 && strlen(text) < sizeof(((struct config_error *)0)->text));
    for (const char *p = text; *p != '\0'; p++)
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static inline void bad_configuration_refused(void **state)
{
    const struct bad *bad = *state;
    struct config_error error;
    struct config c = {0};
    char prefix[160];
    assert_int_equal(config_init(&c), 0);
    char *before = config_text(&c);
    assert_int_equal(scratch_load(&scratch, &c, bad->text, strlen(bad->text), &error), -EINVAL);
    assert_one_line(error.text);
    snprintf(prefix, sizeof(prefix), "%s:%u: ", scratch.path, bad->line);
    if (strncmp(error.text, prefix, strlen(prefix)) != 0)
        fail_msg("not in line %u: %s", bad->line, error.text);
    if (!strstr(error.text, bad->reason))
        fail_msg("no '%s' in: %s", bad->reason, error.text);
    char *after = config_text(&c);
    assert_string_equal(before, after);
    free(before);
    free(after);
    config_deinit(&c);
}

static inline int open_scratch(void **state)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    return scratch_open(&scratch);
}

static inline int close_scratch(void **state)
{
    scratch_close(&scratch);
    return 0;
}

/* The cases and then the others as one group, named for the reports. */
static inline int run_bad(const char *group, const struct bad *cases, size_t case_count,
    const struct CMUnitTest *others, size_t other_count)
{
    struct CMUnitTest *tests = calloc(case_count + other_count, sizeof(*tests));
    if (!tests)
        return 1;
    for (size_t i = 0; i < case_count; i++)
        tests[i] = (struct CMUnitTest){
            cases[i].name, bad_configuration_refused, NULL, NULL, (void *)(uintptr_t)&cases[i]};
    memcpy(tests + case_count, others, other_count * sizeof(*others));
    const int failed = _cmocka_run_group_tests(
        group, tests, case_count + other_count, open_scratch, close_scratch);
    free(tests);
    return failed;
}

#endif
