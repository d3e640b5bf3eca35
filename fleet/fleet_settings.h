/* What the configuration says about Redis. Plain data; owned by the configuration; borrowed by
 * redis_link_new, which copies what it keeps. */
#ifndef FLEET_FLEET_SETTINGS_H
#define FLEET_FLEET_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "tls/tls_settings.h"

struct redis_settings {
    char *url;           /* see fleet/redis_url.h; holds a password: never logged as it is */
    char *client_name;   /* CLIENT SETNAME: printable, without spaces; NULL: "turnpike" */
    char *sentinel_user; /* for the Sentinels themselves, where they ask; NULL: the default one */
    struct secret sentinel_password;   /* empty: Sentinels are asked without AUTH */
    struct tls_connector_settings tls; /* for rediss:// and rediss+sentinel:// */
    char *prefix;          /* of every key of ours that limits live under; NULL: "turnpike" */
    bool limits;           /* share limits with other instances */
    uint32_t fleet_size;   /* instances that there are at least; 0: 1 */
    uint32_t connect_ms;   /* to connect to one address; 0: 1000 */
    uint32_t handshake_ms; /* for TLS, and again for AUTH to PING; 0: 2000 */
    uint32_t in_flight;    /* commands that wait for their reply; 0: 4096 */
    uint32_t reply_max;    /* bytes of one reply, as it is kept in memory; 0: 1 MiB */
    uint32_t write_max;    /* bytes that wait to be written; 0: 4 MiB */
};

#endif
