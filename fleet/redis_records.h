/*
 * What the records in Redis say, from replies to what they mean: coturn's users, OAuth keys and
 * REST secrets. A record is the operator's and may be anything. No I/O.
 */
#ifndef FLEET_REDIS_RECORDS_H
#define FLEET_REDIS_RECORDS_H

#include "auth/store.h"
#include "fleet/redis_reply.h"

#define REDIS_CLASS_MAX  24  /* characters of an error's class */
#define REDIS_SECRET_MAX 512 /* bytes of a REST secret: what an HMAC takes */

/* Why there is no answer, or none that could be used; for logs. */
struct redis_complaint {
    const char *record;          /* what is wrong with the record; static; NULL: nothing */
    char error[REDIS_CLASS_MAX]; /* class of the server's error: "NOPERM"; empty: none */
};

/*
 * The reply to GET turn/realm/R/user/U/key: 32 or 64 hexadecimal digits. The output is written with
 * STORE_FOUND only, which holds for redis_record_oauth as well.
 *
 *  - nil: NOT_FOUND.
 *  - a string that is no key, or a key of another type (WRONGTYPE): NOT_FOUND. Something was put
 *    there that lets nobody in, and it will not get better by waiting.
 *  - any other error (LOADING, NOPERM, MASTERDOWN, BUSY), and a reply that GET does not have:
 *    UNREACHABLE. It says nothing about the user.
 */
enum store_verdict redis_record_user(
    const struct redis_reply *reply, struct auth_key *out, struct redis_complaint *why);

/* The fields that redis_record_oauth wants, in this order. */
#define REDIS_OAUTH_FIELDS 5
extern const char *const redis_oauth_fields[REDIS_OAUTH_FIELDS];

/*
 * The reply to HMGET turn/oauth/kid/K with these fields:
 *
 *  - ikm_key: base64. The first 32 or 16 bytes count; a shorter one is filled up with zeros as
 *    coturn does it, unless it has less than 16: that is none.
 *  - as_rs_alg: A256GCM or A128GCM in any case; nothing else.
 *  - timestamp, lifetime: decimal seconds, absent as 0. Good from timestamp (0: from ever) to
 *    timestamp + lifetime (lifetime 0: for ever).
 *  - realm: where it is given, it has to be `realm`; else the key is NOT_FOUND, without complaint.
 *
 * Verdicts as of a user; all fields absent: NOT_FOUND.
 */
enum store_verdict redis_record_oauth(const struct redis_reply *reply, struct slice realm,
    struct store_oauth_key *out, struct redis_complaint *why);

/*
 * The reply to SMEMBERS turn/realm/R/secret: of those with 1 to REDIS_SECRET_MAX bytes the first
 * STORE_SECRETS_MAX in the order of their bytes, so that all instances take the same. *left_out:
 * how many were not taken. 0; -EBADMSG: it is no such reply (*why); -ENOMEM. `out->realm` is not
 * written.
 */
int redis_record_secrets(const struct redis_reply *reply, struct store_secrets *out,
    size_t *left_out, struct redis_complaint *why);

#endif
