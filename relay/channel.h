/* The channel bindings of one allocation (RFC 8656 section 12). One thread. */
#ifndef RELAY_CHANNEL_H
#define RELAY_CHANNEL_H

#include "base/addr.h"

/* "A channel binding lasts for 10 minutes unless refreshed." */
#define CHANNEL_LIFETIME_S 600
/* "the client MUST wait 5 minutes after the channel binding expires before attempting to bind the
 * channel number to a different transport address": who does not is counted. */
#define CHANNEL_WAIT_S 300

struct channel {
    struct addr peer; /* as the client names it, with port */
    uint64_t expires_us;
    uint16_t number; /* 0x4000–0x4FFF, by configuration up to 0x7FFF */
    bool lapsed;     /* expired, its charge given back, and kept to notice who binds it anew */
};

struct channel_list {
    struct channel *items; /* owned */
    uint16_t count, capacity;
    uint16_t last_number, last_peer; /* where the last finds hit */
};

void channel_list_deinit(struct channel_list *l);
/* Live bindings only; NULL: none. Valid until the list changes. */
const struct channel *channel_find_number(struct channel_list *l, uint16_t number, uint64_t now_us);
const struct channel *channel_find_peer(
    struct channel_list *l, const struct addr *peer, uint64_t now_us);
/* Bound, live or expired and not yet purged. */
bool channel_is_kept(const struct channel_list *l, uint16_t number, const struct addr *peer);
int channel_reserve(struct channel_list *l, unsigned more); /* 0 or -ENOMEM */
/* Binds or refreshes. Room must be there and neither number nor peer be bound otherwise. True if it
 * is new. */
bool channel_bind(
    struct channel_list *l, uint16_t number, const struct addr *peer, uint64_t now_us);
/* Marks the expired ones as lapsed and forgets those that lapsed long ago; returns how many expired
 * since the last call: their charges go back. */
unsigned channel_lapse(struct channel_list *l, uint64_t now_us);
/* Removes the expired ones; returns how many of them had not lapsed yet. */
unsigned channel_purge(struct channel_list *l, uint64_t now_us);
/* Removes those of one family; returns how many of them had not lapsed. */
unsigned channel_remove_family(struct channel_list *l, uint8_t family);
/* When channel_lapse has something to do next, or UINT64_MAX. */
uint64_t channel_next_expiry(const struct channel_list *l);

#endif
