/*
 * The section `redis`. The URL is judged here as far as a line of the file can be named for it
 * without ever showing it, and by fleet/ whole; a user and a password in it are in no dump. Of the
 * files there are paths only. Called through the schema, and by config.c.
 */
#include "config/redis.h"

#include "config/credentials.h"
#include "config/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URL_FORM                                                                                   \
    "a URL: redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://, and a host or " \
    "a path"

static const char *const schemes[] = {
    "redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://"};

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_tls(const char *url)
{
    return begins_with(url, "rediss");
}

static bool is_sentinel(const char *url)
{
    return begins_with(url, "redis+") || begins_with(url, "rediss+");
}

/* Behind the scheme; NULL: there is none. */
static const char *after_scheme(const char *url)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (begins_with(url, schemes[i]))
            return url + strlen(schemes[i]);
    return NULL;
}

/* Behind the user and the password. With a stray @ in a password nothing of it is left over. */
static const char *after_credentials(const char *rest)
{
    const char *at = strrchr(rest, '@');

    return at ? at + 1 : rest;
}

/* `user:password` without its @ would pass for a host and a port, and be shown. */
static bool has_numeric_ports(const char *hosts)
{
    bool bracket = false;

    for (const char *p = hosts; *p != '\0' && *p != '/'; p++) {
        size_t digits = strspn(p + 1, "0123456789");

        bracket = *p == '[' || (bracket && *p != ']');
        if (*p == ':' && !bracket && (digits == 0 || !strchr(",/?", p[1 + digits])))
            return false;
    }
    return true;
}

/* What is wrong with it, or NULL. */
static const char *refuse_url(const char *url)
{
    const char *rest = after_scheme(url);

    for (const char *p = url; *p != '\0'; p++)
        if (*p <= ' ' || *p > '~')
            return "must hold no spaces, and other bytes than printable ASCII as %XX";
    if (!rest)
        return "must be " URL_FORM;
    if (begins_with(rest, CREDENTIALS_MASK "@"))
        return "has *** for a user and a password that a dump has hidden; write these";
    rest = after_credentials(rest);
    if (*rest == '\0' || (*rest == '/') != begins_with(url, "unix://"))
        return "must be " URL_FORM;
    return *rest == '/' || has_numeric_ports(rest)
               ? NULL
               : "must have a number as port; user:password ends with @";
}

static int fill_url(struct config *c, const struct schema_key *key,
    const struct document_node *value, const char *url, struct fault *fault)
{
    const char *why = refuse_url(url);
    size_t len = strlen(url);

    if (c->redis.url)
        return fault_set(
            fault, value->line, "'%s': the URL is given twice, in text and as a file", key->path);
    if (len < key->min || len > key->max)
        return fault_set(fault, value->line, "'%s' must have %u to %u bytes", key->path,
            (unsigned)key->min, (unsigned)key->max);
    if (why)
        return fault_set(fault, value->line, "'%s' %s", key->path, why);
    c->redis.url = strdup(url);
    return c->redis.url ? 0 : fault_out_of_memory(fault);
}

static int set_url(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    if (value->kind != DOCUMENT_SCALAR)
        return credentials_fault(key, value, fault);
    return fill_url(base, key, value, value->text, fault);
}

static int set_url_file(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct secret text = {0};
    int rc = credentials_read(&text, key, value, fault);

    if (rc == 0 && memchr(text.data, '\0', text.len))
        rc = fault_set(fault, value->line, "'%s' must not hold a NUL", key->path);
    if (rc == 0)
        rc = fill_url(base, key, value, (const char *)text.data, fault);
    secret_wipe(&text);
    return rc;
}

static void print_url(const void *base, const struct schema_key *key, FILE *out)
{
    const char *url = ((const struct config *)base)->redis.url, *rest, *host;

    if (!url) {
        fputs("none", out);
        return;
    }
    rest = after_scheme(url);
    host = after_credentials(rest);
    fprintf(out, "\"%.*s%s", (int)(rest - url), url, host > rest ? CREDENTIALS_MASK "@" : "");
    for (const char *p = host; *p != '\0'; p++)
        fprintf(out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    fputc('"', out);
}

static bool equal_url(const void *a, const void *b, const struct schema_key *key)
{
    const char *x = ((const struct config *)a)->redis.url;
    const char *y = ((const struct config *)b)->redis.url;

    return x && y ? strcmp(x, y) == 0 : x == y;
}

static bool has_url(const void *base, const struct schema_key *key)
{
    return ((const struct config *)base)->redis.url != NULL;
}

const struct schema_type type_redis_url = {.name = "url",
    .form = URL_FORM,
    .set = set_url,
    .print = print_url,
    .equal = equal_url,
    .present = has_url};
const struct schema_type type_redis_url_file = {
    .name = "path", .form = CREDENTIALS_FILE_FORM, .set = set_url_file};

static bool is_shared(const struct redis_settings *redis)
{
    return redis->url && redis->limits;
}

static bool has_sharing(const void *base, const struct schema_key *key)
{
    return is_shared(&((const struct config *)base)->redis);
}

/* As the types that they are of elsewhere; only a dump leaves them out where they mean nothing. */
static int set_limits(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    return type_boolean.set(base, key, value, fault);
}

static void print_limits(const void *base, const struct schema_key *key, FILE *out)
{
    type_boolean.print(base, key, out);
}

const struct schema_type type_redis_limits = {.name = "boolean",
    .form = "true or false",
    .set = set_limits,
    .print = print_limits,
    .present = has_url};

static int set_fleet_size(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    return type_number.set(base, key, value, fault);
}

static void print_fleet_size(const void *base, const struct schema_key *key, FILE *out)
{
    type_number.print(base, key, out);
}

const struct schema_type type_redis_fleet_size = {.name = "number",
    .form = "a whole number without quotes",
    .set = set_fleet_size,
    .print = print_fleet_size,
    .present = has_sharing};

/* No braces: what stands in them decides where Redis Cluster puts a key, and that is ours. */
static int set_prefix(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/-";

    if (value->kind != DOCUMENT_SCALAR || value->text[strspn(value->text, allowed)] != '\0')
        return schema_bad_value(key, value, fault);
    return type_text.set(base, key, value, fault);
}

static void print_prefix(const void *base, const struct schema_key *key, FILE *out)
{
    type_text.print(base, key, out);
}

const struct schema_type type_redis_prefix = {.name = "text",
    .form = "letters, digits, '_', '.', ':', '/' and '-'",
    .set = set_prefix,
    .print = print_prefix,
    .present = has_sharing};

static int set_on_failure(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    if (value->kind != DOCUMENT_SCALAR ||
        (strcmp(value->text, "local") != 0 && strcmp(value->text, "deny") != 0))
        return schema_bad_value(key, value, fault);
    ((struct config *)base)->limits.deny_alone = value->text[0] == 'd';
    return 0;
}

static void print_on_failure(const void *base, const struct schema_key *key, FILE *out)
{
    fputs(((const struct config *)base)->limits.deny_alone ? "deny" : "local", out);
}

const struct schema_type type_redis_on_failure = {.name = "choice",
    .form = "local or deny",
    .set = set_on_failure,
    .print = print_on_failure,
    .present = has_sharing};

/* Keys that would be taken for protection, or for a link that is not there. */
static int check_url(
    const struct redis_settings *redis, const struct document_node *root, struct fault *fault)
{
    const struct {
        const char *path;
        bool set, useful;
        const char *without;
    } keys[] = {
        {"redis.client_name", redis->client_name, redis->url, "'redis.url'"},
        {"redis.sentinel_user", redis->sentinel_user, redis->url && is_sentinel(redis->url),
            "Sentinels in 'redis.url'"},
        {"redis.sentinel_password", redis->sentinel_password.len > 0,
            redis->url && is_sentinel(redis->url), "Sentinels in 'redis.url'"},
        {"redis.tls.ca", redis->tls.ca, redis->url && is_tls(redis->url),
            "rediss:// in 'redis.url'"},
        {"redis.tls.crl", redis->tls.crl, redis->url && is_tls(redis->url),
            "rediss:// in 'redis.url'"},
        {"redis.tls.cert", redis->tls.cert, redis->url && is_tls(redis->url),
            "rediss:// in 'redis.url'"},
        {"redis.tls.key", redis->tls.key, redis->url && is_tls(redis->url),
            "rediss:// in 'redis.url'"},
        {"redis.tls.server_name", redis->tls.server_name, redis->url && is_tls(redis->url),
            "rediss:// in 'redis.url'"},
    };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (keys[i].set && !keys[i].useful)
            return fault_set(fault, document_line(root, keys[i].path),
                "'%s' means nothing without %s", keys[i].path, keys[i].without);
    return 0;
}

/* The same of limits. A default that a file names is no less a mistake. */
static int check_sharing(
    const struct redis_settings *redis, const struct document_node *root, struct fault *fault)
{
    static const char *const keys[] = {
        "redis.limits", "redis.fleet_size", "redis.on_failure", "redis.prefix"};
    const struct document_node *section = document_get(root, "redis");

    for (size_t i = 0; section && i < sizeof(keys) / sizeof(keys[0]); i++) {
        bool useful = i == 0 ? redis->url != NULL : is_shared(redis);

        if (!useful && document_get(section, keys[i] + strlen("redis.")))
            return fault_set(fault, document_line(root, keys[i]), "'%s' means nothing %s", keys[i],
                redis->url ? "where 'redis.limits' is false" : "without 'redis.url'");
    }
    return 0;
}

int redis_check(const struct config *c, const struct document_node *root, struct fault *fault)
{
    const struct redis_settings *redis = &c->redis;
    const struct tls_connector_settings *tls = &redis->tls;
    int rc = check_url(redis, root, fault);

    if (rc == 0)
        rc = check_sharing(redis, root, fault);
    if (rc < 0)
        return rc;
    if (!tls->cert != !tls->key)
        return fault_set(fault, document_line(root, tls->cert ? "redis.tls.cert" : "redis.tls.key"),
            "'redis.tls.cert' and 'redis.tls.key' belong together: '%s' is missing",
            tls->cert ? "redis.tls.key" : "redis.tls.cert");
    if (redis->sentinel_user && redis->sentinel_password.len == 0)
        return fault_set(fault, document_line(root, "redis.sentinel_user"),
            "'redis.sentinel_user' needs 'redis.sentinel_password'");
    return 0;
}

void redis_clear(struct redis_settings *redis)
{
    if (redis->url)
        secret_cleanse(redis->url, strlen(redis->url));
    free(redis->url);
    free(redis->client_name);
    free(redis->sentinel_user);
    free(redis->prefix);
    secret_wipe(&redis->sentinel_password);
    free(redis->tls.ca);
    free(redis->tls.crl);
    free(redis->tls.cert);
    free(redis->tls.key);
    free(redis->tls.server_name);
    memset(redis, 0, sizeof(*redis));
}

/* A copy of `text`, or of nothing. False: out of memory. */
static bool copy_text(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return *out || !text;
}

int redis_keep(struct redis_settings *next, const struct redis_settings *running)
{
    struct redis_settings copy = {.limits = running->limits,
        .fleet_size = running->fleet_size,
        .connect_ms = running->connect_ms,
        .handshake_ms = running->handshake_ms,
        .in_flight = running->in_flight,
        .reply_max = running->reply_max,
        .write_max = running->write_max};
    bool whole =
        copy_text(&copy.url, running->url) && copy_text(&copy.client_name, running->client_name) &&
        copy_text(&copy.sentinel_user, running->sentinel_user) &&
        copy_text(&copy.prefix, running->prefix) && copy_text(&copy.tls.ca, running->tls.ca) &&
        copy_text(&copy.tls.crl, running->tls.crl) &&
        copy_text(&copy.tls.cert, running->tls.cert) &&
        copy_text(&copy.tls.key, running->tls.key) &&
        copy_text(&copy.tls.server_name, running->tls.server_name) &&
        secret_set(&copy.sentinel_password, secret_slice(&running->sentinel_password)) == 0;

    if (!whole) {
        redis_clear(&copy);
        return -ENOMEM;
    }
    redis_clear(next);
    *next = copy;
    return 0;
}
