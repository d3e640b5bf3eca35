/*
 * Passwords, secrets, tokens and keys, in the file or in files of their own. What is secret is
 * never part of a fault or of a dump, and is wiped wherever it passed. Names and passwords are
 * prepared as OpaqueString by auth_new, not here. Called through the schema.
 */
#include "config/credentials.h"

#include "base/base64.h"

#include "config/file.h"
#include "config/path.h"
#include "config/schema.h"
#include "config/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int credentials_fault(
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
        return credentials_fault(key, value, fault);
    if (strcmp(value->text, CREDENTIALS_MASK) == 0)
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

int credentials_read(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct secret content = {0};
    struct slice bytes;
    char path[PATH_MAX];
    int rc = path_expand(path, key, value, fault);

    if (rc < 0)
        return rc;
    rc = file_read(&content, path, key->max + 1);
    if (rc == -ENOMEM)
        return fault_out_of_memory(fault);
    if (rc < 0)
        return fault_set(fault, value->line, "'%s': cannot read '%s': %s", key->path,
            fault_escape(path).text, file_read_why(path, rc));
    bytes = without_newline(secret_slice(&content));
    rc = check_length(key, value, bytes.len, fault);
    if (rc == 0 && secret_set(out, bytes) < 0)
        rc = fault_out_of_memory(fault);
    secret_wipe(&content);
    return rc;
}

static int set_secret_file(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct secret *out = (struct secret *)(void *)((char *)base + key->offset), content = {0};
    int rc = credentials_read(&content, key, value, fault);

    if (rc == 0)
        rc = fill_secret(out, key, value, secret_slice(&content), fault);
    secret_wipe(&content);
    return rc;
}

const struct schema_type type_secret = {.name = "secret", .form = "text", .set = set_secret};
const struct schema_type type_secret_file = {
    .name = "path", .form = CREDENTIALS_FILE_FORM, .set = set_secret_file};

static int fill_base64(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct slice text, struct fault *fault)
{
    uint8_t bytes[CREDENTIALS_BASE64_MAX];
    const int len = base64_decode(bytes, sizeof(bytes), text);
    int rc = 0;

    if (out->data)
        rc = fault_set(fault, value->line,
            "'%s': the same key is given twice, in text and as a file", key->path);
    else if (len <= 0)
        rc = fault_set(fault, value->line, "'%s' must hold %s", key->path, key->type->form);
    else if (secret_set(out, slice_of(bytes, (size_t)len)) < 0)
        rc = fault_out_of_memory(fault);
    secret_cleanse(bytes, sizeof(bytes));
    return rc;
}

int credentials_set_base64(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    if (value->kind != DOCUMENT_SCALAR)
        return credentials_fault(key, value, fault);
    if (strcmp(value->text, CREDENTIALS_MASK) == 0)
        return fault_set(fault, value->line,
            "'%s': *** stands for a key that a dump has hidden; write the key itself", key->path);
    return fill_base64(out, key, value, slice_of_string(value->text), fault);
}

int credentials_read_base64(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct secret text = {0};
    int rc = credentials_read(&text, key, value, fault);

    if (rc == 0)
        rc = fill_base64(out, key, value, secret_slice(&text), fault);
    secret_wipe(&text);
    return rc;
}

static void print_masked(const void *base, const struct schema_key *key, FILE *out)
{
    fprintf(out, "\"%s\"", CREDENTIALS_MASK);
}

static const struct secret *secret_of(const void *base, const struct schema_key *key)
{
    return (const struct secret *)(const void *)((const char *)base + key->offset);
}

static bool equal_secret(const void *a, const void *b, const struct schema_key *key)
{
    return secret_equal(secret_slice(secret_of(a, key)), secret_slice(secret_of(b, key)));
}

static bool has_secret(const void *base, const struct schema_key *key)
{
    return secret_of(base, key)->len > 0;
}

const struct schema_type type_masked_secret = {.name = "secret",
    .form = "text",
    .set = set_secret,
    .print = print_masked,
    .equal = equal_secret,
    .present = has_secret};

static int set_user_key(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct auth_user_settings *user = base;

    if (value->kind != DOCUMENT_SCALAR)
        return credentials_fault(key, value, fault);
    if (strcmp(value->text, CREDENTIALS_MASK) == 0)
        return fault_set(fault, value->line,
            "'%s': *** stands for a key that a dump has hidden; write the key itself", key->path);
    if (value_hex(value->text, user->key, 16))
        user->key_len = 16;
    else if (value_hex(value->text, user->key, 32))
        user->key_len = 32;
    else
        return credentials_fault(key, value, fault);
    return 0;
}

const struct schema_type type_user_key = {
    .name = "key", .form = "32 (MD5) or 64 (SHA-256) hexadecimal digits", .set = set_user_key};
