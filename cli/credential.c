/*
 * Credentials for allocations of our own. What the daemon makes is asked for over its socket and
 * lives for a minute. Called by selftest.c and doctor.c.
 */
#include "cli/credential.h"

#include <jansson.h>
#include <stdio.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/secrets.h"

#define TTL_S 60

int cli_credential_source_init(struct cli_credential_source *out, const char *user,
    const char *password_file, const char *secret_file)
{
    const char *why = NULL;
    if (!user != !password_file) {
        why = "--user and --password-file go together";
    } else if (user && secret_file) {
        why = "--secret-file makes a user of its own: without --user";
    } else if (user && (user[0] == '\0' || strlen(user) > STUN_USERNAME_MAX)) {
        why = "--user takes a name of 1 to 508 bytes";
    }
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
        return -1;
    }
    out->user = user;
    if (password_file && cli_secret_read(&out->password, password_file) < 0) {
        return -1;
    }
    return secret_file ? cli_secret_read(&out->rest, secret_file) : 0;
}

void cli_credential_source_deinit(struct cli_credential_source *source)
{
    secret_wipe(&source->password);
    secret_wipe(&source->rest);
}

static int copy(struct cli_credential *out, const char *user, struct slice password)
{
    if (strlen(user) > STUN_USERNAME_MAX || secret_set(&out->password, password) < 0) {
        return -1;
    }
    snprintf(out->user, sizeof(out->user), "%s", user);
    return 0;
}

static int sign(struct cli_credential *out, const struct secret *rest, const char *who)
{
    char user[64], password[AUTH_REST_PASSWORD_MAX + 1];
    struct crypto *crypto = crypto_new();
    snprintf(user, sizeof(user), "%lld:%s", (long long)clock_now().wall_s + TTL_S, who);
    int rc = crypto ? auth_rest_password(crypto, AUTH_REST_SHA1, secret_slice(rest),
                          slice_of_string(user), password)
                    : -1;
    if (rc == 0) {
        rc = copy(out, user, slice_of_string(password));
    }
    secret_cleanse(password, sizeof(password));
    crypto_free(crypto);
    return rc;
}

/* The daemon's answer; it holds a password. */
static int read_answer(struct cli_credential *out, const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    const char *user = json_string_value(json_object_get(json, "username"));
    const char *password = json_string_value(json_object_get(json, "password"));
    const int rc = user && password ? copy(out, user, slice_of_string(password)) : -1;
    json_decref(json);
    return rc;
}

static int ask(struct cli_credential *out, const struct cli_options *options, const char *realm,
    const char *who, char why[256])
{
    struct client_answer answer;
    json_t *json = json_pack("{s:s, s:s, s:i}", "user", who, "realm", realm, "ttl", TTL_S);
    char *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    int rc =
        body ? client_post(options->socket, "/api/v1/credentials", slice_of_string(body), &answer)
             : -1;
    free(body);
    if (rc < 0) {
        snprintf(why, 256, "the daemon makes no credential: it cannot be reached");
        return -1;
    }
    rc = answer.status == 200 ? read_answer(out, answer.body) : -1;
    if (rc < 0) {
        snprintf(why, 256,
            "the daemon makes no credential for realm %s (%u); name one with --user and "
            "--password-file, or --secret-file",
            realm, answer.status);
    }
    secret_cleanse(answer.body, answer.len);
    client_answer_free(&answer);
    return rc;
}

int cli_credential_get(struct cli_credential *out, const struct cli_credential_source *source,
    const char *realm, const char *who, char why[256])
{
    int rc;
    if (source->user) {
        rc = copy(out, source->user, secret_slice(&source->password));
    } else if (source->rest.len > 0) {
        rc = sign(out, &source->rest, who);
    } else {
        return ask(out, source->options, realm, who, why);
    }
    if (rc < 0) {
        snprintf(why, 256, "no credential: out of memory, or the encryption failed");
    }
    return rc;
}

void cli_credential_wipe(struct cli_credential *credential)
{
    secret_wipe(&credential->password);
    *credential = (struct cli_credential){0};
}
