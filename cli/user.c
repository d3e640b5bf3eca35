/*
 * turnpikectl user: an entry for auth.users, with the key that the daemon needs in place of the
 * password. Asks nobody: the daemon need not run. Called by main.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/long_term.h"
#include "auth/opaque_string.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/secrets.h"

#define NAME_MAX_LEN  508
#define REALM_MAX_LEN 127
#define PASSWORD_LEN  24 /* of 5 bits each */

struct arguments {
    const char *name, *realm, *algorithm, *password_file;
    bool password_stdin;
};

/* An entry, and what it was made of. */
struct entry {
    struct secret name, password; /* as prepared; the password as given */
    bool generated;
    char key[2 * AUTH_KEY_MAX + 1];
};

static const char *unfit(const struct arguments *a, enum stun_password_algorithm *algorithm)
{
    *algorithm = STUN_PASSWORD_MD5;
    if (!a->name || !a->realm) {
        return "user needs --name and --realm";
    }
    if (a->name[0] == '\0' || strlen(a->name) > NAME_MAX_LEN) {
        return "a name has 1 to 508 bytes";
    }
    if (a->realm[0] == '\0' || strlen(a->realm) > REALM_MAX_LEN) {
        return "a realm has 1 to 127 bytes";
    }
    if (a->password_file && a->password_stdin) {
        return "the password comes from one place";
    }
    if (a->algorithm && strcmp(a->algorithm, "sha256") == 0) {
        *algorithm = STUN_PASSWORD_SHA256;
    } else if (a->algorithm && strcmp(a->algorithm, "md5") != 0) {
        return "--algorithm is md5 or sha256";
    }
    return NULL;
}

/* Characters that are not taken for one another. 0, or -1 with the line said. */
static int generate(struct secret *out)
{
    static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t bytes[PASSWORD_LEN];
    int rc = random_fill(random_system(), bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)alphabet[bytes[i] & 31];
    }
    if (rc == 0) {
        rc = secret_set(out, slice_of(bytes, sizeof(bytes)));
    }
    secret_cleanse(bytes, sizeof(bytes));
    if (rc < 0) {
        fputs("turnpikectl: no password: the random generator failed\n", stderr);
    }
    return rc < 0 ? -1 : 0;
}

static bool prepare(struct secret *out, const char *what, struct slice text)
{
    const char *why;
    const bool good = opaque_string(out, text, &why) == 0;
    if (!good) {
        fprintf(stderr, "turnpikectl: the %s: %s\n", what, why);
    }
    return good;
}

/* False: the line is said. */
static bool make_key(struct entry *e, enum stun_password_algorithm algorithm, const char *realm)
{
    struct secret password = {0};
    struct auth_key key = {0};
    struct crypto *crypto = crypto_new();
    bool good = prepare(&password, "password", secret_slice(&e->password));
    if (good) {
        const struct slice parts[] = {
            secret_slice(&e->name), slice_of_string(realm), secret_slice(&password)};
        good = crypto && long_term_key(&key, crypto, algorithm, parts) == 0;
        if (!good) {
            fputs("turnpikectl: no key: the hash failed\n", stderr);
        }
    }
    for (size_t i = 0; good && i < key.len; i++) {
        snprintf(e->key + 2 * i, 3, "%02x", key.bytes[i]);
    }
    secret_wipe(&password);
    secret_cleanse(&key, sizeof(key));
    crypto_free(crypto);
    return good;
}

/* In quotes, as YAML and JSON both read it. */
static bool print_quoted(const struct secret *text)
{
    json_t *json = json_stringn((const char *)text->data, text->len);
    const bool good = json && json_dumpf(json, stdout, JSON_ENCODE_ANY) == 0;
    json_decref(json);
    return good;
}

static bool print(const struct entry *e, const char *realm, bool as_json)
{
    if (!as_json) {
        fputs("- { name: ", stdout);
        const bool good = print_quoted(&e->name);
        printf(", key: \"%s\" }\n", e->key);
        if (e->generated) {
            fprintf(stderr, "password: %s\n", (const char *)e->password.data);
        }
        return good;
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:s*}", "name", (const char *)e->name.data, "realm",
        realm, "key", e->key, "password", e->generated ? (const char *)e->password.data : NULL);
    struct secret text = {0};
    const bool good = json && cli_secret_json(&text, json) == 0;
    if (good) {
        printf("%s\n", (const char *)text.data);
    } else if (!json) {
        fputs("turnpikectl: the realm is no UTF-8 text\n", stderr);
    }
    secret_wipe(&text);
    json_decref(json);
    return good;
}

static bool read_password(struct entry *e, const struct arguments *a)
{
    e->generated = !a->password_file && !a->password_stdin;
    return (e->generated ? generate(&e->password)
                         : cli_secret_read(&e->password, a->password_file)) == 0;
}

int cli_user(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct arguments a = {0};
    struct entry e = {0};
    enum stun_password_algorithm algorithm;
    const struct cli_flag flags[] = {{"name", &a.name, NULL}, {"realm", &a.realm, NULL},
        {"algorithm", &a.algorithm, NULL}, {"password-file", &a.password_file, NULL},
        {"password-stdin", NULL, &a.password_stdin}, {NULL, NULL, NULL}};
    const int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    const char *why = unfit(&a, &algorithm);
    if (why) {
        fprintf(stderr, "turnpikectl: %s\n", why);
        return CLI_USAGE;
    }
    cli_secrets_begin();
    const bool good = prepare(&e.name, "name", slice_of_string(a.name)) && read_password(&e, &a) &&
                      make_key(&e, algorithm, a.realm) && print(&e, a.realm, options.json);
    secret_wipe(&e.name);
    secret_wipe(&e.password);
    secret_cleanse(e.key, sizeof(e.key));
    return good ? CLI_DONE : CLI_USAGE;
}
