/*
 * A permission list is a flat array: a handful of entries in practice, 256 at most by default, and
 * media finds its peer where the last packet found it. Called from the request handlers and from
 * both straight paths.
 */
#include "relay/permission.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

void permission_list_deinit(struct permission_list *l)
{
    free(l->items);
    *l = (struct permission_list){0};
}

static struct permission *find_any(struct permission_list *l, const struct addr *peer)
{
    if (l->last < l->count && addr_equal_ip(&l->items[l->last].ip, peer)) {
        return &l->items[l->last];
    }
    for (unsigned i = 0; i < l->count; i++) {
        if (addr_equal_ip(&l->items[i].ip, peer)) {
            l->last = (uint16_t)i;
            return &l->items[i];
        }
    }
    return NULL;
}

const struct permission *permission_find(
    struct permission_list *l, const struct addr *peer, uint64_t now_us)
{
    const struct permission *p = find_any(l, peer);
    return p && now_us < p->expires_us ? p : NULL;
}

int permission_reserve(struct permission_list *l, unsigned more)
{
    unsigned need = l->count + more;
    if (need <= l->capacity) {
        return 0;
    }
    unsigned capacity = l->capacity ? l->capacity : 2;
    while (capacity < need) {
        capacity *= 2;
    }
    struct permission *items = realloc(l->items, capacity * sizeof(*items));
    if (!items) {
        return -ENOMEM;
    }
    l->items = items;
    l->capacity = (uint16_t)capacity;
    return 0;
}

bool permission_install(struct permission_list *l, const struct addr *peer, uint64_t now_us)
{
    struct permission *p = find_any(l, peer);
    bool is_new = !p;
    if (is_new) {
        assert(l->items && l->count < l->capacity);
        p = &l->items[l->count++];
        p->ip = *peer;
        p->ip.port = 0;
    }
    p->expires_us = now_us + PERMISSION_LIFETIME_S * US_PER_S;
    return is_new;
}

static void remove_at(struct permission_list *l, unsigned i)
{
    l->items[i] = l->items[--l->count];
}

unsigned permission_purge(struct permission_list *l, uint64_t now_us)
{
    unsigned gone = 0;
    for (unsigned i = l->count; i-- > 0;) {
        if (now_us >= l->items[i].expires_us) {
            remove_at(l, i);
            gone++;
        }
    }
    return gone;
}

unsigned permission_remove_family(struct permission_list *l, uint8_t family)
{
    unsigned gone = 0;
    for (unsigned i = l->count; i-- > 0;) {
        if (l->items[i].ip.family == family) {
            remove_at(l, i);
            gone++;
        }
    }
    return gone;
}

uint64_t permission_next_expiry(const struct permission_list *l)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < l->count; i++) {
        if (l->items[i].expires_us < next) {
            next = l->items[i].expires_us;
        }
    }
    return next;
}
