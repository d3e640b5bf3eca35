/*
 * The lists of users and REST secrets. A list is read whole into a realm of its own and takes the
 * place of the old one only when all of it is good. Called through the schema, and by config.c to
 * wipe.
 */
#include "config/users.h"

#include "config/duplicates.h"
#include "config/realms.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

void users_clear(struct auth_realm_settings *realm)
{
    for (size_t i = 0; i < realm->user_count; i++) {
        struct auth_user_settings *user = &realm->users[i];

        free(user->name);
        secret_wipe(&user->password);
        secret_cleanse(user->key, sizeof(user->key));
    }
    free(realm->users);
    realm->users = NULL;
    realm->user_count = 0;
}

void users_clear_secrets(struct auth_realm_settings *realm)
{
    for (size_t i = 0; i < realm->secret_count; i++) {
        free(realm->secrets[i].id);
        secret_wipe(&realm->secrets[i].secret);
    }
    free(realm->secrets);
    realm->secrets = NULL;
    realm->secret_count = 0;
}

static int compare_users(const void *a, const void *b)
{
    return strcmp(
        ((const struct auth_user_settings *)a)->name, ((const struct auth_user_settings *)b)->name);
}

static int compare_secrets(const void *a, const void *b)
{
    return strcmp(
        ((const struct auth_secret_settings *)a)->id, ((const struct auth_secret_settings *)b)->id);
}

static int read_user(const char *section, struct auth_user_settings *user,
    const struct document_node *value, struct fault *fault)
{
    int rc = schema_set_defaults(section, user) < 0 ? fault_out_of_memory(fault)
                                                    : schema_read(section, value, user, fault);

    if (rc < 0)
        return rc;
    if ((user->key_len > 0) == (user->password.data != NULL))
        return fault_set(fault, value->line,
            "user '%s' needs just one of password, password_file and key",
            fault_escape(user->name).text);
    if (user->password.data && memchr(user->password.data, '\0', user->password.len))
        return fault_set(fault, value->line, "the password of user '%s' holds a NUL",
            fault_escape(user->name).text);
    return 0;
}

static int read_users(struct auth_realm_settings *built, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct schema_section section = schema_items(key);
    size_t later = 0;
    bool found;
    int rc = 0;

    built->users = calloc(value->count + 1, sizeof(*built->users));
    if (!built->users)
        return fault_out_of_memory(fault);
    while (built->user_count < value->count && rc == 0) {
        size_t i =
            built->user_count++; /* counted first: what a bad entry has filled in is wiped too */

        rc = read_user(section.path, &built->users[i], &value->children[i], fault);
    }
    if (rc < 0)
        return rc;
    if (duplicates_find(built->users, built->user_count, sizeof(*built->users), compare_users,
            &found, &later) < 0)
        return fault_out_of_memory(fault);
    return !found ? 0
                  : fault_set(fault, value->children[later].line, "user '%s' appears twice",
                        fault_escape(built->users[later].name).text);
}

static int set_users(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct auth_realm_settings *realm = realm_of(base, key), built = {0};
    int rc;

    if (value->kind != DOCUMENT_SEQUENCE)
        return fault_set(fault, value->line, "'%s' must be %s", key->path, key->type->form);
    rc = read_users(&built, key, value, fault);
    if (rc < 0) {
        users_clear(&built);
        return rc;
    }
    users_clear(realm);
    realm->users = built.users;
    realm->user_count = built.user_count;
    return 0;
}

static int read_secret(const char *section, struct auth_secret_settings *secret,
    const struct document_node *value, struct fault *fault)
{
    int rc = schema_set_defaults(section, secret) < 0 ? fault_out_of_memory(fault)
                                                      : schema_read(section, value, secret, fault);

    if (rc < 0)
        return rc;
    if (!secret->secret.data)
        return fault_set(
            fault, value->line, "secret '%s' needs one of secret and file", secret->id);
    return 0;
}

static int read_secrets(struct auth_realm_settings *built, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct schema_section section = schema_items(key);
    size_t later = 0;
    bool found;
    int rc = 0;

    built->secrets = calloc(value->count + 1, sizeof(*built->secrets));
    if (!built->secrets)
        return fault_out_of_memory(fault);
    while (built->secret_count < value->count && rc == 0) {
        size_t i = built->secret_count++;

        rc = read_secret(section.path, &built->secrets[i], &value->children[i], fault);
    }
    if (rc < 0)
        return rc;
    if (duplicates_find(built->secrets, built->secret_count, sizeof(*built->secrets),
            compare_secrets, &found, &later) < 0)
        return fault_out_of_memory(fault);
    return !found ? 0
                  : fault_set(fault, value->children[later].line, "secret '%s' appears twice",
                        built->secrets[later].id);
}

/* Each request of an unknown REST user is tried with every one. */
#define SECRETS_MAX 16

static int set_secrets(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct auth_realm_settings *realm = realm_of(base, key), built = {0};
    int rc;

    if (value->kind != DOCUMENT_SEQUENCE)
        return fault_set(fault, value->line, "'%s' must be %s", key->path, key->type->form);
    if (value->count > SECRETS_MAX)
        return fault_set(
            fault, value->line, "'%s' must not hold more than %d secrets", key->path, SECRETS_MAX);
    rc = read_secrets(&built, key, value, fault);
    if (rc < 0) {
        users_clear_secrets(&built);
        return rc;
    }
    users_clear_secrets(realm);
    realm->secrets = built.secrets;
    realm->secret_count = built.secret_count;
    return 0;
}

static void print_users(const void *base, const struct schema_key *key, FILE *out)
{
    const struct auth_realm_settings *realm = const_realm_of(base, key);

    fputc('[', out);
    for (size_t i = 0; i < realm->user_count; i++) {
        fputs(i > 0 ? ",\n      { name: " : "\n      { name: ", out);
        value_print_text(out, realm->users[i].name);
        fprintf(out, ", %s: \"***\" }", realm->users[i].key_len > 0 ? "key" : "password");
    }
    fputs(realm->user_count > 0 ? "\n    ]" : "]", out);
}

static void print_secrets(const void *base, const struct schema_key *key, FILE *out)
{
    const struct auth_realm_settings *realm = const_realm_of(base, key);

    fputc('[', out);
    for (size_t i = 0; i < realm->secret_count; i++) {
        fputs(i > 0 ? ",\n      { id: " : "\n      { id: ", out);
        value_print_text(out, realm->secrets[i].id);
        fputs(", secret: \"***\"", out);
        if (realm->secrets[i].hash != AUTH_REST_SHA1)
            fprintf(out, ", hash: %s", type_rest_hash.choices[realm->secrets[i].hash]);
        fputs(realm->secrets[i].retired ? ", retired: true }" : " }", out);
    }
    fputs(realm->secret_count > 0 ? "\n    ]" : "]", out);
}

bool users_equal(const struct auth_realm_settings *a, const struct auth_realm_settings *b)
{
    if (a->user_count != b->user_count)
        return false;
    for (size_t i = 0; i < a->user_count; i++) {
        const struct auth_user_settings *u = &a->users[i], *v = &b->users[i];

        if (strcmp(u->name, v->name) != 0 || u->key_len != v->key_len ||
            !secret_equal(secret_slice(&u->password), secret_slice(&v->password)) ||
            !secret_equal(slice_of(u->key, u->key_len), slice_of(v->key, v->key_len)))
            return false;
    }
    return true;
}

bool users_equal_secrets(const struct auth_realm_settings *a, const struct auth_realm_settings *b)
{
    if (a->secret_count != b->secret_count)
        return false;
    for (size_t i = 0; i < a->secret_count; i++) {
        const struct auth_secret_settings *x = &a->secrets[i], *y = &b->secrets[i];

        if (strcmp(x->id, y->id) != 0 || x->hash != y->hash || x->retired != y->retired ||
            !secret_equal(secret_slice(&x->secret), secret_slice(&y->secret)))
            return false;
    }
    return true;
}

static bool equal_users(const void *a, const void *b, const struct schema_key *key)
{
    return users_equal(const_realm_of(a, key), const_realm_of(b, key));
}

static bool equal_secrets(const void *a, const void *b, const struct schema_key *key)
{
    return users_equal_secrets(const_realm_of(a, key), const_realm_of(b, key));
}

const struct schema_type type_users = {.name = "list",
    .form = "a list of { name, password, password_file or key }",
    .set = set_users,
    .print = print_users,
    .equal = equal_users};
const struct schema_type type_secrets = {.name = "list",
    .form = "a list of { id, secret or file }",
    .set = set_secrets,
    .print = print_secrets,
    .equal = equal_secrets};

static int set_store(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    return type_boolean.set(realm_of(base, key), key, value, fault);
}

static void print_store(const void *base, const struct schema_key *key, FILE *out)
{
    type_boolean.print(const_realm_of(base, key), key, out);
}

/* Yes or no about a realm: `offset` counts from its settings. */
const struct schema_type type_store = {
    .name = "boolean", .form = "true or false", .set = set_store, .print = print_store};
