/* Keys of the long-term credential mechanism, RFC 8489 sections 9.2.2, 14.4 and 18.5.1. Names and
 * passwords are prepared. */
#ifndef AUTH_LONG_TERM_H
#define AUTH_LONG_TERM_H

#include "auth/identity.h"
#include "base/crypto.h"
#include "wire/stun.h"

/* 16 or 32: the key's length for the algorithm. */
uint8_t long_term_key_len(enum stun_password_algorithm algorithm);
/* 0 or -EIO. The caller wipes *out. */
int long_term_key(struct auth_key *out, struct crypto *crypto,
    enum stun_password_algorithm algorithm, const struct slice user_realm_password[3]);
/* 0 or -EIO. */
int long_term_userhash(
    uint8_t out[STUN_USERHASH_LEN], struct crypto *crypto, struct slice user, struct slice realm);

#endif
