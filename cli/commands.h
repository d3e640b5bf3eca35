/* The list of commands.def, as a table: rows of a command stand behind it until the next one. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdio.h>

#include "cli/command.h"

enum cli_row_kind { CLI_ROW_COMMAND, CLI_ROW_OPTION, CLI_ROW_NOTE, CLI_ROW_END };

struct cli_row {
    enum cli_row_kind kind;
    const char *name;     /* of the command or option; of a note NULL */
    const char *argument; /* "": takes none */
    const char *help;     /* or the note's text */
    cli_command_fn *run;  /* of a command */
};

#define CLI_OPTIONS_MAX 24 /* of one command */

/* Options that every command takes. */
extern const struct cli_row cli_common_rows[];
/* All others; ends with CLI_ROW_END. */
extern const struct cli_row cli_rows[];

/* The row of the command with this name, or NULL. */
const struct cli_row *cli_command_find(const char *name);
/* The first row behind `row`'s command that belongs to another; rows between are the command's. */
const struct cli_row *cli_command_end(const struct cli_row *command);

/* What --help prints: of one command, or, with NULL, of all. */
void cli_help_print(FILE *out, const struct cli_row *command);

#endif
