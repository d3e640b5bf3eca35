/* What the configuration says about sockets and threads. Plain data; owned by the configuration. */
#ifndef NET_NET_SETTINGS_H
#define NET_NET_SETTINGS_H

#include "base/addr.h"
#include "base/prefix.h"
#include "base/transport.h"

struct listener_settings {
    struct addr addr;  /* IP and port; "::" means both families: one IPv4 and one V6ONLY socket. One
                          entry a port */
    uint32_t realm;    /* id of its home, which challenges name */
    uint64_t realms;   /* ids that requests may name, a bit for each; `realm` is one of them */
    uint8_t transport; /* enum transport. A UDP listener takes DTLS too, by the first byte, where a
                          certificate is configured; a DTLS listener takes nothing else */
    uint8_t guard;     /* enum srtp_guard_level, or SRTP_GUARD_INHERIT: what the realm says */
    bool optional; /* of the built-in list: a port that cannot be had is a warning, not the end */
    /* Streams only. */
    bool accept_plain;       /* TLS only: a connection whose first bytes are STUN is served plain */
    bool client_certificate; /* TLS only: required; see tls_settings.h for the authorities */
    struct prefix *proxy_from; /* who must send a PROXY header; owned */
    size_t proxy_from_count;   /* 0: none is expected, and one that comes is malformed */
};

/* TCP and TLS connections. Durations in milliseconds; 0 of a count means unlimited. */
struct stream_settings {
    uint32_t max_connections;        /* of the instance; default 65536 */
    uint32_t connections_per_prefix; /* of a /24 or /64; default unlimited: carrier-grade NAT */
    uint32_t half_open_per_prefix;   /* connections of a /24 or /64 that have not had an allocation
                                        yet; enforced above half of max_connections; default 256 */
    uint32_t handshake_timeout_ms;   /* PROXY header and TLS handshake, each; default 5 s */
    uint32_t frame_timeout_ms;       /* from the first byte of a message to its last; default 5 s */
    uint32_t first_message_timeout_ms; /* from the end of the handshake; default 30 s */
    uint32_t idle_timeout_ms; /* without a message and without an allocation; default 300 s. A
                                 connection with a live allocation is never closed for being idle */
    uint32_t write_queue;     /* bytes a connection; default 256 KiB, at least 64 KiB */
};

/* DTLS sessions. */
struct dtls_settings {
    uint32_t max_sessions;         /* of the instance; default 65536 */
    uint32_t half_open_per_prefix; /* as above; default 256 */
    uint32_t handshake_timeout_ms; /* default 5 s */
    uint32_t idle_timeout_ms;      /* without a message and without an allocation; default 300 s */
};

struct net_settings {
    struct listener_settings *listeners; /* expanded: one for each port */
    size_t listener_count;
    struct stream_settings streams;
    struct dtls_settings dtls;
    uint32_t workers;        /* 0: one a core */
    uint32_t receive_buffer; /* bytes asked of SO_RCVBUF on UDP listeners; 0: the system's default;
                                default 4 MiB */
};

#endif
