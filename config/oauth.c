/*
 * Keys of access tokens (RFC 7635): what is shared with an authorization server, by key id. A list
 * is read whole and takes the place of the old one only when all of it is good; keys are wiped
 * wherever they passed. Called through the schema, and by realms.c.
 */
#include "config/oauth.h"

#include "config/credentials.h"
#include "config/duplicates.h"
#include "config/realms.h"
#include "config/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each is an entry of a table that a request looks into once. */
#define OAUTH_KEYS_MAX 256

static size_t key_len(uint8_t algorithm)
{
    return algorithm == AUTH_OAUTH_A128GCM ? 16 : 32;
}

static const char *algorithm_name(uint8_t algorithm)
{
    return type_oauth_algorithm.choices[algorithm];
}

void oauth_clear_keys(struct auth_realm_settings *realm)
{
    for (size_t i = 0; i < realm->oauth_key_count; i++) {
        free(realm->oauth_keys[i].kid);
        secret_wipe(&realm->oauth_keys[i].key);
    }
    free(realm->oauth_keys);
    realm->oauth_keys = NULL;
    realm->oauth_key_count = 0;
}

bool oauth_equal_keys(const struct auth_realm_settings *a, const struct auth_realm_settings *b)
{
    if (a->oauth_key_count != b->oauth_key_count)
        return false;
    for (size_t i = 0; i < a->oauth_key_count; i++) {
        const struct auth_oauth_key_settings *x = &a->oauth_keys[i], *y = &b->oauth_keys[i];

        if (strcmp(x->kid, y->kid) != 0 || x->algorithm != y->algorithm ||
            x->not_before != y->not_before || x->not_after != y->not_after ||
            !secret_equal(secret_slice(&x->key), secret_slice(&y->key)))
            return false;
    }
    return true;
}

static int set_key(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct auth_oauth_key_settings *k = base;

    return credentials_set_base64(&k->key, key, value, fault);
}

static int set_key_file(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct auth_oauth_key_settings *k = base;
    struct schema_key held = *key;

    held.type = &type_oauth_key;
    return credentials_read_base64(&k->key, &held, value, fault);
}

const struct schema_type type_oauth_key = {
    .name = "key", .form = "base64 of 32 bytes (A256GCM) or 16 bytes (A128GCM)", .set = set_key};
const struct schema_type type_oauth_key_file = {
    .name = "path", .form = CREDENTIALS_FILE_FORM, .set = set_key_file};

static int set_instant(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    int64_t *out = (int64_t *)(void *)((char *)base + key->offset);

    if (value->kind != DOCUMENT_SCALAR || !value_instant(value->text, out))
        return schema_bad_value(key, value, fault);
    return 0;
}

const struct schema_type type_instant = {
    .name = "time", .form = "a time in UTC such as 2027-01-31T08:00:00Z", .set = set_instant};

static int compare_kids(const void *a, const void *b)
{
    return strcmp(((const struct auth_oauth_key_settings *)a)->kid,
        ((const struct auth_oauth_key_settings *)b)->kid);
}

static int read_key(const char *section, struct auth_oauth_key_settings *k,
    const struct document_node *value, struct fault *fault)
{
    int rc = schema_set_defaults(section, k) < 0 ? fault_out_of_memory(fault)
                                                 : schema_read(section, value, k, fault);

    if (rc < 0)
        return rc;
    if (!k->key.data)
        return fault_set(fault, value->line, "key '%s' needs just one of key and key_file",
            fault_escape(k->kid).text);
    if (k->key.len != key_len(k->algorithm))
        return fault_set(fault, value->line, "key '%s' has %u bytes, but %s takes %u",
            fault_escape(k->kid).text, (unsigned)k->key.len, algorithm_name(k->algorithm),
            (unsigned)key_len(k->algorithm));
    if (k->not_after != 0 && k->not_after <= k->not_before)
        return fault_set(fault, value->line,
            "key '%s' is never valid: not_after is not behind "
            "not_before",
            fault_escape(k->kid).text);
    return 0;
}

static int read_keys(struct auth_realm_settings *built, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct schema_section section = schema_items(key);
    size_t later = 0;
    bool found;
    int rc = 0;

    built->oauth_keys = calloc(value->count + 1, sizeof(*built->oauth_keys));
    if (!built->oauth_keys)
        return fault_out_of_memory(fault);
    while (built->oauth_key_count < value->count && rc == 0) {
        size_t i = built->oauth_key_count++;

        rc = read_key(section.path, &built->oauth_keys[i], &value->children[i], fault);
    }
    if (rc < 0)
        return rc;
    if (duplicates_find(built->oauth_keys, built->oauth_key_count, sizeof(*built->oauth_keys),
            compare_kids, &found, &later) < 0)
        return fault_out_of_memory(fault);
    return !found ? 0
                  : fault_set(fault, value->children[later].line, "key '%s' appears twice",
                        fault_escape(built->oauth_keys[later].kid).text);
}

static int set_keys(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct auth_realm_settings *realm = realm_of(base, key), built = {0};
    int rc;

    if (value->kind != DOCUMENT_SEQUENCE)
        return credentials_fault(key, value, fault);
    if (value->count > OAUTH_KEYS_MAX)
        return fault_set(
            fault, value->line, "'%s' must not hold more than %d keys", key->path, OAUTH_KEYS_MAX);
    rc = read_keys(&built, key, value, fault);
    if (rc < 0) {
        oauth_clear_keys(&built);
        return rc;
    }
    oauth_clear_keys(realm);
    realm->oauth_keys = built.oauth_keys;
    realm->oauth_key_count = built.oauth_key_count;
    return 0;
}

static void print_window(const char *name, int64_t bound, FILE *out)
{
    if (bound == 0)
        return;
    fprintf(out, ", %s: ", name);
    value_print_instant(out, bound);
}

static void print_keys(const void *base, const struct schema_key *key, FILE *out)
{
    const struct auth_realm_settings *realm = const_realm_of(base, key);

    fputc('[', out);
    for (size_t i = 0; i < realm->oauth_key_count; i++) {
        const struct auth_oauth_key_settings *k = &realm->oauth_keys[i];

        fputs(i > 0 ? ",\n      { kid: " : "\n      { kid: ", out);
        value_print_text(out, k->kid);
        fprintf(out, ", algorithm: %s, key: \"***\"", algorithm_name(k->algorithm));
        print_window("not_before", k->not_before, out);
        print_window("not_after", k->not_after, out);
        fputs(" }", out);
    }
    fputs(realm->oauth_key_count > 0 ? "\n    ]" : "]", out);
}

static bool equal_keys(const void *a, const void *b, const struct schema_key *key)
{
    return oauth_equal_keys(const_realm_of(a, key), const_realm_of(b, key));
}

const struct schema_type type_oauth_keys = {.name = "list",
    .form = "a list of { kid, key or key_file }",
    .set = set_keys,
    .print = print_keys,
    .equal = equal_keys};

static int set_server_name(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct schema_key field = *key;
    struct auth_realm_settings *realm = realm_of(base, key);

    field.offset = offsetof(struct auth_realm_settings, oauth_server_name);
    return type_text.set(realm, &field, value, fault);
}

static void print_server_name(const void *base, const struct schema_key *key, FILE *out)
{
    const struct auth_realm_settings *realm = const_realm_of(base, key);

    if (realm->oauth_server_name)
        value_print_text(out, realm->oauth_server_name);
    else
        fputs("none", out);
}

static bool has_server_name(const void *base, const struct schema_key *key)
{
    return const_realm_of(base, key)->oauth_server_name != NULL;
}

const struct schema_type type_oauth_server_name = {.name = "text",
    .form = "text",
    .set = set_server_name,
    .print = print_server_name,
    .present = has_server_name};

bool oauth_wanted(const struct auth_realm_settings *realm)
{
    return realm->oauth_key_count > 0 || realm->store_oauth_keys;
}

int oauth_complete(struct auth_realm_settings *realm)
{
    if (!oauth_wanted(realm) || realm->oauth_server_name)
        return 0;
    realm->oauth_server_name = strdup(realm->name);
    return realm->oauth_server_name ? 0 : -ENOMEM;
}
