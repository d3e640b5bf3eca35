/*
 * The keys of what is read and written in Redis.
 *
 * coturn's are taken as they are, byte for byte, because a database that turnadmin has written must
 * work unchanged: names stand in them unescaped. So one key could be the key of two users: "u" of
 * realm "a/user/b" and "b/user/u" of realm "a". Names that begin with "user/" or have "/user/" in
 * them are refused: what remains is unambiguous, for if turn/realm/R/user/U/key is also that of U2
 * in a longer realm R2, then R2 goes on behind R with "/user", and "/user/" stands in "/U". Every
 * other byte, '/', NUL and line ends among them, is harmless: a key is one argument with a length.
 * All these keys end in /key, /secret, or begin with turn/oauth/, so none is of another kind
 * either.
 *
 * Keys of ours begin with "turnpike/" and are built from escaped names.
 */
#ifndef FLEET_REDIS_KEYS_H
#define FLEET_REDIS_KEYS_H

#include "base/slice.h"

#define REDIS_KEY_MAX       4096
#define REDIS_KEY_REALM_MAX 763 /* bytes; of REALM in RFC 8489 section 14.9 */
#define REDIS_KEY_NAME_MAX  508 /* bytes; as USERNAME */

struct redis_key {
    size_t len;
    uint8_t bytes[REDIS_KEY_MAX];
};

static inline struct slice redis_key_slice(const struct redis_key *k)
{
    return slice_of(k->bytes, k->len);
}

/* Each 0, or -EINVAL for a name that is empty, too long, or, of a user, ambiguous. */
int redis_key_user(struct redis_key *out, struct slice realm, struct slice user);
int redis_key_secrets(struct redis_key *out, struct slice realm);
int redis_key_oauth(struct redis_key *out, struct slice kid);

/*
 * KIND/REALM/ID, the names escaped (base/escape.h), so that '/' only ever parts. 0 or -EINVAL (a
 * name is empty or too long).
 */
int redis_key_escaped(struct redis_key *out, const char *kind, struct slice realm, struct slice id);

#endif
