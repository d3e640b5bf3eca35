/*
 * Access tokens (RFC 7635): sealed by an authorization server with a key that it shares with this
 * one, opened here per request. A token names no user; it carries the key of the requests, when it
 * was issued and for how long. On the wire and here it is raw bytes; base64 is how an authorization
 * server hands it to a client.
 */
#ifndef AUTH_OAUTH_H
#define AUTH_OAUTH_H

#include "auth/auth_settings.h"
#include "auth/identity.h"
#include "auth/store.h"
#include "base/clock.h"
#include "base/crypto.h"

#define OAUTH_KID_MAX         127
#define OAUTH_SERVER_NAME_MAX 255
#define OAUTH_KEYS_MAX        64 /* of a realm */
#define OAUTH_NONCE_LEN       CRYPTO_GCM_NONCE_LEN
#define OAUTH_MAC_KEY_MIN     16 /* bytes; at most AUTH_KEY_MAX */
/* nonce_length, nonce, key_length, mac_key, timestamp, lifetime, tag */
#define OAUTH_TOKEN_LEN(mac_key_len)                                                               \
    ((size_t)2 + OAUTH_NONCE_LEN + 2 + (mac_key_len) + 8 + 4 + CRYPTO_GCM_TAG_LEN)
#define OAUTH_TOKEN_MIN OAUTH_TOKEN_LEN(OAUTH_MAC_KEY_MIN)
#define OAUTH_TOKEN_MAX OAUTH_TOKEN_LEN(AUTH_KEY_MAX)
#define OAUTH_ID_LEN    16 /* hexadecimal digits */
#define OAUTH_DELTA_S   5  /* section 7: "The RECOMMENDED value for the allowed Delta" */

/* What a token says (section 6.2). Who is done with it wipes it. */
struct oauth_claims {
    struct auth_key mac_key; /* OAUTH_MAC_KEY_MIN to AUTH_KEY_MAX bytes */
    /* Since 1970: seconds in the first 48 bits, 1/64000 of a second in the other 16. */
    uint64_t timestamp;
    uint32_t lifetime_s;
};

/* What a token is sealed and opened with; all borrowed. */
struct oauth_seal {
    struct crypto *crypto;
    const struct store_oauth_key *key;
    struct slice server_name; /* "The associated data (A) MUST be the STUN server name." */
};

struct oauth_token {
    uint8_t bytes[OAUTH_TOKEN_MAX];
    size_t len;
};

uint64_t oauth_timestamp(const struct instant *now);

/* False for what no key could open: its lengths are not those of a token. Looks at nothing else. */
bool oauth_token_is_framed(struct slice token);
/* 0; 1: malformed, or not sealed with this key for this server; -EIO. Claims that are impossible
 * (the length of the mac_key) make a token malformed, and are looked at only when it has opened. */
int oauth_token_open(const struct oauth_seal *seal, struct slice token, struct oauth_claims *out);
/* `nonce`: random, never twice with one key. 0, -EINVAL for a mac_key or key of impossible length,
 * -EIO. */
int oauth_token_seal(const struct oauth_seal *seal, const struct oauth_claims *claims,
    const uint8_t nonce[OAUTH_NONCE_LEN], struct oauth_token *out);
/* What names the token in logs and revocations: the first digits of its SHA-256, with a NUL. 0 or
 * -EIO. */
int oauth_token_id(struct crypto *crypto, struct slice token, char out[OAUTH_ID_LEN + 1]);

/* The time for which claims are good. */
struct oauth_life {
    bool fresh;         /* section 7: lifetime + Delta > abs(RDnew - TS) */
    int64_t expires_at; /* wall clock, s: section 9's bound on allocations, and never later than one
                           lifetime from now. Where not fresh: when it ended, or for a time stamp
                           too far ahead, now */
};
struct oauth_life oauth_claims_life(const struct oauth_claims *claims, const struct instant *now);
/* Whether the key was in use when the token was issued, and is by now. */
bool oauth_key_covers(const struct store_oauth_key *key, const struct oauth_claims *claims,
    const struct instant *now);

/* The keys of a realm. */
struct oauth_named_key {
    char kid[OAUTH_KID_MAX + 1]; /* zeros behind it */
    struct store_oauth_key key;
};

struct oauth {
    struct secret server_name; /* empty: no access tokens in this realm */
    struct oauth_named_key *list;
    size_t count;
};

/* Text in `error` on failure (-EINVAL, -ENOMEM); *out is then empty. */
int oauth_init(
    struct oauth *out, const struct auth_realm_settings *settings, char *error, size_t error_cap);
void oauth_deinit(struct oauth *oauth); /* wipes */
/* NULL: no such kid. As many steps for one that exists as for one that does not. */
const struct store_oauth_key *oauth_find(const struct oauth *oauth, struct slice kid);

/* Bytes of a key of this algorithm (enum auth_oauth_algorithm); 0: no such algorithm. */
size_t oauth_key_len(uint8_t algorithm);

#endif
