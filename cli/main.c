/*
 * turnpikectl: asks the running daemon, over its unix socket. Arguments are read here; each command
 * is a file of its own.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"

static const struct {
    const char *name, *help;
    cli_command_fn *run;
} commands[] = {
    {"status", "what runs, since when, how many allocations, where it listens", cli_status},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
    fputs("Usage: turnpikectl COMMAND [--json] [--socket PATH]\n\nCommands:\n", out);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].help);
    }
    fputs("\n"
          "  --json           print JSON\n"
          "  --socket PATH    the daemon's socket; without it /run/turnpike/control.sock, then\n"
          "                   $XDG_RUNTIME_DIR/turnpike/control.sock\n"
          "  --version        print the version, and end\n"
          "  --help           print this, and end\n"
          "\n"
          "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the daemon cannot be reached.\n",
        out);
}

int cli_fetch(const struct cli_options *options, const char *path, char **text)
{
    struct client_answer answer;
    int r = client_get(options->socket, path, &answer);
    if (r < 0) {
        fprintf(stderr, "turnpikectl: cannot reach the daemon at %s: %s\n",
            options->socket ? options->socket : "its usual socket",
            r == -EPROTO ? "what answers there is not turnpike" : strerror(-r));
        return CLI_UNREACHABLE;
    }
    if (answer.status != 200) {
        fprintf(stderr, "turnpikectl: refused (%u): %.*s\n", answer.status,
            (int)strcspn(answer.body, "\n"), answer.body);
        client_answer_free(&answer);
        return CLI_REFUSED;
    }
    *text = answer.body;
    return CLI_DONE;
}

/* False for options that mean nothing; *ended: there is nothing more to do. */
static bool parse(int argc, char **argv, struct cli_options *options, bool *ended)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'},
        {"socket", required_argument, NULL, 's'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'j':
            options->json = true;
            break;
        case 's':
            options->socket = optarg;
            break;
        case 'v':
            puts("turnpikectl " TURNPIKE_VERSION);
            *ended = true;
            return true;
        case 'h':
            usage(stdout);
            *ended = true;
            return true;
        default:
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct cli_options options = {0};
    bool ended = false;
    signal(SIGPIPE, SIG_IGN);
    if (!parse(argc, argv, &options, &ended)) {
        return CLI_USAGE;
    }
    if (ended) {
        return CLI_DONE;
    }
    if (optind == argc) {
        usage(stderr);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[optind], commands[i].name) == 0) {
            return commands[i].run(&options, argc - optind - 1, argv + optind + 1);
        }
    }
    fprintf(stderr, "turnpikectl: no command '%s'; see turnpikectl --help\n", argv[optind]);
    return CLI_USAGE;
}
