/* What the configuration says about who may ask. Plain data, owned by the configuration, copied by
 * auth_new. */
#ifndef AUTH_AUTH_SETTINGS_H
#define AUTH_AUTH_SETTINGS_H

#include "base/secret.h"
#include <stdint.h>

struct auth_user_settings {
    char *name;             /* UTF-8 as configured; prepared as OpaqueString by auth_new */
    struct secret password; /* empty when key_len is set */
    uint8_t key[32]; /* MD5(user:realm:password), or SHA-256 of the same, as coturn stores it */
    uint8_t key_len; /* 0, 16 (MD5) or 32 (SHA-256) */
};

struct auth_secret_settings {
    char *id; /* names the secret in logs; unique within the realm; at most 31 bytes */
    struct secret secret;
};

struct auth_realm_settings {
    char *name;
    struct auth_user_settings *users;
    size_t user_count;
    struct auth_secret_settings *secrets; /* REST; tried in this order */
    size_t secret_count;
};

struct auth_settings {
    struct auth_realm_settings *realms; /* at least one; the index is the realm id */
    size_t realm_count;
    uint32_t max_ttl_s; /* ceiling on the remaining life of a REST credential; default 48 h */
    uint32_t nonce_lifetime_s; /* 60–600, default 600 */
    bool password_sha256; /* offer PASSWORD-ALGORITHMS where every user has a SHA-256 key; default
                             true */
    struct secret
        nonce_secret; /* ≥ 16 bytes; the daemon fills in random bytes where none is configured */
};

#endif
