/* The UDP endpoints of the process, in the order in which flows name them. Control thread. */
#ifndef DAEMON_ENDPOINTS_H
#define DAEMON_ENDPOINTS_H

#include "net/net_settings.h"
#include "net/udp_listener.h"

struct endpoint {
    struct udp_endpoint *udp;
    uint32_t realm;
    bool configured; /* by the running configuration; one that no longer is goes on until a restart
                      */
};

struct endpoints {
    struct endpoint *list;
    size_t count;
    unsigned workers; /* sockets each */
};

/*
 * Binds what `settings` names and is not bound yet, behind the list; "::" becomes one IPv4 and one
 * IPv6 endpoint. 0 with *added how many; or -errno with nothing changed and one line in `error`,
 * "udp 0.0.0.0:3478: Address already in use".
 */
int endpoints_open(struct endpoints *e, const struct net_settings *settings, size_t *added,
    char *error, size_t error_cap);
/* Takes the last `count` back: before any worker has seen them. */
void endpoints_take_back(struct endpoints *e, size_t count);
/* Marks what `settings` names, and takes its realms over. Returns how many others there are. */
size_t endpoints_configure(struct endpoints *e, const struct net_settings *settings);
void endpoints_close(struct endpoints *e);

#endif
