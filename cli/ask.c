/* What the daemon answers, or the line that says why not. Called by the commands. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/print.h"

static const char *why_unreachable(int r)
{
    switch (r) {
    case -EPROTO:
        return "what answers there is not turnpike";
    case -EACCES:
        return "Permission denied: ask as root, or as the user that it runs as";
    case -EPERM:
        return "the socket in XDG_RUNTIME_DIR is another user's: --socket says that it is meant";
    case -ENOENT:
        return "No such file or directory: it does not run, or has another socket (--socket)";
    case -ECONNREFUSED:
        return "Connection refused: it does not run any more";
    default:
        return strerror(-r);
    }
}

/* The answer's body as *text if it is a 200; else the exit code, with the line said. */
static int take(const struct cli_options *options, int r, struct client_answer *answer, char **text)
{
    if (r < 0) {
        fprintf(stderr, "turnpikectl: cannot reach the daemon at %s: %s\n",
            options->socket ? options->socket : "its usual socket", why_unreachable(r));
        return CLI_UNREACHABLE;
    }
    if (answer->status != 200) {
        json_t *line = json_stringn_nocheck(answer->body, strcspn(answer->body, "\n"));
        fprintf(stderr, "turnpikectl: refused (%u): ", answer->status);
        cli_print_text(stderr, line, 0, false);
        fputc('\n', stderr);
        json_decref(line);
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
    unsigned status;
    return cli_post_status(options, path, body, text, &status);
}

int cli_post_status(const struct cli_options *options, const char *path, struct slice body,
    char **text, unsigned *status)
{
    struct client_answer answer;
    const int r = client_post(options->socket, path, body, &answer);
    *status = r < 0 ? 0 : answer.status;
    return take(options, r, &answer, text);
}
