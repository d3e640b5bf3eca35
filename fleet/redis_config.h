/* What a link keeps of its settings: copies, checked, with the defaults filled in. Internal to
 * fleet/. */
#ifndef FLEET_REDIS_CONFIG_H
#define FLEET_REDIS_CONFIG_H

#include "fleet/redis_hello.h"
#include "fleet/redis_link.h"
#include "fleet/redis_url.h"

struct redis_config {
    struct redis_url url;
    char *client_name;
    struct secret sentinel_user, sentinel_password;
    struct tls_connector_settings tls;
    uint32_t connect_ms, handshake_ms, in_flight, reply_max, write_max;
    char *channels[REDIS_CHANNELS_MAX];
    size_t channel_count;
};

/* 0, -EINVAL or -ENOMEM with one line in `error`; *out untouched. */
int redis_config_init(struct redis_config *out, const struct redis_link_options *options,
    char *error, size_t error_cap);
void redis_config_deinit(struct redis_config *c);

#endif
