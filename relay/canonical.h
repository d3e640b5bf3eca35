/*
 * The IPv4 address inside an IPv6 address that a network may turn into it: mapped, compatible,
 * ::ffff:0:0:0/96 (SIIT), 64:ff9b::/96, 64:ff9b:1::/48, ISATAP, and configured NAT64 prefixes of
 * every RFC 6052 length.
 */
#ifndef RELAY_CANONICAL_H
#define RELAY_CANONICAL_H

#include "base/prefix.h"

/*
 * Up to CANONICAL_MAX addresses that `addr` may reach, the first being itself; ports kept. Returns
 * how many. In 64:ff9b:1::/48 the IPv4 address is looked for at each length, unless a prefix of
 * `nat64` covers the address and so says where it lies.
 */
#define CANONICAL_MAX 7 /* itself, and one for each RFC 6052 prefix length */
unsigned canonical_addresses(const struct addr *addr, const struct prefix *nat64,
    size_t nat64_count, struct addr out[CANONICAL_MAX]);
/* 6to4 (2002::/16) or Teredo (2001::/32): "a TURN server MUST NOT accept Teredo or 6to4 addresses"
 * (RFC 8656 21.4). */
bool canonical_is_tunnel(const struct addr *addr);

#endif
