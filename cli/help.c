/* What turnpikectl says about itself, from the table of commands. Called by options.c and main.c.
 */
#include <string.h>

#include "cli/commands.h"

#define NAME_WIDTH 28
#define TEXT_WIDTH 96 /* columns of a line */

/* Words of `text` from column `used` on, in lines that begin at column `indent`. */
static void print_words(FILE *out, const char *text, size_t indent, size_t used)
{
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        if (used > indent && used + 1 + len > TEXT_WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            used = indent;
        }
        used += (size_t)fprintf(out, used > indent ? " %.*s" : "%.*s", (int)len, text);
        text += len + strspn(text + len, " ");
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const struct cli_row *row)
{
    const int n = fprintf(out, "  --%s %s", row->name, row->argument);
    const int pad = n < NAME_WIDTH ? NAME_WIDTH - n : 0;
    if (pad == 0) {
        fprintf(out, "\n%*s", NAME_WIDTH, "");
    }
    fprintf(out, "%*s", pad, "");
    print_words(out, row->help, NAME_WIDTH, NAME_WIDTH);
}

static void print_one(FILE *out, const struct cli_row *command)
{
    const struct cli_row *end = cli_command_end(command);
    fprintf(out, "Usage: turnpikectl %s [OPTION]...%s%s\n\n", command->name,
        command->argument[0] ? " " : "", command->argument);
    print_words(out, command->help, 0, 0);
    fputs("\nOptions:\n", out);
    for (const struct cli_row *row = command + 1; row < end; row++) {
        if (row->kind == CLI_ROW_OPTION) {
            print_option(out, row);
        }
    }
    for (const struct cli_row *row = cli_common_rows; row->kind != CLI_ROW_END; row++) {
        print_option(out, row);
    }
    for (const struct cli_row *row = command + 1; row < end; row++) {
        if (row->kind == CLI_ROW_NOTE) {
            fputc('\n', out);
            print_words(out, row->help, 0, 0);
        }
    }
}

static void print_all(FILE *out)
{
    fputs("Usage: turnpikectl COMMAND [OPTION]...\n\nCommands:\n", out);
    for (const struct cli_row *row = cli_rows; row->kind != CLI_ROW_END; row++) {
        if (row->kind == CLI_ROW_COMMAND) {
            fprintf(out, "  %-14s ", row->name);
            print_words(out, row->help, 17, 17);
        }
    }
    fputs("\n"
          "  --json           print JSON\n"
          "  --socket PATH    the daemon's socket; without it /run/turnpike/control.sock, then\n"
          "                   $XDG_RUNTIME_DIR/turnpike/control.sock\n"
          "  --version        print the version, and end\n"
          "  --help           print this, or behind a command its options, and end\n"
          "\n"
          "Passwords, keys and tokens are read from files or from standard input, never from "
          "arguments,\n"
          "which everybody on the machine can read.\n"
          "\n"
          "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the daemon cannot be reached.\n",
        out);
}

void cli_help_print(FILE *out, const struct cli_row *command)
{
    if (command) {
        print_one(out, command);
    } else {
        print_all(out);
    }
}
