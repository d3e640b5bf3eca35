/*
 * turnpikectl srtp-key: deposits a key of media with the running daemon, or takes it back; or makes
 * what a signalling server would write into Redis for it, without the daemon (srtp_wrap.c). The
 * crypto attribute comes from standard input. Called by main.c.
 */
#include "cli/srtp_key.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/secrets.h"
#include "config/values.h"
#include "srtp/crypto_attribute.h"

#define DEFAULT_S 3600
#define LONGEST_S (2 * 86400u)
#define ID_LEN    16

struct arguments {
    const char *allocation, *user, *ssrc, *realm, *direction, *roc, *ttl, *wrap_key_file, *prefix;
    bool take_back, wrap, new_wrap_key;
};

static bool read_u32(const char *text, uint32_t *out)
{
    uint64_t n;
    if (!value_number(text, &n) || n > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

static bool read_id(const char *text, uint64_t *out)
{
    if (strlen(text) != ID_LEN || strspn(text, "0123456789abcdef") != ID_LEN) {
        return false;
    }
    *out = strtoull(text, NULL, 16);
    return *out != 0;
}

/* Whose; NULL, or why not. */
static const char *bind(const struct arguments *a, struct srtp_binding *b)
{
    if (!a->allocation == !a->user) {
        return "srtp-key needs one of --allocation (its id) and --user";
    }
    if (a->allocation && (a->realm || !read_id(a->allocation, &b->allocation))) {
        return "--allocation takes an id of 16 hexadecimal digits, small letters, and no --realm";
    }
    b->has_ssrc = a->ssrc != NULL;
    if (a->user && (!a->ssrc || a->user[0] == '\0' || strlen(a->user) > SRTP_USER_MAX)) {
        return "--user takes a name of 1 to 508 bytes, and needs --ssrc";
    }
    if (a->user) {
        b->user_len = (uint16_t)strlen(a->user);
        memcpy(b->user, a->user, b->user_len);
    }
    if (a->ssrc && !read_u32(a->ssrc, &b->ssrc)) {
        return "--ssrc takes a decimal number of 32 bits";
    }
    b->direction =
        a->direction && strcmp(a->direction, "to_peer") == 0 ? SRTP_TO_PEER : SRTP_TO_CLIENT;
    if (!a->direction ||
        (b->direction == SRTP_TO_CLIENT && strcmp(a->direction, "to_client") != 0)) {
        return "srtp-key needs --direction to_peer (from the client) or to_client (from its peers)";
    }
    return NULL;
}

/* NULL, or why not. */
static const char *read_arguments(
    const struct arguments *a, struct srtp_deposit *d, uint64_t *seconds)
{
    const char *why = bind(a, &d->binding);
    *seconds = a->take_back ? 0 : DEFAULT_S;
    if (why) {
        return why;
    }
    if (a->take_back && (a->ttl || a->roc || a->wrap_key_file)) {
        return "--take-back is at once: without --ttl, --roc and --wrap-key-file";
    }
    if (a->ttl && (!value_duration(a->ttl, seconds) || *seconds == 0 || *seconds > LONGEST_S)) {
        return "--ttl takes a time such as 90s, 10min or 1h, up to 48h";
    }
    d->keys.has_roc = a->roc != NULL;
    if (a->roc && !read_u32(a->roc, &d->keys.roc)) {
        return "--roc takes a decimal number of 32 bits";
    }
    if (a->wrap && !a->take_back && !a->wrap_key_file) {
        return "--wrap needs --wrap-key-file";
    }
    if (a->wrap && a->user && !a->realm) {
        return "--wrap needs the --realm of a user";
    }
    if (!a->wrap && (a->wrap_key_file || a->prefix)) {
        return "--wrap-key-file and --prefix go with --wrap";
    }
    return NULL;
}

/* Nothing of the text is said. */
static bool is_attribute(const struct secret *text)
{
    struct srtp_keys keys;
    const enum crypto_fault fault = crypto_attribute_parse(&keys, secret_slice(text));
    secret_cleanse(&keys, sizeof(keys));
    if (fault) {
        fprintf(stderr, "turnpikectl: refused: %s\n", crypto_fault_text(fault));
    }
    return !fault;
}

static json_t *question(
    const struct arguments *a, const struct srtp_deposit *d, const struct secret *attribute)
{
    json_t *json = json_pack("{s:s*, s:s*, s:s*, s:s}", "allocation", a->allocation, "user",
        a->user, "realm", a->realm, "direction", a->direction);
    if (!json) {
        fputs("turnpikectl: a name is no UTF-8 text\n", stderr);
        return NULL;
    }
    if (d->binding.has_ssrc) {
        json_object_set_new(json, "ssrc", json_integer(d->binding.ssrc));
    }
    if (d->keys.has_roc) {
        json_object_set_new(json, "roc", json_integer(d->keys.roc));
    }
    if (cli_secret_add(json, "crypto", attribute) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static int show(const struct cli_options *options, const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    const json_t *until = json_object_get(json, "until");
    char when[CLOCK_UTC_MAX];
    int code = CLI_DONE;
    if (!json_is_integer(until) && !json_is_null(until)) {
        fputs("turnpikectl: what answers there is not turnpike\n", stderr);
        code = CLI_UNREACHABLE;
    } else if (options->json) {
        fputs(text, stdout);
    } else if (json_is_null(until)) {
        puts("taken back");
    } else {
        printf("deposited, until %s\n", clock_utc_text(json_integer_value(until), when));
    }
    json_decref(json);
    return code;
}

/* Takes `asked`. */
static int ask(const struct cli_options *options, json_t *asked)
{
    struct secret body = {0};
    char *text;
    int code = asked && cli_secret_json(&body, asked) == 0 ? CLI_DONE : CLI_USAGE;
    json_decref(asked);
    if (code == CLI_DONE) {
        code = cli_post(options, "/api/v1/srtp-keys", secret_slice(&body), &text);
    }
    secret_wipe(&body);
    if (code == CLI_DONE) {
        code = show(options, text);
        free(text);
    }
    return code;
}

static int deposit(const struct cli_options *options, const struct arguments *a,
    struct srtp_deposit *d, uint64_t seconds)
{
    struct secret attribute = {0};
    int code;
    if (!a->take_back && cli_secret_read(&attribute, NULL) < 0) {
        return CLI_USAGE;
    }
    if (!a->take_back && !is_attribute(&attribute)) {
        code = CLI_REFUSED;
    } else if (a->wrap) {
        d->until = a->take_back ? 0 : clock_now().wall_s + (int64_t)seconds;
        code = cli_srtp_wrap(options, &(struct srtp_wrap){a->realm, a->wrap_key_file, a->prefix, d,
                                          secret_slice(&attribute)});
    } else {
        json_t *asked = question(a, d, &attribute);
        if (asked) {
            json_object_set_new(asked, "seconds", json_integer((json_int_t)seconds));
        }
        code = ask(options, asked);
    }
    secret_wipe(&attribute);
    return code;
}

static bool names_something(const struct arguments *a)
{
    return a->allocation || a->user || a->ssrc || a->realm || a->direction || a->roc || a->ttl ||
           a->wrap_key_file || a->prefix || a->take_back || a->wrap;
}

int cli_srtp_key(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    struct srtp_deposit d = {0};
    uint64_t seconds = 0;
    const struct cli_flag flags[] = {{"allocation", &a.allocation, NULL}, {"user", &a.user, NULL},
        {"ssrc", &a.ssrc, NULL}, {"realm", &a.realm, NULL}, {"direction", &a.direction, NULL},
        {"roc", &a.roc, NULL}, {"ttl", &a.ttl, NULL}, {"wrap-key-file", &a.wrap_key_file, NULL},
        {"prefix", &a.prefix, NULL}, {"take-back", NULL, &a.take_back}, {"wrap", NULL, &a.wrap},
        {"new-wrap-key", NULL, &a.new_wrap_key}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    const char *why = !a.new_wrap_key       ? read_arguments(&a, &d, &seconds)
                      : names_something(&a) ? "--new-wrap-key stands alone"
                                            : NULL;
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
        return CLI_USAGE;
    }
    cli_secrets_begin();
    return a.new_wrap_key ? cli_srtp_new_wrap_key(&options) : deposit(&options, &a, &d, seconds);
}
