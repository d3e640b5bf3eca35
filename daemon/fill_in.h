/*
 * What a configuration leaves to the daemon: the host's own addresses, relayed addresses, the nonce
 * secret. Control thread.
 */
#ifndef DAEMON_FILL_IN_H
#define DAEMON_FILL_IN_H

#include "config/config.h"
#include "daemon/endpoints.h"

/*
 * Relayed addresses where none is named (routing table), and a check that each can be bound. 0, or
 * -errno with a line in `error`.
 */
int fill_in_relayed(struct relay_settings *relay, char *error, size_t error_cap);
/*
 * The peer policy's own addresses and those never reached: our endpoints and the admin server. 0 or
 * -errno with a line in `error`.
 */
int fill_in_policy(
    struct config *config, const struct endpoints *endpoints, char *error, size_t error_cap);
/* More that are never reached; those that are in already stay once. 0 or -ENOMEM. */
int fill_in_never(struct config *config, const struct addr *list, size_t count);
/*
 * The nonce secret where none is named: `kept` is made once a process, so that a reload leaves
 * nonces valid. A warning says so where it is made although there is a Redis, which instances
 * share. 0, -EIO, -ENOMEM.
 */
int fill_in_nonce_secret(struct config *config, struct secret *kept);

#endif
