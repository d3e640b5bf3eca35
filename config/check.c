/*
 * Checks that take more than one key. They run on the complete configuration, defaults included, so
 * it does not matter which of the keys the file names. Called by config_load.
 */
#include "config/check.h"

#include "config/listeners.h"

#include <string.h>

/* "b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="" (RFC 6750 section 2.1)
 */
static bool is_bearer_token(const struct secret *token)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=";

    return token->len == 0 || strspn((const char *)token->data, allowed) == token->len;
}

int check_config(const struct config *c, const struct document_node *root, struct fault *fault)
{
    const struct auth_realm_settings *realm = &c->auth.realms[0];

    if (realm->user_count == 0 && realm->secret_count == 0)
        return fault_set(fault, document_line(root, "auth", "users"),
            "nobody could authenticate: 'auth' needs at least one of users and secrets");
    if (c->relay.default_lifetime_s > c->relay.max_lifetime_s)
        return fault_set(fault, document_line(root, "relay", "default_lifetime"),
            "'relay.default_lifetime' %us is over 'relay.max_lifetime' %us",
            c->relay.default_lifetime_s, c->relay.max_lifetime_s);
    if (!is_bearer_token(&c->admin.token))
        return fault_set(fault, document_line(root, "admin", "token"),
            "'admin.token' must be letters, digits and -._~+/= only: it travels in a header");
    return listeners_check(c, root, fault);
}
