/*
 * turnpikectl drain: the daemon lets nobody new in until it is told otherwise, and ends what is
 * left at a deadline; with --wait until nothing is left. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "config/values.h"

#define PATH          "/api/v1/drain"
#define DEADLINE_MAX  172800u
#define LOOK_EVERY_MS 500

struct arguments {
    const char *deadline, *alternate, *domain;
    bool stop, undo, wait, state;
};

/* False: the line is said. */
static bool fit(const struct arguments *a, uint64_t *deadline_s)
{
    const char *why = NULL;
    const bool changes = a->deadline || a->alternate || a->domain || a->stop;
    if (a->deadline && (!value_duration(a->deadline, deadline_s) || *deadline_s > DEADLINE_MAX)) {
        why = "--deadline takes a time such as 90s, 10min or 4h, up to 48h";
    } else if (a->undo && (changes || a->wait)) {
        why = "--undo stands alone";
    } else if (a->state && (changes || a->undo)) {
        why = "--state asks, and changes nothing";
    } else if (a->domain && !a->alternate) {
        why = "--alternate-domain goes with --alternate";
    }
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
    }
    return !why;
}

/* "A,B" as a list; NULL: out of memory, or no UTF-8. */
static json_t *servers(const char *text)
{
    json_t *list = json_array();
    while (list) {
        const size_t len = strcspn(text, ",");
        if (json_array_append_new(list, json_stringn(text, len)) < 0) {
            json_decref(list);
            return NULL;
        }
        if (text[len] == '\0') {
            break;
        }
        text += len + 1;
    }
    return list;
}

/* NULL: the line is said. */
static char *question(const struct arguments *a, uint64_t deadline_s)
{
    json_t *json = json_object();
    int r = json ? 0 : -1;
    if (a->undo) {
        r |= json_object_set_new(json, "off", json_true());
    }
    if (a->deadline) {
        r |= json_object_set_new(json, "deadline_s", json_integer((json_int_t)deadline_s));
    }
    if (a->stop) {
        r |= json_object_set_new(json, "stop", json_true());
    }
    if (a->alternate) {
        r |= json_object_set_new(json, "alternate", servers(a->alternate));
    }
    if (a->domain) {
        r |= json_object_set_new(json, "alternate_domain", json_string(a->domain));
    }
    char *text = r == 0 ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text) {
        fputs("turnpikectl: a name is no UTF-8 text\n", stderr);
    }
    return text;
}

static long long number_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static void print_list(const json_t *list)
{
    size_t i;
    const json_t *item;
    printf("clients go:   ");
    json_array_foreach(list, i, item)
    {
        printf("%s%s", i > 0 ? ", " : "", json_string_value(item) ? json_string_value(item) : "?");
    }
    puts(json_array_size(list) > 0 ? "" : "nowhere: they are refused (508)");
}

static void print(const json_t *json)
{
    const bool draining = json_is_true(json_object_get(json, "draining"));
    printf("draining:     %s\n", draining ? "yes" : "no");
    printf("allocations:  %lld", number_of(json, "allocations"));
    if (draining) {
        printf(", of %lld when it began %lld s ago", number_of(json, "at_first"),
            number_of(json, "seconds"));
    }
    putchar('\n');
    if (draining) {
        printf("deadline:     in %lld s\n", number_of(json, "deadline_s"));
        printf("then:         %s\n",
            json_is_true(json_object_get(json, "stop")) ? "it stops" : "it waits");
        print_list(json_object_get(json, "alternate"));
    }
}

/* Takes `text`. NULL: the line is said. */
static json_t *understand(char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    if (!json_is_boolean(json_object_get(json, "draining"))) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
        json_decref(json);
        json = NULL;
    }
    free(text);
    return json;
}

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* Until nothing is left: *json is the last that is known. A daemon that was to stop, and does not
 * answer any more, has stopped. */
static int wait_for_end(const struct cli_options *options, json_t **json)
{
    struct cli_progress progress;
    int code = CLI_DONE;
    cli_progress_begin(&progress);
    while (
        json_is_true(json_object_get(*json, "draining")) && number_of(*json, "allocations") > 0) {
        struct client_answer answer;
        cli_progress_say(&progress, "%lld of %lld allocations left, %lld s to the deadline",
            number_of(*json, "allocations"), number_of(*json, "at_first"),
            number_of(*json, "deadline_s"));
        sleep_ms(LOOK_EVERY_MS);
        if (client_get(options->socket, PATH, &answer) < 0) {
            code = json_is_true(json_object_get(*json, "stop")) ? CLI_DONE : CLI_UNREACHABLE;
            break;
        }
        json_t *next = answer.status == 200 ? json_loads(answer.body, 0, NULL) : NULL;
        client_answer_free(&answer);
        if (!json_is_object(next)) {
            json_decref(next);
            code = CLI_REFUSED;
            break;
        }
        json_decref(*json);
        *json = next;
    }
    cli_progress_end(&progress);
    if (code == CLI_DONE && !json_is_true(json_object_get(*json, "draining"))) {
        fputs("turnpikectl: the drain was undone\n", stderr);
        return CLI_REFUSED;
    }
    if (code != CLI_DONE) {
        fputs("turnpikectl: the daemon does not answer any more\n", stderr);
    }
    return code;
}

static int ask(
    const struct cli_options *options, const struct arguments *a, uint64_t deadline_s, char **text)
{
    if (a->state) {
        return cli_fetch(options, PATH, text);
    }
    char *body = question(a, deadline_s);
    if (!body) {
        return CLI_USAGE;
    }
    const int code = cli_post(options, PATH, slice_of_string(body), text);
    free(body);
    return code;
}

int cli_drain(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    uint64_t deadline_s = 0;
    char *text = NULL;
    const struct cli_flag flags[] = {{"deadline", &a.deadline, NULL},
        {"alternate", &a.alternate, NULL}, {"alternate-domain", &a.domain, NULL},
        {"stop", NULL, &a.stop}, {"undo", NULL, &a.undo}, {"wait", NULL, &a.wait},
        {"state", NULL, &a.state}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    if (!fit(&a, &deadline_s)) {
        return CLI_USAGE;
    }
    code = ask(&options, &a, deadline_s, &text);
    if (code != CLI_DONE) {
        return code;
    }
    json_t *json = understand(text);
    if (!json) {
        return CLI_UNREACHABLE;
    }
    if (a.wait) {
        code = wait_for_end(&options, &json);
    }
    if (options.json) {
        json_dumpf(json, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print(json);
    }
    json_decref(json);
    return code;
}
