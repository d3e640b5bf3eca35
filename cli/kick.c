/*
 * turnpikectl kick: allocations end now, of an id, of a user, or of whoever may send to a peer. Who
 * is kicked may come back: `revoke` keeps them out. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

struct arguments {
    const char *id, *user, *realm, *peer;
};

/* NULL: the line is said. */
static json_t *question(const struct arguments *a)
{
    if (!!a->id + !!a->user + !!a->peer != 1) {
        fputs("turnpikectl: kick needs one of --id, --user and --peer\n", stderr);
        return NULL;
    }
    if (a->realm && !a->user) {
        fputs("turnpikectl: --realm goes with --user\n", stderr);
        return NULL;
    }
    json_t *json = json_pack("{s:s*, s:s*, s:s*, s:s*}", "id", a->id, "user", a->user, "realm",
        a->realm, "peer", a->peer);
    if (!json) {
        fputs("turnpikectl: a name is no UTF-8 text\n", stderr);
    }
    return json;
}

static int print(const char *text, bool as_json)
{
    json_t *json = json_loads(text, 0, NULL);
    const json_t *kicked = json_object_get(json, "kicked");
    const long long count = json_integer_value(kicked);
    const bool understood = json_is_integer(kicked);
    json_decref(json);
    if (!understood) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
        return CLI_UNREACHABLE;
    }
    if (as_json) {
        fputs(text, stdout);
    } else {
        printf("%lld allocation%s ended\n", count, count == 1 ? "" : "s");
    }
    return CLI_DONE;
}

int cli_kick(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    const struct cli_flag flags[] = {{"id", &a.id, NULL}, {"user", &a.user, NULL},
        {"realm", &a.realm, NULL}, {"peer", &a.peer, NULL}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    json_t *asked = question(&a);
    char *body = asked ? json_dumps(asked, JSON_COMPACT) : NULL, *text;
    json_decref(asked);
    if (!body) {
        return CLI_USAGE;
    }
    code = cli_post(&options, "/api/v1/kick", slice_of_string(body), &text);
    free(body);
    if (code != CLI_DONE) {
        return code;
    }
    code = print(text, options.json);
    free(text);
    return code;
}
