/* What relay/ is handed: borrowed bytes with where they came from. Valid for one receive batch. */
#ifndef RELAY_PACKET_H
#define RELAY_PACKET_H

#include "base/addr.h"
#include "base/slice.h"
#include "base/transport.h"

/* The 5-tuple of a client as an allocation stores it, and the target of an outbox entry. */
struct flow {
    uint8_t transport; /* enum transport */
    uint16_t listener; /* net's index of the listening socket; not part of the identity */
    struct addr local; /* the address the client sent to, also behind a wildcard listener: replies
                          leave from it */
    struct addr remote;
    uint64_t connection; /* handle of a stream or DTLS session; HANDLE_NONE for UDP */
};

struct packet {
    struct slice bytes; /* one datagram, or one framed message of a stream */
    struct flow flow;
    uint32_t realm;  /* the listener's realm id: challenges carry it */
    uint64_t realms; /* bit n: the listener serves realm id n */
    uint8_t tos;     /* DSCP and ECN as received; 0 of a stream */
};

/* A datagram from a peer at a relay socket. */
struct peer_packet {
    struct slice bytes;
    uint64_t socket; /* handle of the relay socket */
    uint64_t owner;  /* handle of the allocation, as given to open/set_owner */
    struct addr source;
    uint8_t tos;
};

/* An ICMP error about a datagram that a relay socket sent. */
struct icmp_error {
    uint64_t socket;
    uint64_t owner;
    struct addr destination; /* where the datagram went */
    uint8_t type, code;      /* ICMPv4 or ICMPv6 by the family of `destination` */
    uint32_t mtu;            /* of the next hop where the error carries one, else 0 */
};

#endif
