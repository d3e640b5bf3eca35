/* What a client reaches this server over, RFC 8656 section 3.1. */
#ifndef BASE_TRANSPORT_H
#define BASE_TRANSPORT_H

#include <stdbool.h>

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS, TRANSPORT_DTLS };

#define TRANSPORTS 4

/* As the configuration, logs and metrics write it: "udp", "tcp", "tls", "dtls". */
static inline const char *transport_name(enum transport t)
{
    static const char *const names[TRANSPORTS] = {"udp", "tcp", "tls", "dtls"};
    return names[t];
}

/* True for what runs over TCP: framed, never budgeted, its address proven. */
static inline bool transport_is_stream(enum transport t)
{
    return t == TRANSPORT_TCP || t == TRANSPORT_TLS;
}

#endif
