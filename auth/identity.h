/* Who a request or an allocation belongs to. Every user, quota, limit and cache key begins with the
 * realm. */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include "base/slice.h"

enum auth_source {
    AUTH_SOURCE_NONE,
    AUTH_SOURCE_STATIC,
    AUTH_SOURCE_REST,
    AUTH_SOURCE_OAUTH, /* user: the kid */
    AUTH_SOURCE_STORE
};

struct identity {
    uint32_t realm; /* realm id: index into auth_settings.realms */
    enum auth_source source;
    struct slice
        user; /* the name byte for byte; borrowed from the request or from the allocation */
    /* Id of the REST secret, or of the access token (16 hexadecimal digits); else "". */
    char credential[32];
    int64_t expires_at; /* wall clock, s; 0: never */
    uint64_t issued;    /* of an access token: its time stamp (auth/oauth.h); else 0 */
};

/*
 * The name that quotas count by: of a REST name "expiry:user" the part behind the colon, else a
 * fresh credential would be a fresh user; of an access token its id, because a kid is everybody's
 * whom the authorization server serves; everything else whole. Borrowed from `id`.
 */
static inline struct slice identity_account(const struct identity *id)
{
    if (id->source == AUTH_SOURCE_OAUTH) {
        return slice_of_string(id->credential);
    }
    const uint8_t *colon = id->source == AUTH_SOURCE_REST && id->user.len > 0
                               ? (const uint8_t *)memchr(id->user.data, ':', id->user.len)
                               : NULL;
    if (!colon || colon + 1 == id->user.data + id->user.len) {
        return id->user;
    }
    size_t skip = (size_t)(colon + 1 - id->user.data);
    return slice_of(id->user.data + skip, id->user.len - skip);
}

#define AUTH_KEY_MAX 64

struct auth_key {
    uint8_t bytes[AUTH_KEY_MAX];
    uint8_t len; /* 16: MD5; 32: SHA-256; of an access token's mac_key 16 to 64; 0: none */
};

#endif
