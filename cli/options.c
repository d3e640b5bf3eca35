/*
 * Reads arguments by the table of commands. What an option means is the command's: it says where
 * each goes. Called by main.c and by the commands.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

#define FIRST_OWN 256 /* what getopt_long gives back for the first option of the command */

enum common { COMMON_JSON, COMMON_SOCKET, COMMON_VERSION, COMMON_HELP, COMMON_COUNT };

/* The options of both tables, in order; the command's at FIRST_OWN and behind. */
static void list_options(
    struct option out[COMMON_COUNT + CLI_OPTIONS_MAX + 1], const struct cli_row *command)
{
    size_t n = 0;
    for (int i = 0; i < COMMON_COUNT; i++) {
        const struct cli_row *row = &cli_common_rows[i];
        out[n++] =
            (struct option){row->name, row->argument[0] ? required_argument : no_argument, NULL, i};
    }
    const struct cli_row *end = command ? cli_command_end(command) : NULL;
    for (const struct cli_row *row = command ? command + 1 : NULL; row != end; row++) {
        if (row->kind == CLI_ROW_OPTION && n < COMMON_COUNT + CLI_OPTIONS_MAX) {
            out[n++] =
                (struct option){row->name, row->argument[0] ? required_argument : no_argument, NULL,
                    FIRST_OWN + (int)(row - command)};
        }
    }
    out[n] = (struct option){0};
}

static int take_common(
    struct cli_options *options, const struct cli_row *command, enum common which)
{
    switch (which) {
    case COMMON_JSON:
        options->json = true;
        return CLI_GOES_ON;
    case COMMON_SOCKET:
        options->socket = optarg;
        return CLI_GOES_ON;
    case COMMON_VERSION:
        puts("turnpikectl " TURNPIKE_VERSION);
        return CLI_DONE;
    default:
        cli_help_print(stdout, command);
        return CLI_DONE;
    }
}

static int take_own(const struct cli_row *row, const struct cli_flag *flags)
{
    for (const struct cli_flag *f = flags; f && f->name; f++) {
        if (strcmp(f->name, row->name) == 0 && row->argument[0] && f->value) {
            *f->value = optarg;
            return CLI_GOES_ON;
        }
        if (strcmp(f->name, row->name) == 0 && !row->argument[0] && f->set) {
            *f->set = true;
            return CLI_GOES_ON;
        }
    }
    fprintf(stderr, "turnpikectl: nothing reads --%s\n", row->name);
    return CLI_USAGE;
}

int cli_read_common(struct cli_options *options, int argc, char **argv)
{
    struct option known[COMMON_COUNT + CLI_OPTIONS_MAX + 1];
    list_options(known, NULL);
    optind = 0; /* glibc: from the beginning */
    for (int c; (c = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
        const int code = c < COMMON_COUNT ? take_common(options, NULL, (enum common)c) : CLI_USAGE;
        if (code != CLI_GOES_ON) {
            return code;
        }
    }
    return CLI_GOES_ON;
}

/* The word at optind, which is no option. */
static int take_operand(const struct cli_row *command, char **argv, const char **operand)
{
    if (!operand || *operand) {
        fprintf(stderr, "turnpikectl: %s takes no %sargument, not '%s'\n", command->name,
            operand ? "second " : "", argv[optind]);
        return CLI_USAGE;
    }
    *operand = argv[optind++];
    return CLI_GOES_ON;
}

int cli_read_arguments(struct cli_options *options, int argc, char **argv,
    const struct cli_flag *flags, const char **operand)
{
    const struct cli_row *command = cli_command_find(argv[0]);
    struct option known[COMMON_COUNT + CLI_OPTIONS_MAX + 1];
    int code = CLI_GOES_ON;
    static char program[] = "turnpikectl";
    list_options(known, command);
    optind = 0;
    argv[0] = program; /* for getopt's own lines */
    while (code == CLI_GOES_ON) {
        const int c = getopt_long(argc, argv, "+", known, NULL);
        if (c == -1 && optind == argc) {
            return CLI_GOES_ON;
        }
        if (c == -1) {
            code = take_operand(command, argv, operand);
        } else if (c >= FIRST_OWN) {
            code = take_own(command + (c - FIRST_OWN), flags);
        } else if (c < COMMON_COUNT) {
            code = take_common(options, command, (enum common)c);
        } else {
            code = CLI_USAGE;
        }
    }
    if (code == CLI_USAGE) {
        fprintf(stderr, "turnpikectl: see turnpikectl %s --help\n", command->name);
    }
    return code;
}

int cli_read_options(
    struct cli_options *options, int argc, char **argv, const struct cli_flag *flags)
{
    return cli_read_arguments(options, argc, argv, flags, NULL);
}
