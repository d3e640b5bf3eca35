/*
 * Values of STUN and TURN attributes. Each reader looks at its whole value first and writes only if
 * length and content are what the RFC allows; bits "reserved for future use" are ignored. Called by
 * relay/ and auth/ after stun_parse.
 */
#include "base/cursor.h"
#include "wire/stun.h"

#define FAMILY_IPV4 0x01
#define FAMILY_IPV6 0x02

/* One byte that says something, in a value of four (RFC 8656 sections 18.6 and 18.8). */
static bool read_first_of_four(struct slice value, uint8_t *out)
{
    if (value.len != 4)
        return false;
    *out = value.data[0];
    return true;
}

bool stun_read_u32(struct slice value, uint32_t *out)
{
    if (value.len != 4)
        return false;
    struct cursor c;
    cursor_init(&c, value);
    *out = cursor_u32(&c);
    return true;
}

bool stun_read_channel(struct slice value, uint16_t *out)
{
    /* RFC 8656 section 18.1: "The value portion of this attribute is 4 bytes long and consists of a
     * 16-bit unsigned integer followed by a two-octet RFFU [...] field, which [...] MUST be ignored
     * on reception." */
    uint32_t word;
    if (!stun_read_u32(value, &word))
        return false;
    *out = (uint16_t)(word >> 16);
    return true;
}

bool stun_read_family(struct slice value, enum addr_family *out)
{
    uint8_t family;
    if (!read_first_of_four(value, &family))
        return false;
    *out = family == FAMILY_IPV4 ? ADDR_IPV4 : family == FAMILY_IPV6 ? ADDR_IPV6 : ADDR_NONE;
    return true;
}

bool stun_read_transport(struct slice value, uint8_t *out)
{
    return read_first_of_four(value, out);
}

bool stun_read_even_port(struct slice value, bool *reserve)
{
    /* RFC 8656 section 18.7: "The value portion of this attribute is 1 byte long." Its first bit is
     * R. */
    if (value.len != 1)
        return false;
    *reserve = (value.data[0] & 0x80) != 0;
    return true;
}

bool stun_read_token(struct slice value, uint8_t out[8])
{
    /* RFC 8656 section 18.10: "The attribute value is 8 bytes and contains the token value." */
    if (value.len != 8)
        return false;
    memcpy(out, value.data, 8);
    return true;
}

bool stun_read_addr(struct slice value, struct addr *out)
{
    struct cursor c;
    cursor_init(&c, value);
    /* RFC 8489 section 14.1: "The first 8 bits [...] MUST be ignored by receivers." */
    cursor_skip(&c, 1);
    const uint8_t family = cursor_u8(&c);
    const uint16_t port = cursor_u16(&c);
    /* "If the address family is IPv4, the address MUST be 32 bits. If the address family is IPv6,
     * the address MUST be 128 bits." */
    const size_t left = cursor_left(&c);
    const bool is_ipv4 = family == FAMILY_IPV4 && left == 4;
    const bool is_ipv6 = family == FAMILY_IPV6 && left == 16;
    if (c.failed || (!is_ipv4 && !is_ipv6))
        return false;
    *out = (struct addr){.family = is_ipv4 ? ADDR_IPV4 : ADDR_IPV6, .port = port};
    memcpy(out->ip, cursor_bytes(&c, left).data, left);
    return true;
}

bool stun_read_xor_addr(const struct stun_msg *msg, struct slice value, struct addr *out)
{
    struct addr addr;
    if (!stun_read_addr(value, &addr))
        return false;
    /* RFC 8489 section 14.2: "X-Port is computed by XOR'ing the mapped port with the most
     * significant 16 bits of the magic cookie", the address with the cookie, or "with the
     * concatenation of the magic cookie and the 96-bit transaction ID", as both lie in the header.
     * An IPv4-mapped address stays IPv6: the peer policy judges it. */
    addr.port ^= (uint16_t)(msg->transaction[0] << 8 | msg->transaction[1]);
    for (size_t i = 0; i < addr_ip_len(&addr); i++)
        addr.ip[i] ^= msg->transaction[i];
    *out = addr;
    return true;
}

bool stun_read_password_algorithm(struct slice value, uint16_t *out)
{
    struct cursor c;
    cursor_init(&c, value);
    const uint16_t algorithm = cursor_u16(&c);
    const uint16_t len = cursor_u16(&c);
    /* RFC 8489 section 14.12: "The parameters are padded to a 32-bit boundary, in the same manner
     * as an attribute." */
    cursor_skip(&c, ((size_t)len + 3) & ~(size_t)3);
    if (c.failed || cursor_left(&c) != 0)
        return false;
    *out = algorithm;
    return true;
}
