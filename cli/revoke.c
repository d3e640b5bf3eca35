/*
 * turnpikectl revoke: from now on a user, an access token, or what a secret has signed is let in no
 * more, on every instance; or again, with --undo. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "config/values.h"

/* As long as a credential that another program made can live by default. */
#define DEFAULT_S (48 * 3600u)
#define LONGEST_S (3650 * 86400u)

struct arguments {
    const char *realm, *user, *token, *secret, *duration;
    bool undo;
};

/* How long, in seconds; false: the line is said. */
static bool fit(const struct arguments *a, uint64_t *seconds)
{
    const char *why = NULL;
    *seconds = a->undo ? 0 : DEFAULT_S;
    if (!!a->user + !!a->token + !!a->secret != 1) {
        why = "revoke needs one of --user, --token (its id) and --secret (its id)";
    } else if (a->undo && a->duration) {
        why = "--undo takes back at once: without --for";
    } else if (a->duration &&
               (!value_duration(a->duration, seconds) || *seconds == 0 || *seconds > UINT32_MAX)) {
        why = "--for takes a time such as 90s, 10min, 48h or 30d, up to 3650d";
    }
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
    }
    return !why;
}

static json_t *question(const struct arguments *a, uint64_t seconds)
{
    const char *kind = a->user ? "user" : a->token ? "token" : "secret";
    const char *id = a->user ? a->user : a->token ? a->token : a->secret;
    json_t *json = json_pack("{s:s, s:s, s:s*, s:I}", "kind", kind, "id", id, "realm", a->realm,
        "seconds", (json_int_t)seconds);
    if (!json) {
        fputs("turnpikectl: a name is no UTF-8 text\n", stderr);
    }
    return json;
}

/* In an emergency a typo must not look like a success. */
static void note_unknown(const char *text, const char *done)
{
    json_t *json = json_loads(text, 0, NULL);
    if (json_is_false(json_object_get(json, "known"))) {
        fprintf(stderr, "turnpikectl: no secret or key of the realm has this id; %s all the same\n",
            done);
    }
    json_decref(json);
}

int cli_revoke(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    uint64_t seconds;
    const struct cli_flag flags[] = {{"realm", &a.realm, NULL}, {"user", &a.user, NULL},
        {"token", &a.token, NULL}, {"secret", &a.secret, NULL}, {"for", &a.duration, NULL},
        {"undo", NULL, &a.undo}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    json_t *asked = fit(&a, &seconds) ? question(&a, seconds) : NULL;
    char *body = asked ? json_dumps(asked, JSON_COMPACT) : NULL, *text;
    json_decref(asked);
    if (!body) {
        return CLI_USAGE;
    }
    code = cli_post(&options, "/api/v1/revocations", slice_of_string(body), &text);
    free(body);
    if (code != CLI_DONE) {
        return code;
    }
    const char *done = a.undo ? "taken back" : "revoked";
    if (options.json) {
        fputs(text, stdout);
    } else {
        puts(done);
    }
    note_unknown(text, done);
    free(text);
    return CLI_DONE;
}
