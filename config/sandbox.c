/*
 * Whom the daemon becomes: names of a user and a group. Whether they exist is for the daemon to
 * say, because a configuration may be checked on another host. Called through the schema.
 */
#include "config/schema.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

#define ACCOUNT_MAX 32 /* useradd(8): "Usernames may only be up to 32 characters long." */

static char **field_of(void *base, const struct schema_key *key)
{
    return (char **)(void *)((char *)base + key->offset);
}

static const char *account_of(const void *base, const struct schema_key *key)
{
    return *(char *const *)(const void *)((const char *)base + key->offset);
}

/* A portable name, which can neither be taken for an option nor for part of a path. */
static bool is_account(const char *text)
{
    static const char portable[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(text);

    return len > 0 && len <= ACCOUNT_MAX && text[0] != '-' && strspn(text, portable) == len;
}

static int set_account(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    char **out = field_of(base, key), *copy = NULL;

    if (value->kind != DOCUMENT_SCALAR || !is_account(value->text))
        return schema_bad_value(key, value, fault);
    if (strcmp(value->text, "auto") != 0 && !(copy = strdup(value->text)))
        return fault_out_of_memory(fault);
    free(*out);
    *out = copy;
    return 0;
}

static void print_account(const void *base, const struct schema_key *key, FILE *out)
{
    const char *account = account_of(base, key);

    value_print_text(out, account ? account : "auto");
}

const struct schema_type type_account = {
    .name = "name", .form = "auto, or a name", .set = set_account, .print = print_account};
