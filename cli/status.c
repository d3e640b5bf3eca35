/* turnpikectl status: the daemon at a glance. Called by main.c. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "?";
}

static long long number_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static void print_uptime(long long seconds)
{
    printf("uptime:       ");
    if (seconds >= 86400) {
        printf("%lld d ", seconds / 86400);
    }
    if (seconds >= 3600) {
        printf("%lld h ", seconds / 3600 % 24);
    }
    if (seconds >= 60) {
        printf("%lld min ", seconds / 60 % 60);
    }
    printf("%lld s\n", seconds % 60);
}

static void print_listeners(const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        printf("listening:    %s %s%s\n", text_of(item, "proto"), text_of(item, "address"),
            json_is_true(json_object_get(item, "configured")) ? "" : " (until the next start)");
    }
}

static void print_relayed(const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        printf("relaying:     %s (local %s)\n", text_of(item, "public"), text_of(item, "local"));
    }
}

static void print_status(const json_t *json)
{
    const json_t *workers = json_object_get(json, "workers");
    const json_t *config = json_object_get(json, "config");
    const json_t *allocations = json_object_get(json, "allocations");
    const char *file = json_string_value(json_object_get(config, "file"));
    printf("turnpike %s: %s, %s\n", text_of(json, "version"), text_of(json, "state"),
        json_is_true(json_object_get(json, "ready")) ? "ready" : "not ready");
    print_uptime(number_of(json, "uptime_seconds"));
    printf("allocations:  %lld now, %lld since the start\n", number_of(allocations, "active"),
        number_of(allocations, "created"));
    printf("workers:      %lld, %lld of them polling\n", number_of(workers, "count"),
        number_of(workers, "polling"));
    printf("config:       %s, version %lld%s\n", file ? file : "built in",
        number_of(config, "version"),
        json_is_true(json_object_get(config, "reloading")) ? ", being taken over" : "");
    if (json_string_value(json_object_get(json, "redis"))) {
        printf("redis:        %s\n", text_of(json, "redis"));
    }
    print_listeners(json_object_get(json, "listeners"));
    print_relayed(json_object_get(json, "relayed"));
}

int cli_status(const struct cli_options *common, int argc, char **argv)
{
    char *text;
    struct cli_options options = *common;
    int code = cli_read_options(&options, argc, argv, NULL);
    if (code != CLI_GOES_ON) {
        return code;
    }
    code = cli_fetch(&options, "/api/v1/status", &text);
    if (code != CLI_DONE) {
        return code;
    }
    json_t *json = json_loads(text, 0, NULL);
    if (!json_is_object(json)) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
        code = CLI_UNREACHABLE;
    } else if (options.json) {
        fputs(text, stdout);
    } else {
        print_status(json);
    }
    json_decref(json);
    free(text);
    return code;
}
