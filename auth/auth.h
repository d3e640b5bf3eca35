/*
 * Who is asking: one entry, auth_check. A `struct auth` is built by control from the settings and
 * then read-only: any number of workers use it at once, each with an auth_worker of its own. Order
 * of checks: RFC 8489 section 9.2.4, with one exception: the nonce is judged before user and
 * integrity, so that no HMAC over the request and no key derivation is spent on an address that has
 * not proven itself; 438 may therefore come before 401.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "auth/auth_settings.h"
#include "auth/identity.h"
#include "auth/nonce.h"
#include "auth/revocation.h"
#include "auth/store.h"
#include "base/addr.h"
#include "base/clock.h"
#include "base/counters.h"
#include "wire/stun.h"

struct auth;
/* One a thread: derived nonce keys, what the store has answered, revocations, a crypto context
 * borrowed from the thread. */
struct auth_worker;

/* NULL on failure, with one line of text in `error` that says which user, secret or realm and why
 * (never a secret). */
struct auth *auth_new(const struct auth_settings *settings, char *error, size_t error_cap);
void auth_free(struct auth *auth); /* wipes every key and secret */

/* `origin`: of this instance, in the nonces that it makes; one number for all of its workers. NULL:
 * out of memory, or no randomness. */
struct auth_worker *auth_worker_new(struct crypto *crypto, uint16_t origin);
void auth_worker_free(struct auth_worker *w);

size_t auth_realm_count(const struct auth *auth);
struct slice auth_realm_name(const struct auth *auth, uint32_t realm);

/* What a listener serves: the realm of its challenges, and those that a request may name. */
struct auth_realms {
    uint32_t home;   /* < auth_realm_count */
    uint64_t served; /* bit n: realm id n; `home` is served whatever it says, a removed one never */
};

/* Bits of NONCE_FEATURE_*, those that all realms of the listener have: SHA-256 only where every
 * user has the key for it (a stored MD5 key takes it away, and users in the store), USERHASH only
 * where every source can be enumerated (no REST secrets, no access tokens, no users in the store).
 * A nonce that offered something else is stale. */
uint32_t auth_realms_features(const struct auth *auth, const struct auth_realms *realms);

/* The server name of THIRD-PARTY-AUTHORIZATION (RFC 7635 section 6.1); empty: no access tokens. */
struct slice auth_realm_third_party(const struct auth *auth, uint32_t realm);

/*
 * What a worker learns besides its configuration; kept over snapshots. The answer to a question:
 * from now on in the worker's cache (wiped when it goes). REST secrets of a realm that come from
 * the store: those before are wiped. A revocation: 0, or -ENOSPC when as many are kept as may be.
 */
void auth_worker_learn(struct auth_worker *w, const struct auth *auth,
    const struct store_answer *answer, const struct instant *now);
int auth_worker_set_secrets(
    struct auth_worker *w, const struct auth *auth, const struct store_secrets *secrets);
int auth_worker_revoke(
    struct auth_worker *w, const struct revocation *revocation, const struct instant *now);
/* Does a revocation in force refuse this identity? */
bool auth_worker_covers(
    const struct auth_worker *w, const struct identity *identity, const struct instant *now);
/* Forgets every answer of the store, and wipes the keys of nonces: at a reload. */
void auth_worker_forget(struct auth_worker *w);

/*
 * What the id of a REVOKE_SECRET is to this realm (< auth_realm_count): that of a REST secret,
 * retired ones and those that the worker has from the store included, or a configured kid; or
 * nothing. MAYBE: nothing that is known, but a kid can be, and the store cannot list its kids.
 */
enum auth_known { AUTH_KNOWN_NO, AUTH_KNOWN_YES, AUTH_KNOWN_MAYBE };
enum auth_known auth_knows_secret(
    const struct auth *auth, struct auth_worker *w, uint32_t realm, struct slice id);

/* What a 401 or 438 of this listener carries: bound to the home realm's name. 0 or -EIO. */
int auth_challenge_nonce(const struct auth *auth, struct auth_worker *w,
    const struct auth_realms *realms, const struct addr *client, const struct instant *now,
    uint8_t out[NONCE_LEN]);

enum auth_outcome {
    AUTH_OK,        /* identity, key and sign_sha256 are set */
    AUTH_CHALLENGE, /* 401 with REALM, NONCE and, by the realm, PASSWORD-ALGORITHMS */
    AUTH_STALE,     /* 438 with the same */
    AUTH_BAD,       /* 400, without any of them */
    AUTH_FAILED,    /* 500: the generator or a digest failed, or the store is unreachable */
    AUTH_PENDING,   /* the key lies in the store: `need` is to be asked */
    AUTH_SILENT     /* goes unanswered: too many guesses */
};

struct auth_request {
    const struct stun_msg *msg;
    struct addr client; /* where the request came from */
    uint32_t realm;     /* the listener's realm: challenges carry it */
    uint64_t realms;    /* bit n: realm id n may be named by a request; `realm` always may */
    /* The store has been asked for this request: no second AUTH_PENDING; what is still not known is
     * STORE_UNREACHABLE, unless an older answer will do. */
    bool asked;
    /* Called once at most, when the nonce has verified and the request is not of a live allocation:
     * false and the request is AUTH_SILENT. NULL: everybody may. `account` as in auth_result, or
     * empty: before the store is asked for the kid of an access token. */
    bool (*may_guess)(void *ctx, uint32_t realm, struct slice account);
    void *may_guess_ctx;
    const struct identity *live;     /* of the allocation on this 5-tuple, or NULL */
    const struct auth_key *live_key; /* its key: used as long as user and algorithm are the same,
                                        whatever has expired */
};

struct auth_result {
    enum auth_outcome outcome;
    enum reason reason; /* REASON_NONE for AUTH_OK; of AUTH_PENDING what it is without an answer */
    bool proven; /* the nonce verified (stale ones do not count): the address is the client's */
    bool sign_sha256; /* responses carry MESSAGE-INTEGRITY-SHA256 instead of MESSAGE-INTEGRITY */
    /* user: borrowed from the message; for USERHASH from `auth`, or from a matching `live` */
    struct identity identity;
    struct auth_key key; /* the caller wipes it */
    /* The request has another access token of the live allocation's realm, not older than the one
     * that it lives by: identity and key are of that token. A Refresh takes them over (RFC 7635
     * section 9). */
    bool renews;
    /* The realm that the request named, if it may, and whom it says it is, for counting guesses: of
     * a REST name the part behind the colon, else the name or USERHASH. Set when `proven`. */
    uint32_t realm;
    struct slice account;
    /* Refused for what only somebody who does not have the credential gets wrong. Of AUTH_PENDING:
     * to be counted if it is refused without an answer. */
    bool guess;
    bool of_nobody;    /* `guess` is of a kid: counted for the address that it comes from alone */
    int64_t expired_s; /* of CREDENTIAL_EXPIRED: since when; of CREDENTIAL_LIFETIME: how far over */
    struct store_need need; /* of AUTH_PENDING; name borrowed from the message */
    /* What the nonce says; zero for a foreign one, and where there was none to judge. */
    struct nonce_facts nonce;
};

/*
 * Same number of HMACs and digests for a known and an unknown user (THREATS row 8). A REST
 * credential's expiry and ceiling are judged here, except when `live` is given and matches. A
 * request with an access token, in a realm that accepts them, is judged by that alone: like a live
 * one if it is the token of `live`, else from the beginning. Nobody can guess one, so may_guess is
 * not asked, but for a kid that the store has to be asked for: anybody can name one.
 */
void auth_check(const struct auth *auth, struct auth_worker *w, const struct auth_request *request,
    const struct instant *now, struct auth_result *out);

/* Characters of a REST password: 28 by SHA-1, 44 by SHA-256. */
#define AUTH_REST_PASSWORD_MAX 44

/* REST: password = base64(HMAC(secret, user)), by the hash of the secret. Writes the password and a
 * NUL. 0 or -EIO. For deploy, tests, cli. */
int auth_rest_password(struct crypto *crypto, enum auth_rest_hash hash, struct slice secret,
    struct slice user, char out[AUTH_REST_PASSWORD_MAX + 1]);

#endif
