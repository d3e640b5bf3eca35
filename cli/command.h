/* What the commands of turnpikectl share. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>

/* Stable: scripts rely on them. */
enum exit_code { CLI_DONE = 0, CLI_REFUSED = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3 };

struct cli_options {
    const char *socket; /* NULL: the built-in places */
    bool json;
};

/* A command, with the arguments behind its name. Returns its exit code; says itself what went
 * wrong, in one line on standard error. */
typedef int cli_command_fn(const struct cli_options *options, int argc, char **argv);

cli_command_fn cli_status;

/*
 * The body of GET `path` as *text, to be freed, if the daemon answered 200; else the exit code,
 * with the line said.
 */
int cli_fetch(const struct cli_options *options, const char *path, char **text);

#endif
