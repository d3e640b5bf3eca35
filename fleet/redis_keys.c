/*
 * Names become keys here and nowhere else. Nothing is cut: a name that does not fit has no key.
 * Called by redis_store.c, redis_secrets.c and redis_revoked.c.
 */
#include "fleet/redis_keys.h"

#include <errno.h>

#include "base/escape.h"

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

static void put_escaped(struct redis_key *k, struct slice name)
{
    k->len += escape_write(k->bytes + k->len, name);
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
