/*
 * The checks of RFC 8489 section 9.2.4, straight down; each refusal is a reason, and the reason
 * says what the answer is.
 *
 * What always holds: nothing is changed by a check; no HMAC over the request and no key derivation
 * is spent before the nonce has proven the client's address. Called by relay on the worker's
 * thread.
 */
#include "auth/auth_sources.h"

#include "auth/long_term.h"
#include "auth/opaque_string.h"

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
    case REASON_STORE_UNREACHABLE:
        return AUTH_FAILED;
    case REASON_GUESS_LOCKOUT:
        return AUTH_SILENT;
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

static struct auth_realms realms_of(const struct check *k)
{
    return (struct auth_realms){k->request->realm, k->request->realms};
}

static enum nonce_verdict judge_nonce(const struct check *k, struct auth_worker_keys *keys,
    const struct auth_nonce_secret *secret, struct nonce_facts *facts)
{
    return nonce_check(k->said.nonce, auth_worker_nonce_keys(keys, secret), k->w->crypto,
        secret_slice(&secret->secret), k->auth->realms[k->request->realm].nonce_name,
        k->auth->nonce_lifetime_s, &k->request->client, k->now, facts);
}

/*
 * exception: section 9.2.4 judges the nonce last; here it comes before all that costs something.
 * Section 9.2.4: "If the NONCE is no longer valid, the server MUST generate an error response with
 * an error code of 438 (Stale Nonce)."
 */
static enum reason check_nonce(const struct check *k, struct nonce_facts *facts)
{
    const struct auth *auth = k->auth;
    enum nonce_verdict verdict = judge_nonce(k, &k->w->nonce, &auth->nonce, facts);
    if (verdict == NONCE_FOREIGN && auth->nonce_old.secret.len > 0)
        verdict = judge_nonce(k, &k->w->nonce_old, &auth->nonce_old, facts);
    switch (verdict) {
    case NONCE_FOREIGN:
        return REASON_FOREIGN_NONCE;
    case NONCE_STALE:
        return REASON_STALE_NONCE;
    case NONCE_OK:
        break;
    }
    /* A nonce of ours that offered something else than we do now, since a reload: the client must
     * see the new offer. */
    return facts->features == k->features ? REASON_NONE : REASON_STALE_NONCE;
}

/* The realm that the request names; false: it may name no such realm. */
static bool find_realm(struct check *k)
{
    const struct auth_realms realms = realms_of(k);
    uint64_t named = auth_realms_served(k->auth, &realms);
    /* A live allocation goes on in its realm, even if nothing new begins there. */
    if (k->request->live && k->request->live->realm < k->auth->realm_count)
        named |= (uint64_t)1 << k->request->live->realm;
    for (uint32_t i = 0; i < k->auth->realm_count; i++) {
        if (!(named >> i & 1) ||
            !slice_equal(k->said.realm, secret_slice(&k->auth->realms[i].name)))
            continue;
        k->realm = &k->auth->realms[i];
        k->realm_id = i;
        return true;
    }
    return false;
}

static bool is_served(const struct check *k)
{
    const struct auth_realms realms = realms_of(k);
    return auth_realms_served(k->auth, &realms) >> k->realm_id & 1;
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
    if (!(k->features & NONCE_FEATURE_PASSWORD_ALGORITHMS))
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

static bool is_live(const struct check *k)
{
    const struct identity *live = k->request->live;
    if (!live || !k->request->live_key || live->realm != k->realm_id)
        return false;
    /* The key of an access token is of no algorithm. */
    if (live->source != AUTH_SOURCE_OAUTH &&
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
    int rc = check_verify(k, k->request->live_key);
    if (rc != 0)
        return rc < 0 ? REASON_RANDOM_FAILED : REASON_WRONG_PASSWORD;
    out->identity = *k->request->live;
    if (!k->said.hashed)
        out->identity.user = k->said.name;
    out->key = *k->request->live_key;
    return REASON_NONE;
}

/* Whom the request says it is, as guesses are counted. */
static struct slice account_of(const struct check *k)
{
    int64_t expires_at;
    const bool is_rest = check_is_rest_name(k, &expires_at);
    return identity_account(&(struct identity){
        .source = is_rest ? AUTH_SOURCE_REST : AUTH_SOURCE_NONE, .user = k->said.name});
}

/* Whether a name could be anybody's is judged for every refusal, so that its time tells nothing. */
static enum reason name_refusal(const struct check *k, enum reason reason)
{
    const bool admitted = k->said.hashed || opaque_string_admits(k->said.name);
    const enum reason reasons[2] = {reason, REASON_NAME_NOT_PREPARABLE};
    return reasons[(reason == REASON_UNKNOWN_USER) & !admitted];
}

/*
 * No password must be tried at full speed while any wrong one draws 500, because the store is out
 * of reach, or 508, because too many wait for it: there this counts as a guess too, whoever is
 * named.
 */
static bool is_guess(enum reason reason)
{
    switch (reason) {
    case REASON_UNKNOWN_USER:
    case REASON_WRONG_PASSWORD:
    case REASON_NOT_APPROVED:
    case REASON_SECRET_UNKNOWN:
    case REASON_NAME_NOT_PREPARABLE:
    case REASON_STORE_UNREACHABLE:
        return true;
    default:
        return false;
    }
}

/* The request is of no live allocation: whose is it? */
static enum reason check_new(const struct check *k, struct auth_result *out)
{
    const struct auth_request *request = k->request;
    if (!is_served(k))
        return REASON_REALM_DIFFERS;
    /* Many share a kid: were a token's refusal a guess, one of them could lock out the others. */
    if (check_has_token(k))
        return check_oauth(k, out);
    if (request->may_guess && !request->may_guess(request->may_guess_ctx, out->realm, out->account))
        return REASON_GUESS_LOCKOUT;
    enum reason reason = check_sources(k, out);
    if (reason != REASON_NONE)
        reason = name_refusal(k, reason);
    out->guess = is_guess(reason);
    return reason;
}

enum reason check_credential(const struct check *k, struct auth_result *out)
{
    const bool as_live = is_live(k) && (!check_has_token(k) || check_is_live_token(k));
    const enum reason reason = as_live ? check_live(k, out) : check_new(k, out);
    const int64_t until = reason == REASON_NONE
                              ? revocations_until(k->w->revocations, &out->identity, k->now->wall_s)
                              : 0;
    if (until == 0)
        return reason;
    if (k->note)
        k->note->revoked_until = until;
    out->identity = (struct identity){0};
    secret_cleanse(&out->key, sizeof(out->key));
    return REASON_REVOKED;
}

/* What the request says, and whether it comes from where it says. */
static enum reason check_origin(struct check *k, struct auth_result *out)
{
    const struct stun_msg *msg = k->request->msg;
    /* RFC 8489 section 9.2.4: "If the message does not contain a MESSAGE-INTEGRITY or
     * MESSAGE-INTEGRITY-SHA256 attribute, the server MUST generate an error response with an error
     * code of 401 (Unauthenticated)." */
    if (msg->integrity_offset == 0 && msg->integrity256_offset == 0)
        return REASON_NO_INTEGRITY;
    const enum reason reason = read_credentials(&k->said, msg);
    return reason == REASON_NONE ? check_nonce(k, &out->nonce) : reason;
}

static enum reason judge(struct check *k, struct auth_result *out)
{
    enum reason reason = check_origin(k, out);
    if (reason != REASON_NONE)
        return reason;
    out->proven = true;
    out->account = k->said.name;
    if (!find_realm(k))
        return REASON_REALM_DIFFERS;
    out->realm = k->realm_id;
    out->account = account_of(k);
    reason = choose_algorithm(k);
    if (reason != REASON_NONE)
        return reason;
    /* Section 9.2.4: "Any response generated by the server MUST include the
     * MESSAGE-INTEGRITY-SHA256 attribute [...] unless the request was processed as though
     * PASSWORD-ALGORITHM was MD5 (because the request contained neither PASSWORD-ALGORITHMS nor
     * PASSWORD-ALGORITHM)." */
    out->sign_sha256 = stun_has(k->request->msg, STUN_ATTR_PASSWORD_ALGORITHMS) ||
                       stun_has(k->request->msg, STUN_ATTR_PASSWORD_ALGORITHM);
    return check_credential(k, out);
}

void auth_check(const struct auth *auth, struct auth_worker *w, const struct auth_request *request,
    const struct instant *now, struct auth_result *out)
{
    struct check k = {.auth = auth, .w = w, .request = request, .now = now};
    const struct auth_realms realms = realms_of(&k);
    k.features = auth_realms_features(auth, &realms);
    *out = (struct auth_result){.realm = request->realm};
    out->reason = judge(&k, out);
    out->outcome = outcome_of(out->reason);
    if (out->reason == REASON_STORE_UNREACHABLE && !request->asked)
        out->outcome = AUTH_PENDING;
}
