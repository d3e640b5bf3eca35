/*
 * What relays of different workers say to each other: plain values, at most 104 bytes, carried by
 * net's mailboxes. Ownership of the descriptor in a parcel passes with a message that was accepted.
 */
#ifndef RELAY_MESSAGE_H
#define RELAY_MESSAGE_H

#include "ratelimit/quota.h"
#include "relay/sockets.h"

enum relay_message_kind {
    RELAY_CLAIM,   /* to the owner named in a reservation token: hand the socket over */
    RELAY_GRANTED, /* to the asker: the parcel */
    RELAY_REFUSED  /* to the asker: no such reservation */
};

struct relay_message {
    uint8_t kind;
    uint8_t from; /* worker that sent it */
    uint8_t token[8];
    uint64_t parked;   /* the asker's handle of its parked request */
    uint64_t user_tag; /* keyed hash of realm and user, or tokens: whose reservation it is */
    struct parcel parcel;
    struct quota_charge charge; /* of the reservation; travels with the parcel */
};

#endif
