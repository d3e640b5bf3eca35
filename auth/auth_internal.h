/* What auth.c builds and auth_check.c reads; for this folder only. */
#ifndef AUTH_AUTH_INTERNAL_H
#define AUTH_AUTH_INTERNAL_H

#include "auth/auth.h"
#include "auth/key_cache.h"
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
    bool store_users, store_secrets, store_oauth_keys;
    bool removed;
};

/* A secret that nonces are made with. */
struct auth_nonce_secret {
    struct secret secret;          /* empty: there is none */
    uint8_t id[CRYPTO_SHA256_LEN]; /* made from it: workers see by it that another one has come */
};

struct auth {
    struct auth_realm *realms;
    size_t realm_count;
    uint32_t max_ttl_s, nonce_lifetime_s, key_ttl_s, key_negative_ttl_s, key_stale_s;
    struct auth_nonce_secret nonce, nonce_old; /* nonces are made with the first */
    uint8_t index_key[16];                     /* of users' indices */
    uint8_t dummy_key[32]; /* nobody's: what an unknown user is verified with, and always refused */
};

/* Bit n: realm id n may be named. */
uint64_t auth_realms_served(const struct auth *auth, const struct auth_realms *realms);

/* Nonce keys that come from the secret of this id. */
struct auth_worker_keys {
    struct nonce_keys keys;
    uint8_t secret_id[CRYPTO_SHA256_LEN];
};

/* REST secrets of a realm that came from the store. */
struct auth_worker_secrets {
    struct rest rest;
    uint8_t named_by[CRYPTO_SHA256_LEN]; /* id of the nonce secret that their ids are made with */
};

struct auth_worker {
    struct crypto *crypto; /* borrowed */
    struct auth_worker_keys nonce, nonce_old;
    struct key_cache *cache;
    struct revocations *revocations;
    struct auth_worker_secrets secrets[AUTH_REALMS_MAX]; /* by realm id */
};

/* These nonce keys, emptied first if they come from another secret than this one. */
struct nonce_keys *auth_worker_nonce_keys(
    struct auth_worker_keys *keys, const struct auth_nonce_secret *secret);
/* The realm's secrets that came from the store; until the next call that changes them. */
const struct rest *auth_worker_secrets(
    struct auth_worker *w, const struct auth *auth, uint32_t realm);

/*
 * One line for the operator: 'realm "R": what "name": why', without the middle if `what` is NULL.
 * Names are cut and what would break a line is shown as '?', so that the reason is always there.
 */
void auth_error(
    char *error, size_t error_cap, const char *const realm_what_name[3], const char *why);

#endif
