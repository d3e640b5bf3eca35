/*
 * From a name, a realm and a password to the key of the HMAC. Names come from the wire byte for
 * byte: exception: RFC 8489 section 9.2.2 takes "the username, with any quotes and trailing nulls
 * removed"; nothing is removed here, because no client sends them and the configuration refuses
 * names that have them. Called by users.c at start and by rest.c per request.
 */
#include "auth/long_term.h"

#include "base/secret.h"
#include <errno.h>

uint8_t long_term_key_len(enum stun_password_algorithm algorithm)
{
    return algorithm == STUN_PASSWORD_SHA256 ? CRYPTO_SHA256_LEN : CRYPTO_MD5_LEN;
}

int long_term_key(struct auth_key *out, struct crypto *crypto,
    enum stun_password_algorithm algorithm, const struct slice user_realm_password[3])
{
    /* RFC 8489 section 9.2.2: "key = MD5(username ":" OpaqueString(realm) ":"
     * OpaqueString(password))", section 18.5.1.2: "key = SHA-256(username ":" OpaqueString(realm)
     * ":" OpaqueString(password))" */
    const struct slice colon = slice_of(":", 1);
    const struct slice parts[] = {
        user_realm_password[0], colon, user_realm_password[1], colon, user_realm_password[2]};
    struct auth_key key = {.len = long_term_key_len(algorithm)};
    enum crypto_hash hash = algorithm == STUN_PASSWORD_SHA256 ? CRYPTO_SHA256 : CRYPTO_MD5;
    if (crypto_digest(crypto, hash, parts, 5, key.bytes) < 0)
        return -EIO;
    *out = key;
    secret_cleanse(&key, sizeof(key));
    return 0;
}

int long_term_userhash(
    uint8_t out[STUN_USERHASH_LEN], struct crypto *crypto, struct slice user, struct slice realm)
{
    /* RFC 8489 section 14.4: "userhash = SHA-256(OpaqueString(username) ":" OpaqueString(realm))"
     */
    const struct slice parts[] = {user, slice_of(":", 1), realm};
    return crypto_digest(crypto, CRYPTO_SHA256, parts, 3, out);
}
