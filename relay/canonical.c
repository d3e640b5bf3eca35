/*
 * Finds the IPv4 addresses that an IPv6 address may stand for. Each known form says at which RFC
 * 6052 prefix length the IPv4 address would lie; all forms of one length read the same bits, so an
 * address has one result a length at most. "packets that send to or from IPv4-embedded IPv6
 * addresses are subject to the same filtering as those directly sent to or from the embedded IPv4
 * addresses" (RFC 6052 section 5.3). Pure; called by relay/peer_policy.c and when clients are
 * judged.
 */
#include "relay/canonical.h"

#include <string.h>

/* "The prefixes can only have one of the following lengths: 32, 40, 48, 56, 64, or 96." (RFC 6052
 * section 2.2) */
static const uint8_t lengths[] = {32, 40, 48, 56, 64, 96};

enum {
    LENGTH_COUNT = sizeof lengths / sizeof lengths[0],
    AT_48 = 1 << 2,
    AT_56 = 1 << 3,
    AT_64 = 1 << 4,
    AT_96 = 1 << 5
};

_Static_assert(CANONICAL_MAX == 1 + LENGTH_COUNT, "one address for itself and one for each length");

static bool starts_with(const struct addr *addr, const uint8_t *prefix, size_t len)
{
    return memcmp(addr->ip, prefix, len) == 0;
}

/*
 * ::ffff:0:0/96 mapped, ::/96 compatible (RFC 4291 section 2.5.5), ::ffff:0:0:0/96 (RFC 2765).
 * Unspecified and ::1 lie in ::/96 and are no IPv4 addresses.
 */
static bool is_low_form(const struct addr *addr)
{
    static const uint8_t zero[12];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t translated[12] = {[8] = 0xff, [9] = 0xff};

    if (!starts_with(addr, zero, 8))
        return false;
    if (starts_with(addr, mapped, 12) || starts_with(addr, translated, 12))
        return true;
    return starts_with(addr, zero, 12) && !addr_is_unspecified(addr) && !addr_is_loopback(addr);
}

/* The interface identifier of ISATAP: 00-00-5E-FE or 02-00-5E-FE, then the IPv4 address (RFC 5214
 * section 6.1). */
static bool is_isatap(const struct addr *addr)
{
    return (addr->ip[8] & 0xfd) == 0 && addr->ip[9] == 0 && addr->ip[10] == 0x5e &&
           addr->ip[11] == 0xfe;
}

static bool prefix_covers(const struct prefix *prefix, const struct addr *addr)
{
    return prefix->ip.family == addr->family && starts_with(addr, prefix->ip.ip, prefix->bits / 8);
}

static unsigned configured_lengths(
    const struct addr *addr, const struct prefix *nat64, size_t nat64_count)
{
    unsigned found = 0;

    for (size_t i = 0; i < nat64_count; i++) {
        for (unsigned k = 0; k < LENGTH_COUNT; k++) {
            if (nat64[i].bits == lengths[k] && prefix_covers(&nat64[i], addr))
                found |= 1u << k;
        }
    }
    return found;
}

static unsigned embedding_lengths(
    const struct addr *addr, const struct prefix *nat64, size_t nat64_count)
{
    static const uint8_t well_known[12] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t local_use[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
    unsigned found = configured_lengths(addr, nat64, nat64_count);

    /* 64:ff9b:1::/48 (RFC 8215) may be cut at any length from 48 on; who does not say where is
     * judged by all of them. */
    if (found == 0 && starts_with(addr, local_use, 6))
        found = AT_48 | AT_56 | AT_64 | AT_96;
    if (is_low_form(addr) || is_isatap(addr) || starts_with(addr, well_known, 12))
        found |= AT_96;
    return found;
}

/*
 * "remove the "u" octet to obtain a 120-bit sequence (effectively shifting bits 72-127 to positions
 * 64-119), then extract the 32 bits following the prefix" (RFC 6052 section 2.3). What "u" and the
 * suffix hold is not looked at: a translator need not.
 */
static struct addr embedded_ipv4(const struct addr *addr, unsigned prefix_bits)
{
    uint8_t ip[4];
    unsigned at = prefix_bits / 8;

    for (unsigned i = 0; i < 4; i++, at++) {
        if (at == 8 && prefix_bits < 96)
            at++;
        ip[i] = addr->ip[at];
    }
    return addr_ipv4(ip[0], ip[1], ip[2], ip[3], addr->port);
}

unsigned canonical_addresses(const struct addr *addr, const struct prefix *nat64,
    size_t nat64_count, struct addr out[CANONICAL_MAX])
{
    unsigned count = 0, found;

    out[count++] = *addr;
    if (addr->family != ADDR_IPV6)
        return count;
    found = embedding_lengths(addr, nat64, nat64_count);
    for (unsigned k = 0; found != 0 && k < LENGTH_COUNT; k++) {
        if (found & (1u << k))
            out[count++] = embedded_ipv4(addr, lengths[k]);
    }
    return count;
}

bool canonical_is_tunnel(const struct addr *addr)
{
    static const uint8_t sixtofour[2] = {0x20, 0x02};
    static const uint8_t teredo[4] = {0x20, 0x01, 0x00, 0x00};

    return addr->family == ADDR_IPV6 &&
           (starts_with(addr, sixtofour, 2) || starts_with(addr, teredo, 4));
}
