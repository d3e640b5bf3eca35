/*
 * Binding listeners, at start and when a reload adds some.
 *
 * Always: all workers' sockets of an endpoint are bound before any of them is polled; an endpoint
 * never leaves its place. Called by control.
 */
#include "daemon/endpoints.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* flow.listener is 16 bits. */
#define ENDPOINTS_MAX 4096

/* The endpoints that one entry of the configuration means. Returns how many: 1 or 2. */
static unsigned endpoints_expand(const struct addr *addr, struct addr out[2])
{
    out[0] = *addr;
    if (addr->family != ADDR_IPV6 || !addr_is_unspecified(addr)) {
        return 1;
    }
    out[1] = *addr;
    out[0] = addr_ipv4(0, 0, 0, 0, addr->port);
    return 2;
}

static struct endpoint *endpoints_find(const struct endpoints *e, const struct addr *addr)
{
    for (size_t i = 0; i < e->count; i++) {
        if (addr_equal(&e->list[i].udp->addr, addr)) {
            return &e->list[i];
        }
    }
    return NULL;
}

static int endpoints_add(
    struct endpoints *e, const struct addr *addr, uint32_t realm, uint32_t receive_buffer)
{
    if (e->count == ENDPOINTS_MAX) {
        return -ENOSPC;
    }
    struct endpoint *list = realloc(e->list, (e->count + 1) * sizeof(*list));
    if (!list) {
        return -ENOMEM;
    }
    e->list = list;
    struct endpoint added = {.realm = realm};
    int r = udp_endpoint_open(&added.udp, addr, e->workers, receive_buffer);
    if (r == 0) {
        e->list[e->count++] = added;
    }
    return r;
}

/* True where "::" was asked for and this host has no IPv6 at all: the IPv4 half stands alone. */
static bool endpoints_may_miss(const struct addr *addr, int error)
{
    return addr->family == ADDR_IPV6 && addr_is_unspecified(addr) &&
           (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL);
}

int endpoints_open(struct endpoints *e, const struct net_settings *settings, size_t *added,
    char *error, size_t error_cap)
{
    size_t before = e->count;
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener_settings *s = &settings->listeners[i];
        struct addr addrs[2];
        unsigned n = endpoints_expand(&s->addr, addrs);
        for (unsigned k = 0; k < n; k++) {
            int r = endpoints_find(e, &addrs[k])
                        ? 0
                        : endpoints_add(e, &addrs[k], s->realm, settings->receive_buffer);
            if (r < 0 && !endpoints_may_miss(&addrs[k], r)) {
                char text[ADDR_TEXT_MAX];
                snprintf(error, error_cap, "udp %s: %s", addr_format(&addrs[k], text, sizeof(text)),
                    strerror(-r));
                endpoints_take_back(e, e->count - before);
                return r;
            }
        }
    }
    *added = e->count - before;
    return 0;
}

void endpoints_take_back(struct endpoints *e, size_t count)
{
    while (count-- > 0) {
        udp_endpoint_close(e->list[--e->count].udp);
    }
}

size_t endpoints_configure(struct endpoints *e, const struct net_settings *settings)
{
    size_t others = e->count;
    for (size_t i = 0; i < e->count; i++) {
        e->list[i].configured = false;
    }
    for (size_t i = 0; i < settings->listener_count; i++) {
        struct addr addrs[2];
        unsigned n = endpoints_expand(&settings->listeners[i].addr, addrs);
        for (unsigned k = 0; k < n; k++) {
            struct endpoint *found = endpoints_find(e, &addrs[k]);
            if (found) {
                others -= !found->configured;
                found->configured = true;
                found->realm = settings->listeners[i].realm;
            }
        }
    }
    return others;
}

void endpoints_close(struct endpoints *e)
{
    endpoints_take_back(e, e->count);
    free(e->list);
    e->list = NULL;
}
