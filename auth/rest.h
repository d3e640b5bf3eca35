/*
 * Credentials that another program makes for a while: the name says until when, the password is an
 * HMAC over the name. Nothing is kept for them; a realm may have several secrets, so that one can
 * be replaced by the next.
 */
#ifndef AUTH_REST_H
#define AUTH_REST_H

#include "auth/auth_settings.h"
#include "auth/identity.h"
#include "auth/store.h"
#include "base/crypto.h"
#include "wire/stun.h"

#define REST_ID_MAX       31
#define REST_SECRET_MAX   512
#define REST_STORE_PREFIX "redis-" /* ids of the store's secrets; no configured one begins so */

struct rest_secret {
    char id[REST_ID_MAX + 1];
    struct secret secret;
    enum auth_rest_hash hash;
    bool retired; /* what it has signed is to be refused by name, and never accepted */
};

/* Secrets of one realm: those configured, or those that a worker has from the store. All zero:
 * none. Read-only after its init. */
struct rest {
    struct rest_secret *list;
    size_t count;
};

/* Text in `error` on failure (-EINVAL, -ENOMEM); *out is then empty. */
int rest_init(
    struct rest *out, const struct auth_realm_settings *settings, char *error, size_t error_cap);
/* Copies, with ids of rest_store_id; HMAC-SHA1, as coturn has it. A secret of no or of more than
 * 512 bytes is left out. 0, -EIO or -ENOMEM; *out is then untouched. */
int rest_init_store(struct rest *out, struct crypto *crypto, struct slice nonce_secret,
    const struct store_secrets *secrets);
void rest_deinit(struct rest *rest); /* wipes; {0} is fine, and what it leaves */

/*
 * Names a secret that comes from the store: "redis-" and 8 hexadecimal digits of an HMAC keyed from
 * the nonce secret. Who reads the id cannot try guesses of the secret with it, and instances that
 * share the nonce secret give one name. 0 or -EIO.
 */
int rest_store_id(char out[REST_ID_MAX + 1], struct crypto *crypto, struct slice nonce_secret,
    struct slice secret);

/* "1735689600" or "1735689600:anything": 1–11 digits. Wall clock, s. False: no such name. */
bool rest_expiry(struct slice user, int64_t *expires_at);
/* The key that the secret gives this name, whatever the name looks like. 0 or -EIO. The caller
 * wipes *out. */
int rest_key(struct auth_key *out, struct crypto *crypto, const struct rest_secret *secret,
    enum stun_password_algorithm algorithm, const struct slice user_realm[2]);

#endif
