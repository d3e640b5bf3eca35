/* The table of commands, and where one of them is in it. Called by main.c, options.c and help.c. */
#include "cli/commands.h"

#include <string.h>

#define COMMAND(function, name, operand, help)                                                     \
    {CLI_ROW_COMMAND, name, operand, help, cli_##function},
#define OPTION(name, argument, help) {CLI_ROW_OPTION, name, argument, help, NULL},
#define NOTE(text)                   {CLI_ROW_NOTE, NULL, "", text, NULL},

const struct cli_row cli_rows[] = {
#include "cli/commands.def"
    {CLI_ROW_END, NULL, "", "", NULL},
};

const struct cli_row cli_common_rows[] = {
    {CLI_ROW_OPTION, "json", "", "print JSON", NULL},
    {CLI_ROW_OPTION, "socket", "FILE", "the daemon's socket", NULL},
    {CLI_ROW_OPTION, "version", "", "print the version, and end", NULL},
    {CLI_ROW_OPTION, "help", "", "print help, and end", NULL},
    {CLI_ROW_END, NULL, "", "", NULL},
};

const struct cli_row *cli_command_find(const char *name)
{
    for (const struct cli_row *row = cli_rows; row->kind != CLI_ROW_END; row++) {
        if (row->kind == CLI_ROW_COMMAND && strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

const struct cli_row *cli_command_end(const struct cli_row *command)
{
    const struct cli_row *row = command + 1;
    while (row->kind == CLI_ROW_OPTION || row->kind == CLI_ROW_NOTE) {
        row++;
    }
    return row;
}
