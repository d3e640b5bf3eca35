/*
 * turnpikectl credentials: a REST credential from the daemon, which holds the secret, in the shape
 * that a client wants. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/secrets.h"
#include "config/values.h"

struct arguments {
    const char *user, *realm, *ttl, *format;
};

/* How long, 0: as the daemon says; false: the line is said. */
static bool fit(const struct arguments *a, uint64_t *seconds)
{
    static const char *const formats[] = {"uberti", "ice", "twilio", "matrix"};
    const char *why = a->user && a->user[0] ? NULL : "credentials needs --user";
    bool known = !a->format;
    for (size_t i = 0; a->format && i < sizeof(formats) / sizeof(formats[0]); i++) {
        known |= strcmp(a->format, formats[i]) == 0;
    }
    *seconds = 0;
    if (!known) {
        why = "--format is uberti, ice, twilio or matrix";
    } else if (a->ttl &&
               (!value_duration(a->ttl, seconds) || *seconds == 0 || *seconds > UINT32_MAX)) {
        why = "--ttl takes a time such as 90s, 10min or 48h";
    }
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
    }
    return !why;
}

/* To be freed; NULL: the line is said. */
static char *question(const struct arguments *a, uint64_t seconds)
{
    json_t *json = json_pack("{s:s, s:s*, s:s*, s:o*}", "user", a->user, "realm", a->realm,
        "format", a->format, "ttl", seconds ? json_integer((json_int_t)seconds) : NULL);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!text) {
        fputs("turnpikectl: a name is no UTF-8 text\n", stderr);
    }
    json_decref(json);
    return text;
}

static bool print_text(const char *text)
{
    json_t *json = json_loads(text, 0, NULL), *uri;
    const json_t *uris = json_object_get(json, "uris");
    const char *username = json_string_value(json_object_get(json, "username"));
    const char *password = json_string_value(json_object_get(json, "password"));
    const bool good = username && password && json_is_array(uris);
    size_t i;
    if (good) {
        printf("username:     %s\npassword:     %s\n", username, password);
        printf("seconds:      %lld\n", (long long)json_integer_value(json_object_get(json, "ttl")));
        json_array_foreach(uris, i, uri)
        {
            printf("%-13s %s\n", i ? "" : "uris:", json_string_value(uri));
        }
    } else {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
    }
    json_decref(json);
    return good;
}

int cli_credentials(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    uint64_t seconds;
    const struct cli_flag flags[] = {{"user", &a.user, NULL}, {"realm", &a.realm, NULL},
        {"ttl", &a.ttl, NULL}, {"format", &a.format, NULL}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    cli_secrets_begin();
    char *body = fit(&a, &seconds) ? question(&a, seconds) : NULL, *text;
    if (!body) {
        return CLI_USAGE;
    }
    code = cli_post(&options, "/api/v1/credentials", slice_of_string(body), &text);
    free(body);
    if (code != CLI_DONE) {
        return code;
    }
    if (options.json || a.format) {
        fputs(text, stdout);
    } else if (!print_text(text)) {
        code = CLI_UNREACHABLE;
    }
    secret_cleanse(text, strlen(text));
    free(text);
    return code;
}
