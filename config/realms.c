/*
 * Realms as tenants. The one of the top level is always there and has id 0. Called through the
 * schema, and by config.c.
 */
#include "config/realms.h"

#include "config/oauth.h"
#include "config/users.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

const struct auth_realm_settings *const_realm_of(const void *base, const struct schema_key *key)
{
    return &((const struct config *)base)->auth.realms[0];
}

struct auth_realm_settings *realm_of(void *base, const struct schema_key *key)
{
    return &((struct config *)base)->auth.realms[0];
}

void realm_clear(struct auth_realm_settings *realm)
{
    free(realm->name);
    free(realm->oauth_server_name);
    users_clear(realm);
    users_clear_secrets(realm);
    oauth_clear_keys(realm);
    memset(realm, 0, sizeof(*realm));
}

static int set_realm(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct schema_key field = *key;

    field.offset = offsetof(struct auth_realm_settings, name);
    if (value->kind == DOCUMENT_SCALAR && strpbrk(value->text, "\"\\"))
        return fault_set(fault, value->line,
            "'%s' must not hold quotes, backslashes or control characters", key->path);
    return type_text.set(realm_of(base, key), &field, value, fault);
}

static void print_realm(const void *base, const struct schema_key *key, FILE *out)
{
    value_print_text(out, const_realm_of(base, key)->name);
}

const struct schema_type type_realm = {
    .name = "text", .form = "text", .set = set_realm, .print = print_realm};
