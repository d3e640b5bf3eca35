/*
 * One whole configuration as a worker takes it over: what relay/ judges by, and the listeners with
 * their bound sockets. Built by control; freed by control when every worker has taken a later one.
 * Listeners are only ever added: an endpoint keeps its place in the list for the life of the
 * process, because flows name it by index.
 */
#ifndef NET_SNAPSHOT_H
#define NET_SNAPSHOT_H

#include "net/net_settings.h"
#include "net/stream_endpoint.h"
#include "net/udp_listener.h"
#include "relay/snapshot.h"
#include "tls/context.h"

struct net_snapshot {
    struct relay_snapshot relay; /* its version is that of the whole */
    size_t listener_count;
    struct net_listener {
        uint8_t transport; /* enum transport */
        /* One of the two, by the transport; borrowed; outlives the workers. */
        const struct udp_endpoint *udp;
        const struct stream_endpoint *stream;
        uint32_t realm;  /* challenges carry it */
        uint64_t realms; /* bit n: requests may name realm id n; `realm` is among them */
        bool accept_plain, client_certificate; /* TLS; see net_settings.h */
        const struct prefix_set *proxy_from; /* who must send a PROXY header; NULL: nobody; owned */
    } * listeners;
    struct tls_context *tls; /* a reference; NULL: no certificate, no TLS and no DTLS */
    struct stream_settings streams;
    struct dtls_settings dtls;
};

#endif
