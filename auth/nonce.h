/*
 * Stateless nonces: "obMatJos2", 4 characters of security features (RFC 8489 section 9.2), then
 * base64 text of a key id, the time in milliseconds, the origin and an HMAC-SHA256 cut to 72 bits
 * over these and the client's address and port. 32 characters in all, so that a challenge stays
 * small. Keys are derived (HKDF) from one secret and an epoch of an hour; the epoch before is still
 * accepted, so any instance with the same secret accepts another's nonce. Clocks may differ by 5 s.
 */
#ifndef AUTH_NONCE_H
#define AUTH_NONCE_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/secret.h"

#define NONCE_LEN          32
#define NONCE_CLOCK_SKEW_S 5
#define NONCE_EPOCHS       3
/* RFC 8489 section 18.1: bit 0 is the leftmost of 24. */
#define NONCE_FEATURE_PASSWORD_ALGORITHMS 0x800000u
#define NONCE_FEATURE_USERNAME_ANONYMITY  0x400000u

enum nonce_verdict { NONCE_OK, NONCE_STALE, NONCE_FOREIGN };

/* Derived keys of one worker and one secret, filled on demand; the slots are zeroed
 * (secret_cleanse) for another secret and at the end. */
struct nonce_keys {
    struct {
        int64_t epoch;
        uint8_t key[32];
        bool valid;
    } slot[NONCE_EPOCHS]; /* the epoch before, this one, and the next for a clock that runs ahead */
    uint16_t origin;      /* says which instance made a nonce, and nothing more: no instance refuses
                             another's for it */
};

/* What a nonce that was made by us, or by an instance with the same secret, says. */
struct nonce_facts {
    uint32_t features;
    uint32_t tag;   /* tells one nonce from another */
    int64_t age_ms; /* by our clock and that of who made it: below 0 if theirs is ahead, or ours was
                       set back */
    bool own;       /* made with the origin of `keys` */
};

/* Writes NONCE_LEN characters, no NUL. 0 or -EIO. `realm` (any number that names it) is covered by
 * the MAC. */
int nonce_mint(uint8_t out[NONCE_LEN], struct nonce_keys *keys, struct crypto *crypto,
    struct slice secret, uint32_t realm, uint32_t features, const struct addr *client,
    const struct instant *now);
/*
 * *facts is written unless the verdict is NONCE_FOREIGN. One HMAC for every nonce of the right
 * length and of a time at hand. NONCE_FOREIGN for anything not made for this address, port and
 * realm, or made more than 5 s in the future, or so long ago that its key is gone (the epoch before
 * the last one), and when a digest fails.
 */
enum nonce_verdict nonce_check(struct slice nonce, struct nonce_keys *keys, struct crypto *crypto,
    struct slice secret, uint32_t realm, uint32_t lifetime_s, const struct addr *client,
    const struct instant *now, struct nonce_facts *facts);

#endif
