/*
 * Credentials that are no longer good although they verify: of a user, of one access token, or of
 * everything that one secret or OAuth key has signed. A revocation ends by itself.
 */
#ifndef AUTH_REVOCATION_H
#define AUTH_REVOCATION_H

#include "auth/identity.h"

enum revocation_kind {
    REVOKE_USER = 1, /* id: the account, as identity_account gives it, or the whole name */
    REVOKE_TOKEN,    /* id: of an access token, as in identity.credential */
    REVOKE_SECRET    /* id: of a REST secret, or a kid */
};

#define REVOCATION_ID_MAX 508
#define REVOCATIONS_MAX   65536 /* kept by a worker */

/* A plain value: it crosses threads. */
struct revocation {
    uint8_t kind; /* enum revocation_kind */
    uint32_t realm;
    int64_t until; /* wall clock, s; past: takes back one that was made before */
    uint16_t id_len;
    uint8_t id[REVOCATION_ID_MAX];
};

/* Does it refuse this identity? Does not look at `until`. */
bool revocation_covers(const struct revocation *v, const struct identity *identity);

struct revocations;

/* `key`: 16 random bytes. NULL: out of memory. */
struct revocations *revocations_new(const uint8_t key[16]);
void revocations_free(struct revocations *s); /* NULL: nothing happens */
/* Adds, prolongs, or takes back. 0, -ENOSPC when REVOCATIONS_MAX live ones are kept, or -ENOMEM. */
int revocations_put(struct revocations *s, const struct revocation *v, int64_t now_s);
bool revocations_cover(const struct revocations *s, const struct identity *identity, int64_t now_s);
/* The end of those that cover it, wall clock, s; 0: none does. */
int64_t revocations_until(
    const struct revocations *s, const struct identity *identity, int64_t now_s);
/* Kept now: some of them may have ended. */
size_t revocations_count(const struct revocations *s);

#endif
