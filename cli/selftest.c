/*
 * turnpikectl selftest: two clients on this machine call each other through every listener, and
 * each step's time is said. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/listeners.h"
#include "cli/probe.h"
#include "cli/progress.h"
#include "cli/secrets.h"

#define STEP_TIMEOUT_MS 3000

struct selftest {
    const struct cli_options *options;
    struct cli_credential_source source;
    struct crypto *crypto;
    struct cli_listeners listeners;
    struct cli_progress progress;
    json_t *results; /* with --json */
    size_t tried, failed, skipped;
};

static const char *reason_to_skip(const struct cli_listener *l)
{
    if (l->proxied) {
        return "for load balancers only: its connections begin with a PROXY header";
    }
    return l->client_certificate ? "asks for a client certificate" : NULL;
}

static json_t *steps_json(const struct probe *p)
{
    json_t *steps = json_object();
    for (int i = 0; i < PROBE_STEPS; i++) {
        if (p->us[i] > 0) {
            json_object_set_new(
                steps, probe_step_name((enum probe_step)i), json_real(p->us[i] / 1000.0));
        }
    }
    return steps;
}

static void keep_json(struct selftest *s, const struct probe *p, const char *result)
{
    char to[ADDR_TEXT_MAX];
    json_t *item =
        json_pack("{s:s, s:s, s:s, s:o}", "proto", transport_name(p->transport), "address",
            addr_format(&p->to, to, sizeof(to)), "result", result, "steps_ms", steps_json(p));
    if (p->why[0] != '\0') {
        json_object_set_new(item, "why", json_string(p->why));
    }
    if (strcmp(result, "failed") == 0) {
        json_object_set_new(item, "step", json_string(probe_step_name(p->reached)));
    }
    json_array_append_new(s->results, item);
}

static void print_result(const struct probe *p, const char *result)
{
    char to[ADDR_TEXT_MAX];
    printf("%-4s  %-24s  %-7s", transport_name(p->transport), addr_format(&p->to, to, sizeof(to)),
        result);
    for (int i = 0; i < PROBE_STEPS; i++) {
        if (p->us[i] > 0) {
            printf("  %s %.1f ms", probe_step_name((enum probe_step)i), p->us[i] / 1000.0);
        }
    }
    if (strcmp(result, "failed") == 0) {
        printf("  %s: %s", probe_step_name(p->reached), p->why);
    } else if (p->why[0] != '\0') {
        printf("  %s", p->why);
    }
    putchar('\n');
}

static void try_listener(struct selftest *s, const struct cli_listener *l)
{
    const char *skip = reason_to_skip(l), *result = "skipped";
    struct probe p = {.transport = l->transport,
        .to = cli_listener_near(&s->listeners, l),
        .family = s->listeners.relayed_count ? s->listeners.relayed[0].public.family : ADDR_IPV4,
        .timeout_ms = STEP_TIMEOUT_MS};
    if (skip) {
        snprintf(p.why, sizeof(p.why), "%s", skip);
        s->skipped++;
    } else {
        probe_run(&p, s->crypto, &s->source);
        s->tried++;
        s->failed += !p.ok;
        result = p.ok ? "ok" : "failed";
    }
    cli_progress_end(&s->progress);
    if (s->results) {
        keep_json(s, &p, result);
    } else {
        print_result(&p, result);
        fflush(stdout);
    }
}

static int try_all(struct selftest *s)
{
    for (size_t i = 0; i < s->listeners.count; i++) {
        cli_progress_say(&s->progress, "listener %zu of %zu", i + 1, s->listeners.count);
        try_listener(s, &s->listeners.list[i]);
    }
    cli_progress_end(&s->progress);
    const bool ok = s->failed == 0 && s->tried > 0;
    if (s->results) {
        json_t *json = json_pack("{s:b, s:O}", "ok", ok, "listeners", s->results);
        json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(json);
    } else {
        printf("%zu of %zu listeners relay%s\n", s->tried - s->failed, s->tried,
            s->skipped ? "; others were skipped" : "");
    }
    return ok ? CLI_DONE : CLI_REFUSED;
}

static int read_listeners(struct selftest *s)
{
    char *text;
    int code = cli_fetch(s->options, "/api/v1/status", &text);
    if (code != CLI_DONE) {
        return code;
    }
    json_t *status = json_loads(text, 0, NULL);
    if (cli_listeners_read(&s->listeners, status) < 0) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
        code = CLI_UNREACHABLE;
    }
    json_decref(status);
    free(text);
    return code;
}

int cli_selftest(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    const char *user = NULL, *password_file = NULL, *secret_file = NULL;
    const struct cli_flag flags[] = {{"user", &user, NULL}, {"password-file", &password_file, NULL},
        {"secret-file", &secret_file, NULL}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    cli_secrets_begin();
    struct selftest *s = calloc(1, sizeof(*s));
    if (!s) {
        return CLI_REFUSED;
    }
    s->options = s->source.options = &options;
    s->crypto = crypto_new();
    s->results = options.json ? json_array() : NULL;
    cli_progress_begin(&s->progress);
    code = CLI_USAGE;
    if (s->crypto &&
        cli_credential_source_init(&s->source, user, password_file, secret_file) == 0) {
        code = read_listeners(s);
    }
    if (code == CLI_DONE) {
        code = try_all(s);
    }
    cli_credential_source_deinit(&s->source);
    crypto_free(s->crypto);
    json_decref(s->results);
    free(s);
    return code;
}
