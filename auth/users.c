/*
 * Static users: prepared names, keys for both algorithms, and two indices (name, USERHASH).
 * Everything that can be computed is computed at start, so that a request of a static user costs
 * one lookup and one HMAC. The index hash is keyed: names come from strangers.
 *
 * What always holds: a question takes the same steps and touches as much memory whether there is
 * such a user or not. Nothing is left out at the first match or mismatch: where in a chain a name
 * lies, and whether an entry had to be fetched from memory, are told by the time of the answer.
 * Built by auth.c, asked by auth_check.c.
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

/* All ones if the condition holds, else zero. */
static uint64_t all_if(bool condition)
{
    return (uint64_t)0 - condition;
}

/* As slice_equal, in a time that tells nothing of what is stored. `stored` is not empty. */
static bool same_bytes(struct slice asked, struct slice stored)
{
    uint64_t difference = asked.len ^ stored.len;
    for (size_t i = 0; i < asked.len; i++) {
        const uint64_t inside = all_if(i < stored.len);
        difference |= asked.data[i] ^ stored.data[(i & inside) | ((stored.len - 1) & ~inside)];
    }
    return difference == 0;
}

static struct users_match look_up(const struct users *users, bool by_hash, struct slice key)
{
    if (users->count == 0)
        return (struct users_match){users->list, false};
    const struct users_index *index = by_hash ? &users->by_hash : &users->by_name;
    const uint64_t hash = crypto_siphash(users->siphash_key, key.data, key.len);
    /* Nobody's name leads to somebody's entry, always the same. */
    uint64_t at = (hash >> 32) * users->count >> 32, hits = 0;
    for (size_t i = 0; i < index->depth; i++) {
        const struct users_slot *slot = &index->slots[(hash + i) & index->mask];
        const uint64_t hit = all_if(slot->hash == hash) & all_if(slot->index != 0);
        at = ((slot->index - (uint64_t)1) & hit) | (at & ~hit);
        hits |= hit;
    }
    const struct user *user = &users->list[at];
    const bool same = same_bytes(key, key_bytes(user, by_hash));
    return (struct users_match){user, (hits & all_if(same)) != 0};
}

struct users_match users_find_name(const struct users *users, struct slice name)
{
    return look_up(users, false, name);
}

struct users_match users_find_hash(const struct users *users, struct slice userhash)
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

/* The list's last user into one of the indices. -EEXIST: its key is there (or, once in 2^64,
 * another one with its hash, of which one could not be found). */
static int enter(struct users *users, bool by_hash)
{
    struct users_index *index = by_hash ? &users->by_hash : &users->by_name;
    const struct slice key = key_bytes(&users->list[users->count - 1], by_hash);
    const uint64_t hash = crypto_siphash(users->siphash_key, key.data, key.len);
    size_t distance = 0;
    struct users_slot *slot = &index->slots[hash & index->mask];
    while (slot->index != 0) {
        if (slot->hash == hash)
            return -EEXIST;
        slot = &index->slots[(hash + ++distance) & index->mask];
    }
    *slot = (struct users_slot){hash, (uint32_t)users->count};
    if (index->depth <= distance)
        index->depth = distance + 1;
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
    if (enter(users, false) < 0 || enter(users, true) < 0) {
        *why = "the name is there twice";
        return -EINVAL;
    }
    return 0;
}

static bool index_init(struct users_index *index, size_t users)
{
    size_t slots = 2;
    while (slots < users * 2)
        slots *= 2;
    index->slots = calloc(slots, sizeof(*index->slots));
    index->mask = slots - 1;
    return index->slots != NULL;
}

int users_init(struct users *out, struct crypto *crypto, const struct auth_realm_settings *settings,
    struct slice realm, const uint8_t siphash_key[16], char *error, size_t error_cap)
{
    struct users users = {0};
    memcpy(users.siphash_key, siphash_key, 16);
    users.list = calloc(settings->user_count ? settings->user_count : 1, sizeof(*users.list));
    if (!users.list || settings->user_count >= UINT32_MAX / 4 ||
        !index_init(&users.by_name, settings->user_count) ||
        !index_init(&users.by_hash, settings->user_count)) {
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
    free(users->by_name.slots);
    free(users->by_hash.slots);
    *users = (struct users){0};
}
