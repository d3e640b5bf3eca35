/*
 * What a signalling server writes into Redis to deposit a key of media: made here for trying it
 * out, for scripts, and as the model of other implementations. Asks nobody. Called by srtp_key.c.
 */
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/random.h"
#include "cli/secrets.h"
#include "cli/srtp_key.h"
#include "srtp/wrapped_key.h"

#define DEFAULT_PREFIX "turnpike" /* of redis.prefix */
#define PREFIX_MAX     64
#define DEPOSITS_MAX   10000 /* about so many notifications are kept */
#define LINE_MAX_LEN   (2 * KEY_PLACE_MAX + KEY_FIELD_MAX + SRTP_WRAPPED_MAX + PREFIX_MAX + 128)
#define LINES_MAX      4

struct lines {
    size_t count;
    char line[LINES_MAX][LINE_MAX_LEN];
};

/* Redis takes it, and redis-cli reads it as one word. */
static bool is_prefix(const char *text)
{
    const size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~' || strchr("{}\"'\\", text[i])) {
            return false;
        }
    }
    return len >= 1 && len <= PREFIX_MAX;
}

static int read_wrap_key(uint8_t out[SRTP_WRAP_KEY_LEN], const char *path)
{
    struct secret file = {0};
    if (cli_secret_read(&file, path) < 0) {
        return -1;
    }
    const bool ok = base64_decode(out, SRTP_WRAP_KEY_LEN, secret_slice(&file)) == SRTP_WRAP_KEY_LEN;
    secret_wipe(&file);
    if (!ok) {
        fprintf(stderr, "turnpikectl: %s: not the base64 of %d bytes\n", path, SRTP_WRAP_KEY_LEN);
    }
    return ok ? 0 : -1;
}

/* Nothing to wrap leaves the value empty. The exit code. */
static int wrap(
    const struct srtp_wrap *what, const struct key_place *place, char value[SRTP_WRAPPED_MAX + 1])
{
    const struct wrapped_for whose = {key_place_slice(place), key_field_slice(place)};
    uint8_t key[SRTP_WRAP_KEY_LEN];
    value[0] = '\0';
    if (what->deposit->until == 0) {
        return CLI_DONE;
    }
    if (read_wrap_key(key, what->wrap_key_file) < 0) {
        return CLI_USAGE;
    }
    struct crypto *crypto = crypto_new();
    const int rc = crypto ? wrapped_key_make(crypto, random_system(), slice_of(key, sizeof(key)),
                                &whose, what->deposit, what->attribute, value)
                          : -1;
    crypto_free(crypto);
    secret_cleanse(key, sizeof(key));
    if (rc < 0) {
        fputs("turnpikectl: not wrapped: the crypto attribute, with \"roc=N \" before it, has more "
              "than 256 bytes, or the random generator or the encryption failed\n",
            stderr);
    }
    return rc < 0 ? CLI_REFUSED : CLI_DONE;
}

/* Fields of one place may have different ends: the place ends with the last. */
static void write_lines(struct lines *out, const char *prefix, const struct key_place *p,
    const char *value, int64_t until)
{
    const char *const ends[] = {"NX", "GT"};
    *out = (struct lines){0};
    snprintf(out->line[out->count++], LINE_MAX_LEN,
        value[0] ? "HSET %s/srtp/%s %s %s" : "HDEL %s/srtp/%s %s", prefix, p->place, p->field,
        value);
    for (size_t i = 0; value[0] && i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(out->line[out->count++], LINE_MAX_LEN, "EXPIREAT %s/srtp/%s %lld %s", prefix,
            p->place, (long long)until, ends[i]);
    }
    snprintf(out->line[out->count++], LINE_MAX_LEN, "XADD %s/srtp/deposits MAXLEN ~ %d * place %s",
        prefix, DEPOSITS_MAX, p->place);
}

static int print(const struct cli_options *options, const struct lines *lines)
{
    json_t *list = json_array();
    for (size_t i = 0; i < lines->count; i++) {
        if (options->json) {
            json_array_append_new(list, json_string(lines->line[i]));
        } else {
            puts(lines->line[i]);
        }
    }
    if (options->json) {
        json_t *json = json_pack("{s:O}", "commands", list);
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
    }
    json_decref(list);
    return CLI_DONE;
}

int cli_srtp_wrap(const struct cli_options *options, const struct srtp_wrap *what)
{
    const char *prefix = what->prefix ? what->prefix : DEFAULT_PREFIX;
    const struct slice realm = what->realm ? slice_of_string(what->realm) : (struct slice){0};
    static struct lines lines;
    struct key_place place;
    char value[SRTP_WRAPPED_MAX + 1];
    if (!is_prefix(prefix)) {
        fputs("turnpikectl: --prefix takes 1 to 64 printable characters without blanks, braces, "
              "quotes and backslashes\n",
            stderr);
        return CLI_USAGE;
    }
    if (key_place_write(&place, &what->deposit->binding, realm) < 0) {
        fputs("turnpikectl: realm and user together are too long for a name in Redis\n", stderr);
        return CLI_USAGE;
    }
    const int code = wrap(what, &place, value);
    if (code != CLI_DONE) {
        return code;
    }
    write_lines(&lines, prefix, &place, value, what->deposit->until);
    return print(options, &lines);
}

int cli_srtp_new_wrap_key(const struct cli_options *options)
{
    uint8_t key[SRTP_WRAP_KEY_LEN];
    char text[(SRTP_WRAP_KEY_LEN + 2) / 3 * 4 + 1];
    if (random_fill(random_system(), key, sizeof(key)) < 0) {
        fputs("turnpikectl: no key: the random generator failed\n", stderr);
        return CLI_REFUSED;
    }
    EVP_EncodeBlock((unsigned char *)text, key, sizeof(key));
    printf(options->json ? "{\"wrap_key\":\"%s\"}\n" : "%s\n", text);
    fflush(stdout);
    secret_cleanse(key, sizeof(key));
    secret_cleanse(text, sizeof(text));
    return CLI_DONE;
}
