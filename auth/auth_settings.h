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

enum auth_rest_hash { AUTH_REST_SHA1, AUTH_REST_SHA256 };

struct auth_secret_settings {
    char *id; /* names the secret in logs; unique within the realm; at most 31 bytes */
    struct secret secret;
    uint8_t hash; /* enum auth_rest_hash: of the password's HMAC */
    bool retired; /* kept only so that a refusal can name it: what it signs is never accepted */
};

enum auth_oauth_algorithm { AUTH_OAUTH_A256GCM, AUTH_OAUTH_A128GCM };

/* A long-term key shared with an authorization server (RFC 7635 section 4.1). */
struct auth_oauth_key_settings {
    char *kid;         /* USERNAME of the requests; unique within the realm; at most 127 bytes */
    uint8_t algorithm; /* enum auth_oauth_algorithm */
    struct secret key; /* 32 bytes (A256GCM) or 16 (A128GCM) */
    int64_t not_before, not_after; /* wall clock, s; when tokens of it may have been issued; 0: no
                                      bound */
};

struct auth_realm_settings {
    char *name;
    struct auth_user_settings *users;
    size_t user_count;
    struct auth_secret_settings *secrets; /* REST; tried in this order */
    size_t secret_count;
    /* The name in THIRD-PARTY-AUTHORIZATION, and the associated data of tokens; at most 255 bytes;
     * NULL: no access tokens in this realm. */
    char *oauth_server_name;
    struct auth_oauth_key_settings *oauth_keys;
    size_t oauth_key_count;
    /* What is looked up in the store besides (auth/store.h): users, REST secrets, OAuth keys. */
    bool store_users, store_secrets, store_oauth_keys;
    bool removed; /* no longer configured: its live allocations go on, nothing new begins */
};

/* Listeners name the realms that they serve in a mask of 64 bits. */
#define AUTH_REALMS_MAX 64

struct auth_settings {
    struct auth_realm_settings *realms; /* at least one; the index is the realm id */
    size_t realm_count;
    uint32_t max_ttl_s; /* ceiling on the remaining life of a REST credential; default 48 h */
    uint32_t nonce_lifetime_s; /* 60–600, default 600 */
    bool password_sha256; /* offer PASSWORD-ALGORITHMS where every user has a SHA-256 key; default
                             true */
    struct secret
        nonce_secret; /* ≥ 16 bytes; the daemon fills in random bytes where none is configured */
    struct secret nonce_secret_old; /* the one before, whose nonces are still accepted; empty: none
                                     */
    uint32_t key_ttl_s;             /* how long a key from the store is used unasked; default 60 */
    uint32_t key_negative_ttl_s;    /* … and that there is none; default 5 */
    uint32_t key_stale_s;           /* … either of them while the store is unreachable; default
                                       600 */
};

#endif
