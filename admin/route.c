/*
 * The table of resources, and who may ask for them. A browser on this machine can be made to send
 * requests to loopback under a name of the attacker's (DNS rebinding): what needs a token needs a
 * Host of ours too. Called by server.c.
 */
#include "admin/route.h"

#include <strings.h>

#define TEXT    "text/plain; charset=utf-8"
#define JSON    "application/json"
#define METRICS "text/plain; version=0.0.4; charset=utf-8"

const struct admin_route admin_routes[] = {
    {ADMIN_GET, "/metrics", false, METRICS, admin_get_metrics, false, false, false},
    {ADMIN_GET, "/live", false, TEXT, admin_get_live, false, false, false},
    {ADMIN_GET, "/ready", false, TEXT, admin_get_ready, false, false, false},
    {ADMIN_GET, "/api/v1/status", true, JSON, admin_get_status, false, false, false},
    {ADMIN_POST, "/api/v1/revocations", true, JSON, admin_post_revocations, true, false, false},
    {ADMIN_POST, "/api/v1/explain", true, JSON, admin_post_explain, true, true, false},
    {ADMIN_POST, "/api/v1/limits", true, JSON, admin_post_limits, true, true, false},
    {ADMIN_POST, "/api/v1/srtp-keys", true, JSON, admin_post_srtp_keys, true, false, false},
    {ADMIN_POST, "/api/v1/sessions", true, JSON, admin_post_sessions, true, true, false},
    {ADMIN_POST, "/api/v1/kick", true, JSON, admin_post_kick, true, true, false},
    {ADMIN_GET, "/api/v1/config", true, JSON, admin_get_config, false, false, false},
    {ADMIN_GET, "/api/v1/log-level", true, JSON, admin_get_log_level, false, false, false},
    {ADMIN_POST, "/api/v1/log-level", true, JSON, admin_post_log_level, true, false, false},
    {ADMIN_GET, "/api/v1/openapi.json", true, JSON, admin_get_openapi, false, false, false},
    {ADMIN_POST, "/api/v1/credentials", true, JSON, admin_post_credentials, true, false, true},
    {ADMIN_POST, "/api/v1/reload", true, JSON, admin_post_reload, true, true, false},
    {ADMIN_GET, "/api/v1/drain", true, JSON, admin_get_drain, false, false, false},
    {ADMIN_POST, "/api/v1/drain", true, JSON, admin_post_drain, true, true, false},
};
const size_t admin_route_count = sizeof(admin_routes) / sizeof(admin_routes[0]);

/* Without the port: tunnels change it, and it protects nothing. */
static struct slice without_port(struct slice host)
{
    size_t end = host.len;
    while (end > 0 && host.data[end - 1] >= '0' && host.data[end - 1] <= '9') {
        end--;
    }
    return end > 0 && host.data[end - 1] == ':' ? slice_of(host.data, end - 1) : host;
}

static bool equal_name(struct slice a, const char *b)
{
    return a.len == strlen(b) && strncasecmp((const char *)a.data, b, a.len) == 0;
}

/* An IPv4 address, or an IPv6 address in brackets ("IP-literal", RFC 3986 section 3.2.2). */
static bool read_address(struct slice name, struct addr *out)
{
    char text[ADDR_TEXT_MAX];
    const bool in_brackets = name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']';
    if (in_brackets) {
        name = slice_of(name.data + 1, name.len - 2);
    }
    if (name.len == 0 || name.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return strlen(text) == name.len && addr_parse_ip(out, text) == 0 &&
           out->family == (in_brackets ? ADDR_IPV6 : ADDR_IPV4);
}

static bool is_configured(struct slice name, const struct addr *addr, const char *host)
{
    struct addr other;
    if (!addr) {
        return equal_name(name, host);
    }
    return addr_parse_ip(&other, host) == 0 && addr_equal_ip(addr, &other);
}

/* A name under which this machine reaches itself, the address that was connected to, or one that
 * the configuration says: none of them is an attacker's. */
static bool host_is_ours(const struct admin_question *q, const struct admin_access *access)
{
    struct slice name = without_port(q->host);
    struct addr addr;
    const bool is_address = read_address(name, &addr);
    if (equal_name(name, "localhost") || (is_address && addr_is_loopback(&addr)) ||
        (is_address && q->peer.at.family != ADDR_NONE && addr_equal_ip(&addr, &q->peer.at))) {
        return true;
    }
    for (size_t i = 0; name.len > 0 && i < access->host_count; i++) {
        if (is_configured(name, is_address ? &addr : NULL, access->hosts[i])) {
            return true;
        }
    }
    return false;
}

#define SCHEME "Bearer "

/* "credentials = "Bearer" 1*SP b64token" (RFC 6750 section 2.1); the scheme's case does not matter
 * (RFC 9110 section 11.1) */
bool admin_route_has_token(struct slice authorization)
{
    return authorization.len > strlen(SCHEME) &&
           strncasecmp((const char *)authorization.data, SCHEME, strlen(SCHEME)) == 0;
}

static bool token_is_right(struct slice authorization, const struct secret *token)
{
    size_t skip = strlen(SCHEME);
    if (token->len == 0 || !admin_route_has_token(authorization)) {
        return false;
    }
    while (skip < authorization.len && authorization.data[skip] == ' ') {
        skip++;
    }
    return secret_equal(
        slice_of(authorization.data + skip, authorization.len - skip), secret_slice(token));
}

static unsigned find(const struct admin_question *q, const struct admin_route **route)
{
    enum admin_method method = q->method == ADMIN_HEAD ? ADMIN_GET : q->method;
    unsigned status = 404;
    for (size_t i = 0; i < admin_route_count; i++) {
        if (!slice_equal(q->path, slice_of_string(admin_routes[i].path))) {
            continue;
        }
        if (admin_routes[i].method == method) {
            *route = &admin_routes[i];
            return 200;
        }
        status = 405;
    }
    return status;
}

/* "media-type = type "/" subtype parameters", case-insensitive (RFC 9110 section 8.3.1); what
 * parameters say does not matter: JSON is UTF-8 (RFC 8259 section 8.1). */
static bool says_json(struct slice type)
{
    size_t len = 0;
    while (len < type.len && type.data[len] != ';' && type.data[len] != ' ' &&
           type.data[len] != '\t') {
        len++;
    }
    return equal_name(slice_of(type.data, len), JSON);
}

static unsigned judge_body(const struct admin_question *q, const struct admin_route *route)
{
    if (!route->takes_body) {
        return q->has_body ? 413 : 200;
    }
    if (!says_json(q->content_type)) {
        return 415;
    }
    if (q->body_len == 0) {
        return 400;
    }
    return q->body_len > ADMIN_BODY_MAX ? 413 : 200;
}

unsigned admin_route_judge_peer(const struct admin_question *q, const struct admin_access *access,
    const struct admin_route *route)
{
    if (route->secrets && !q->peer.local && !q->peer.secure) {
        return 403;
    }
    if (!route->needs_token || q->peer.local) {
        return 200;
    }
    if (!host_is_ours(q, access)) {
        return 403;
    }
    return q->peer.certified || token_is_right(q->authorization, access->token) ? 200 : 401;
}

unsigned admin_route_judge(const struct admin_question *q, const struct admin_access *access,
    const struct admin_route **route)
{
    const struct admin_route *found = NULL;
    if (q->peer.local && !q->peer.trusted) {
        return 403;
    }
    unsigned status = find(q, &found);
    if (status == 200) {
        status = admin_route_judge_peer(q, access, found);
    }
    if (status == 200) {
        status = judge_body(q, found);
    }
    if (status == 200) {
        *route = found;
    }
    return status;
}

bool admin_route_is_api(struct slice path)
{
    static const char api[] = "/api/";
    return path.len >= sizeof(api) - 1 && memcmp(path.data, api, sizeof(api) - 1) == 0;
}

const char *admin_route_allowed(struct slice path)
{
    static const char *const allowed[] = {"", "GET, HEAD", "POST", "GET, HEAD, POST"};
    unsigned methods = 0;
    for (size_t i = 0; i < admin_route_count; i++) {
        if (slice_equal(path, slice_of_string(admin_routes[i].path))) {
            methods |= admin_routes[i].method == ADMIN_POST ? 2u : 1u;
        }
    }
    return allowed[methods];
}

const char *admin_status_text(unsigned status)
{
    switch (status) {
    case 400:
        return "a Content-Length and as many bytes of JSON are needed";
    case 401:
        return "a bearer token of admin.token_file or a client certificate is needed";
    case 403:
        return "not for this client: over TCP the Host must be localhost, the address that was "
               "connected to or one of admin.hosts, over the socket the user must be root or the "
               "daemon's; credentials are given out over TLS, loopback and the socket only";
    case 404:
        return "no such resource";
    case 405:
        return "the resource does not know this method";
    case 413:
        return "the resource takes no body, or none so long";
    case 415:
        return "Content-Type must be application/json";
    case 503:
        return "too many others wait for the same, or there was no answer in time";
    default:
        return "the request could not be served";
    }
}
