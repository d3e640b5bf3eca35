/* What auth.c builds and auth_check.c reads; for this folder only. */
#ifndef AUTH_AUTH_INTERNAL_H
#define AUTH_AUTH_INTERNAL_H

#include "auth/auth.h"
#include "auth/oauth.h"
#include "auth/rest.h"
#include "auth/users.h"

struct auth_realm {
    struct secret name;  /* prepared as OpaqueString */
    uint32_t nonce_name; /* the realm in nonces: from its name, so that instances need not list
                            realms in one order */
    uint32_t features;
    struct users users;
    struct rest rest;
    struct oauth oauth;
};

struct auth {
    struct auth_realm *realms;
    size_t realm_count;
    uint32_t max_ttl_s, nonce_lifetime_s;
    struct secret nonce_secret;
    uint8_t nonce_secret_id[CRYPTO_SHA256_LEN]; /* made from it: workers see by it that another
                                                   secret has come */
    uint8_t dummy_key[32]; /* nobody's: what an unknown user is verified with, and always refused */
};

struct auth_worker {
    struct crypto *crypto; /* borrowed */
    struct nonce_keys keys;
    uint8_t keys_secret_id[CRYPTO_SHA256_LEN]; /* of the secret that `keys` come from */
};

/* The worker's nonce keys, emptied first if they come from another secret than this one's. */
struct nonce_keys *auth_worker_nonce_keys(struct auth_worker *w, const struct auth *auth);

/*
 * One line for the operator: 'realm "R": what "name": why', without the middle if `what` is NULL.
 * Names are cut and what would break a line is shown as '?', so that the reason is always there.
 */
void auth_error(
    char *error, size_t error_cap, const char *const realm_what_name[3], const char *why);

#endif
