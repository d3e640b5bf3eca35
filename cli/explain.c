/*
 * turnpikectl explain: asks the daemon how it would judge a credential, and prints why. Called by
 * main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/secrets.h"

struct arguments {
    const char *realm, *user, *password_file, *token_file;
    bool password_stdin;
};

static bool fit(const struct arguments *a)
{
    const char *why = NULL;
    if (!a->user || a->user[0] == '\0') {
        why = "explain needs --user: the name, or for an access token its kid";
    } else if (a->password_file && a->password_stdin) {
        why = "one password, please: --password-file or --password-stdin";
    } else if (a->token_file && (a->password_file || a->password_stdin)) {
        why = "an access token takes no password: --token-file stands for it";
    }
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
    }
    return !why;
}

static json_t *question(const struct arguments *a)
{
    struct secret password = {0}, token = {0};
    json_t *json = json_object();
    int rc = json ? 0 : -1;
    if (rc == 0 && (a->password_file || a->password_stdin)) {
        rc = cli_secret_read(&password, a->password_file);
    }
    if (rc == 0 && a->token_file) {
        rc = cli_secret_read(&token, a->token_file);
    }
    if (rc == 0 && ((a->realm && json_object_set_new(json, "realm", json_string(a->realm)) < 0) ||
                       (a->user && json_object_set_new(json, "user", json_string(a->user)) < 0))) {
        fputs("turnpikectl: a name is no UTF-8 text\n", stderr);
        rc = -1;
    }
    if (rc == 0) {
        rc = cli_secret_add(json, "password", &password);
    }
    if (rc == 0) {
        rc = cli_secret_add(json, "token", &token);
    }
    secret_wipe(&password);
    secret_wipe(&token);
    if (rc < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static void print_field(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    if (text && text[0] != '\0') {
        printf("%s:%*s%s\n", key, (int)(13 - strlen(key)), "", text);
    }
}

static void print_explanation(const json_t *json)
{
    const char *text = json_string_value(json_object_get(json, "text"));
    const int64_t expires = json_integer_value(json_object_get(json, "expires_at"));
    char when[CLOCK_UTC_MAX];
    printf("%s: %s\n", json_is_true(json_object_get(json, "accepted")) ? "accepted" : "refused",
        text ? text : "?");
    print_field(json, "reason");
    print_field(json, "source");
    print_field(json, "credential");
    if (expires > 0) {
        printf("expires:      %s\n", clock_utc_text(expires, when));
    }
}

static int show(const struct cli_options *options, const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    const json_t *accepted = json_object_get(json, "accepted");
    int code = CLI_UNREACHABLE;
    if (!json_is_boolean(accepted)) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
    } else {
        code = json_is_true(accepted) ? CLI_DONE : CLI_REFUSED;
        if (options->json) {
            fputs(text, stdout);
        } else {
            print_explanation(json);
        }
    }
    json_decref(json);
    return code;
}

int cli_explain(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    const struct cli_flag flags[] = {{"realm", &a.realm, NULL}, {"user", &a.user, NULL},
        {"password-file", &a.password_file, NULL}, {"password-stdin", NULL, &a.password_stdin},
        {"token-file", &a.token_file, NULL}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    if (!fit(&a)) {
        return CLI_USAGE;
    }
    cli_secrets_begin();
    json_t *asked = question(&a);
    struct secret body = {0};
    char *text;
    code = asked && cli_secret_json(&body, asked) == 0 ? CLI_DONE : CLI_USAGE;
    json_decref(asked);
    if (code == CLI_DONE) {
        code = cli_post(&options, "/api/v1/explain", secret_slice(&body), &text);
    }
    secret_wipe(&body);
    if (code != CLI_DONE) {
        return code;
    }
    code = show(&options, text);
    free(text);
    return code;
}
