/*
 * Where keys come from: static users, then REST secrets, in this order for every name.
 *
 * What always holds: a refused user or password takes the same steps, whichever of them was wrong.
 * In a realm with static users every refused request pays the integrity HMAC of that source (with a
 * key of nobody's, if there is no such user), and for each REST secret the password's HMAC, the
 * key's digest and an integrity HMAC (with the result thrown away, if the name is no REST name or
 * belongs to a static user). Only a request that succeeds, or whose REST credential is genuine but
 * expired, stops earlier. Called by auth_check.c, when the nonce has verified.
 */
#include "auth/auth_sources.h"

#include "auth/long_term.h"

int check_verify(const struct check *k, const struct auth_key *key)
{
    return stun_verify_integrity(k->request->msg, k->w->crypto, slice_of(key->bytes, key->len));
}

/* The user's key, or nobody's where there is no such user or no such key of his: chosen without a
 * branch. True if it is the user's. */
static bool choose_key(const struct check *k, const struct users_match *match, struct auth_key *out)
{
    const struct auth_key *users =
        k->algorithm == STUN_PASSWORD_SHA256 ? &match->user->sha256 : &match->user->md5;
    const bool usable = match->found & (users->len != 0);
    const uint8_t mask = (uint8_t)(0 - usable);
    out->len = long_term_key_len(k->algorithm);
    for (size_t i = 0; i < sizeof(k->auth->dummy_key); i++)
        out->bytes[i] = (uint8_t)((users->bytes[i] & mask) | (k->auth->dummy_key[i] & ~mask));
    return usable;
}

static enum reason check_static(
    const struct check *k, const struct users_match *match, struct auth_result *out)
{
    static const enum reason refusals[2][2] = {/* by found, usable */
        {REASON_UNKNOWN_USER, REASON_UNKNOWN_USER}, {REASON_NOT_APPROVED, REASON_WRONG_PASSWORD}};
    struct auth_key key;
    const bool usable = choose_key(k, match, &key);
    const int rc = check_verify(k, &key);
    enum reason reason = REASON_NONE;
    if (rc < 0) {
        reason = REASON_RANDOM_FAILED;
    } else if (rc > 0 || !usable) {
        reason = refusals[match->found][usable];
    } else {
        out->identity = (struct identity){.realm = k->request->realm, .source = AUTH_SOURCE_STATIC};
        out->identity.user = k->said.hashed ? secret_slice(&match->user->name) : k->said.name;
        out->key = key;
    }
    secret_cleanse(&key, sizeof(key));
    return reason;
}

static enum reason judge_life(const struct check *k, int64_t expires_at)
{
    if (expires_at < k->now->wall_s)
        return REASON_CREDENTIAL_EXPIRED;
    return expires_at - k->now->wall_s > (int64_t)k->auth->max_ttl_s ? REASON_CREDENTIAL_LIFETIME
                                                                     : REASON_NONE;
}

static enum reason try_secret(
    const struct check *k, const struct rest_secret *secret, struct auth_key *key)
{
    const struct slice user_realm[] = {k->said.name, secret_slice(&k->realm->name)};
    if (rest_key(key, k->w->crypto, secret, k->algorithm, user_realm) < 0)
        return REASON_RANDOM_FAILED;
    int rc = check_verify(k, key);
    return rc < 0 ? REASON_RANDOM_FAILED : rc == 0 ? REASON_NONE : REASON_WRONG_PASSWORD;
}

/* With `own` false the work is done all the same and the verdict is UNKNOWN_USER: the name belongs
 * to a static user. */
static enum reason check_rest(const struct check *k, bool own, struct auth_result *out)
{
    if (k->said.hashed || k->realm->rest.count == 0)
        return REASON_UNKNOWN_USER;
    int64_t expires_at = 0;
    const bool eligible = rest_expiry(k->said.name, &expires_at) & own;
    struct auth_key key = {0};
    enum reason reason = REASON_WRONG_PASSWORD;
    for (size_t i = 0; i < k->realm->rest.count && reason == REASON_WRONG_PASSWORD; i++) {
        const struct rest_secret *secret = &k->realm->rest.list[i];
        reason = try_secret(k, secret, &key);
        if (reason == REASON_NONE && !eligible)
            reason =
                REASON_WRONG_PASSWORD; /* and on to the next secret, as for any wrong password */
        if (reason != REASON_NONE)
            continue;
        reason = judge_life(k, expires_at);
        if (reason != REASON_NONE)
            continue;
        out->identity = (struct identity){
            .realm = k->request->realm, .source = AUTH_SOURCE_REST, .user = k->said.name};
        memcpy(out->identity.credential, secret->id, sizeof(secret->id));
        out->identity.expires_at = expires_at;
        out->key = key;
    }
    secret_cleanse(&key, sizeof(key));
    return reason == REASON_RANDOM_FAILED || eligible ? reason : REASON_UNKNOWN_USER;
}

static struct users_match find_user(const struct check *k)
{
    const struct users *users = &k->realm->users;
    if (!k->said.hashed)
        return users_find_name(users, k->said.name);
    /* RFC 8489 section 9.2.4: "The server MAY support anonymous username": where it is not offered,
     * nobody is found. */
    if (!(k->realm->features & NONCE_FEATURE_USERNAME_ANONYMITY))
        return (struct users_match){users->list, false};
    return users_find_hash(users, k->said.name);
}

/*
 * Static users first, where there are any, then REST: in this order for every name, because a
 * branch that goes by who exists can be told by its time even where both ways do the same. A name
 * that is a static user's is never judged as a REST name.
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
    const enum reason reasons[2] = {as_static, as_rest};
    return reasons[(as_rest == REASON_RANDOM_FAILED) | !match.found];
}
