/*
 * turnpikectl reload: the daemon reads its configuration again; prints what has changed, and what
 * waits for a restart. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

#define CONFIGURATION_WRONG 422

static void print_list(const json_t *list, const char *before)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        printf("%s%s\n", before, json_string_value(item) ? json_string_value(item) : "?");
    }
}

static void print(const json_t *json)
{
    const json_t *changed = json_object_get(json, "changed"),
                 *restart = json_object_get(json, "needs_restart");
    const long long kept = json_integer_value(json_object_get(json, "listeners_kept"));
    printf("reloaded: version %lld%s\n",
        (long long)json_integer_value(json_object_get(json, "version")),
        json_array_size(changed) + json_array_size(restart) == 0 ? ", no key has changed" : "");
    print_list(changed, "changed: ");
    print_list(restart, "needs a restart: ");
    if (kept > 0) {
        printf("needs a restart: %lld listener%s no longer configured\n", kept,
            kept == 1 ? " is" : "s are");
    }
}

int cli_reload(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    char *text;
    unsigned status;
    int code = cli_read_options(&options, argc, argv, NULL);
    if (code != CLI_GOES_ON) {
        return code;
    }
    code = cli_post_status(&options, "/api/v1/reload", slice_of_string("{}"), &text, &status);
    if (code != CLI_DONE) {
        return status == CONFIGURATION_WRONG ? CLI_USAGE : code;
    }
    json_t *json = json_loads(text, 0, NULL);
    if (!json_is_true(json_object_get(json, "reloaded"))) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
        code = CLI_UNREACHABLE;
    } else if (options.json) {
        fputs(text, stdout);
    } else {
        print(json);
    }
    json_decref(json);
    free(text);
    return code;
}
