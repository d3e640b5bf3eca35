/* Where the running daemon listens and relays, as its status says, for selftest and doctor. */
#ifndef CLI_LISTENERS_H
#define CLI_LISTENERS_H

#include <jansson.h>

#include "base/addr.h"
#include "base/transport.h"

#define CLI_LISTENERS_MAX 256 /* more are left out */
#define CLI_RELAYED_MAX   8

struct cli_listener {
    enum transport transport;
    struct addr addr;        /* may be unspecified: all addresses */
    bool proxied;            /* for load balancers only */
    bool client_certificate; /* asks for one */
};

struct cli_relayed {
    struct addr public, local; /* ports 0 */
};

struct cli_listeners {
    struct cli_listener list[CLI_LISTENERS_MAX];
    size_t count;
    struct cli_relayed relayed[CLI_RELAYED_MAX];
    size_t relayed_count;
};

/* From the answer of /api/v1/status. 0, or -1: that is none. */
int cli_listeners_read(struct cli_listeners *out, const json_t *status);

/* Where a client on this machine reaches the listener: where it listens on all addresses, the
 * relayed address of that family, else the loopback address. */
struct addr cli_listener_near(const struct cli_listeners *all, const struct cli_listener *listener);

#endif
