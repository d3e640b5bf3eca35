/*
 * Keys as they lie in Redis: AES-256-GCM under the fleet's key, with whose they are and when they
 * end as associated data, so that nobody can move one to another call or prolong it. As text:
 * "v1.UNTIL.NONCE_AND_SEALED" with UNTIL in seconds since 1970 and the rest in base64; what is
 * sealed is the crypto attribute, or "roc=N " and the crypto attribute.
 */
#ifndef SRTP_WRAPPED_KEY_H
#define SRTP_WRAPPED_KEY_H

#include "base/crypto.h"
#include "base/random.h"
#include "srtp/crypto_attribute.h"

#define SRTP_WRAP_KEY_LEN    32
#define SRTP_WRAPPED_MAX     512 /* characters */
#define SRTP_WRAPPED_FOR_MAX 800 /* bytes of wrapped_for */

/*
 * Whose it is, as text, which is the associated data before UNTIL, and the names in Redis: "PLACE
 * FIELD" with PLACE "allocation/0123456789abcdef" or "user/REALM/USER", FIELD "to_peer",
 * "to_client", or one of these with "/SSRC" in decimal.
 */
struct wrapped_for {
    struct slice place, field;
};

enum wrapped_fault {
    WRAPPED_FAULT_NONE,
    WRAPPED_FAULT_SYNTAX,
    WRAPPED_FAULT_EXPIRED,
    WRAPPED_FAULT_NOT_AUTHENTIC, /* another key, another place, or it was changed */
    WRAPPED_FAULT_KEY,           /* opened, and what is in it is no crypto attribute */
    WRAPPED_FAULT_COUNT
};

/* Text for the value of FIELD. 0; -EINVAL: `attribute` is none, or too long for 256 bytes with
 * "roc="; -EIO. `out`: SRTP_WRAPPED_MAX + 1 bytes. */
int wrapped_key_make(struct crypto *c, const struct random_source *random, struct slice wrap_key,
    const struct wrapped_for *whose, const struct srtp_deposit *deposit, struct slice attribute,
    char *out);
/* Fills in out->keys and out->until; the binding is the caller's. Tried with each of the keys given
 * (an empty one is passed over). */
enum wrapped_fault wrapped_key_open(struct crypto *c, const struct slice wrap_keys[2],
    const struct wrapped_for *whose, struct slice text, int64_t now_s, struct srtp_deposit *out);
const char *wrapped_fault_text(enum wrapped_fault fault);

#endif
