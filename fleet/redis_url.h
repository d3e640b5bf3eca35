/*
 * Where Redis is, as one line:
 *
 *   redis://[[user]:password@]host[:port][/database]               port 6379, database 0
 *   rediss://...                                                    the same over TLS
 *   unix://[[user]:password@]/path/of/the.sock[?db=database]
 *   redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/master[/database]
 *   rediss+sentinel://...                                           port 26379; TLS to all of them
 *
 * User and password may hold any byte as %XX. A host is a DNS name, an IPv4 address, or an IPv6
 * address in brackets. Anything else is refused: nothing is guessed.
 */
#ifndef FLEET_REDIS_URL_H
#define FLEET_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"

#define REDIS_HOST_MAX     253
#define REDIS_PATH_MAX     107 /* of sockaddr_un */
#define REDIS_MASTER_MAX   64
#define REDIS_HOSTS_MAX    8
#define REDIS_DATABASE_MAX 65535

struct redis_endpoint {
    char host[REDIS_HOST_MAX + 1]; /* a name or an address without brackets */
    uint16_t port;                 /* host byte order, never 0 */
};

struct redis_url {
    bool tls;
    bool sentinel;                 /* the hosts are Sentinels, and `master` is set */
    char path[REDIS_PATH_MAX + 1]; /* of a unix socket; empty: hosts[0..host_count) */
    struct redis_endpoint hosts[REDIS_HOSTS_MAX];
    size_t host_count;
    char master[REDIS_MASTER_MAX + 1];
    struct secret user;     /* empty: the default one */
    struct secret password; /* empty: no AUTH */
    uint32_t database;
};

/* 0; or -EINVAL with what is wrong in *error (static, quotes nothing of the text), or -ENOMEM; *out
 * untouched. */
int redis_url_parse(struct redis_url *out, const char *text, const char **error);
void redis_url_deinit(struct redis_url *url);

/* The same line for logs: user and password as "***". Returns `out`; cut at `cap` (≥ 1). */
const char *redis_url_describe(const struct redis_url *url, char *out, size_t cap);

#endif
