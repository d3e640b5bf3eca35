/*
 * Keys as they lie in Redis: AES-256-GCM under the fleet's key, with whose they are and when they
 * end as associated data, so that nobody can move one to another call or prolong it.
 *
 *   value       "v1.UNTIL.SEALED": UNTIL in seconds since 1970, in decimal; SEALED in base64
 *   SEALED      nonce (12 bytes), ciphertext, tag (16 bytes)
 *   plain text  a crypto attribute, or "roc=N " and a crypto attribute; at most 256 bytes
 *   associated  "v1 PLACE FIELD UNTIL", PLACE and FIELD as in srtp/key_place.h
 *
 * None of the words of the associated data has a space in it, so that no two bindings give the
 * same.
 */
#ifndef SRTP_WRAPPED_KEY_H
#define SRTP_WRAPPED_KEY_H

#include "base/crypto.h"
#include "base/random.h"
#include "srtp/crypto_attribute.h"
#include "srtp/key_place.h"

#define SRTP_WRAP_KEY_LEN 32
#define SRTP_WRAPPED_MAX  512 /* characters */

/* As key_place_write has made it; another text is refused where it has bytes other than 0x21 to
 * 0x7e. Borrowed. */
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

/*
 * The value of FIELD, with a NUL. Of `deposit` only until, keys.has_roc and keys.roc are read. 0;
 * -EINVAL: `attribute` is none, or has more than 256 bytes with "roc=N "; the wrap key has not 32
 * bytes; until is not positive; -EIO. `out`: SRTP_WRAPPED_MAX + 1 bytes.
 */
int wrapped_key_make(struct crypto *c, const struct random_source *random, struct slice wrap_key,
    const struct wrapped_for *whose, const struct srtp_deposit *deposit, struct slice attribute,
    char *out);
/* Fills in out->keys and out->until, and only with WRAPPED_FAULT_NONE; the binding is the caller's.
 * Tried with each of the keys given (one that has not 32 bytes is passed over). */
enum wrapped_fault wrapped_key_open(struct crypto *c, const struct slice wrap_keys[2],
    const struct wrapped_for *whose, struct slice text, int64_t now_s, struct srtp_deposit *out);
const char *wrapped_fault_text(enum wrapped_fault fault);

#endif
