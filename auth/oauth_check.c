/*
 * Requests with an access token: the steps of RFC 7635 section 7.
 *
 * What always holds: a token that no key could open costs nothing; every other one that is refused
 * costs one opening and the same integrity HMACs, with keys of nobody's where there are no right
 * ones, so that kids and tokens cannot be told apart by time (THREATS row 8). A kid is no secret,
 * though: it stands in the open in every request, and whether it has to be looked up in the store
 * may show. Called by auth_check.c, when the nonce has verified.
 */
#include "auth/auth_sources.h"

/* What a request is judged with. */
struct token_check {
    struct slice token;
    struct store_oauth_key key; /* nobody's unless `known` */
    bool known;
    bool stored; /* only the store could know the kid */
    struct oauth_claims claims;
    struct oauth_life life;
};

static bool find_token(const struct check *k, struct slice *token)
{
    if (k->proof == CHECK_INTEGRITY)
        return stun_find(k->request->msg, STUN_ATTR_ACCESS_TOKEN, token);
    *token = k->token;
    return token->len > 0;
}

bool check_has_token(const struct check *k)
{
    struct slice token;
    return k->realm->oauth.server_name.len > 0 && find_token(k, &token);
}

bool check_is_live_token(const struct check *k)
{
    struct slice token;
    char id[OAUTH_ID_LEN + 1];
    return k->request->live->source == AUTH_SOURCE_OAUTH && find_token(k, &token) &&
           oauth_token_id(k->w->crypto, token, id) == 0 &&
           strcmp(id, k->request->live->credential) == 0;
}

/* A question to the store costs nothing to cause: who has caused many for nothing causes no more.
 */
static bool may_ask(const struct check *k, const struct auth_result *out)
{
    const struct auth_request *request = k->request;
    return !request->may_guess ||
           request->may_guess(request->may_guess_ctx, out->realm, slice_of(NULL, 0));
}

/* RFC 7635 section 7: "The STUN server selects the keying material based on kid signaled in the
 * USERNAME attribute." */
static enum reason choose_key(const struct check *k, struct token_check *t, struct auth_result *out)
{
    const struct store_oauth_key *key = oauth_find(&k->realm->oauth, k->said.name);
    memcpy(t->key.key, k->auth->dummy_key, sizeof(t->key.key));
    t->key.key_len = sizeof(t->key.key);
    t->key.algorithm = AUTH_OAUTH_A256GCM;
    if (!key && k->realm->store_oauth_keys && k->said.name.len > 0 &&
        k->said.name.len <= OAUTH_KID_MAX) {
        const struct store_need need = {STORE_OAUTH_KEY, k->realm_id, k->said.name};
        const struct key_cache_match match = key_cache_find(k->w->cache, &need, k->now->mono_us);
        t->stored = true;
        if (!match.fresh && !(match.stale && k->request->asked)) {
            out->need = need;
            return may_ask(k, out) ? REASON_STORE_UNREACHABLE : REASON_GUESS_LOCKOUT;
        }
        key = match.entry->known ? &match.entry->oauth : NULL;
    }
    t->known = key && key->key_len == oauth_key_len(key->algorithm);
    if (t->known)
        t->key = *key;
    return REASON_NONE;
}

/* Not before it has opened: "lifetime" and "timestamp" are claims. */
static enum reason judge_time(const struct check *k, struct token_check *t, struct auth_result *out)
{
    const int64_t most_s = k->auth->max_ttl_s;
    if (!oauth_key_covers(&t->key, &t->claims, k->now))
        return REASON_KID_UNKNOWN;
    t->life = oauth_claims_life(&t->claims, k->now);
    /* RFC 7635 section 7: "If the timestamp is NOT within the boundaries, then the STUN server
     * discards the request with error response 401 (Unauthorized)." Less than a second that is left
     * is nothing to allocate for. */
    if (!t->life.fresh || t->life.expires_at <= k->now->wall_s) {
        out->expired_s = k->now->wall_s - t->life.expires_at;
        return REASON_CREDENTIAL_EXPIRED;
    }
    /* All of it, not what is left: a key that is no longer in use would else be good for ever. */
    if (t->claims.lifetime_s > most_s) {
        out->expired_s = t->claims.lifetime_s - most_s;
        return REASON_CREDENTIAL_LIFETIME;
    }
    return REASON_NONE;
}

/* A failed digest leaves the id empty, and is a reason of its own where it matters. */
static void note_token(const struct check *k, const struct token_check *t)
{
    if (!k->note)
        return;
    k->note->source = AUTH_SOURCE_OAUTH;
    k->note->expires_at = t->life.expires_at;
    oauth_token_id(k->w->crypto, t->token, k->note->credential);
}

/*
 * RFC 7635 section 5: "the mac_key is used as the input key for the HMAC computation." exception:
 * coturn's clients use only its first 16 bytes for HMAC-SHA1, as if it were an MD5 key. They are
 * too many to guess, and so such a client is served: *mac_key is then what it used. Both are tried
 * for whatever is refused.
 */
static int verify(const struct check *k, struct auth_key *mac_key)
{
    const int rc = check_verify(k, mac_key);
    if (rc != 1 || k->proof != CHECK_INTEGRITY || k->request->msg->integrity256_offset != 0)
        return rc;
    const uint8_t len = mac_key->len;
    mac_key->len = OAUTH_MAC_KEY_MIN;
    const int again = check_verify(k, mac_key);
    if (again != 0)
        mac_key->len = len;
    return again;
}

/* RFC 7635 section 7, step by step; the verdicts come when all the work is done. */
static enum reason judge_token(
    const struct check *k, struct token_check *t, struct auth_result *out)
{
    const struct oauth_seal seal = {
        k->w->crypto, &t->key, secret_slice(&k->realm->oauth.server_name)};
    const int opened = oauth_token_open(&seal, t->token, &t->claims);
    if (opened != 0) {
        memcpy(t->claims.mac_key.bytes, k->auth->dummy_key, sizeof(k->auth->dummy_key));
        t->claims.mac_key.len = sizeof(k->auth->dummy_key);
    }
    const int verified = verify(k, &t->claims.mac_key);
    if (opened < 0 || verified < 0)
        return REASON_RANDOM_FAILED;
    if (!t->known)
        return REASON_KID_UNKNOWN;
    if (opened != 0)
        return REASON_TOKEN_INVALID;
    const enum reason reason = judge_time(k, t, out);
    note_token(k, t);
    return reason == REASON_NONE && verified != 0 ? REASON_WRONG_PASSWORD : reason;
}

static enum reason take(const struct check *k, const struct token_check *t, struct auth_result *out)
{
    const struct identity *live = k->request->live;
    struct identity identity = {.realm = k->realm_id,
        .source = AUTH_SOURCE_OAUTH,
        .user = k->said.name,
        .expires_at = t->life.expires_at,
        .issued = t->claims.timestamp};
    if (oauth_token_id(k->w->crypto, t->token, identity.credential) < 0)
        return REASON_RANDOM_FAILED;
    /* RFC 7635 section 9: "The client MUST use the new token to refresh existing allocations."
     * Section 2: "kid: An ephemeral and unique key identifier", so it may be another by then. A
     * token that is older has come late. */
    out->renews = live && live->source == AUTH_SOURCE_OAUTH && live->realm == identity.realm &&
                  identity.issued >= live->issued;
    out->identity = identity;
    out->key = t->claims.mac_key;
    return REASON_NONE;
}

enum reason check_oauth(const struct check *k, struct auth_result *out)
{
    struct token_check t = {0};
    find_token(k, &t.token);
    if (!oauth_token_is_framed(t.token))
        return REASON_TOKEN_INVALID;
    /* Section 7 knows the kid only as USERNAME; USERHASH is not offered in a realm with tokens. */
    if (k->said.hashed)
        return REASON_KID_UNKNOWN;
    enum reason reason = choose_key(k, &t, out);
    if (reason == REASON_NONE)
        reason = judge_token(k, &t, out);
    if (reason == REASON_NONE)
        reason = take(k, &t, out);
    /* Where it was not asked, or knows the kid, nothing is: many share one, and could lock out each
     * other. */
    out->guess = out->of_nobody = k->request->asked && t.stored && !t.known;
    secret_cleanse(&t, sizeof(t));
    return reason;
}
