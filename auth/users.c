/*
 * Static users: prepared names, keys for both algorithms, and two indices (name, USERHASH).
 * Everything that can be computed is computed at start, so that a request of a static user costs
 * one lookup and one HMAC. The index hash is keyed: names come from strangers. Built by auth.c,
 * asked by auth_check.c.
 */
#include "auth/users.h"

#include "auth/auth_internal.h"
#include "auth/long_term.h"
#include "auth/opaque_string.h"
#include <errno.h>
#include <stdlib.h>

static struct slice key_bytes(const struct user *u, bool by_hash)
{
    return by_hash ? slice_of(u->hash, sizeof(u->hash)) : secret_slice(&u->name);
}

/* The slot that holds the key, or the free one where it would go. */
static uint32_t *find(const struct users *users, bool by_hash, struct slice key)
{
    uint32_t *index = by_hash ? users->by_hash : users->by_name;
    size_t i = (size_t)crypto_siphash(users->siphash_key, key.data, key.len) & users->mask;
    while (index[i] != 0 && !slice_equal(key_bytes(&users->list[index[i] - 1], by_hash), key))
        i = (i + 1) & users->mask;
    return &index[i];
}

static const struct user *look_up(const struct users *users, bool by_hash, struct slice key)
{
    if (users->count == 0)
        return NULL;
    uint32_t slot = *find(users, by_hash, key);
    return slot == 0 ? NULL : &users->list[slot - 1];
}

const struct user *users_find_name(const struct users *users, struct slice name)
{
    return look_up(users, false, name);
}

const struct user *users_find_hash(const struct users *users, struct slice userhash)
{
    return look_up(users, true, userhash);
}

bool users_all_sha256(const struct users *users)
{
    for (size_t i = 0; i < users->count; i++)
        if (users->list[i].sha256.len == 0)
            return false;
    return true;
}

static int set_keys(struct user *u, struct crypto *crypto, const struct auth_user_settings *s,
    struct slice realm, const char **why)
{
    if (s->key_len != 0 && s->key_len != CRYPTO_MD5_LEN && s->key_len != CRYPTO_SHA256_LEN) {
        *why = "a stored key has 16 bytes (MD5) or 32 (SHA-256)";
        return -EINVAL;
    }
    if (s->key_len != 0) {
        struct auth_key *key = s->key_len == CRYPTO_MD5_LEN ? &u->md5 : &u->sha256;
        memcpy(key->bytes, s->key, s->key_len);
        key->len = s->key_len;
        return 0;
    }
    struct secret password = {0};
    int rc = opaque_string(&password, secret_slice(&s->password), why);
    if (rc < 0)
        return rc;
    const struct slice parts[] = {secret_slice(&u->name), realm, secret_slice(&password)};
    if (long_term_key(&u->md5, crypto, STUN_PASSWORD_MD5, parts) < 0 ||
        long_term_key(&u->sha256, crypto, STUN_PASSWORD_SHA256, parts) < 0) {
        *why = "a digest failed";
        rc = -EIO;
    }
    secret_wipe(&password);
    return rc;
}

static int set_name(struct user *u, const struct auth_user_settings *s, const char **why)
{
    int rc = opaque_string(&u->name, slice_of_string(s->name), why);
    if (rc < 0)
        return rc;
    if (u->name.len > STUN_USERNAME_MAX) {
        *why = "the name is longer than 508 bytes";
        return -EINVAL;
    }
    if (memchr(u->name.data, '"', u->name.len)) {
        *why = "a name cannot hold a double quote (RFC 8489 section 9.2.2)";
        return -EINVAL;
    }
    return 0;
}

static int add(struct users *users, struct crypto *crypto, const struct auth_user_settings *s,
    struct slice realm, const char **why)
{
    struct user *u = &users->list[users->count];
    int rc = set_name(u, s, why);
    if (rc == 0)
        rc = set_keys(u, crypto, s, realm, why);
    if (rc == 0 && long_term_userhash(u->hash, crypto, secret_slice(&u->name), realm) < 0) {
        *why = "a digest failed";
        rc = -EIO;
    }
    users->count++; /* from here on users_deinit wipes it, whole or not */
    if (rc < 0)
        return rc;
    uint32_t *by_name = find(users, false, key_bytes(u, false));
    if (*by_name != 0) {
        *why = "the name is there twice";
        return -EINVAL;
    }
    *by_name = (uint32_t)users->count;
    *find(users, true, key_bytes(u, true)) = (uint32_t)users->count;
    return 0;
}

int users_init(struct users *out, struct crypto *crypto, const struct auth_realm_settings *settings,
    struct slice realm, const uint8_t siphash_key[16], char *error, size_t error_cap)
{
    struct users users = {0};
    size_t slots = 2;
    while (slots < settings->user_count * 2)
        slots *= 2;
    users.mask = slots - 1;
    memcpy(users.siphash_key, siphash_key, 16);
    users.list = calloc(settings->user_count ? settings->user_count : 1, sizeof(*users.list));
    users.by_name = calloc(slots, sizeof(*users.by_name));
    users.by_hash = calloc(slots, sizeof(*users.by_hash));
    if (!users.list || !users.by_name || !users.by_hash || settings->user_count >= UINT32_MAX / 4) {
        auth_error(error, error_cap, (const char *[3]){settings->name, NULL, NULL},
            "out of memory for its users");
        users_deinit(&users);
        return -ENOMEM;
    }
    for (size_t i = 0; i < settings->user_count; i++) {
        const char *why = "out of memory";
        int rc = add(&users, crypto, &settings->users[i], realm, &why);
        if (rc < 0) {
            auth_error(error, error_cap,
                (const char *[3]){settings->name, "user", settings->users[i].name}, why);
            users_deinit(&users);
            return rc;
        }
    }
    *out = users;
    return 0;
}

void users_deinit(struct users *users)
{
    for (size_t i = 0; users->list && i < users->count; i++)
        secret_wipe(&users->list[i].name);
    if (users->list)
        secret_cleanse(users->list, users->count * sizeof(*users->list));
    free(users->list);
    free(users->by_name);
    free(users->by_hash);
    *users = (struct users){0};
}
