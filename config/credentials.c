/*
 * Users, REST secrets, the nonce secret and the admin token, in the file or in files of their own.
 * What is secret is never part of a fault or of a dump, and is wiped wherever it passed. Names and
 * passwords are prepared as OpaqueString by auth_new, not here. Called through the schema.
 */
#include "config/file.h"
#include "config/path.h"
#include "config/schema.h"
#include "config/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a dump shows in place of a secret, and what therefore cannot be one. */
static const char masked[] = "***";

static int fault_secret(
    const struct schema_key *key, const struct document_node *value, struct fault *fault)
{
    return fault_set(fault, value->line, "'%s' must be %s", key->path, key->type->form);
}

static int check_length(const struct schema_key *key, const struct document_node *value, size_t len,
    struct fault *fault)
{
    if (len < key->min || len > key->max)
        return fault_set(fault, value->line, "'%s' must have %u to %u bytes", key->path,
            (unsigned)key->min, (unsigned)key->max);
    return 0;
}

/* Gives the field its secret, once: `password` and `password_file` share one. */
static int fill_secret(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct slice bytes, struct fault *fault)
{
    int rc = check_length(key, value, bytes.len, fault);

    if (rc < 0)
        return rc;
    if (out->data)
        return fault_set(fault, value->line,
            "'%s': the same secret is given twice, in text and as a file", key->path);
    return secret_set(out, bytes) < 0 ? fault_out_of_memory(fault) : 0;
}

static int set_secret(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct secret *out = (struct secret *)(void *)((char *)base + key->offset);

    if (value->kind != DOCUMENT_SCALAR)
        return fault_secret(key, value, fault);
    if (strcmp(value->text, masked) == 0)
        return fault_set(fault, value->line,
            "'%s': *** stands for a secret that a dump has hidden; write the secret itself",
            key->path);
    return fill_secret(out, key, value, slice_of_string(value->text), fault);
}

/* Editors and `echo` end a file with a newline that is not part of the secret. */
static struct slice without_newline(struct slice bytes)
{
    if (bytes.len > 0 && bytes.data[bytes.len - 1] == '\n')
        bytes.len--;
    return bytes;
}

static int set_secret_file(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct secret *out = (struct secret *)(void *)((char *)base + key->offset), content = {0};
    char path[PATH_MAX];
    int rc = path_expand(path, key, value, fault);

    if (rc < 0)
        return rc;
    rc = file_read(&content, path, key->max + 1);
    if (rc == -ENOMEM)
        return fault_out_of_memory(fault);
    if (rc < 0)
        return fault_set(fault, value->line, "'%s': cannot read '%s': %s", key->path,
            fault_escape(path).text, file_read_why(rc));
    rc = fill_secret(out, key, value, without_newline(secret_slice(&content)), fault);
    secret_wipe(&content);
    return rc;
}

const struct schema_type type_secret = {.name = "secret", .form = "text", .set = set_secret};
const struct schema_type type_secret_file = {
    .name = "path", .form = "the absolute path of a file", .set = set_secret_file};

static void print_masked(const void *base, const struct schema_key *key, FILE *out)
{
    fprintf(out, "\"%s\"", masked);
}

static bool equal_nonce_secret(const void *a, const void *b)
{
    return secret_equal(secret_slice(&((const struct config *)a)->auth.nonce_secret),
        secret_slice(&((const struct config *)b)->auth.nonce_secret));
}

static bool has_nonce_secret(const struct config *c)
{
    return c->auth.nonce_secret.len > 0;
}

static bool equal_admin_token(const void *a, const void *b)
{
    return secret_equal(secret_slice(&((const struct config *)a)->admin.token),
        secret_slice(&((const struct config *)b)->admin.token));
}

static bool has_admin_token(const struct config *c)
{
    return c->admin.token.len > 0;
}

const struct schema_type type_nonce_secret = {.name = "secret",
    .form = "text",
    .set = set_secret,
    .print = print_masked,
    .equal = equal_nonce_secret,
    .present = has_nonce_secret};
const struct schema_type type_admin_token = {.name = "secret",
    .form = "text",
    .set = set_secret,
    .print = print_masked,
    .equal = equal_admin_token,
    .present = has_admin_token};

static int set_name(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    char **out = (char **)(void *)((char *)base + key->offset), *copy;
    int rc;

    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    rc = check_length(key, value, strlen(value->text), fault);
    if (rc < 0)
        return rc;
    for (const unsigned char *p = (const unsigned char *)value->text; *p != '\0'; p++)
        if (*p < 0x20 || *p == 0x7f)
            return fault_set(
                fault, value->line, "'%s' must not hold control characters", key->path);
    copy = strdup(value->text);
    if (!copy)
        return fault_out_of_memory(fault);
    *out = copy;
    return 0;
}

static int set_secret_id(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (value->kind == DOCUMENT_SCALAR && value->text[strspn(value->text, allowed)] != '\0')
        return schema_bad_value(key, value, fault);
    return set_name(base, key, value, fault);
}

static int set_user_key(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct auth_user_settings *user = base;

    if (value->kind != DOCUMENT_SCALAR)
        return fault_secret(key, value, fault);
    if (strcmp(value->text, masked) == 0)
        return fault_set(fault, value->line,
            "'%s': *** stands for a key that a dump has hidden; write the key itself", key->path);
    if (value_hex(value->text, user->key, 16))
        user->key_len = 16;
    else if (value_hex(value->text, user->key, 32))
        user->key_len = 32;
    else
        return fault_secret(key, value, fault);
    return 0;
}

const struct schema_type type_user_name = {.name = "text", .form = "text", .set = set_name};
const struct schema_type type_secret_id = {
    .name = "text", .form = "letters, digits, '.', '_' and '-'", .set = set_secret_id};
const struct schema_type type_user_key = {
    .name = "key", .form = "32 (MD5) or 64 (SHA-256) hexadecimal digits", .set = set_user_key};
