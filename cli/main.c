/*
 * turnpikectl: asks the running daemon, over its unix socket. Which commands there are stands in
 * commands.def; each is a file of its own.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "cli/commands.h"

/* No core file ever holds a password or a key of access tokens. */
static void protect(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);
}

/* Every secret is wiped when a command has run: leak checkers may look again. */
static int run(
    const struct cli_row *command, const struct cli_options *options, int argc, char **argv)
{
    protect();
    const int code = command->run(options, argc, argv);
    (void)prctl(PR_SET_DUMPABLE, 1);
    return code;
}

int main(int argc, char **argv)
{
    struct cli_options options = {0};
    const int code = cli_read_common(&options, argc, argv);
    if (code != CLI_GOES_ON) {
        return code;
    }
    if (optind == argc) {
        cli_help_print(stderr, NULL);
        return CLI_USAGE;
    }
    const int first = optind;
    const struct cli_row *command = cli_command_find(argv[first]);
    if (!command) {
        fprintf(stderr, "turnpikectl: no command '%s'; see turnpikectl --help\n", argv[first]);
        return CLI_USAGE;
    }
    return run(command, &options, argc - first, argv + first);
}
