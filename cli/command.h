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

/* An option of one command. */
struct cli_flag {
    const char *name;   /* NULL: the end of the list */
    const char **value; /* takes an argument, which goes here */
    bool *set;          /* takes none */
};

/* A command; argv[0] is its name, and what is behind it is its own. Returns its exit code; says
 * itself what went wrong, in one line on standard error. */
typedef int cli_command_fn(const struct cli_options *options, int argc, char **argv);

cli_command_fn cli_status, cli_sessions, cli_explain, cli_limits, cli_revoke;
cli_command_fn cli_srtp_key, cli_token;

/*
 * Reads the command's own options (NULL: none) and the common ones, in any order; there are no
 * other arguments. CLI_GOES_ON, or the exit code, with the line said.
 */
int cli_read_options(
    struct cli_options *options, int argc, char **argv, const struct cli_flag *flags);

/*
 * The body of GET `path`, or of POST `path` with this JSON, as *text, to be freed, if the daemon
 * answered 200; else the exit code, with the line said.
 */
int cli_fetch(const struct cli_options *options, const char *path, char **text);
int cli_post(const struct cli_options *options, const char *path, struct slice body, char **text);

#endif
