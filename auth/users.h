/* The static users of one realm, with their keys computed at start. Read-only after users_init: any
 * thread. */
#ifndef AUTH_USERS_H
#define AUTH_USERS_H

#include "auth/auth_settings.h"
#include "auth/identity.h"
#include "base/crypto.h"
#include "wire/stun.h"

struct user {
    struct secret name; /* prepared as OpaqueString */
    uint8_t hash[STUN_USERHASH_LEN];
    struct auth_key md5, sha256; /* len 0: this key cannot be made from what is configured */
};

struct users {
    struct user *list;
    size_t count;
    uint32_t *by_name, *by_hash; /* open addressing: index + 1, 0 is free; at most half full */
    size_t mask;
    uint8_t siphash_key[16];
};

/* Static text that says which and why in `error` on failure (-EINVAL, -EIO or -ENOMEM); *out is
 * then empty. */
int users_init(struct users *out, struct crypto *crypto, const struct auth_realm_settings *settings,
    struct slice realm, const uint8_t siphash_key[16], char *error, size_t error_cap);
void users_deinit(struct users *users); /* wipes the keys */

/* NULL: no such user. One lookup either way. */
const struct user *users_find_name(const struct users *users, struct slice name);
const struct user *users_find_hash(const struct users *users, struct slice userhash);
/* Every user has a key for SHA-256. */
bool users_all_sha256(const struct users *users);

#endif
