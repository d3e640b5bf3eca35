/*
 * Writes scdoc from the table of commands, and from the reference of the configuration, which is
 * Markdown. Called by generate.c and tests.
 */
#include "cli/manual.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "config/reference.h"

/* What scdoc would take for markup. */
static void write_char(FILE *out, char c)
{
    if (strchr("\\*_", c)) {
        fputc('\\', out);
    }
    fputc(c, out);
}

static void write_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        write_char(out, *text);
    }
}

static void write_option(FILE *out, const struct cli_row *row)
{
    fputs("\t*", out);
    write_text(out, "--");
    write_text(out, row->name);
    fputc('*', out);
    if (row->argument[0] != '\0') {
        fputc(' ', out);
        write_text(out, row->argument);
    }
    fputs("\n\t\t", out);
    write_text(out, row->help);
    fputs("\n\n", out);
}

static void write_command(FILE *out, const struct cli_row *c)
{
    const struct cli_row *end = cli_command_end(c);
    fputc('*', out);
    write_text(out, c->name);
    fprintf(out, "*%s", c->argument[0] ? " " : "");
    write_text(out, c->argument);
    fputs("\n\t", out);
    write_text(out, c->help);
    fputs("\n\n", out);
    for (const struct cli_row *row = c + 1; row < end; row++) {
        if (row->kind == CLI_ROW_OPTION) {
            write_option(out, row);
        }
    }
    for (const struct cli_row *row = c + 1; row < end; row++) {
        if (row->kind == CLI_ROW_NOTE) {
            fputc('\t', out);
            write_text(out, row->help);
            fputs("\n\n", out);
        }
    }
}

static void write_commands(FILE *out)
{
    for (const struct cli_row *c = cli_rows; c->kind != CLI_ROW_END; c = cli_command_end(c)) {
        write_command(out, c);
    }
}

/* Code becomes bold, a link its text, ** one *. */
static void write_inline(FILE *out, const char *text)
{
    bool code = false;
    for (; *text != '\0'; text++) {
        const char *end = code ? NULL : strstr(text, "](");
        if (*text == '`') {
            fputc('*', out);
            code = !code;
        } else if (*text == '[' && end && strchr(end, ')') && end - text < 80) {
            for (const char *c = text + 1; c < end; c++) {
                if (*c != '`') {
                    write_char(out, *c);
                }
            }
            text = strchr(end, ')');
        } else if (*text == '*' && !code) {
            fputc('*', out);
            text += text[1] == '*';
        } else {
            write_char(out, *text);
        }
    }
}

static void write_heading(FILE *out, const char *line)
{
    const bool section = strncmp(line, "## ", 3) == 0;
    fputs(section ? "# " : "## ", out);
    for (line += section ? 3 : 4; *line != '\0'; line++) {
        if (*line != '`') {
            fputc(section ? toupper((unsigned char)*line) : *line, out);
        }
    }
}

/* Headings, lists, paragraphs, code and links; the title is the page's own. */
static void write_markdown(FILE *out, FILE *markdown)
{
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t len; (len = getline(&line, &cap, markdown)) > 0;) {
        line[len - 1] = line[len - 1] == '\n' ? '\0' : line[len - 1];
        if (strncmp(line, "# ", 2) == 0 || strncmp(line, "<!--", 4) == 0) {
            continue;
        }
        if (line[0] == '#') {
            write_heading(out, line);
        } else {
            write_inline(out, line);
        }
        fputc('\n', out);
    }
    free(line);
}

static int write_configuration(FILE *out)
{
    FILE *markdown = tmpfile();
    int r = markdown ? reference_write(markdown) : -errno;
    if (r == 0) {
        rewind(markdown);
        write_markdown(out, markdown);
    }
    if (markdown) {
        fclose(markdown);
    }
    return r;
}

int manual_write(FILE *out, const char *path)
{
    char line[1024];
    int r = 0;
    FILE *page = fopen(path, "r");
    if (!page) {
        return -errno;
    }
    while (r == 0 && fgets(line, sizeof(line), page)) {
        if (strcmp(line, "@COMMANDS@\n") == 0) {
            write_commands(out);
        } else if (strcmp(line, "@CONFIGURATION@\n") == 0) {
            r = write_configuration(out);
        } else {
            fputs(line, out);
        }
    }
    fclose(page);
    return r;
}
