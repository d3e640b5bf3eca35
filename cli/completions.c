/*
 * Completions for bash, zsh and fish. FILE completes paths, "a|b" these words, and any other
 * argument nothing. Called by generate.c and tests.
 */
#include "cli/completions.h"

#include <string.h>

#include "cli/commands.h"

enum kind { KIND_NONE, KIND_FILE, KIND_WORDS, KIND_ANY };

static enum kind kind_of(const struct cli_row *row)
{
    if (row->argument[0] == '\0') {
        return KIND_NONE;
    }
    if (strstr(row->argument, "FILE")) {
        return KIND_FILE;
    }
    return strchr(row->argument, '|') ? KIND_WORDS : KIND_ANY;
}

/* "a|b" or "[a|b]" with blanks between. */
static void write_words(FILE *out, const char *argument)
{
    for (const char *c = argument; *c != '\0'; c++) {
        if (*c != '[' && *c != ']') {
            fputc(*c == '|' ? ' ' : *c, out);
        }
    }
}

/* The text, with a backslash before each of `special`; a quote ends, escapes itself and begins
 * again, which all three shells read alike. */
static void write_quoted(FILE *out, const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", out);
        } else {
            fprintf(out, strchr(special, *text) ? "\\%c" : "%c", *text);
        }
    }
}

static const struct cli_row *next_command(const struct cli_row *row)
{
    row = row ? cli_command_end(row) : cli_rows;
    return row->kind == CLI_ROW_COMMAND ? row : NULL;
}

/* The option behind `row` among those of one command or of all; NULL: none. */
static const struct cli_row *next_option(const struct cli_row *row)
{
    for (row++; row->kind == CLI_ROW_OPTION || row->kind == CLI_ROW_NOTE; row++) {
        if (row->kind == CLI_ROW_OPTION) {
            return row;
        }
    }
    return NULL;
}

static void bash_names(FILE *out, const struct cli_row *row)
{
    for (; row; row = next_option(row)) {
        fprintf(out, " --%s", row->name);
    }
}

/* What stands behind an option, or in place of the operand: `where` matches command/previous. */
static void bash_value(FILE *out, const char *command, const struct cli_row *row)
{
    fprintf(out, "        %s/--%s)\n", command, row->name);
    if (kind_of(row) == KIND_FILE) {
        fputs("            compopt -o filenames 2>/dev/null\n"
              "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n",
            out);
    } else if (kind_of(row) == KIND_WORDS) {
        fputs("            mapfile -t COMPREPLY < <(compgen -W '", out);
        write_words(out, row->argument);
        fputs("' -- \"$cur\") ;;\n", out);
    } else {
        fputs("            ;;\n", out);
    }
}

static void bash_values(FILE *out)
{
    for (const struct cli_row *row = cli_common_rows; row; row = next_option(row)) {
        if (kind_of(row) != KIND_NONE) {
            bash_value(out, "*", row);
        }
    }
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        for (const struct cli_row *row = next_option(c); row; row = next_option(row)) {
            if (kind_of(row) != KIND_NONE) {
                bash_value(out, c->name, row);
            }
        }
    }
}

static void bash_commands(FILE *out)
{
    fputs("                '') words='", out);
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        fprintf(out, "%s ", c->name);
    }
    fputs("' ;;\n", out);
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        fprintf(out, "                %s) words='", c->name);
        if (kind_of(c) == KIND_WORDS) {
            write_words(out, c->argument);
        }
        bash_names(out, next_option(c));
        fputs("' ;;\n", out);
    }
}

void completions_write_bash(FILE *out)
{
    fputs("# Completes turnpikectl(1) in bash. Made from the program's table of commands.\n"
          "_turnpikectl()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local i word words command=''\n"
          "    COMPREPLY=()\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        word=${COMP_WORDS[i]}\n"
          "        case $word in\n"
          "            --socket) i=$((i + 1)) ;;\n"
          "            -*) ;;\n"
          "            *) command=$word && break ;;\n"
          "        esac\n"
          "    done\n"
          "    case $command/$prev in\n",
        out);
    bash_values(out);
    fputs("        *)\n            case $command in\n", out);
    bash_commands(out);
    fputs("                *) return ;;\n            esac\n"
          "            mapfile -t COMPREPLY < <(compgen -W \"$words",
        out);
    bash_names(out, cli_common_rows);
    fputs("\" -- \"$cur\") ;;\n    esac\n}\ncomplete -F _turnpikectl turnpikectl\n", out);
}

/* '--name[help]:argument:action' */
static void zsh_option(FILE *out, const struct cli_row *row)
{
    fprintf(out, " \\\n        '--%s[", row->name);
    write_quoted(out, row->help, "[]:\\");
    fputc(']', out);
    if (kind_of(row) == KIND_FILE) {
        fputs(":file:_files", out);
    } else if (kind_of(row) == KIND_WORDS) {
        fputs(":word:(", out);
        write_words(out, row->argument);
        fputc(')', out);
    } else if (kind_of(row) == KIND_ANY) {
        fprintf(out, ":%s: ", row->argument);
    }
    fputc('\'', out);
}

static void zsh_command(FILE *out, const struct cli_row *c)
{
    fprintf(out, "    %s) _arguments", c->name);
    for (const struct cli_row *row = next_option(c); row; row = next_option(row)) {
        zsh_option(out, row);
    }
    for (const struct cli_row *row = cli_common_rows; row; row = next_option(row)) {
        zsh_option(out, row);
    }
    if (kind_of(c) == KIND_FILE) {
        fputs(" \\\n        '1:file:_files'", out);
    } else if (kind_of(c) == KIND_WORDS) {
        fputs(" \\\n        '1:word:(", out);
        write_words(out, c->argument);
        fputs(")'", out);
    }
    fputs(" ;;\n", out);
}

void completions_write_zsh(FILE *out)
{
    fputs("#compdef turnpikectl\n"
          "# Completes turnpikectl(1) in zsh. Made from the program's table of commands.\n"
          "local state line\nlocal -a commands\ntypeset -A opt_args\ncommands=(\n",
        out);
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        fprintf(out, "    '%s:", c->name);
        write_quoted(out, c->help, ":\\");
        fputs("'\n", out);
    }
    fputs(")\n_arguments -C", out);
    for (const struct cli_row *row = cli_common_rows; row; row = next_option(row)) {
        zsh_option(out, row);
    }
    fputs(" \\\n        '1:command:->command' '*::option:->option'\n"
          "case $state in\n"
          "command) _describe command commands ;;\n"
          "option)\n    case $line[1] in\n",
        out);
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        zsh_command(out, c);
    }
    fputs("    esac ;;\nesac\n", out);
}

/* `condition`: where it may stand. */
static void fish_option(FILE *out, const char *condition, const struct cli_row *row)
{
    fprintf(out, "complete -c turnpikectl%s -l %s", condition, row->name);
    if (kind_of(row) == KIND_FILE) {
        fputs(" -rF", out);
    } else if (kind_of(row) == KIND_WORDS) {
        fputs(" -xa '", out);
        write_words(out, row->argument);
        fputc('\'', out);
    } else if (kind_of(row) == KIND_ANY) {
        fputs(" -x", out);
    }
    fputs(" -d '", out);
    write_quoted(out, row->help, "\\");
    fputs("'\n", out);
}

static void fish_command(FILE *out, const struct cli_row *c)
{
    char condition[96];
    snprintf(condition, sizeof(condition), " -n '__fish_seen_subcommand_from %s'", c->name);
    fprintf(out, "complete -c turnpikectl -n __fish_use_subcommand -a %s -d '", c->name);
    write_quoted(out, c->help, "\\");
    fputs("'\n", out);
    if (kind_of(c) == KIND_FILE) {
        fprintf(out, "complete -c turnpikectl%s -F\n", condition);
    } else if (kind_of(c) == KIND_WORDS) {
        fprintf(out, "complete -c turnpikectl%s -a '", condition);
        write_words(out, c->argument);
        fputs("'\n", out);
    }
    for (const struct cli_row *row = next_option(c); row; row = next_option(row)) {
        fish_option(out, condition, row);
    }
}

void completions_write_fish(FILE *out)
{
    fputs("# Completes turnpikectl(1) in fish. Made from the program's table of commands.\n"
          "complete -c turnpikectl -f\n",
        out);
    for (const struct cli_row *row = cli_common_rows; row; row = next_option(row)) {
        fish_option(out, "", row);
    }
    for (const struct cli_row *c = next_command(NULL); c; c = next_command(c)) {
        fish_command(out, c);
    }
}
