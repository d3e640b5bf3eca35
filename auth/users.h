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

struct users_slot {
    uint64_t hash;  /* of the key, keyed */
    uint32_t index; /* into the list, + 1; 0: free */
};

/* Open addressing, at most half full. */
struct users_index {
    struct users_slot *slots;
    size_t mask;
    size_t
        depth; /* slots that every question looks at: no user lies farther from where it belongs */
};

struct users {
    struct user *list; /* one entry at least, of zeros if there is no user */
    size_t count;
    struct users_index by_name, by_hash;
    uint8_t siphash_key[16];
};

/* What was asked for, or if `found` is false any entry, never NULL: what is done with the one can
 * be done with the other, and takes as long. */
struct users_match {
    const struct user *user;
    bool found;
};

/* Static text that says which and why in `error` on failure (-EINVAL, -EIO or -ENOMEM); *out is
 * then empty. */
int users_init(struct users *out, struct crypto *crypto, const struct auth_realm_settings *settings,
    struct slice realm, const uint8_t siphash_key[16], char *error, size_t error_cap);
void users_deinit(struct users *users); /* wipes the keys */

/* The same steps for a user that exists and one that does not: as many slots, one entry of the
 * list, and of its key as many bytes as were asked for (THREATS row 8). */
struct users_match users_find_name(const struct users *users, struct slice name);
struct users_match users_find_hash(const struct users *users, struct slice userhash);
/* Every user has a key for SHA-256. */
bool users_all_sha256(const struct users *users);

#endif
