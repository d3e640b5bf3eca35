/* Who a request or an allocation belongs to. Every user, quota, limit and cache key begins with the
 * realm. */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include "base/slice.h"

enum auth_source { AUTH_SOURCE_NONE, AUTH_SOURCE_STATIC, AUTH_SOURCE_REST };

struct identity {
    uint32_t realm; /* realm id: index into auth_settings.realms */
    enum auth_source source;
    struct slice
        user; /* the name byte for byte; borrowed from the request or from the allocation */
    char credential[32]; /* id of the REST secret, "" for static users */
    int64_t expires_at;  /* wall clock, s; 0: never */
};

struct auth_key {
    uint8_t bytes[32];
    uint8_t len; /* 16: MD5; 32: SHA-256; 0: none */
};

#endif
