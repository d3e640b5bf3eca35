/*
 * Whose keys of media something in Redis is, as text: a place, which is a hash, and a field of it.
 * Both are associated data of what lies there (srtp/wrapped_key.h), so one binding has one text and
 * no other: names are escaped (redis_key_escaped), numbers have no leading zeros. Pure.
 *
 *     allocation/0123456789abcdef     user/REALM/USER
 *     to_peer   to_client             to_peer/305419896   to_client/305419896
 */
#ifndef FLEET_REDIS_SRTP_PLACES_H
#define FLEET_REDIS_SRTP_PLACES_H

#include "srtp/keys.h"

#define REDIS_SRTP_FIELD_MAX 20 /* characters */
#define REDIS_SRTP_PLACE_MAX 779 /* bytes */

struct redis_srtp_place {
    size_t len;
    uint8_t text[REDIS_SRTP_PLACE_MAX];
};

static inline struct slice redis_srtp_place_slice(const struct redis_srtp_place *p)
{
    return slice_of(p->text, p->len);
}

/* `id`: not 0. */
void redis_srtp_place_allocation(struct redis_srtp_place *out, uint64_t id);
/* 0; -EINVAL: a name is empty or too long, or too many of its bytes are escaped. */
int redis_srtp_place_user(struct redis_srtp_place *out, struct slice realm, struct slice user);
/* One of the two above would have written it. */
bool redis_srtp_is_place(struct slice text);
/* Fills in direction, has_ssrc and ssrc. 0 or -EINVAL. */
int redis_srtp_field(struct srtp_binding *out, struct slice text);

#endif
