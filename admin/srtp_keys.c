/*
 * POST /api/v1/srtp-keys: the signalling side deposits keys of media, or takes them back. What is
 * asked is wiped with the body it came in; the answer repeats nothing of it, and says of a crypto
 * attribute only what kind of fault is in it. Called through the table of route.c.
 */
#include <errno.h>

#include "admin/json_answer.h"
#include "admin/json_body.h"
#include "srtp/crypto_attribute.h"

#define SECONDS_MAX   (2 * 86400)
#define DIRECTION_MAX 9

static const char wrong[] =
    "either allocation (16 hexadecimal digits, small letters) or user and ssrc, direction (to_peer "
    "or to_client), seconds (to 172800) and crypto are needed; realm and roc may be there; to take "
    "back, seconds is 0, without crypto and roc";

/* Missing is fine. */
static int read_number(const json_t *json, const char *key, uint32_t *out, bool *there)
{
    uint64_t number = 0;
    *there = json_object_get(json, key) != NULL;
    if (admin_json_number(json, key, UINT32_MAX, &number) < 0)
        return -EINVAL;
    *out = (uint32_t)number;
    return 0;
}

static int read_direction(const json_t *json, uint8_t *out)
{
    struct slice text;
    if (admin_json_text(json, "direction", DIRECTION_MAX, &text) < 0)
        return -EINVAL;
    *out = slice_equal(text, slice_of_string("to_peer")) ? SRTP_TO_PEER : SRTP_TO_CLIENT;
    return *out == SRTP_TO_PEER || slice_equal(text, slice_of_string("to_client")) ? 0 : -EINVAL;
}

/* Who, and in which direction. */
static int read_binding(const json_t *json, struct admin_srtp_key *what)
{
    if (admin_json_id(json, "allocation", &what->allocation) < 0 ||
        admin_json_text(json, "user", ADMIN_USER_MAX, &what->user) < 0 ||
        admin_json_text(json, "realm", ADMIN_REALM_MAX, &what->realm) < 0 ||
        read_number(json, "ssrc", &what->ssrc, &what->has_ssrc) < 0 ||
        read_direction(json, &what->direction) < 0)
        return -EINVAL;
    if (what->allocation != 0)
        return what->user.len == 0 && what->realm.len == 0 ? 0 : -EINVAL;
    return what->user.len > 0 && what->has_ssrc ? 0 : -EINVAL;
}

/* 0 with *out borrowed from `json`, or -EINVAL. */
static int read_key(const json_t *json, struct admin_srtp_key *out)
{
    static const char *const known[] = {
        "allocation", "user", "realm", "ssrc", "direction", "crypto", "roc", "seconds"};
    struct admin_srtp_key what = {0};
    bool has_seconds;
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        read_binding(json, &what) < 0 ||
        admin_json_text(json, "crypto", CRYPTO_ATTRIBUTE_MAX, &what.crypto) < 0 ||
        read_number(json, "roc", &what.roc, &what.has_roc) < 0 ||
        read_number(json, "seconds", &what.seconds, &has_seconds) < 0 || !has_seconds ||
        what.seconds > SECONDS_MAX)
        return -EINVAL;
    what.take_back = what.seconds == 0;
    if (what.take_back ? what.crypto.len > 0 || what.has_roc : what.crypto.len == 0)
        return -EINVAL;
    *out = what;
    return 0;
}

static unsigned say_kept(const struct admin_srtp_key *what, FILE *out)
{
    if (what->take_back)
        fputs("{\"until\": null}\n", out);
    else
        fprintf(out, "{\"until\": %lld}\n", (long long)(clock_now().wall_s + what->seconds));
    return 200;
}

static unsigned deposit(const struct admin_request *request, const json_t *json, FILE *out)
{
    const struct admin_ops *ops = request->ops;
    struct admin_srtp_key what;
    const char *why = "no such key can be";
    if (read_key(json, &what) < 0)
        return admin_json_refuse(out, 422, wrong);
    switch (ops->srtp_key ? ops->srtp_key(ops->ctx, &what, &why) : -ENOSYS) {
    case 0:
        return say_kept(&what, out);
    case -ENOENT:
        return admin_json_refuse(out, 404, "no such realm");
    case -EINVAL:
        return admin_json_refuse(out, 422, why);
    case -ENOSPC:
        return admin_json_refuse(out, 507, "as many keys are in force as may be");
    case -ENOSYS:
        return admin_json_refuse(out, 501, "this build verifies nothing: it is without libsrtp2");
    default:
        return admin_json_refuse(out, 500, "it could not be deposited");
    }
}

unsigned admin_post_srtp_keys(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, deposit);
}
