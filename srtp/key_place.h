/*
 * Whose keys, as text: the names that a deposit has in Redis, and what its wrapping is bound to.
 *
 *   PLACE  "allocation/0123456789abcdef" or "user/REALM/USER", the names escaped (base/escape.h)
 *   FIELD  "to_peer" or "to_client", or one of these with "/SSRC" in decimal; of a user always with
 *
 * Each binding has one spelling, without spaces. Pure.
 */
#ifndef SRTP_KEY_PLACE_H
#define SRTP_KEY_PLACE_H

#include "base/escape.h"
#include "srtp/keys.h"

#define KEY_PLACE_REALM_MAX 763 /* bytes; of REALM in RFC 8489 section 14.9 */
#define KEY_PLACE_MAX       779 /* bytes; names that need more than that have no place */
#define KEY_FIELD_MAX       20

struct key_place {
    uint16_t place_len, field_len;
    char place[KEY_PLACE_MAX + 1], field[KEY_FIELD_MAX + 1]; /* with a NUL */
};

struct key_realm {
    uint16_t len;
    uint8_t name[KEY_PLACE_REALM_MAX];
};

static inline struct slice key_place_slice(const struct key_place *p)
{
    return slice_of(p->place, p->place_len);
}

static inline struct slice key_field_slice(const struct key_place *p)
{
    return slice_of(p->field, p->field_len);
}

/* `realm`: the name of binding->realm; not looked at where the binding is an allocation's. 0;
 * -EINVAL: a user without a name, a realm or an SSRC, or names that are too long. */
int key_place_write(struct key_place *out, const struct srtp_binding *binding, struct slice realm);
/* PLACE alone, of what a live allocation may use; out->field is empty. As above. */
int key_place_of_allocation(struct key_place *out, uint64_t allocation);
int key_place_of_user(struct key_place *out, struct slice realm, struct slice user);

/* What was written so, and nothing else: 0 or -EINVAL. out->realm is 0: `realm` is its name, which
 * is empty where the place is an allocation's. */
int key_place_read(
    struct srtp_binding *out, struct key_realm *realm, struct slice place, struct slice field);

#endif
