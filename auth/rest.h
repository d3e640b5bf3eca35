/*
 * Credentials that another program makes for a while: the name says until when, the password is an
 * HMAC over the name. Nothing is kept for them; a realm may have several secrets, so that one can
 * be replaced by the next.
 */
#ifndef AUTH_REST_H
#define AUTH_REST_H

#include "auth/auth_settings.h"
#include "auth/identity.h"
#include "base/crypto.h"
#include "wire/stun.h"

#define REST_ID_MAX       31
#define REST_SECRET_MAX   512
#define REST_PASSWORD_LEN 28 /* base64 of an HMAC-SHA1 */

struct rest_secret {
    char id[REST_ID_MAX + 1];
    struct secret secret;
};

struct rest {
    struct rest_secret *list;
    size_t count;
};

/* Text in `error` on failure (-EINVAL, -ENOMEM); *out is then empty. */
int rest_init(
    struct rest *out, const struct auth_realm_settings *settings, char *error, size_t error_cap);
void rest_deinit(struct rest *rest); /* wipes */

/* "1735689600" or "1735689600:anything": 1–11 digits. Wall clock, s. False: no such name. */
bool rest_expiry(struct slice user, int64_t *expires_at);
/* The key that the secret gives this name, whatever the name looks like. 0 or -EIO. The caller
 * wipes *out. */
int rest_key(struct auth_key *out, struct crypto *crypto, const struct rest_secret *secret,
    enum stun_password_algorithm algorithm, const struct slice user_realm[2]);

#endif
