/*
 * Checks that take more than one key. They run on the complete configuration, defaults included, so
 * it does not matter which of the keys the file names. Called by config_load.
 */
#include "config/check.h"

#include "config/admin.h"
#include "config/listeners.h"
#include "config/realms.h"
#include "config/redis.h"
#include "config/srtp.h"

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
    int rc = redis_check(c, root, fault);

    if (rc == 0)
        rc = realms_check(c, root, fault);
    if (rc == 0)
        rc = srtp_check(c, root, fault);
    if (rc == 0)
        rc = admin_check(c, root, fault);
    if (rc < 0)
        return rc;
    if (c->usage.redis && !c->redis.url)
        return fault_set(fault, document_line(root, "usage.redis"),
            "'usage.redis' means nothing without 'redis.url'");
    if (c->auth.nonce_secret_old.len > 0 && c->auth.nonce_secret.len == 0)
        return fault_set(fault, document_line(root, "auth.nonce_secret_old"),
            "'auth.nonce_secret_old' means nothing without 'auth.nonce_secret'");
    if (c->relay.default_lifetime_s > c->relay.max_lifetime_s)
        return fault_set(fault, document_line(root, "relay.default_lifetime"),
            "'relay.default_lifetime' %us is over 'relay.max_lifetime' %us",
            c->relay.default_lifetime_s, c->relay.max_lifetime_s);
    if (!is_bearer_token(&c->admin.token))
        return fault_set(fault, document_line(root, "admin.token"),
            "'admin.token' must be letters, digits and -._~+/= only: it travels in a header");
    return listeners_check(c, root, fault);
}
