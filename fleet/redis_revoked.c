/*
 * What is in Redis may have been written by anybody who can write there: everything is read
 * strictly, and a name that would be written in another way is no name. Called by
 * redis_revocations.c.
 */
#include "fleet/redis_revoked.h"

#include <errno.h>

#include "base/escape.h"

#define PAGE_HEAD 4u /* clock, born, position, more */

static const char *const kinds[] = {
    [REVOKE_USER] = "user", [REVOKE_TOKEN] = "token", [REVOKE_SECRET] = "secret"};

int redis_revoked_name(struct redis_key *out, const struct revocation *v, struct slice realm)
{
    if (v->kind < REVOKE_USER || v->kind > REVOKE_SECRET || v->id_len > REVOCATION_ID_MAX)
        return -EINVAL;
    return redis_key_escaped(out, kinds[v->kind], realm, slice_of(v->id, v->id_len));
}

/* What stands in front of the first `c`, which is taken off as well. False: there is no `c`. */
static bool cut_at(struct slice *text, char c, struct slice *out)
{
    const uint8_t *at = text->len > 0 ? memchr(text->data, c, text->len) : NULL;
    if (!at)
        return false;
    const size_t len = (size_t)(at - text->data);
    *out = slice_of(text->data, len);
    *text = slice_of(at + 1, text->len - len - 1);
    return true;
}

/* A name of 1 to `max` bytes, unescaped into room for as many; 0: it is none. */
static size_t unescape(uint8_t *out, struct slice text, size_t max)
{
    uint8_t name[REDIS_KEY_MAX];
    if (text.len > 3 * max)
        return 0;
    const int len = escape_read(name, text);
    if (len <= 0 || (size_t)len > max)
        return 0;
    memcpy(out, name, (size_t)len);
    return (size_t)len;
}

int redis_revoked_subject(struct redis_revoked_subject *out, struct slice name)
{
    struct slice rest = name, kind, realm;
    if (!cut_at(&rest, '/', &kind) || !cut_at(&rest, '/', &realm))
        return -EINVAL;
    struct redis_revoked_subject found = {0};
    for (unsigned i = REVOKE_USER; i <= REVOKE_SECRET; i++) {
        if (slice_equal(kind, slice_of_string(kinds[i])))
            found.revocation.kind = (uint8_t)i;
    }
    found.realm_len = unescape(found.realm, realm, sizeof(found.realm));
    found.revocation.id_len =
        (uint16_t)unescape(found.revocation.id, rest, sizeof(found.revocation.id));
    if (found.revocation.kind == 0 || found.realm_len == 0 || found.revocation.id_len == 0)
        return -EINVAL;
    *out = found;
    return 0;
}

static bool read_number(struct slice text, int64_t *out)
{
    uint64_t value;
    if (!redis_reply_number(text, &value))
        return false;
    *out = (int64_t)value;
    return true;
}

int redis_revoked_parse(struct redis_revoked *out, struct slice text)
{
    struct redis_revoked found = {0};
    struct slice version, until, expires;
    if (!cut_at(&text, ' ', &version) || !cut_at(&text, ' ', &until) ||
        !cut_at(&text, ' ', &expires))
        return -EINVAL;
    if (!read_number(version, &found.version) || !read_number(until, &found.until) ||
        !read_number(expires, &found.expires) || found.version == 0 ||
        found.until > REDIS_REVOKED_UNTIL_MAX || found.expires > REDIS_REVOKED_UNTIL_MAX)
        return -EINVAL;
    found.name = text;
    *out = found;
    return 0;
}

int redis_revoked_page(struct redis_revoked_page *out, const struct redis_reply *reply)
{
    struct redis_revoked_page found = {0};
    if (reply->kind != REDIS_KIND_ARRAY || reply->count < PAGE_HEAD ||
        !read_number(redis_reply_string(reply, 0), &found.clock) ||
        !read_number(redis_reply_string(reply, 1), &found.born) ||
        !read_number(redis_reply_string(reply, 2), &found.position) ||
        reply->elements[3]->kind != REDIS_KIND_INTEGER)
        return -EBADMSG;
    found.more = reply->elements[3]->integer != 0;
    found.count = reply->count - PAGE_HEAD;
    found.entries = (const struct redis_reply *const *)reply->elements + PAGE_HEAD;
    *out = found;
    return 0;
}

int redis_revoked_entry(struct redis_revoked *out, const struct redis_revoked_page *page, size_t n)
{
    const struct redis_reply *entry = page->entries[n];
    return entry->kind == REDIS_KIND_STRING ? redis_revoked_parse(out, entry->text) : -EINVAL;
}

int redis_revoked_put_reply(struct redis_revoked_put_reply *out, const struct redis_reply *reply)
{
    struct redis_revoked_put_reply found;
    if (reply->kind != REDIS_KIND_ARRAY || reply->count != 4 ||
        !read_number(redis_reply_string(reply, 0), &found.clock) ||
        !read_number(redis_reply_string(reply, 1), &found.born) ||
        reply->elements[2]->kind != REDIS_KIND_INTEGER ||
        reply->elements[3]->kind != REDIS_KIND_INTEGER)
        return -EBADMSG;
    found.full = reply->elements[2]->integer;
    found.outdated = reply->elements[3]->integer;
    *out = found;
    return 0;
}
