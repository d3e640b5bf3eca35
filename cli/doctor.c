/*
 * turnpikectl doctor: reads the configuration, asks the daemon and the machine, makes an allocation
 * through the public address, and says what is wrong and what to do about it. Called by main.c.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/doctor.h"
#include "cli/progress.h"
#include "cli/secrets.h"

#define DEFAULT_CONFIG      "/etc/turnpike/turnpike.yaml"
#define DEFAULT_CREDENTIALS "/run/credentials/turnpike.service" /* as systemd hands them over */
#define PROBE_TIMEOUT_MS    2000

struct arguments {
    const char *config, *name, *ca, *user, *password_file, *secret_file;
};

struct doctor {
    const struct cli_options *options;
    struct cli_credential_source source;
    struct doctor_facts facts;
    struct doctor_findings findings;
    struct config config;
    struct config_error error;
    char config_file[DOCTOR_PATH_MAX]; /* "": none */
    struct probe probe;
};

static void read_status(struct doctor *d, const json_t *status)
{
    struct doctor_daemon *daemon = &d->facts.daemon;
    const char *state = json_string_value(json_object_get(status, "state"));
    const char *redis = json_string_value(json_object_get(status, "redis"));
    const char *file =
        json_string_value(json_object_get(json_object_get(status, "config"), "file"));
    if (!state || cli_listeners_read(&daemon->listeners, status) < 0) {
        snprintf(daemon->state, sizeof(daemon->state), "that is not turnpike");
        return;
    }
    daemon->reached = true;
    daemon->ready = json_is_true(json_object_get(status, "ready"));
    daemon->redis = redis != NULL;
    daemon->redis_up = redis && strcmp(redis, "up") == 0;
    snprintf(daemon->state, sizeof(daemon->state), "%s", state);
    if (file && d->config_file[0] == '\0') {
        snprintf(d->config_file, sizeof(d->config_file), "%s", file);
    }
}

static void ask_daemon(struct doctor *d)
{
    struct client_answer answer;
    char *why = d->facts.daemon.state;
    const size_t cap = sizeof(d->facts.daemon.state);
    const int r = client_get(d->options->socket, "/api/v1/status", &answer);
    if (r < 0) {
        snprintf(why, cap, "%s", r == -EPROTO ? "that is not turnpike" : strerror(-r));
        return;
    }
    if (answer.status == 200) {
        json_t *status = json_loads(answer.body, 0, NULL);
        read_status(d, status);
        json_decref(status);
    } else {
        snprintf(why, cap, "refused (%u)", answer.status);
    }
    client_answer_free(&answer);
}

/* As it is on disk, which is what the next start or reload reads. */
static void read_config(struct doctor *d)
{
    struct doctor_facts *f = &d->facts;
    if (d->config_file[0] == '\0' && !f->daemon.reached && access(DEFAULT_CONFIG, F_OK) == 0) {
        snprintf(d->config_file, sizeof(d->config_file), DEFAULT_CONFIG);
    }
    if (access(DEFAULT_CREDENTIALS, F_OK) == 0) {
        (void)setenv("CREDENTIALS_DIRECTORY", DEFAULT_CREDENTIALS, 0);
    }
    const bool named = d->config_file[0] != '\0';
    const int r =
        named ? config_load(&d->config, d->config_file, &d->error) : config_init(&d->config);
    f->config_file = named ? d->config_file : NULL;
    f->config = r == 0 ? &d->config : NULL;
    f->config_error = d->error.text[0] ? d->error.text : NULL;
    if (named) {
        doctor_read_files(f, d->config_file);
    }
}

/* At the first public address, over the first listener of UDP that strangers may use; else TCP. */
static bool choose(const struct cli_listeners *all, struct probe *p, bool *mapped)
{
    static const enum transport order[] = {TRANSPORT_UDP, TRANSPORT_TCP};
    for (size_t t = 0; t < sizeof(order) / sizeof(order[0]); t++) {
        for (size_t i = 0; i < all->count * all->relayed_count; i++) {
            const struct cli_listener *l = &all->list[i / all->relayed_count];
            const struct cli_relayed *r = &all->relayed[i % all->relayed_count];
            if (l->transport != order[t] || l->proxied || l->addr.family != r->local.family ||
                !(addr_is_unspecified(&l->addr) || addr_equal_ip(&l->addr, &r->local))) {
                continue;
            }
            p->transport = l->transport;
            p->to = r->public;
            p->to.port = l->addr.port;
            p->family = r->public.family;
            *mapped = !addr_equal_ip(&r->public, &r->local);
            return true;
        }
    }
    return false;
}

static void try_relaying(struct doctor *d)
{
    struct doctor_facts *f = &d->facts;
    struct crypto *crypto = crypto_new();
    d->probe = (struct probe){.one_client = true, .timeout_ms = PROBE_TIMEOUT_MS};
    f->nowhere_public =
        f->daemon.reached && !choose(&f->daemon.listeners, &d->probe, &f->probe_mapped);
    if (crypto && f->daemon.reached && !f->nowhere_public) {
        probe_run(&d->probe, crypto, &d->source);
        f->probe = &d->probe;
    }
    crypto_free(crypto);
}

static void read_facts(struct doctor *d, const struct arguments *a)
{
    struct doctor_facts *f = &d->facts;
    struct cli_progress progress;
    cli_progress_begin(&progress);
    f->now = clock_now().wall_s;
    f->name = a->name;
    snprintf(d->config_file, sizeof(d->config_file), "%s", a->config ? a->config : "");
    ask_daemon(d);
    read_config(d);
    const uint16_t ports[2] = {f->config ? f->config->relay.port_min : 49152,
        f->config ? f->config->relay.port_max : 65535};
    doctor_read_host(&f->host, d->options->socket, ports);
    cli_progress_say(&progress, "certificates");
    doctor_read_certificates(f, a->ca);
    cli_progress_say(&progress, "an allocation at the public address");
    try_relaying(d);
    cli_progress_end(&progress);
}

static const char *level_name(enum doctor_level level)
{
    return level == DOCTOR_WRONG ? "wrong" : "advice";
}

/* "ok" of the n-th check, "unknown", or NULL: something is found, and says it all. */
static const char *rest(const struct doctor_findings *all, size_t n)
{
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->list[i].check, doctor_check_name(n)) == 0) {
            return NULL;
        }
    }
    return all->unknown[n] ? "unknown" : "ok";
}

static void print_text(const struct doctor_findings *all)
{
    const char *name;
    for (size_t i = 0; i < all->count; i++) {
        const struct doctor_finding *f = &all->list[i];
        printf("%-7s  %-14s  %s\n", level_name(f->level), f->check, f->what);
        if (f->remedy[0] != '\0') {
            printf("%-25s-> %s\n", "", f->remedy);
        }
    }
    for (size_t i = 0; (name = doctor_check_name(i)); i++) {
        if (rest(all, i)) {
            printf("%-7s  %s\n", rest(all, i), name);
        }
    }
}

static void print_json(const struct doctor_findings *all, bool ok)
{
    json_t *findings = json_array(), *others = json_object();
    const char *name;
    for (size_t i = 0; i < all->count; i++) {
        const struct doctor_finding *f = &all->list[i];
        json_t *item = json_pack("{s:s, s:s, s:s, s:s}", "check", f->check, "level",
            level_name(f->level), "what", f->what, "do", f->remedy);
        json_array_append_new(findings, item);
    }
    for (size_t i = 0; (name = doctor_check_name(i)); i++) {
        if (rest(all, i)) {
            json_object_set_new(others, name, json_string(rest(all, i)));
        }
    }
    json_t *json = json_pack("{s:b, s:o, s:o}", "ok", ok, "findings", findings, "others", others);
    json_dumpf(json, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(json);
}

static int examine(struct doctor *d, const struct arguments *a)
{
    bool ok = true;
    if (cli_credential_source_init(&d->source, a->user, a->password_file, a->secret_file) < 0) {
        return CLI_USAGE;
    }
    read_facts(d, a);
    doctor_judge(&d->facts, &d->findings);
    for (size_t i = 0; i < d->findings.count; i++) {
        ok = ok && d->findings.list[i].level != DOCTOR_WRONG;
    }
    if (d->options->json) {
        print_json(&d->findings, ok);
    } else {
        print_text(&d->findings);
    }
    return ok ? CLI_DONE : CLI_REFUSED;
}

int cli_doctor(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    const struct cli_flag flags[] = {{"config", &a.config, NULL}, {"name", &a.name, NULL},
        {"ca", &a.ca, NULL}, {"user", &a.user, NULL}, {"password-file", &a.password_file, NULL},
        {"secret-file", &a.secret_file, NULL}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    cli_secrets_begin();
    struct doctor *d = calloc(1, sizeof(*d));
    if (!d) {
        fputs("turnpikectl: out of memory\n", stderr);
        return CLI_REFUSED;
    }
    d->options = d->source.options = &options;
    code = examine(d, &a);
    cli_credential_source_deinit(&d->source);
    config_deinit(&d->config);
    free(d);
    return code;
}
