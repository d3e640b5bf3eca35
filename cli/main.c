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
#include <sys/prctl.h>
#include <sys/resource.h>

#include "cli/client.h"
#include "cli/command.h"

static const struct {
    const char *name, *help, *arguments;
    cli_command_fn *run;
} commands[] = {
    {"status", "what runs, since when, how many allocations, where it listens", "", cli_status},
    {"sessions", "who has allocations, how much passes, and with --media how each stream is doing",
        "[--media] [--user U [--realm R]] [--id ID]", cli_sessions},
    {"explain", "whether a credential would be accepted, and if not, why",
        "--user U [--realm R] [--password-file F | --password-stdin | --token-file F]",
        cli_explain},
    {"limits", "whether limits are shared, and how they stand for somebody",
        "[--user U] [--realm R] [--address A]", cli_limits},
    {"revoke", "let a user, an access token or what a secret has signed in no more",
        "--user U | --token ID | --secret ID [--realm R] [--for 48h] [--undo]", cli_revoke},
    {"srtp-key", "deposit a key of media, read from standard input as a crypto attribute",
        "--allocation ID [--ssrc N] | --user U --ssrc N [--realm R]\n"
        "                 --direction to_peer|to_client [--roc N] [--ttl 1h] [--take-back] < "
        "FILE;\n"
        "                 for Redis --wrap --wrap-key-file F [--prefix P]; --new-wrap-key makes F",
        cli_srtp_key},
    {"token", "make an access token with a key that the daemon has as well",
        "--kid K --key-file F --server-name N [--algorithm A256GCM|A128GCM] [--lifetime 1h]",
        cli_token},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
    fputs("Usage: turnpikectl COMMAND [--json] [--socket PATH]\n\nCommands:\n", out);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].help);
        if (commands[i].arguments[0] != '\0') {
            fprintf(out, "                 %s\n", commands[i].arguments);
        }
    }
    fputs("\n"
          "  --json           print JSON\n"
          "  --socket PATH    the daemon's socket; without it /run/turnpike/control.sock, then\n"
          "                   $XDG_RUNTIME_DIR/turnpike/control.sock\n"
          "  --version        print the version, and end\n"
          "  --help           print this, and end\n"
          "\n"
          "Passwords, keys and tokens are read from files or from standard input, never from "
          "arguments,\n"
          "which everybody on the machine can read.\n"
          "\n"
          "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the daemon cannot be reached.\n",
        out);
}

/* The answer's body as *text if it is a 200; else the exit code, with the line said. */
static int take(const struct cli_options *options, int r, struct client_answer *answer, char **text)
{
    if (r < 0) {
        fprintf(stderr, "turnpikectl: cannot reach the daemon at %s: %s\n",
            options->socket ? options->socket : "its usual socket",
            r == -EPROTO ? "what answers there is not turnpike" : strerror(-r));
        return CLI_UNREACHABLE;
    }
    if (answer->status != 200) {
        fprintf(stderr, "turnpikectl: refused (%u): %.*s\n", answer->status,
            (int)strcspn(answer->body, "\n"), answer->body);
        client_answer_free(answer);
        return CLI_REFUSED;
    }
    *text = answer->body;
    return CLI_DONE;
}

int cli_fetch(const struct cli_options *options, const char *path, char **text)
{
    struct client_answer answer;
    const int r = client_get(options->socket, path, &answer);
    return take(options, r, &answer, text);
}

int cli_post(const struct cli_options *options, const char *path, struct slice body, char **text)
{
    struct client_answer answer;
    const int r = client_post(options->socket, path, body, &answer);
    return take(options, r, &answer, text);
}

#define FLAGS_MAX 16

static const struct cli_flag no_flags[] = {{NULL, NULL, NULL}};

static void copy_flags(struct option known[FLAGS_MAX + 5], const struct cli_flag *flags)
{
    static const struct option common[] = {
        {"json", no_argument, NULL, 'j'},
        {"socket", required_argument, NULL, 's'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
    };
    memcpy(known, common, sizeof(common));
    for (int i = 0; flags[i].name && i < FLAGS_MAX; i++) {
        known[4 + i] = (struct option){
            flags[i].name, flags[i].value ? required_argument : no_argument, NULL, 256 + i};
    }
}

static void set_flag(const struct cli_flag *flag)
{
    if (flag->value) {
        *flag->value = optarg;
    } else {
        *flag->set = true;
    }
}

/* Up to the first word that is no option, which is argv[optind] then. */
static int read_options(
    struct cli_options *options, int argc, char **argv, const struct cli_flag *flags)
{
    struct option known[FLAGS_MAX + 5] = {{0}};
    copy_flags(known, flags);
    optind = 0; /* glibc: from the beginning */
    for (int c; (c = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
        switch (c) {
        case 'j':
            options->json = true;
            break;
        case 's':
            options->socket = optarg;
            break;
        case 'v':
            puts("turnpikectl " TURNPIKE_VERSION);
            return CLI_DONE;
        case 'h':
            usage(stdout);
            return CLI_DONE;
        default:
            if (c < 256) {
                return CLI_USAGE;
            }
            set_flag(&flags[c - 256]);
        }
    }
    return CLI_GOES_ON;
}

int cli_read_options(
    struct cli_options *options, int argc, char **argv, const struct cli_flag *flags)
{
    const int code = read_options(options, argc, argv, flags ? flags : no_flags);
    if (code != CLI_GOES_ON || optind == argc) {
        return code;
    }
    fprintf(stderr, "turnpikectl: %s takes no argument, not '%s'\n", argv[0], argv[optind]);
    return CLI_USAGE;
}

/* No core file ever holds a password or a key of access tokens. */
static void protect(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);
}

/* Every secret is wiped when a command has run: leak checkers may look again. */
static int run(size_t command, const struct cli_options *options, int argc, char **argv)
{
    protect();
    const int code = commands[command].run(options, argc, argv);
    (void)prctl(PR_SET_DUMPABLE, 1);
    return code;
}

int main(int argc, char **argv)
{
    struct cli_options options = {0};
    const int code = read_options(&options, argc, argv, no_flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    if (optind == argc) {
        usage(stderr);
        return CLI_USAGE;
    }
    const int first = optind;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[first], commands[i].name) == 0) {
            return run(i, &options, argc - first, argv + first);
        }
    }
    fprintf(stderr, "turnpikectl: no command '%s'; see turnpikectl --help\n", argv[first]);
    return CLI_USAGE;
}
