/*
 * POST /api/v1/explain: why a credential is, or would be, refused. It carries a password: nothing
 * of the question is in the answer or in any log, and what held it is wiped. Called through the
 * table of route.c.
 */
#include "admin/json_answer.h"
#include "admin/json_body.h"
#include "base/base64.h"

#define PASSWORD_MAX 1024

static const char *source_name(enum auth_source source)
{
    static const char *const names[] = {[AUTH_SOURCE_NONE] = "none",
        [AUTH_SOURCE_STATIC] = "static",
        [AUTH_SOURCE_REST] = "rest",
        [AUTH_SOURCE_OAUTH] = "oauth",
        [AUTH_SOURCE_STORE] = "store"};
    return names[source];
}

/* A text that need not be UTF-8, as JSON must be; empty: null. */
static json_t *text_or_null(const char *text)
{
    json_t *json = text[0] != '\0' ? json_string(text) : NULL;
    return json ? json : json_null();
}

static json_t *explanation_json(const struct auth_explanation *e)
{
    json_t *expires = e->expires_at ? json_integer(e->expires_at) : json_null();
    return json_pack("{s:b, s:s, s:s, s:s, s:o, s:o, s:o}", "accepted", e->reason == REASON_NONE,
        "reason", reason_name(e->reason), "reason_text", reason_help(e->reason), "source",
        source_name(e->source), "credential", text_or_null(e->credential), "expires_at", expires,
        "text", text_or_null(e->text));
}

static void on_explained(void *ctx, const struct auth_explanation *explanation)
{
    if (explanation) {
        admin_json_answer(ctx, explanation_json(explanation));
    } else {
        admin_json_answer_refused(ctx, 404, "no such realm");
    }
}

static unsigned ask(const struct admin_request *request, const json_t *json, FILE *out)
{
    static const char *const known[] = {"user", "password", "token", "realm"};
    struct admin_explain what = {.explained = on_explained, .ctx = request->later};
    struct slice token;
    uint8_t bytes[ADMIN_BODY_MAX];
    int len = -1;
    unsigned status = ADMIN_LATER;
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        admin_json_text(json, "user", ADMIN_USER_MAX, &what.user) < 0 ||
        admin_json_text(json, "password", PASSWORD_MAX, &what.password) < 0 ||
        admin_json_text(json, "token", ADMIN_BODY_MAX, &token) < 0 ||
        admin_json_text(json, "realm", ADMIN_REALM_MAX, &what.realm) < 0 ||
        what.user.len + token.len == 0 || (len = base64_decode(bytes, sizeof(bytes), token)) < 0) {
        status = admin_json_refuse(out, 422,
            "user, or a token in base64, or both are needed; password and realm may be there");
    } else {
        what.token = slice_of(bytes, (size_t)len);
        request->ops->explain(request->ops->ctx, &what);
    }
    secret_cleanse(bytes, sizeof(bytes));
    return status;
}

unsigned admin_post_explain(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, ask);
}
