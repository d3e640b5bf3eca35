/*
 * The judgement of auth_check in words. A credential goes through the same functions, with its
 * password in the place of a request's integrity; what they say besides the reason is noted on the
 * way (struct check_note) and becomes one sentence. The sentence is made of numbers, ids and fixed
 * words: no secret, password or token can come into it. Called by daemon for the admin server, with
 * a worker of its own.
 */
#include "auth/explain.h"

#include "auth/auth_sources.h"
#include "auth/opaque_string.h"
#include "base/clock.h"
#include <stdio.h>

/* One explanation while it is being made. */
struct explaining {
    struct check check;
    struct check_note note;
    struct auth_result result;
    const struct auth_question *question;
};

#define SPAN_MAX 24

/* "42 s", "59 min", "3 h", "4 d": rounded down, in the unit that leaves two of it at least. */
static void print_span(char out[SPAN_MAX], int64_t seconds)
{
    static const struct {
        int64_t unit_s;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        /* Hours up to three days, as credentials are configured. */
        if (seconds >= (i == 0 ? 3 : 2) * units[i].unit_s || seconds == units[i].unit_s) {
            snprintf(
                out, SPAN_MAX, "%lld %s", (long long)(seconds / units[i].unit_s), units[i].name);
            return;
        }
    }
    snprintf(out, SPAN_MAX, "%lld s", (long long)seconds);
}

static void say(struct auth_explanation *out, const char *text)
{
    snprintf(out->text, sizeof(out->text), "%s", text);
}

static const char *noun_of(enum auth_source source)
{
    return source == AUTH_SOURCE_STORE ? "a user in Redis" : "a static user";
}

static void say_accepted(const struct explaining *e, struct auth_explanation *out)
{
    char left[SPAN_MAX];
    const bool judged = e->check.proof == CHECK_PASSWORD;
    print_span(left, out->expires_at - e->check.now->wall_s);
    switch (out->source) {
    case AUTH_SOURCE_REST:
        if (judged)
            snprintf(out->text, sizeof(out->text), "signed by the secret \"%s\", expires in %s",
                out->credential, left);
        else
            snprintf(out->text, sizeof(out->text),
                "a REST name, expires in %s; without its password no secret was tried", left);
        return;
    case AUTH_SOURCE_OAUTH:
        snprintf(out->text, sizeof(out->text), "token opened, expires in %s", left);
        return;
    default:
        snprintf(out->text, sizeof(out->text), "%s%s", noun_of(out->source),
            judged ? "; password right" : "");
    }
}

static void say_time(const struct explaining *e, struct auth_explanation *out)
{
    char span[SPAN_MAX], ceiling[SPAN_MAX];
    print_span(span, e->result.expired_s);
    print_span(ceiling, e->check.auth->max_ttl_s);
    if (out->reason == REASON_CREDENTIAL_EXPIRED && e->result.expired_s == 0)
        say(out, "expired just now, or its time stamp is ahead of this clock");
    else if (out->reason == REASON_CREDENTIAL_EXPIRED)
        snprintf(out->text, sizeof(out->text), "expired %s ago", span);
    else
        snprintf(out->text, sizeof(out->text), "lives %s over the ceiling of %s (auth.max_ttl)",
            span, ceiling);
}

static void say_unknown(const struct explaining *e, struct auth_explanation *out)
{
    const struct auth_realm *r = e->check.realm;
    snprintf(out->text, sizeof(out->text), "no source of the realm knows the name%s%s",
        r->rest.count > 0 || r->store_secrets
            ? ", and it is no REST name, which is a time in seconds, or that, a colon and a user"
            : "",
        r->oauth.server_name.len > 0 ? "; a kid is judged with its token" : "");
}

static void say_not_approved(const struct explaining *e, struct auth_explanation *out)
{
    say(out, out->source == AUTH_SOURCE_STORE
                 ? "the key in Redis is SHA-256, and a realm with users there offers MD5 alone"
                 : "the user's key is SHA-256, which the realm cannot offer");
}

static void say_revoked(const struct explaining *e, struct auth_explanation *out)
{
    char text[CLOCK_UTC_MAX];
    snprintf(out->text, sizeof(out->text), "revoked until %s",
        clock_utc_text(e->note.revoked_until, text));
}

static void say_unprepared(const struct explaining *e, struct auth_explanation *out)
{
    struct secret prepared = {0};
    const char *why = "it is none of its texts";
    if (opaque_string(&prepared, e->question->user, &why) == 0)
        secret_wipe(&prepared);
    snprintf(out->text, sizeof(out->text), "OpaqueString refuses the name: %s", why);
}

static void say_refused(const struct explaining *e, struct auth_explanation *out)
{
    switch (out->reason) {
    case REASON_CREDENTIAL_EXPIRED:
    case REASON_CREDENTIAL_LIFETIME:
        say_time(e, out);
        return;
    case REASON_SECRET_RETIRED:
        snprintf(
            out->text, sizeof(out->text), "signed by the retired secret \"%s\"", out->credential);
        return;
    case REASON_WRONG_PASSWORD:
        snprintf(out->text, sizeof(out->text), "%s; password wrong", noun_of(out->source));
        return;
    case REASON_UNKNOWN_USER:
        say_unknown(e, out);
        return;
    case REASON_NOT_APPROVED:
        say_not_approved(e, out);
        return;
    case REASON_REVOKED:
        say_revoked(e, out);
        return;
    case REASON_NAME_NOT_PREPARABLE:
        say_unprepared(e, out);
        return;
    case REASON_SECRET_UNKNOWN:
        say(out, "no secret of the realm made this password");
        return;
    case REASON_KID_UNKNOWN:
        say(out, out->source == AUTH_SOURCE_OAUTH
                     ? "the token was issued outside the time of this kid's key"
                     : "unknown kid");
        return;
    case REASON_TOKEN_INVALID:
        say(out, oauth_token_is_framed(e->question->token)
                     ? "the token does not open with the key of this kid"
                     : "these bytes are no access token");
        return;
    case REASON_STORE_UNREACHABLE:
        say(out, "Redis does not answer, or refuses to: the log has redis_down or redis_refused");
        return;
    case REASON_CREDENTIAL_MALFORMED:
        say(out, "a name has at most 508 bytes");
        return;
    case REASON_REALM_DIFFERS:
        say(out, "the realm is no longer configured");
        return;
    case REASON_UNKNOWN_ATTRIBUTE:
        say(out, "the realm takes no access tokens");
        return;
    default:
        say(out, "a digest failed");
    }
}

static enum reason judge(struct explaining *e)
{
    struct check *k = &e->check;
    if (k->said.name.len > STUN_USERNAME_MAX)
        return REASON_CREDENTIAL_MALFORMED;
    /* RFC 7635 section 7: "If a STUN server receives an ACCESS-TOKEN attribute unexpectedly […] it
     * will respond with an error code of 420 (Unknown Attribute)" */
    if (k->token.len > 0 && k->realm->oauth.server_name.len == 0)
        return REASON_UNKNOWN_ATTRIBUTE;
    enum reason reason = check_credential(k, &e->result);
    /* A client that is offered SHA-256 uses it. */
    if (reason == REASON_NOT_APPROVED && (k->realm->features & NONCE_FEATURE_PASSWORD_ALGORITHMS)) {
        k->algorithm = STUN_PASSWORD_SHA256;
        reason = check_credential(k, &e->result);
    }
    return reason;
}

void auth_explain(const struct auth *auth, struct auth_worker *w, const struct auth_question *q,
    bool asked, const struct instant *now, struct auth_explanation *out)
{
    const struct auth_request request = {
        .realm = q->realm, .realms = (uint64_t)1 << q->realm, .asked = asked};
    struct explaining e = {.question = q};
    e.check = (struct check){.auth = auth,
        .w = w,
        .request = &request,
        .now = now,
        .features = auth->realms[q->realm].features,
        .said = {.name = q->user, .realm = secret_slice(&auth->realms[q->realm].name)},
        .realm_id = q->realm,
        .realm = &auth->realms[q->realm],
        .algorithm = STUN_PASSWORD_MD5,
        .proof = q->password.len > 0 && q->token.len == 0 ? CHECK_PASSWORD : CHECK_NAME,
        .password = q->password,
        .token = q->token,
        .note = &e.note};
    *out = (struct auth_explanation){.reason = judge(&e)};
    out->source = e.note.source;
    memcpy(out->credential, e.note.credential, sizeof(out->credential));
    out->expires_at = e.note.expires_at;
    out->pending = out->reason == REASON_STORE_UNREACHABLE && !asked;
    if (out->pending)
        out->need = e.result.need;
    if (out->reason == REASON_NONE)
        say_accepted(&e, out);
    else
        say_refused(&e, out);
    secret_cleanse(&e.result, sizeof(e.result));
}
