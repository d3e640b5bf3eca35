/*
 * Allocations that an operator ends: control hands a kick to a worker, which goes on with it a part
 * at a time and hands it back. It is no revocation: who was kicked may come back. Plain values.
 */
#ifndef RELAY_KICK_H
#define RELAY_KICK_H

#include "base/addr.h"
#include "base/clock.h"

#define KICK_USER_MAX 508

struct relay;

struct kick {
    /* Asked: one of an id, a user and a peer. */
    uint32_t tag;     /* of who asks; stays as it is */
    uint64_t only_id; /* 0: none */
    uint32_t realm;   /* id */
    uint16_t user_len;
    uint8_t user[KICK_USER_MAX]; /* as on the wire, or the account; empty: nobody is named */
    struct addr peer;            /* port 0: those that have a permission for it; ADDR_NONE: none */
    /* How far it has come: 0 at first. */
    uint32_t next_slot;
    bool more;
    uint32_t kicked; /* so far, on this worker */
};

/* Worker's thread. Looks at so many slots at most, and ends so many allocations, that media does
 * not wait; k->more then says that it is to be called again. */
void relay_kick(struct relay *r, struct kick *k, const struct instant *now);

#endif
