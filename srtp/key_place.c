/*
 * A binding as text and back. What is read must be what would be written: a second spelling of a
 * place would be a second place. Called by daemon/ and cli/.
 */
#include "srtp/key_place.h"

#include <errno.h>
#include <stdio.h>

#define ALLOCATION     "allocation/"
#define ALLOCATION_LEN (sizeof(ALLOCATION) - 1)
#define USER           "user/"
#define USER_LEN       (sizeof(USER) - 1)
#define ID_LEN         16

static const char *const directions[SRTP_DIRECTIONS] = {
    [SRTP_TO_PEER] = "to_peer", [SRTP_TO_CLIENT] = "to_client"};

int key_place_of_allocation(struct key_place *out, uint64_t allocation)
{
    if (allocation == 0)
        return -EINVAL;
    const int len = snprintf(
        out->place, sizeof(out->place), ALLOCATION "%016llx", (unsigned long long)allocation);
    out->place_len = (uint16_t)len;
    out->field_len = 0;
    out->field[0] = '\0';
    return 0;
}

/* False: there is no room for it. */
static bool put_name(struct key_place *out, char mark, struct slice name)
{
    uint8_t escaped[ESCAPED_MAX(KEY_PLACE_REALM_MAX)];
    const size_t len = escape_write(escaped, name), at = out->place_len;
    if (at + len + (mark != '\0') > KEY_PLACE_MAX)
        return false;
    memcpy(out->place + at, escaped, len);
    out->place[at + len] = mark;
    out->place_len = (uint16_t)(at + len + (mark != '\0'));
    return true;
}

int key_place_of_user(struct key_place *out, struct slice realm, struct slice user)
{
    if (realm.len == 0 || realm.len > KEY_PLACE_REALM_MAX || user.len == 0 ||
        user.len > SRTP_USER_MAX)
        return -EINVAL;
    struct key_place p;
    memcpy(p.place, USER, USER_LEN);
    p.place_len = USER_LEN;
    if (!put_name(&p, '/', realm) || !put_name(&p, '\0', user))
        return -EINVAL;
    memcpy(out->place, p.place, p.place_len + 1u);
    out->place_len = p.place_len;
    out->field_len = 0;
    out->field[0] = '\0';
    return 0;
}

static void write_field(struct key_place *out, const struct srtp_binding *b)
{
    const char *direction = directions[b->direction];
    const int len = b->has_ssrc ? snprintf(out->field, sizeof(out->field), "%s/%lu", direction,
                                      (unsigned long)b->ssrc)
                                : snprintf(out->field, sizeof(out->field), "%s", direction);
    out->field_len = (uint16_t)len;
}

int key_place_write(struct key_place *out, const struct srtp_binding *b, struct slice realm)
{
    if (b->direction >= SRTP_DIRECTIONS || (b->allocation == 0 && !b->has_ssrc))
        return -EINVAL;
    const int rc = b->allocation != 0
                       ? key_place_of_allocation(out, b->allocation)
                       : key_place_of_user(out, realm, slice_of(b->user, b->user_len));
    if (rc == 0)
        write_field(out, b);
    return rc;
}

static bool begins_with(struct slice text, const char *beginning, size_t len)
{
    return text.len >= len && memcmp(text.data, beginning, len) == 0;
}

/* Small letters only, and not 0. */
static int read_id(uint64_t *out, struct slice text)
{
    uint64_t id = 0;
    if (text.len != ID_LEN)
        return -EINVAL;
    for (size_t i = 0; i < ID_LEN; i++) {
        const uint8_t c = text.data[i];
        if (c >= '0' && c <= '9')
            id = id << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            id = id << 4 | (uint64_t)(c - 'a' + 10);
        else
            return -EINVAL;
    }
    *out = id;
    return id != 0 ? 0 : -EINVAL;
}

/* A name of 1 to `max` bytes; 0: it is none. `out` has room for a place. */
static size_t read_name(uint8_t *out, struct slice text, size_t max)
{
    const int len = escape_read(out, text);
    return len > 0 && (size_t)len <= max ? (size_t)len : 0;
}

/* "REALM/USER": in an escaped name there is no '/'. */
static int read_user(struct srtp_binding *b, struct key_realm *realm, struct slice text)
{
    uint8_t name[KEY_PLACE_MAX];
    const uint8_t *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    if (!slash)
        return -EINVAL;
    const size_t before = (size_t)(slash - text.data);
    realm->len = (uint16_t)read_name(name, slice_of(text.data, before), KEY_PLACE_REALM_MAX);
    memcpy(realm->name, name, realm->len);
    b->user_len =
        (uint16_t)read_name(name, slice_of(slash + 1, text.len - before - 1), SRTP_USER_MAX);
    memcpy(b->user, name, b->user_len);
    return realm->len > 0 && b->user_len > 0 ? 0 : -EINVAL;
}

static int read_ssrc(uint32_t *out, struct slice digits)
{
    uint64_t value = 0;
    if (digits.len == 0 || digits.len > 10 || (digits.data[0] == '0' && digits.len > 1))
        return -EINVAL;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return -EINVAL;
        value = value * 10 + (uint64_t)(digits.data[i] - '0');
    }
    *out = (uint32_t)value;
    return value <= UINT32_MAX ? 0 : -EINVAL;
}

static int read_field(struct srtp_binding *b, struct slice field)
{
    for (unsigned i = 0; i < SRTP_DIRECTIONS; i++) {
        const size_t len = strlen(directions[i]);
        if (!begins_with(field, directions[i], len))
            continue;
        b->direction = (uint8_t)i;
        b->has_ssrc = field.len > len;
        if (!b->has_ssrc)
            return 0;
        return field.data[len] == '/'
                   ? read_ssrc(&b->ssrc, slice_of(field.data + len + 1, field.len - len - 1))
                   : -EINVAL;
    }
    return -EINVAL;
}

int key_place_read(
    struct srtp_binding *out, struct key_realm *realm, struct slice place, struct slice field)
{
    struct srtp_binding b = {0};
    struct key_realm named = {0};
    int rc = -EINVAL;
    if (place.len > KEY_PLACE_MAX)
        return rc;
    if (begins_with(place, ALLOCATION, ALLOCATION_LEN))
        rc = read_id(
            &b.allocation, slice_of(place.data + ALLOCATION_LEN, place.len - ALLOCATION_LEN));
    else if (begins_with(place, USER, USER_LEN))
        rc = read_user(&b, &named, slice_of(place.data + USER_LEN, place.len - USER_LEN));
    if (rc == 0)
        rc = read_field(&b, field);
    if (rc < 0 || (b.allocation == 0 && !b.has_ssrc))
        return -EINVAL;
    *out = b;
    *realm = named;
    return 0;
}
