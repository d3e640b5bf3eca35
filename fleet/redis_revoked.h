/*
 * One revocation as instances share it: its name in Redis, its place in time, and the entry that
 * says both. No I/O.
 *
 * A name is KIND/REALM/ID, escaped: "user/example.org/alice". For each name there is one entry. The
 * version orders what was ever said of a name: microseconds of Redis's clock, later is newer,
 * whichever instance said it. An entry is kept until `expires`, at least as long as anything that
 * was said before could be in force, so that an instance that comes back late cannot bring that
 * back.
 */
#ifndef FLEET_REDIS_REVOKED_H
#define FLEET_REDIS_REVOKED_H

#include "auth/revocation.h"
#include "fleet/redis_keys.h"
#include "fleet/redis_reply.h"

#define REDIS_REVOKED_UNTIL_MAX 253402300799 /* s; the end of the year 9999 */

struct redis_revoked {
    int64_t version;   /* µs of Redis's clock; > 0 */
    int64_t until;     /* wall clock, s; ≥ 0; past: taken back */
    int64_t expires;   /* wall clock, s */
    struct slice name; /* borrowed */
};

/* The name of a revocation in the realm `realm`. 0, or -EINVAL: a kind, an id or a realm that
 * cannot be. */
int redis_revoked_name(struct redis_key *out, const struct revocation *v, struct slice realm);

/* A name read back: the realm's name, and the revocation but for its realm and `until`. */
struct redis_revoked_subject {
    uint8_t realm[REDIS_KEY_REALM_MAX];
    size_t realm_len;
    struct revocation revocation;
};
/* 0, or -EINVAL: redis_revoked_name would not have made it. */
int redis_revoked_subject(struct redis_revoked_subject *out, struct slice name);

/* "VERSION UNTIL EXPIRES NAME" in decimal. The name is borrowed from `text`. 0 or -EINVAL. */
int redis_revoked_parse(struct redis_revoked *out, struct slice text);

/* The head of a page of entries: the reply to redis_revoked_poll. */
struct redis_revoked_page {
    int64_t clock;                            /* µs of Redis's clock */
    int64_t born;                             /* which life of the set this is; 0: there is none */
    int64_t position;                         /* what comes next is behind it */
    bool more;                                /* there is more behind it already */
    size_t count;                             /* entries; they begin at `first` */
    const struct redis_reply *const *entries; /* borrowed from the reply */
};
/* 0, or -EBADMSG: it is no such reply. Entries are looked at with redis_revoked_entry. */
int redis_revoked_page(struct redis_revoked_page *out, const struct redis_reply *reply);
/* The n-th: 0 or -EINVAL. */
int redis_revoked_entry(struct redis_revoked *out, const struct redis_revoked_page *page, size_t n);

/* The reply to redis_revoked_put. */
struct redis_revoked_put_reply {
    int64_t clock, born;    /* as of a page */
    int64_t full, outdated; /* how many changes did not count, for want of room or as too old */
};
int redis_revoked_put_reply(struct redis_revoked_put_reply *out, const struct redis_reply *reply);

#endif
