/* What tests of made files share: a file in a folder of their own, and what a command says of it.
 */
#ifndef TESTS_UNIT_MADE_H
#define TESTS_UNIT_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/commands.h"

#define SAID_MAX 262144

static char folder[] = "/tmp/turnpike-made-XXXXXX";
static char said[SAID_MAX];

static inline const char *made_path(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static inline FILE *made_open(const char *name)
{
    FILE *f = fopen(made_path(name), "w");
    assert_non_null(f);
    return f;
}

/* Runs a shell's line in the folder; what it prints is in `said`. Its exit status. */
static inline int made_run(const char *line)
{
    char command[512];
    snprintf(command, sizeof(command), "cd %s && { %s; } 2>&1", folder, line);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    const size_t len = fread(said, 1, sizeof(said) - 1, f);
    said[len] = '\0';
    return pclose(f);
}

static inline int made_set_up(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static inline int made_tear_down(void **state)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

/* The command behind this one, or the first (NULL); NULL: there is none. */
static inline const struct cli_row *next_command(const struct cli_row *row)
{
    row = row ? cli_command_end(row) : cli_rows;
    return row->kind == CLI_ROW_END ? NULL : row;
}

#endif
