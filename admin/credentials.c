/*
 * POST /api/v1/credentials: a REST credential for one user, in the shape that its client wants. The
 * answer carries a password: the table says so. Called through the table of route.c.
 */
#include <errno.h>

#include "admin/json_answer.h"
#include "admin/json_body.h"
#include "base/secret.h"

struct made {
    const struct admin_ops *ops;
    struct admin_credential_made credential;
};

/* Where clients go with it; NULL: memory was too short. */
static json_t *uris(const struct made *m)
{
    json_t *list = json_array();
    char uri[ADMIN_URI_MAX];
    for (size_t n = 0; list && m->ops->uri(m->ops->ctx, m->credential.realm, n, uri); n++) {
        if (json_array_append_new(list, json_string(uri)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* draft-uberti-behave-turn-rest-00 section 2.2, and "GET /voip/turnServer" of Matrix: "password,
 * ttl, uris, username". */
static json_t *as_uberti(const struct made *m)
{
    return json_pack("{s:s, s:s, s:I, s:o}", "username", m->credential.username, "password",
        m->credential.password, "ttl", (json_int_t)m->credential.ttl_s, "uris", uris(m));
}

/* RTCConfiguration of the WebRTC API, as it is handed to RTCPeerConnection. */
static json_t *as_ice(const struct made *m)
{
    return json_pack("{s:[{s:o, s:s, s:s}]}", "iceServers", "urls", uris(m), "username",
        m->credential.username, "credential", m->credential.password);
}

/* A server for each URI, each with both names of the key, and the lifetime as text: Twilio's
 * Network Traversal Service. */
static json_t *as_twilio(const struct made *m)
{
    json_t *list = uris(m), *servers = json_array(), *uri;
    size_t i;
    bool whole = list && servers;
    json_array_foreach(list, i, uri)
    {
        json_t *server = json_pack("{s:O, s:O, s:s, s:s}", "url", uri, "urls", uri, "username",
            m->credential.username, "credential", m->credential.password);
        whole = whole && json_array_append_new(servers, server) == 0;
    }
    json_decref(list);
    if (!whole) {
        json_decref(servers);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "username", m->credential.username, "password",
        m->credential.password, "ttl", json_sprintf("%u", m->credential.ttl_s), "ice_servers",
        servers);
}

typedef json_t *format_fn(const struct made *m);

/* NULL: none of this name. */
static format_fn *find_format(struct slice name)
{
    static const struct {
        const char *name;
        format_fn *write;
    } formats[] = {
        {"uberti", as_uberti}, {"matrix", as_uberti}, {"ice", as_ice}, {"twilio", as_twilio}};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (slice_equal(name, slice_of_string(formats[i].name))) {
            return formats[i].write;
        }
    }
    return name.len == 0 ? as_uberti : NULL;
}

/* 0 with both borrowed from `json`, or -EINVAL. */
static int read_question(const json_t *json, struct admin_credential *out, format_fn **format)
{
    static const char *const known[] = {"user", "realm", "ttl", "format"};
    struct admin_credential what = {0};
    struct slice name;
    uint64_t ttl = 0;
    if (!admin_json_only(json, known, sizeof(known) / sizeof(known[0])) ||
        admin_json_text(json, "user", ADMIN_USER_MAX, &what.user) < 0 || what.user.len == 0 ||
        admin_json_text(json, "realm", ADMIN_REALM_MAX, &what.realm) < 0 ||
        admin_json_text(json, "format", 16, &name) < 0 ||
        admin_json_number(json, "ttl", UINT32_MAX, &ttl) < 0 ||
        (json_object_get(json, "ttl") && ttl == 0) || !find_format(name)) {
        return -EINVAL;
    }
    what.ttl_s = (uint32_t)ttl;
    *out = what;
    *format = find_format(name);
    return 0;
}

static unsigned refuse(FILE *out, int error)
{
    switch (error) {
    case -ENOENT:
        return admin_json_refuse(out, 404, "no such realm");
    case -ENOKEY:
        return admin_json_refuse(out, 422, "the realm has no REST secret that is in use");
    case -EINVAL:
        return admin_json_refuse(
            out, 422, "no user can have this name: too long, or characters that RFC 8265 forbids");
    case -ERANGE:
        return admin_json_refuse(out, 422, "ttl is longer than auth.max_ttl");
    case -EAGAIN:
        return admin_json_refuse(out, 429, "too many credentials are asked for");
    default:
        return 500;
    }
}

static unsigned make(const struct admin_request *request, const json_t *json, FILE *out)
{
    const struct admin_ops *ops = request->ops;
    struct made m = {.ops = ops};
    struct admin_credential what;
    format_fn *format;
    char uri[ADMIN_URI_MAX];
    if (read_question(json, &what, &format) < 0) {
        return admin_json_refuse(out, 422,
            "user (to 497 bytes) is needed; realm, ttl (seconds) and format (uberti, ice, twilio "
            "or matrix) may "
            "be there");
    }
    const int r = ops->credential(ops->ctx, &what, &m.credential);
    if (r < 0) {
        return refuse(out, r);
    }
    unsigned status = 422;
    if (ops->uri(ops->ctx, m.credential.realm, 0, uri)) {
        status = admin_json_write(format(&m), out);
    } else {
        admin_json_refuse(out, status,
            "no listener serves this realm at a public address; admin.uris says where it is");
    }
    secret_cleanse(&m, sizeof(m));
    return status;
}

unsigned admin_post_credentials(const struct admin_request *request, FILE *out)
{
    return admin_json_serve(request, out, make);
}
