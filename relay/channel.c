/*
 * Channel bindings as a flat array with a hint for each direction. "A channel binding is uniquely
 * identified either by the channel number or by the peer's transport address" (RFC 8656 section
 * 12). Called from ChannelBind and from both straight paths.
 */
#include "relay/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

void channel_list_deinit(struct channel_list *l)
{
    free(l->items);
    *l = (struct channel_list){0};
}

static const struct channel *live(const struct channel *c, uint64_t now_us)
{
    return now_us < c->expires_us ? c : NULL;
}

const struct channel *channel_find_number(struct channel_list *l, uint16_t number, uint64_t now_us)
{
    if (l->last_number < l->count && l->items[l->last_number].number == number) {
        return live(&l->items[l->last_number], now_us);
    }
    for (unsigned i = 0; i < l->count; i++) {
        if (l->items[i].number == number) {
            l->last_number = (uint16_t)i;
            return live(&l->items[i], now_us);
        }
    }
    return NULL;
}

const struct channel *channel_find_peer(
    struct channel_list *l, const struct addr *peer, uint64_t now_us)
{
    if (l->last_peer < l->count && addr_equal(&l->items[l->last_peer].peer, peer)) {
        return live(&l->items[l->last_peer], now_us);
    }
    for (unsigned i = 0; i < l->count; i++) {
        if (addr_equal(&l->items[i].peer, peer)) {
            l->last_peer = (uint16_t)i;
            return live(&l->items[i], now_us);
        }
    }
    return NULL;
}

bool channel_is_kept(const struct channel_list *l, uint16_t number, const struct addr *peer)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->items[i].number == number || addr_equal(&l->items[i].peer, peer)) {
            return true;
        }
    }
    return false;
}

int channel_reserve(struct channel_list *l, unsigned more)
{
    unsigned need = l->count + more;
    if (need <= l->capacity) {
        return 0;
    }
    unsigned capacity = l->capacity ? l->capacity : 2;
    while (capacity < need) {
        capacity *= 2;
    }
    struct channel *items = realloc(l->items, capacity * sizeof(*items));
    if (!items) {
        return -ENOMEM;
    }
    l->items = items;
    l->capacity = (uint16_t)capacity;
    return 0;
}

bool channel_bind(struct channel_list *l, uint16_t number, const struct addr *peer, uint64_t now_us)
{
    struct channel *c = NULL;
    for (unsigned i = 0; i < l->count && !c; i++) {
        if (l->items[i].number == number) {
            c = &l->items[i];
        }
    }
    bool is_new = !c;
    if (is_new) {
        assert(l->items && l->count < l->capacity);
        c = &l->items[l->count++];
        c->number = number;
        c->peer = *peer;
        c->lapsed = false;
    }
    c->expires_us = now_us + CHANNEL_LIFETIME_S * US_PER_S;
    return is_new;
}

static void remove_at(struct channel_list *l, unsigned i)
{
    l->items[i] = l->items[--l->count];
}

unsigned channel_lapse(struct channel_list *l, uint64_t now_us)
{
    unsigned lapsed = 0;
    for (unsigned i = l->count; i-- > 0;) {
        struct channel *c = &l->items[i];
        if (now_us < c->expires_us) {
            continue;
        }
        lapsed += !c->lapsed;
        c->lapsed = true;
        if (now_us >= c->expires_us + CHANNEL_WAIT_S * US_PER_S) {
            remove_at(l, i);
        }
    }
    return lapsed;
}

unsigned channel_purge(struct channel_list *l, uint64_t now_us)
{
    unsigned charged = 0;
    for (unsigned i = l->count; i-- > 0;) {
        if (now_us >= l->items[i].expires_us) {
            charged += !l->items[i].lapsed;
            remove_at(l, i);
        }
    }
    return charged;
}

unsigned channel_remove_family(struct channel_list *l, uint8_t family)
{
    unsigned charged = 0;
    for (unsigned i = l->count; i-- > 0;) {
        if (l->items[i].peer.family == family) {
            charged += !l->items[i].lapsed;
            remove_at(l, i);
        }
    }
    return charged;
}

uint64_t channel_next_expiry(const struct channel_list *l)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < l->count; i++) {
        const struct channel *c = &l->items[i];
        uint64_t at = c->lapsed ? c->expires_us + CHANNEL_WAIT_S * US_PER_S : c->expires_us;
        if (at < next) {
            next = at;
        }
    }
    return next;
}
