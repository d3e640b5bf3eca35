/*
 * Reads the one line that says where Redis is. A line that could mean two things is refused, and no
 * error quotes the line: a password may stand anywhere in a mistyped one. Called by redis_link.c,
 * and by whoever checks a configuration.
 */
#include "fleet/redis_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define REDIS_PORT     6379
#define SENTINEL_PORT  26379
#define CREDENTIAL_MAX 512 /* bytes of a user or a password, decoded */

/* What is left of the line, and the first thing that is wrong with it. */
struct reader {
    struct slice rest;
    const char *error;
    bool no_memory;
};

static bool refuse(struct reader *r, const char *error)
{
    if (!r->error)
        r->error = error;
    return false;
}

static bool skip_prefix(struct reader *r, const char *prefix)
{
    const size_t len = strlen(prefix);
    if (r->rest.len < len || memcmp(r->rest.data, prefix, len) != 0)
        return false;
    r->rest = slice_of(r->rest.data + len, r->rest.len - len);
    return true;
}

/* Up to the first of `ends`, which stays; the whole rest where there is none. */
static struct slice take_until(struct reader *r, const char *ends)
{
    size_t len = 0;
    while (len < r->rest.len && !strchr(ends, r->rest.data[len]))
        len++;
    const struct slice taken = slice_of(r->rest.data, len);
    r->rest = slice_of(r->rest.data + len, r->rest.len - len);
    return taken;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (uint8_t)tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 section 2.1: "A percent-encoded octet is encoded as a character triplet". */
static bool decode(struct reader *r, struct slice text, struct secret *out)
{
    uint8_t decoded[CREDENTIAL_MAX];
    size_t len = 0, i = 0;
    bool good = true;
    while (good && i < text.len && len < sizeof(decoded)) {
        uint8_t byte = text.data[i++];
        if (byte == '%') {
            const int high = text.len - i >= 2 ? hex_digit(text.data[i]) : -1;
            const int low = text.len - i >= 2 ? hex_digit(text.data[i + 1]) : -1;
            good = high >= 0 && low >= 0;
            byte = (uint8_t)(high * 16 + low);
            i += 2;
        } else {
            good = byte > 0x20 && byte < 0x7f;
        }
        decoded[len++] = byte;
    }
    if (!good)
        refuse(r, "user or password: a % without two hexadecimal digits, or a byte that needs one");
    else if (i < text.len)
        good = refuse(r, "user or password: longer than 512 bytes");
    else if (len > 0 && secret_set(out, slice_of(decoded, len)) < 0)
        good = !(r->no_memory = true);
    secret_cleanse(decoded, sizeof(decoded));
    return good;
}

/* "[user]:password@", if there is one before the host. */
static bool read_credentials(struct redis_url *url, struct reader *r)
{
    struct reader look = *r;
    const struct slice both = take_until(&look, "@/?");
    if (look.rest.len == 0 || look.rest.data[0] != '@')
        return true;
    const uint8_t *colon = memchr(both.data, ':', both.len);
    if (!colon)
        return refuse(
            r, "there is no password behind the user: write user:password@, or :password@");
    const struct slice user = slice_of(both.data, (size_t)(colon - both.data));
    const struct slice password = slice_of(colon + 1, both.len - user.len - 1);
    if (password.len == 0)
        return refuse(r, "the password is empty");
    r->rest = slice_of(look.rest.data + 1, look.rest.len - 1);
    return decode(r, user, &url->user) && decode(r, password, &url->password);
}

/* A decimal number without leading zeros, all of the text. */
static bool read_number(struct slice text, uint32_t max, uint32_t *out)
{
    uint32_t value = 0;
    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.data[i] - '0');
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

static bool is_host(struct slice text, const char *others)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!isalnum(text.data[i]) && !strchr(others, text.data[i]))
            return false;
        if (text.data[i] == '\0')
            return false;
    }
    /* A name that begins with a dot means "any name below" to a check of certificates. */
    return text.len > 0 && text.len <= REDIS_HOST_MAX && text.data[0] != '.' && text.data[0] != '-';
}

static bool read_host(struct reader *r, struct redis_endpoint *endpoint, uint16_t default_port)
{
    const bool bracketed = skip_prefix(r, "[");
    const struct slice host = take_until(r, bracketed ? "]" : ":,/?");
    if (bracketed && !skip_prefix(r, "]"))
        return refuse(r, "host: the bracket is not closed");
    if (!is_host(host, bracketed ? ":." : "-._"))
        return refuse(r, "host: is no DNS name, IPv4 address or IPv6 address in brackets");
    uint32_t port = default_port;
    if (skip_prefix(r, ":") && (!read_number(take_until(r, ",/?"), UINT16_MAX, &port) || port == 0))
        return refuse(r, "port: is no number from 1 to 65535");
    memcpy(endpoint->host, host.data, host.len);
    endpoint->host[host.len] = '\0';
    endpoint->port = (uint16_t)port;
    return true;
}

static bool read_hosts(struct redis_url *url, struct reader *r)
{
    do {
        if (url->host_count == REDIS_HOSTS_MAX)
            return refuse(r, "more than 8 hosts");
        if (!read_host(r, &url->hosts[url->host_count], url->sentinel ? SENTINEL_PORT : REDIS_PORT))
            return false;
        url->host_count++;
    } while (url->sentinel && skip_prefix(r, ","));
    return true;
}

static bool read_master(struct redis_url *url, struct reader *r)
{
    const struct slice name = skip_prefix(r, "/") ? take_until(r, "/") : slice_of("", 0);
    /* What Sentinel itself takes as a name. */
    if (name.len > REDIS_MASTER_MAX || !is_host(name, "-._"))
        return refuse(
            r, "the name of the master is missing, or has other characters than A-Z a-z 0-9 . - _");
    memcpy(url->master, name.data, name.len);
    return true;
}

static bool read_database(struct redis_url *url, struct reader *r)
{
    const struct slice text = slice_of(r->rest.data, r->rest.len);
    r->rest.len = 0;
    return read_number(text, REDIS_DATABASE_MAX, &url->database) ||
           refuse(r, "database: is no number from 0 to 65535");
}

static bool read_path(struct redis_url *url, struct reader *r)
{
    const struct slice path = take_until(r, "?#%");
    if (path.len < 2 || path.len > REDIS_PATH_MAX || path.data[0] != '/')
        return refuse(r, "path: is not absolute, or longer than 107 bytes");
    memcpy(url->path, path.data, path.len);
    return r->rest.len == 0 || (skip_prefix(r, "?db=") && read_database(url, r)) ||
           refuse(r, "path: only ?db= may follow it");
}

static bool read_all(struct redis_url *url, struct reader *r)
{
    if (skip_prefix(r, "unix://"))
        return read_credentials(url, r) && read_path(url, r);
    if (skip_prefix(r, "redis+sentinel://"))
        url->sentinel = true;
    else if (skip_prefix(r, "rediss+sentinel://"))
        url->sentinel = url->tls = true;
    else if (skip_prefix(r, "rediss://"))
        url->tls = true;
    else if (!skip_prefix(r, "redis://"))
        return refuse(r, "does not begin with redis://, rediss://, unix://, redis+sentinel:// or "
                         "rediss+sentinel://");
    if (!read_credentials(url, r) || !read_hosts(url, r))
        return false;
    if (url->sentinel && !read_master(url, r))
        return false;
    if (skip_prefix(r, "/") && r->rest.len > 0)
        return read_database(url, r);
    return r->rest.len == 0 || refuse(r, "something follows the host that does not belong there");
}

int redis_url_parse(struct redis_url *out, const char *text, const char **error)
{
    struct redis_url url = {0};
    struct reader r = {.rest = slice_of_string(text)};
    if (read_all(&url, &r)) {
        *out = url;
        return 0;
    }
    redis_url_deinit(&url);
    if (r.no_memory)
        return -ENOMEM;
    *error = r.error;
    return -EINVAL;
}

void redis_url_deinit(struct redis_url *url)
{
    secret_wipe(&url->user);
    secret_wipe(&url->password);
}

const char *redis_url_describe(const struct redis_url *url, char *out, size_t cap)
{
    char hosts[REDIS_HOSTS_MAX * (REDIS_HOST_MAX + 10)] = "";
    size_t len = 0;
    for (size_t i = 0; i < url->host_count; i++) {
        const struct redis_endpoint *e = &url->hosts[i];
        const bool ipv6 = strchr(e->host, ':') != NULL;
        const int written = snprintf(hosts + len, sizeof(hosts) - len, "%s%s%s%s:%u",
            i > 0 ? "," : "", ipv6 ? "[" : "", e->host, ipv6 ? "]" : "", (unsigned)e->port);
        len += written > 0 ? (size_t)written : 0;
    }
    const char *credentials = url->password.len > 0 ? "***@" : "";
    if (url->path[0] != '\0')
        snprintf(out, cap, "unix://%s%s?db=%u", credentials, url->path, (unsigned)url->database);
    else
        snprintf(out, cap, "redis%s%s://%s%s%s%s/%u", url->tls ? "s" : "",
            url->sentinel ? "+sentinel" : "", credentials, hosts, url->sentinel ? "/" : "",
            url->master, (unsigned)url->database);
    return out;
}
