/*
 * turnpikectl limits: whether limits are shared, and, of somebody, what they are and how they
 * stand. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

static long long number_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "?";
}

static void print_sharing(const json_t *json)
{
    const char *sharing = text_of(json, "sharing");
    const bool deny = strcmp(text_of(json, "on_failure"), "deny") == 0;
    const json_t *redis = json_object_get(json, "redis");
    if (strcmp(sharing, "own") == 0) {
        puts("limits:       of this instance alone");
    } else if (strcmp(sharing, "shared") == 0) {
        puts("limits:       shared");
    } else {
        printf("limits:       alone: Redis does not answer, and %s\n",
            deny ? "allocations are refused" : "each instance has its part");
    }
    printf("instances:    %lld\n", number_of(json, "instances"));
    if (json_is_string(redis)) {
        printf("redis:        %s\n", json_string_value(redis));
        printf("on failure:   %s\n", text_of(json, "on_failure"));
    }
}

static void print_limit(const json_t *limit)
{
    const long long period = number_of(limit, "period_s"), count = number_of(limit, "count"),
                    burst = number_of(limit, "burst");
    char text[64];
    snprintf(text, sizeof(text), "%lld/%s", count, period == 1 ? "s" : period == 60 ? "min" : "h");
    if (burst != count) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " burst %lld", burst);
    }
    printf("%-20s", text);
}

static void print_denied(const json_t *of)
{
    const long long ms = number_of(of, "denied_ms");
    if (ms > 0) {
        printf(", denied for %lld.%03lld s", ms / 1000, ms % 1000);
    }
}

static void print_rate(const json_t *rate)
{
    const json_t *here = json_object_get(rate, "here"), *fleet = json_object_get(rate, "fleet");
    const bool shared = json_is_true(json_object_get(rate, "shared"));
    printf("  %-26s", text_of(rate, "scope"));
    print_limit(json_object_get(rate, "limit"));
    printf(" here: %lld left%s", number_of(here, "left"), shared ? " of its part" : "");
    if (shared) {
        printf(", %lld unreported, %lld owed%s", number_of(here, "unreported"),
            number_of(here, "owed"),
            json_is_true(json_object_get(here, "silent")) ? ", silent" : "");
        print_denied(here);
        printf("; fleet: ");
        if (json_is_object(fleet)) {
            printf("%lld left", number_of(fleet, "left"));
            print_denied(fleet);
        } else {
            printf("unknown");
        }
    }
    putchar('\n');
}

static void print_quota(const json_t *quota)
{
    const json_t *limit = json_object_get(quota, "limit");
    char text[32] = "unlimited";
    if (json_is_integer(limit)) {
        snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(limit));
    }
    printf("  %-26s%-20s here: %lld", text_of(quota, "scope"), text, number_of(quota, "here"));
    if (json_is_true(json_object_get(quota, "shared")) && json_is_integer(limit)) {
        printf(", elsewhere: %lld, %lld unreported%s", number_of(quota, "elsewhere"),
            number_of(quota, "unreported"),
            json_is_true(json_object_get(quota, "silent")) ? ", silent" : "");
    }
    putchar('\n');
}

static void print_bandwidth(const json_t *bandwidth)
{
    static const char *const scopes[] = {"allocation", "user", "realm", "instance"};
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        const json_t *limit = json_object_get(bandwidth, scopes[i]);
        if (json_is_integer(limit)) {
            printf("  %-26s%lld kbit/s, %lld ms at once\n", scopes[i],
                (long long)json_integer_value(limit) * 8 / 1000, number_of(bandwidth, "burst_ms"));
        }
    }
}

static void print_list(const char *title, const json_t *list, void (*print)(const json_t *item))
{
    size_t i;
    json_t *item;
    if (json_array_size(list) > 0) {
        puts(title);
    }
    json_array_foreach(list, i, item)
    {
        print(item);
    }
}

static bool has_bandwidth(const json_t *bandwidth)
{
    return json_is_integer(json_object_get(bandwidth, "allocation")) ||
           json_is_integer(json_object_get(bandwidth, "user")) ||
           json_is_integer(json_object_get(bandwidth, "realm")) ||
           json_is_integer(json_object_get(bandwidth, "instance"));
}

static void print_limits(const json_t *json)
{
    const json_t *bandwidth = json_object_get(json, "bandwidth");
    print_sharing(json);
    print_list("rates:", json_object_get(json, "rates"), print_rate);
    print_list("at once:", json_object_get(json, "quotas"), print_quota);
    if (has_bandwidth(bandwidth)) {
        puts("bandwidth, each direction:");
        print_bandwidth(bandwidth);
    }
}

static int show(const struct cli_options *options, const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    int code = CLI_UNREACHABLE;
    if (!json_is_string(json_object_get(json, "sharing"))) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
    } else {
        code = CLI_DONE;
        if (options->json) {
            fputs(text, stdout);
        } else {
            print_limits(json);
        }
    }
    json_decref(json);
    return code;
}

int cli_limits(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    const char *user = NULL, *realm = NULL, *address = NULL;
    const struct cli_flag flags[] = {{"user", &user, NULL}, {"realm", &realm, NULL},
        {"address", &address, NULL}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    json_t *asked =
        json_pack("{s:s*, s:s*, s:s*}", "user", user, "realm", realm, "address", address);
    char *body = asked ? json_dumps(asked, JSON_COMPACT) : NULL, *text;
    json_decref(asked);
    if (!body) {
        fputs("turnpikectl: a name is no UTF-8 text\n", stderr);
        return CLI_USAGE;
    }
    code = cli_post(&options, "/api/v1/limits", slice_of_string(body), &text);
    free(body);
    if (code == CLI_DONE) {
        code = show(&options, text);
        free(text);
    }
    return code;
}
