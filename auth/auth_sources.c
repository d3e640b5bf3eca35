/*
 * Where keys come from: static users, REST secrets (those configured, then those from the store),
 * users in the store; in this order for every name.
 *
 * What always holds: a refused user or password takes the same steps, whichever of them was wrong.
 * In a realm with static users every refused request pays the integrity HMAC of that source (with a
 * key of nobody's, if there is no such user), for each REST secret the password's HMAC, the key's
 * digest and an integrity HMAC (with the result thrown away, if the name is no REST name or belongs
 * to a static user), and in a realm with users in the store another HMAC (with nobody's key, if the
 * store knows none or the name belongs to a static user). A static user's name is looked up as well
 * when the password is wrong: else it could be told by the lookup that it does not cause. Only a
 * request that succeeds, or whose REST credential is genuine but refused, stops earlier; and names
 * "digits:anything", which are REST's alone where there is REST, are not looked up at all. Called
 * by auth_check.c, when the nonce has verified.
 */
#include "auth/auth_sources.h"

#include "auth/long_term.h"
#include <errno.h>

/* A key that may be the request's. */
struct candidate {
    const uint8_t *bytes; /* 32, whatever `len` says */
    uint8_t len;
    bool known; /* there is such a user */
};

static int compare_password(const struct check *k, const struct auth_key *key)
{
    const struct slice parts[] = {k->said.name, secret_slice(&k->realm->name), k->password};
    struct auth_key made;
    if (long_term_key(&made, k->w->crypto, k->algorithm, parts) < 0)
        return -EIO;
    const bool same = secret_equal(slice_of(made.bytes, made.len), slice_of(key->bytes, key->len));
    secret_cleanse(&made, sizeof(made));
    return same ? 0 : 1;
}

int check_verify(const struct check *k, const struct auth_key *key)
{
    switch (k->proof) {
    case CHECK_PASSWORD:
        return compare_password(k, key);
    case CHECK_NAME:
        return 0;
    case CHECK_INTEGRITY:
        break;
    }
    return stun_verify_integrity(k->request->msg, k->w->crypto, slice_of(key->bytes, key->len));
}

static void note_source(const struct check *k, enum auth_source source)
{
    if (k->note && source != AUTH_SOURCE_NONE)
        k->note->source = source;
}

static void note_secret(const struct check *k, const struct rest_secret *secret, int64_t expires_at)
{
    if (!k->note)
        return;
    note_source(k, AUTH_SOURCE_REST);
    memcpy(k->note->credential, secret->id, sizeof(secret->id));
    k->note->expires_at = expires_at;
}

/* The candidate, or nobody's key where there is no such user or no such key of his: chosen without
 * a branch. True if it is the user's. */
static bool choose_key(const struct check *k, const struct candidate *c, struct auth_key *out)
{
    out->len = long_term_key_len(k->algorithm);
    const bool usable = c->known & (c->len == out->len);
    const uint8_t mask = (uint8_t)(0 - usable);
    for (size_t i = 0; i < sizeof(k->auth->dummy_key); i++)
        out->bytes[i] = (uint8_t)((c->bytes[i] & mask) | (k->auth->dummy_key[i] & ~mask));
    return usable;
}

/* REASON_NONE: *key is the key. */
static enum reason try_candidate(
    const struct check *k, const struct candidate *c, struct auth_key *key)
{
    static const enum reason refusals[2][2] = {/* by known, usable */
        {REASON_UNKNOWN_USER, REASON_UNKNOWN_USER}, {REASON_NOT_APPROVED, REASON_WRONG_PASSWORD}};
    const bool usable = choose_key(k, c, key);
    const int rc = check_verify(k, key);
    if (rc < 0)
        return REASON_RANDOM_FAILED;
    return rc > 0 || !usable ? refusals[c->known][usable] : REASON_NONE;
}

static void grant(const struct check *k, enum auth_source source, const struct auth_key *key,
    struct auth_result *out)
{
    out->identity = (struct identity){.realm = k->realm_id, .source = source, .user = k->said.name};
    out->key = *key;
}

static enum reason check_static(
    const struct check *k, const struct users_match *match, struct auth_result *out)
{
    const struct auth_key *users =
        k->algorithm == STUN_PASSWORD_SHA256 ? &match->user->sha256 : &match->user->md5;
    static const enum auth_source sources[2] = {AUTH_SOURCE_NONE, AUTH_SOURCE_STATIC};
    struct auth_key key;
    note_source(k, sources[match->found]);
    const enum reason reason =
        try_candidate(k, &(struct candidate){users->bytes, users->len, match->found}, &key);
    if (reason == REASON_NONE) {
        grant(k, AUTH_SOURCE_STATIC, &key, out);
        if (k->said.hashed)
            out->identity.user = secret_slice(&match->user->name);
    }
    secret_cleanse(&key, sizeof(key));
    return reason;
}

static bool has_rest(const struct check *k)
{
    return k->realm->rest.count > 0 || k->realm->store_secrets;
}

bool check_is_rest_name(const struct check *k, int64_t *expires_at)
{
    return has_rest(k) && !k->said.hashed && rest_expiry(k->said.name, expires_at);
}

static enum reason judge_life(const struct check *k, int64_t expires_at, struct auth_result *out)
{
    const int64_t left_s = expires_at - k->now->wall_s, most_s = k->auth->max_ttl_s;
    if (left_s < 0) {
        out->expired_s = -left_s;
        return REASON_CREDENTIAL_EXPIRED;
    }
    if (left_s > most_s) {
        out->expired_s = left_s - most_s;
        return REASON_CREDENTIAL_LIFETIME;
    }
    return REASON_NONE;
}

/* Is the request signed with this secret? NONE: yes, and *key is the key. */
static enum reason try_secret(
    const struct check *k, const struct rest_secret *secret, struct auth_key *key)
{
    const struct slice user_realm[] = {k->said.name, secret_slice(&k->realm->name)};
    if (rest_key(key, k->w->crypto, secret, k->algorithm, user_realm) < 0)
        return REASON_RANDOM_FAILED;
    int rc = check_verify(k, key);
    return rc < 0 ? REASON_RANDOM_FAILED : rc == 0 ? REASON_NONE : REASON_SECRET_UNKNOWN;
}

/* The request is signed with this secret, and the name may be. */
static enum reason judge_secret(const struct check *k, const struct rest_secret *secret,
    const struct auth_key *key, struct auth_result *out)
{
    int64_t expires_at = 0;
    rest_expiry(k->said.name, &expires_at);
    note_secret(k, secret, expires_at);
    if (secret->retired)
        return REASON_SECRET_RETIRED;
    const enum reason reason = judge_life(k, expires_at, out);
    if (reason != REASON_NONE)
        return reason;
    grant(k, AUTH_SOURCE_REST, key, out);
    memcpy(out->identity.credential, secret->id, sizeof(secret->id));
    out->identity.expires_at = expires_at;
    return REASON_NONE;
}

/* SECRET_UNKNOWN: none of this list has signed it. With `eligible` false the work is done all the
 * same, and none has. */
static enum reason try_secrets(
    const struct check *k, const struct rest *rest, bool eligible, struct auth_result *out)
{
    struct auth_key key = {0};
    enum reason reason = REASON_SECRET_UNKNOWN;
    for (size_t i = 0; i < rest->count && reason == REASON_SECRET_UNKNOWN; i++) {
        reason = try_secret(k, &rest->list[i], &key);
        if (reason != REASON_NONE)
            continue;
        /* One that may not be is as any wrong password. */
        reason = eligible ? judge_secret(k, &rest->list[i], &key, out) : REASON_SECRET_UNKNOWN;
    }
    secret_cleanse(&key, sizeof(key));
    return reason;
}

/* With `own` false the work is done all the same and the verdict is UNKNOWN_USER: the name belongs
 * to a static user. */
static enum reason check_rest(const struct check *k, bool own, struct auth_result *out)
{
    static const struct rest_secret none;
    static const struct auth_key no_key;
    if (k->said.hashed || !has_rest(k))
        return REASON_UNKNOWN_USER;
    int64_t expires_at = 0;
    const bool eligible = check_is_rest_name(k, &expires_at) & own;
    if (k->proof == CHECK_NAME)
        return eligible ? judge_secret(k, &none, &no_key, out) : REASON_UNKNOWN_USER;
    enum reason reason = try_secrets(k, &k->realm->rest, eligible, out);
    if (reason == REASON_SECRET_UNKNOWN)
        reason = try_secrets(k, auth_worker_secrets(k->w, k->auth, k->realm_id), eligible, out);
    const enum reason reasons[2] = {REASON_UNKNOWN_USER, reason};
    return reasons[(reason == REASON_RANDOM_FAILED) | eligible];
}

/* Is this a name that users in the store may have? Goes by the realm and the name's bytes only. */
static bool may_be_in_store(const struct check *k)
{
    int64_t expires_at;
    if (!k->realm->store_users || k->said.hashed || k->said.name.len == 0)
        return false;
    return !check_is_rest_name(k, &expires_at) || !memchr(k->said.name.data, ':', k->said.name.len);
}

/*
 * As check_rest with `own`. Who has the key is let in by what is known, as long as that is of use;
 * everybody else is refused only by what the store has just said, and else it is asked, or was and
 * did not answer: whether it knows the name may show in nothing (THREATS row 8).
 */
static enum reason check_store(const struct check *k, bool own, struct auth_result *out)
{
    static const enum auth_source sources[2] = {AUTH_SOURCE_NONE, AUTH_SOURCE_STORE};
    if (!may_be_in_store(k))
        return REASON_UNKNOWN_USER;
    const struct store_need need = {STORE_USER, k->realm_id, k->said.name};
    const struct key_cache_match match = key_cache_find(k->w->cache, &need, k->now->mono_us);
    const bool of_use = match.fresh | (match.stale & k->request->asked);
    const struct store_oauth_key *stored = &match.entry->oauth;
    const struct candidate c = {stored->key, stored->key_len, of_use & match.entry->known & own};
    note_source(k, sources[c.known]);
    struct auth_key key;
    enum reason reason = try_candidate(k, &c, &key);
    if (reason == REASON_NONE) {
        grant(k, AUTH_SOURCE_STORE, &key, out);
    } else if (reason != REASON_RANDOM_FAILED && !match.refuses) {
        out->need = need;
        reason = REASON_STORE_UNREACHABLE;
    }
    secret_cleanse(&key, sizeof(key));
    return reason;
}

static struct users_match find_user(const struct check *k)
{
    const struct users *users = &k->realm->users;
    if (!k->said.hashed)
        return users_find_name(users, k->said.name);
    /* RFC 8489 section 9.2.4: "The server MAY support anonymous username": where it is not offered,
     * nobody is found. */
    if (!(k->features & NONCE_FEATURE_USERNAME_ANONYMITY))
        return (struct users_match){users->list, false};
    return users_find_hash(users, k->said.name);
}

/* No source after this one has anything to say. */
static bool is_final(enum reason reason)
{
    return (reason != REASON_UNKNOWN_USER) & (reason != REASON_SECRET_UNKNOWN);
}

/*
 * In this order for every name, because a branch that goes by who exists can be told by its time
 * even where both ways do the same. A name that is a static user's is judged as nothing else.
 */
enum reason check_sources(const struct check *k, struct auth_result *out)
{
    const struct users_match match = find_user(k);
    enum reason as_static = REASON_UNKNOWN_USER;
    if (k->realm->users.count > 0)
        as_static = check_static(k, &match, out);
    if (as_static == REASON_NONE || as_static == REASON_RANDOM_FAILED)
        return as_static;
    const enum reason as_rest = check_rest(k, !match.found, out);
    if (is_final(as_rest))
        return as_rest;
    const enum reason as_store = check_store(k, !match.found, out);
    if (as_store == REASON_NONE || as_store == REASON_RANDOM_FAILED ||
        as_store == REASON_STORE_UNREACHABLE)
        return as_store;
    const enum reason reasons[2][2] = {/* by a static user's name, by the store's knowing it */
        {as_rest, as_store}, {as_static, as_static}};
    return reasons[match.found][as_store != REASON_UNKNOWN_USER];
}
