/*
 * turnpikectl config: the configuration that the daemon runs with, as YAML, secrets masked. Called
 * by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

int cli_config(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    char *text;
    int code = cli_read_options(&options, argc, argv, NULL);
    if (code != CLI_GOES_ON) {
        return code;
    }
    code = cli_fetch(&options, "/api/v1/config", &text);
    if (code != CLI_DONE) {
        return code;
    }
    json_t *json = json_loads(text, 0, NULL);
    const char *yaml = json_string_value(json_object_get(json, "yaml"));
    if (!yaml) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
        code = CLI_UNREACHABLE;
    } else {
        fputs(options.json ? text : yaml, stdout);
    }
    json_decref(json);
    free(text);
    return code;
}
