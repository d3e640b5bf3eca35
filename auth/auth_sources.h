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

struct check {
    const struct auth *auth;
    const struct auth_realm *realm;
    struct auth_worker *w;
    const struct auth_request *request;
    const struct instant *now;
    struct credentials said;
    enum stun_password_algorithm algorithm;
};

/* Does the request's integrity match? 0: matches, 1: does not, <0: -EIO. */
int check_verify(const struct check *k, const struct auth_key *key);

/* REASON_NONE: identity and key of *out are set. Otherwise they are untouched. */
enum reason check_sources(const struct check *k, struct auth_result *out);

#endif
