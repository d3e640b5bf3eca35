/*
 * The addresses of this host, and which of them the world would see. Control thread; no packet is
 * sent.
 */
#ifndef NET_INTERFACES_H
#define NET_INTERFACES_H

#include "base/addr.h"

/* All addresses of all interfaces, ports 0. 0 with *out owned by the caller (free); or -errno. */
int interfaces_addresses(struct addr **out, size_t *count);
/*
 * The address that this host sends from to the world: by the routing table; where there is no
 * route, the first address of an interface. Loopback only where `loopback` allows it and nothing
 * else is there. 0, or -EADDRNOTAVAIL.
 */
int interfaces_public(struct addr *out, enum addr_family family, bool loopback);

#endif
