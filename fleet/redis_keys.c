/*
 * Names become keys here and nowhere else. Nothing is cut: a name that does not fit has no key.
 * Called by redis_store.c, redis_secrets.c and redis_revoked.c.
 */
#include "fleet/redis_keys.h"

#include <errno.h>

static const char digits[] = "0123456789ABCDEF";

static void put(struct redis_key *k, const void *bytes, size_t len)
{
    memcpy(k->bytes + k->len, bytes, len);
    k->len += len;
}

static void put_text(struct redis_key *k, const char *text)
{
    put(k, text, strlen(text));
}

static bool fits(struct slice name, size_t max)
{
    return name.len > 0 && name.len <= max;
}

/* Could be read as a longer realm and a shorter user; see the header. */
static bool is_ambiguous(struct slice user)
{
    static const char parting[] = "/user/";
    const size_t len = sizeof(parting) - 1;
    if (user.len >= len - 1 && memcmp(user.data, parting + 1, len - 1) == 0)
        return true;
    for (size_t i = 0; i + len <= user.len; i++) {
        if (memcmp(user.data + i, parting, len) == 0)
            return true;
    }
    return false;
}

int redis_key_user(struct redis_key *out, struct slice realm, struct slice user)
{
    if (!fits(realm, REDIS_KEY_REALM_MAX) || !fits(user, REDIS_KEY_NAME_MAX) || is_ambiguous(user))
        return -EINVAL;
    out->len = 0;
    put_text(out, "turn/realm/");
    put(out, realm.data, realm.len);
    put_text(out, "/user/");
    put(out, user.data, user.len);
    put_text(out, "/key");
    return 0;
}

int redis_key_secrets(struct redis_key *out, struct slice realm)
{
    if (!fits(realm, REDIS_KEY_REALM_MAX))
        return -EINVAL;
    out->len = 0;
    put_text(out, "turn/realm/");
    put(out, realm.data, realm.len);
    put_text(out, "/secret");
    return 0;
}

int redis_key_oauth(struct redis_key *out, struct slice kid)
{
    if (!fits(kid, REDIS_KEY_NAME_MAX))
        return -EINVAL;
    out->len = 0;
    put_text(out, "turn/oauth/kid/");
    put(out, kid.data, kid.len);
    return 0;
}

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~@:+", c) != NULL);
}

static void put_escaped(struct redis_key *k, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (is_plain(c))
            put(k, &c, 1);
        else
            put(k, escape, sizeof(escape));
    }
}

int redis_key_escaped(struct redis_key *out, const char *kind, struct slice realm, struct slice id)
{
    _Static_assert(3 * (REDIS_KEY_REALM_MAX + REDIS_KEY_NAME_MAX) + 64 <= REDIS_KEY_MAX, "room");
    if (!fits(realm, REDIS_KEY_REALM_MAX) || !fits(id, REDIS_KEY_NAME_MAX))
        return -EINVAL;
    out->len = 0;
    put_text(out, kind);
    put_text(out, "/");
    put_escaped(out, realm);
    put_text(out, "/");
    put_escaped(out, id);
    return 0;
}

static int digit_of(uint8_t c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

int redis_key_unescape(uint8_t *out, struct slice text)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (is_plain(c)) {
            out[len++] = c;
            continue;
        }
        if (c != '%' || text.len - i < 3)
            return -EINVAL;
        const int high = digit_of(text.data[i + 1]), low = digit_of(text.data[i + 2]);
        if (high < 0 || low < 0 || is_plain((uint8_t)(high * 16 + low)))
            return -EINVAL;
        out[len++] = (uint8_t)(high * 16 + low);
        i += 2;
    }
    return (int)len;
}
