/* Called by redis_link.c, once. */
#include "fleet/redis_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_MS   1000u
#define HANDSHAKE_MS 2000u
#define IN_FLIGHT    4096u
#define REPLY_MAX    (1024u * 1024)
#define REPLY_MIN    4096u /* INFO has to fit */
#define WRITE_MAX    (4u * 1024 * 1024)
#define NAME_MAX_LEN 64u

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value > 0 ? value : otherwise;
}

/* A copy of `text`, or of nothing. False: out of memory. */
static bool copy(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return *out || !text;
}

static bool copy_strings(struct redis_config *c, const struct redis_link_options *options)
{
    const struct redis_settings *s = options->settings;
    const struct slice user = slice_of_string(s->sentinel_user ? s->sentinel_user : "");
    for (size_t i = 0; i < options->channel_count; i++) {
        if (!copy(&c->channels[i], options->channels[i]))
            return false;
        c->channel_count++;
    }
    return copy(&c->client_name, s->client_name ? s->client_name : "turnpike") &&
           copy(&c->tls.ca, s->tls.ca) && copy(&c->tls.crl, s->tls.crl) &&
           copy(&c->tls.cert, s->tls.cert) && copy(&c->tls.key, s->tls.key) &&
           copy(&c->tls.server_name, s->tls.server_name) &&
           secret_set(&c->sentinel_user, user) == 0 &&
           secret_set(&c->sentinel_password, secret_slice(&s->sentinel_password)) == 0;
}

/* Redis: "Client names cannot contain spaces, newlines or special characters." */
static bool is_client_name(const char *name)
{
    const size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    }
    return len > 0 && len <= NAME_MAX_LEN;
}

static int fill(
    struct redis_config *c, const struct redis_link_options *options, char *error, size_t error_cap)
{
    const struct redis_settings *s = options->settings;
    const char *wrong = "out of memory";
    const int result = redis_url_parse(&c->url, s->url, &wrong);
    if (result < 0) {
        snprintf(error, error_cap, "redis.url: %s", wrong);
        return result;
    }
    if (options->channel_count > REDIS_CHANNELS_MAX) {
        snprintf(error, error_cap, "redis: more than %d channels", REDIS_CHANNELS_MAX);
        return -EINVAL;
    }
    if (s->client_name && !is_client_name(s->client_name)) {
        snprintf(error, error_cap, "redis.client_name: is not 1 to 64 printable characters");
        return -EINVAL;
    }
    if (!copy_strings(c, options)) {
        snprintf(error, error_cap, "redis: out of memory");
        return -ENOMEM;
    }
    c->connect_ms = or_default(s->connect_ms, CONNECT_MS);
    c->handshake_ms = or_default(s->handshake_ms, HANDSHAKE_MS);
    c->in_flight = or_default(s->in_flight, IN_FLIGHT);
    c->reply_max = or_default(s->reply_max, REPLY_MAX);
    c->reply_max = c->reply_max > REPLY_MIN ? c->reply_max : REPLY_MIN;
    c->write_max = or_default(s->write_max, WRITE_MAX);
    return 0;
}

int redis_config_init(struct redis_config *out, const struct redis_link_options *options,
    char *error, size_t error_cap)
{
    struct redis_config c = {0};
    const int result = fill(&c, options, error, error_cap);
    if (result < 0)
        redis_config_deinit(&c);
    else
        *out = c;
    return result;
}

void redis_config_deinit(struct redis_config *c)
{
    redis_url_deinit(&c->url);
    free(c->client_name);
    secret_wipe(&c->sentinel_user);
    secret_wipe(&c->sentinel_password);
    free(c->tls.ca);
    free(c->tls.crl);
    free(c->tls.cert);
    free(c->tls.key);
    free(c->tls.server_name);
    for (size_t i = 0; i < c->channel_count; i++)
        free(c->channels[i]);
}
