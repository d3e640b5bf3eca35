/* What the commands of turnpikectl share. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>

#include "base/slice.h"

/* Stable: scripts rely on them. The last is never one. */
enum exit_code {
    CLI_DONE = 0,
    CLI_REFUSED = 1,
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3,
    CLI_GOES_ON = -1
};

struct cli_options {
    const char *socket; /* NULL: the built-in places */
    bool json;
};

/* Where an option of the command goes; what it is called and takes stands in commands.def. */
struct cli_flag {
    const char *name;   /* NULL: the end of the list */
    const char **value; /* of one that takes an argument */
    bool *set;          /* of one that takes none */
};

/* A command; argv[0] is its name, and what is behind it is its own. Returns its exit code; says
 * itself what went wrong, in one line on standard error. */
typedef int cli_command_fn(const struct cli_options *options, int argc, char **argv);

#define COMMAND(function, ...) cli_command_fn cli_##function;
#define OPTION(...)
#define NOTE(...)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
#undef NOTE

/*
 * Reads the command's own options, those of its rows in commands.def, and the common ones, in any
 * order. `flags` (NULL: none) says where each goes; there are no other arguments. CLI_GOES_ON, or
 * the exit code, with the line said.
 */
int cli_read_options(
    struct cli_options *options, int argc, char **argv, const struct cli_flag *flags);
/* The same where the command has an operand, which goes to *operand if it is there. *operand must
 * be NULL before. */
int cli_read_arguments(struct cli_options *options, int argc, char **argv,
    const struct cli_flag *flags, const char **operand);
/* The common options up to the first word that is none, which is argv[optind] then. For main. */
int cli_read_common(struct cli_options *options, int argc, char **argv);

/*
 * The body of GET `path`, or of POST `path` with this JSON, as *text, to be freed, if the daemon
 * answered 200; else the exit code, with the line said.
 */
int cli_fetch(const struct cli_options *options, const char *path, char **text);
int cli_post(const struct cli_options *options, const char *path, struct slice body, char **text);
/* The same with the status of HTTP in any case; 0: there is none. */
int cli_post_status(const struct cli_options *options, const char *path, struct slice body,
    char **text, unsigned *status);

#endif
