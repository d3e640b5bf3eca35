/*
 * POST /api/v1/revocations: whoever is named is not let in any more, on every instance. The answer
 * repeats nothing of what was asked: in the place of an id somebody may have put a secret. Called
 * through the table of route.c.
 */
#include <errno.h>
#include <string.h>

#include "admin/json_answer.h"
#include "admin/json_body.h"
#include "auth/oauth.h"

static enum revocation_kind kind_of(struct slice name)
{
    static const struct {
        const char *name;
        enum revocation_kind kind;
    } kinds[] = {{"user", REVOKE_USER}, {"token", REVOKE_TOKEN}, {"secret", REVOKE_SECRET}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (slice_equal(name, slice_of_string(kinds[i].name))) {
            return kinds[i].kind;
        }
    }
    return 0;
}

/* 0 with *out borrowed from `json`, or -EINVAL. */
static int read_revocation(const json_t *json, struct admin_revocation *out)
{
    static const char *const known[] = {"kind", "id", "realm", "seconds"};
    const json_t *seconds = json_object_get(json, "seconds");
    struct admin_revocation what = {0};
    struct slice kind;
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        admin_json_text(json, "kind", REVOCATION_ID_MAX, &kind) < 0 ||
        admin_json_text(json, "id", REVOCATION_ID_MAX, &what.id) < 0 ||
        admin_json_text(json, "realm", ADMIN_REALM_MAX, &what.realm) < 0 ||
        !json_is_integer(seconds)) {
        return -EINVAL;
    }
    what.kind = kind_of(kind);
    if (!what.kind || what.id.len == 0 || json_integer_value(seconds) < 0 ||
        json_integer_value(seconds) > UINT32_MAX) {
        return -EINVAL;
    }
    what.seconds = (uint32_t)json_integer_value(seconds);
    *out = what;
    return 0;
}

/* Those of users and secrets may be anything; a token's that is mistyped would revoke nothing. */
static bool may_be_an_id(const struct admin_revocation *what)
{
    size_t n = 0;
    if (what->kind != REVOKE_TOKEN) {
        return true;
    }
    while (n < what->id.len && what->id.data[n] && strchr("0123456789abcdef", what->id.data[n])) {
        n++;
    }
    return n == OAUTH_ID_LEN && n == what->id.len;
}

/* Users of REST are in no list, and tokens in none either: of these nothing could be said. */
static void say_revoked(const struct admin_revocation *what, enum auth_known known, FILE *out)
{
    static const char *const words[] = {
        [AUTH_KNOWN_NO] = "false", [AUTH_KNOWN_YES] = "true", [AUTH_KNOWN_MAYBE] = "null"};
    fputs("{\"revoked\": true", out);
    if (what->kind == REVOKE_SECRET) {
        fprintf(out, ", \"known\": %s", words[known]);
    }
    fputs("}\n", out);
}

static unsigned revoke(const struct admin_request *request, const json_t *json, FILE *out)
{
    const struct admin_ops *ops = request->ops;
    struct admin_revocation what;
    enum auth_known known;
    if (read_revocation(json, &what) < 0) {
        return admin_json_refuse(out, 422,
            "kind (user, token or secret), id and seconds are needed; realm may be there");
    }
    if (!may_be_an_id(&what)) {
        return admin_json_refuse(
            out, 422, "the id of a token has 16 hexadecimal digits, small letters");
    }
    switch (ops->revoke(ops->ctx, &what, &known)) {
    case 0:
        say_revoked(&what, known, out);
        return 200;
    case -ENOENT:
        return admin_json_refuse(out, 404, "no such realm");
    case -EINVAL:
        return admin_json_refuse(out, 422, "no such id can be");
    case -ENOSPC:
        return admin_json_refuse(out, 507, "as many revocations are in force as may be");
    default:
        return admin_json_refuse(out, 500, "it could not be revoked");
    }
}

unsigned admin_post_revocations(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, revoke);
}
