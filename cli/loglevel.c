/*
 * turnpikectl loglevel: what the daemon's log shows, and for a while something else. Called by
 * main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "config/values.h"

#define PATH "/api/v1/log-level"

struct arguments {
    const char *level, *duration;
    bool undo;
};

/* For how long; false: the line is said. */
static bool fit(const struct arguments *a, uint64_t *seconds)
{
    const char *why = NULL;
    *seconds = 600;
    if (a->undo && (a->level || a->duration)) {
        why = "--undo takes back at once, and stands alone";
    } else if (a->duration && !a->level) {
        why = "--for needs a level: error, warn, info or debug";
    } else if (a->duration &&
               (!value_duration(a->duration, seconds) || *seconds == 0 || *seconds > 86400)) {
        why = "--for takes a time such as 90s, 10min or 2h, up to 24h";
    }
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
    }
    return !why;
}

/* To be freed; NULL: the line is said. */
static char *question(const struct arguments *a, uint64_t seconds)
{
    json_t *json =
        json_pack("{s:s*, s:I}", "level", a->level, "seconds", (json_int_t)(a->undo ? 0 : seconds));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!text) {
        fputs("turnpikectl: the level is no UTF-8 text\n", stderr);
    }
    json_decref(json);
    return text;
}

static bool print_text(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    const char *level = json_string_value(json_object_get(json, "level"));
    const char *configured = json_string_value(json_object_get(json, "configured"));
    const json_t *seconds = json_object_get(json, "seconds");
    if (!level || !configured) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
    } else if (json_is_integer(seconds)) {
        printf(
            "%s for %lld s, then %s\n", level, (long long)json_integer_value(seconds), configured);
    } else {
        puts(level);
    }
    const bool good = level && configured;
    json_decref(json);
    return good;
}

int cli_loglevel(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    uint64_t seconds;
    const struct cli_flag flags[] = {
        {"for", &a.duration, NULL}, {"undo", NULL, &a.undo}, {NULL, NULL, NULL}};
    int code = cli_read_arguments(&options, argc, argv, flags, &a.level);
    if (code != CLI_GOES_ON) {
        return code;
    }
    if (!fit(&a, &seconds)) {
        return CLI_USAGE;
    }
    char *body = NULL, *text;
    if (a.level || a.undo) {
        body = question(&a, seconds);
        if (!body) {
            return CLI_USAGE;
        }
    }
    code = body ? cli_post(&options, PATH, slice_of_string(body), &text)
                : cli_fetch(&options, PATH, &text);
    free(body);
    if (code != CLI_DONE) {
        return code;
    }
    if (options.json) {
        fputs(text, stdout);
    } else if (!print_text(text)) {
        code = CLI_UNREACHABLE;
    }
    free(text);
    return code;
}
