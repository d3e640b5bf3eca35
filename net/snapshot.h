/*
 * One whole configuration as a worker takes it over: what relay/ judges by, and the listeners with
 * their bound sockets. Built by control; freed by control when every worker has taken a later one.
 * Listeners are only ever added: an endpoint keeps its place in the list for the life of the
 * process, because flows name it by index.
 */
#ifndef NET_SNAPSHOT_H
#define NET_SNAPSHOT_H

#include "net/udp_listener.h"
#include "relay/snapshot.h"

struct net_snapshot {
    struct relay_snapshot relay; /* its version is that of the whole */
    size_t listener_count;
    struct {
        const struct udp_endpoint *endpoint; /* borrowed; outlives the workers */
        uint32_t realm;
    } * listeners;
};

#endif
