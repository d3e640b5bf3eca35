/*
 * Types of keys that are text: names of realms, users, secrets and keys. What is a secret is not
 * one of them (credentials.c). Called through the schema.
 */
#include "config/schema.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

static char **field_of(void *base, const struct schema_key *key)
{
    return (char **)(void *)((char *)base + key->offset);
}

static const char *text_of(const void *base, const struct schema_key *key)
{
    return *(char *const *)(const void *)((const char *)base + key->offset);
}

static int keep_text(char **out, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    size_t len = strlen(value->text);
    char *copy;

    if (len < key->min || len > key->max)
        return fault_set(fault, value->line, "'%s' must have %u to %u bytes", key->path,
            (unsigned)key->min, (unsigned)key->max);
    copy = strdup(value->text);
    if (!copy)
        return fault_out_of_memory(fault);
    free(*out);
    *out = copy;
    return 0;
}

static bool has_control_characters(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
        if (*p < 0x20 || *p == 0x7f)
            return true;
    return false;
}

static int set_text(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    if (has_control_characters(value->text))
        return fault_set(fault, value->line, "'%s' must not hold control characters", key->path);
    return keep_text(field_of(base, key), key, value, fault);
}

static int set_word(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    for (const char *p = value->text; *p != '\0'; p++)
        if (*p <= ' ' || *p > '~')
            return schema_bad_value(key, value, fault);
    return keep_text(field_of(base, key), key, value, fault);
}

static int set_secret_id(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (value->kind != DOCUMENT_SCALAR || value->text[strspn(value->text, allowed)] != '\0')
        return schema_bad_value(key, value, fault);
    return keep_text(field_of(base, key), key, value, fault);
}

static void print_text(const void *base, const struct schema_key *key, FILE *out)
{
    const char *text = text_of(base, key);

    if (text)
        value_print_text(out, text);
    else
        fputs("none", out);
}

static bool has_text(const void *base, const struct schema_key *key)
{
    return text_of(base, key) != NULL;
}

const struct schema_type type_text = {
    .name = "text", .form = "text", .set = set_text, .print = print_text, .present = has_text};
const struct schema_type type_word = {.name = "text",
    .form = "printable ASCII without spaces",
    .set = set_word,
    .print = print_text,
    .present = has_text};
const struct schema_type type_secret_id = {
    .name = "text", .form = "letters, digits, '.', '_' and '-'", .set = set_secret_id};
