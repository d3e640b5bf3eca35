/*
 * The checks of RFC 8489 section 9.2.4, straight down; each refusal is a reason, and the reason
 * says what the answer is.
 *
 * What always holds: nothing is changed by a check; no HMAC over the request and no key derivation
 * is spent before the nonce has proven the client's address; a refused user or password takes the
 * same steps, whichever of them was wrong. In a realm with static users every refused request pays
 * the integrity HMAC of that source (with a key of nobody's, if there is no such user), and for
 * each REST secret the password's HMAC, the key's digest and an integrity HMAC (with the result
 * thrown away, if the name is no REST name or belongs to a static user). Only a request that
 * succeeds, or whose REST credential is genuine but expired, stops earlier. Called by relay on the
 * worker's thread.
 */
#include "auth/auth_internal.h"

#include "auth/long_term.h"

struct credentials {
    struct slice name; /* USERNAME, or USERHASH if `hashed` */
    bool hashed;
    struct slice realm, nonce;
};

/* One request while it is being judged. */
struct check {
    const struct auth *auth;
    const struct auth_realm *realm;
    struct auth_worker *w;
    const struct auth_request *request;
    const struct instant *now;
    struct credentials said;
    enum stun_password_algorithm algorithm;
};

static enum auth_outcome outcome_of(enum reason reason)
{
    switch (reason) {
    case REASON_NONE:
        return AUTH_OK;
    case REASON_MISSING_CREDENTIAL_ATTRIBUTE:
    case REASON_CONFLICTING_ATTRIBUTES:
    case REASON_CREDENTIAL_MALFORMED:
    case REASON_BID_DOWN:
        return AUTH_BAD;
    case REASON_STALE_NONCE:
    case REASON_FOREIGN_NONCE:
        return AUTH_STALE;
    case REASON_RANDOM_FAILED:
        return AUTH_FAILED;
    default:
        return AUTH_CHALLENGE;
    }
}

static enum reason read_credentials(struct credentials *out, const struct stun_msg *msg)
{
    struct credentials c = {0};
    bool named = stun_find(msg, STUN_ATTR_USERNAME, &c.name);
    /* RFC 8489 section 9.2.4: "If the message contains a MESSAGE-INTEGRITY or a
     * MESSAGE-INTEGRITY-SHA256 attribute, but is missing either the USERNAME or USERHASH, REALM, or
     * NONCE attribute, the server MUST generate an error response with an error code of 400 (Bad
     * Request)." */
    c.hashed = stun_has(msg, STUN_ATTR_USERHASH);
    if ((!named && !c.hashed) || !stun_find(msg, STUN_ATTR_REALM, &c.realm) ||
        !stun_find(msg, STUN_ATTR_NONCE, &c.nonce))
        return REASON_MISSING_CREDENTIAL_ATTRIBUTE;
    /* Section 9.2.3.2: "it MUST include either the USERNAME or USERHASH": who sends both may be two
     * users. */
    if (named && c.hashed)
        return REASON_CONFLICTING_ATTRIBUTES;
    if (c.hashed)
        stun_find(msg, STUN_ATTR_USERHASH, &c.name);

    /* Section 14.4: "The value of USERHASH has a fixed length of 32 bytes." Section 14.3: "a
     * UTF-8-encoded [RFC3629] sequence of fewer than 509 bytes": exception: RFC 5389's up to 763
     * are parsed, but no user of ours has such a name. */
    if (c.hashed ? c.name.len != STUN_USERHASH_LEN : c.name.len > STUN_USERNAME_MAX)
        return REASON_CREDENTIAL_MALFORMED;
    /* Sections 14.9 and 14.10: "[...] and as long as 763 bytes when decoding them" */
    if (c.realm.len > STUN_REALM_MAX || c.nonce.len > STUN_NONCE_MAX)
        return REASON_CREDENTIAL_MALFORMED;
    /* Section 14.6: "The value must be the full 32 bytes unless the STUN Usage explicitly specifies
     * that truncation is allowed." TURN does not. */
    struct slice tag;
    if (stun_find(msg, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, &tag) && tag.len != CRYPTO_SHA256_LEN)
        return REASON_CREDENTIAL_MALFORMED;
    *out = c;
    return REASON_NONE;
}

/*
 * exception: section 9.2.4 judges the nonce last; here it comes before all that costs something.
 * Section 9.2.4: "If the NONCE is no longer valid, the server MUST generate an error response with
 * an error code of 438 (Stale Nonce)."
 */
static enum reason check_nonce(const struct check *k, struct nonce_facts *facts)
{
    switch (nonce_check(k->said.nonce, auth_worker_nonce_keys(k->w, k->auth), k->w->crypto,
        secret_slice(&k->auth->nonce_secret), k->realm->nonce_name, k->auth->nonce_lifetime_s,
        &k->request->client, k->now, facts)) {
    case NONCE_FOREIGN:
        return REASON_FOREIGN_NONCE;
    case NONCE_STALE:
        return REASON_STALE_NONCE;
    case NONCE_OK:
        break;
    }
    /* A nonce of ours that offered something else than we do now, since a reload: the client must
     * see the new offer. */
    return facts->features == k->realm->features ? REASON_NONE : REASON_STALE_NONCE;
}

/* What stun_write_password_algorithms sends, so "the value sent in the response that sent this
 * NONCE". */
static bool is_our_offer(struct slice algorithms)
{
    static const uint8_t offer[] = {0, STUN_PASSWORD_SHA256, 0, 0, 0, STUN_PASSWORD_MD5, 0, 0};
    return slice_equal(algorithms, slice_of(offer, sizeof(offer)));
}

static enum reason choose_algorithm(struct check *k)
{
    struct slice offered, chosen;
    uint16_t number;
    k->algorithm = STUN_PASSWORD_MD5;
    /* RFC 8489 section 9.2.4: "If the NONCE attribute starts with the "nonce cookie" with the STUN
     * Security Feature "Password algorithms" bit set to 1, the server performs these checks":
     * without the bit, none. */
    if (!(k->realm->features & NONCE_FEATURE_PASSWORD_ALGORITHMS))
        return REASON_NONE;
    bool has_offered = stun_find(k->request->msg, STUN_ATTR_PASSWORD_ALGORITHMS, &offered);
    bool has_chosen = stun_find(k->request->msg, STUN_ATTR_PASSWORD_ALGORITHM, &chosen);
    /* "If the request contains neither the PASSWORD-ALGORITHMS nor the PASSWORD-ALGORITHM
     * algorithm, then the request is processed as though PASSWORD-ALGORITHM were MD5." */
    if (!has_offered && !has_chosen)
        return REASON_NONE;
    /* "Otherwise, unless (1) PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS are both present, (2)
     * PASSWORD-ALGORITHMS matches the value sent in the response that sent this NONCE, and (3)
     * PASSWORD-ALGORITHM matches one of the entries in PASSWORD-ALGORITHMS, the server MUST
     * generate an error response with an error code of 400 (Bad Request)." */
    if (!has_offered || !has_chosen || !is_our_offer(offered))
        return REASON_BID_DOWN;
    /* Section 18.5.1: "the parameters value is empty", so an entry has four bytes. */
    if (chosen.len != 4 || !stun_read_password_algorithm(chosen, &number) ||
        (number != STUN_PASSWORD_MD5 && number != STUN_PASSWORD_SHA256))
        return REASON_BID_DOWN;
    k->algorithm = number == STUN_PASSWORD_SHA256 ? STUN_PASSWORD_SHA256 : STUN_PASSWORD_MD5;
    return REASON_NONE;
}

/* 0: matches, 1: does not, <0: -EIO. */
static int verify(const struct check *k, const struct auth_key *key)
{
    return stun_verify_integrity(k->request->msg, k->w->crypto, slice_of(key->bytes, key->len));
}

static bool is_live(const struct check *k)
{
    const struct identity *live = k->request->live;
    if (!live || !k->request->live_key || live->realm != k->request->realm ||
        k->request->live_key->len != long_term_key_len(k->algorithm))
        return false;
    if (!k->said.hashed)
        return slice_equal(live->user, k->said.name);
    uint8_t hash[STUN_USERHASH_LEN];
    return long_term_userhash(hash, k->w->crypto, live->user, secret_slice(&k->realm->name)) == 0 &&
           slice_equal(slice_of(hash, sizeof(hash)), k->said.name);
}

/* A live allocation goes on with the key it has, whatever has become of the credential; and with no
 * other key. */
static enum reason check_live(const struct check *k, struct auth_result *out)
{
    int rc = verify(k, k->request->live_key);
    if (rc != 0)
        return rc < 0 ? REASON_RANDOM_FAILED : REASON_WRONG_PASSWORD;
    out->identity = *k->request->live;
    if (!k->said.hashed)
        out->identity.user = k->said.name;
    out->key = *k->request->live_key;
    return REASON_NONE;
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
    const int rc = verify(k, &key);
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
    int rc = verify(k, key);
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
static enum reason check_sources(const struct check *k, struct auth_result *out)
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

static enum reason judge(struct check *k, struct auth_result *out)
{
    const struct stun_msg *msg = k->request->msg;
    /* RFC 8489 section 9.2.4: "If the message does not contain a MESSAGE-INTEGRITY or
     * MESSAGE-INTEGRITY-SHA256 attribute, the server MUST generate an error response with an error
     * code of 401 (Unauthenticated)." */
    if (msg->integrity_offset == 0 && msg->integrity256_offset == 0)
        return REASON_NO_INTEGRITY;
    enum reason reason = read_credentials(&k->said, msg);
    if (reason != REASON_NONE)
        return reason;
    reason = check_nonce(k, &out->nonce);
    if (reason != REASON_NONE)
        return reason;
    out->proven = true;
    if (!slice_equal(k->said.realm, secret_slice(&k->realm->name)))
        return REASON_REALM_DIFFERS;
    reason = choose_algorithm(k);
    if (reason != REASON_NONE)
        return reason;
    /* Section 9.2.4: "Any response generated by the server MUST include the
     * MESSAGE-INTEGRITY-SHA256 attribute [...] unless the request was processed as though
     * PASSWORD-ALGORITHM was MD5 (because the request contained neither PASSWORD-ALGORITHMS nor
     * PASSWORD-ALGORITHM)." */
    out->sign_sha256 =
        stun_has(msg, STUN_ATTR_PASSWORD_ALGORITHMS) || stun_has(msg, STUN_ATTR_PASSWORD_ALGORITHM);
    return is_live(k) ? check_live(k, out) : check_sources(k, out);
}

void auth_check(const struct auth *auth, struct auth_worker *w, const struct auth_request *request,
    const struct instant *now, struct auth_result *out)
{
    struct check k = {.auth = auth,
        .realm = &auth->realms[request->realm],
        .w = w,
        .request = request,
        .now = now};
    *out = (struct auth_result){0};
    out->reason = judge(&k, out);
    out->outcome = outcome_of(out->reason);
}
