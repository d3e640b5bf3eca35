/*
 * One request while it is being judged: auth_check.c reads what it says and proves where it comes
 * from, auth_sources.c asks the sources of keys. For this folder only.
 */
#ifndef AUTH_AUTH_SOURCES_H
#define AUTH_AUTH_SOURCES_H

#include "auth/auth_internal.h"

struct credentials {
    struct slice name; /* USERNAME, or USERHASH if `hashed` */
    bool hashed;
    struct slice realm, nonce;
};

/* What says that the credential is the client's own. */
enum check_proof {
    CHECK_INTEGRITY, /* of the request */
    CHECK_PASSWORD,  /* the password itself */
    CHECK_NAME /* nothing: only the name is judged, and every key is taken for the right one */
};

/* What the judgement found besides its reason. */
struct check_note {
    enum auth_source source; /* that knows the name, or has made the credential */
    char credential[32];     /* id of the REST secret or of the access token */
    int64_t expires_at;
    int64_t revoked_until;
};

struct check {
    const struct auth *auth;
    struct auth_worker *w;
    const struct auth_request *request;
    const struct instant *now;
    uint32_t features; /* of the listener */
    struct credentials said;
    uint32_t realm_id; /* of the realm that the request names */
    const struct auth_realm *realm;
    enum stun_password_algorithm algorithm;
    enum check_proof proof;
    struct slice password; /* CHECK_PASSWORD */
    struct slice token;    /* unless CHECK_INTEGRITY, in the place of ACCESS-TOKEN; may be empty */
    struct check_note *note; /* NULL: nobody wants to know */
};

/* Is this the key of who asks? 0: it is, 1: it is not, <0: -EIO. */
int check_verify(const struct check *k, const struct auth_key *key);

/* A name "expiry" or "expiry:user" in a realm that has REST secrets; goes by the name's bytes. */
bool check_is_rest_name(const struct check *k, int64_t *expires_at);

/*
 * REASON_NONE: identity and key of *out are set. Otherwise they are untouched. STORE_UNREACHABLE:
 * the store has to be asked for `need` of *out, or it was and did not answer.
 */
enum reason check_sources(const struct check *k, struct auth_result *out);

/* The request has an access token, in a realm that accepts them (oauth_check.c). */
bool check_has_token(const struct check *k);
/* It is the one that the live allocation was made or refreshed with; there must be one. */
bool check_is_live_token(const struct check *k);
/* As check_sources, by the token alone. */
enum reason check_oauth(const struct check *k, struct auth_result *out);

/* The same, and is the name none that could be, or the credential revoked? All of the judgement but
 * what is about the message. */
enum reason check_credential(const struct check *k, struct auth_result *out);

#endif
