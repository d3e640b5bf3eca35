/*
 * Transport addresses: conversion from and to the system's socket addresses and text. Every value
 * made here has zeros in the bytes its family does not use, so callers may hash and compare whole
 * structures. Called from everywhere.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct addr addr_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct addr){.family = ADDR_IPV4, .port = port, .ip = {a, b, c, d}};
}

static void addr_from_ipv6(struct addr *out, const struct sockaddr_in6 *in6)
{
    struct addr addr = {.port = ntohs(in6->sin6_port)};
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        addr.family = ADDR_IPV4;
        memcpy(addr.ip, &in6->sin6_addr.s6_addr[12], 4);
    } else {
        addr.family = ADDR_IPV6;
        addr.scope = in6->sin6_scope_id;
        memcpy(addr.ip, in6->sin6_addr.s6_addr, 16);
    }
    *out = addr;
}

int addr_from_sockaddr(struct addr *out, const struct sockaddr *sa)
{
    /* Copied before it is looked at: the system's buffers promise no alignment for the larger
     * structures. */
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        struct addr addr = {.family = ADDR_IPV4, .port = ntohs(in.sin_port)};
        memcpy(addr.ip, &in.sin_addr, 4);
        *out = addr;
        return 0;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        addr_from_ipv6(out, &in6);
        return 0;
    }
    return -EAFNOSUPPORT;
}

socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (addr->family == ADDR_IPV4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&in.sin_addr, addr->ip, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    if (addr->family == ADDR_IPV6) {
        struct sockaddr_in6 in6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = addr->scope};
        memcpy(&in6.sin6_addr, addr->ip, 16);
        memcpy(out, &in6, sizeof(in6));
        return sizeof(in6);
    }
    out->ss_family = AF_UNSPEC;
    return sizeof(sa_family_t);
}

int addr_parse_ip(struct addr *out, const char *text)
{
    struct addr addr = {0};
    if (inet_pton(AF_INET, text, addr.ip) == 1) {
        addr.family = ADDR_IPV4;
    } else if (inet_pton(AF_INET6, text, addr.ip) == 1) {
        addr.family = ADDR_IPV6;
    } else {
        return -EINVAL;
    }
    *out = addr;
    return 0;
}

/* Decimal digits to the end of the text, no sign, no space, no leading zero; 0–65535. */
static int addr_parse_port(uint16_t *out, const char *text)
{
    uint32_t port = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9' && digits < 6; digits++)
        port = port * 10 + (uint32_t)(text[digits] - '0');
    if (digits == 0 || text[digits] != '\0' || port > UINT16_MAX || (text[0] == '0' && digits > 1))
        return -EINVAL;
    *out = (uint16_t)port;
    return 0;
}

int addr_parse(struct addr *out, const char *text)
{
    bool bracket = text[0] == '[';
    const char *ip = bracket ? text + 1 : text;
    const char *ip_end = strchr(ip, bracket ? ']' : ':');
    char ip_text[INET6_ADDRSTRLEN];
    if (!ip_end || (size_t)(ip_end - ip) >= sizeof(ip_text))
        return -EINVAL;
    memcpy(ip_text, ip, (size_t)(ip_end - ip));
    ip_text[ip_end - ip] = '\0';

    struct addr addr;
    const char *colon = bracket ? ip_end + 1 : ip_end;
    if (*colon != ':' || addr_parse_ip(&addr, ip_text) != 0)
        return -EINVAL;
    if (bracket != (addr.family == ADDR_IPV6) || addr_parse_port(&addr.port, colon + 1) != 0)
        return -EINVAL;
    *out = addr;
    return 0;
}

const char *addr_format_ip(const struct addr *addr, char *out, size_t cap)
{
    char ip[INET6_ADDRSTRLEN] = "none";
    if (addr->family == ADDR_IPV4)
        inet_ntop(AF_INET, addr->ip, ip, sizeof(ip));
    else if (addr->family == ADDR_IPV6)
        inet_ntop(AF_INET6, addr->ip, ip, sizeof(ip));

    if (addr->family == ADDR_IPV6 && addr->scope != 0)
        snprintf(out, cap, "%s%%%u", ip, (unsigned)addr->scope);
    else
        snprintf(out, cap, "%s", ip);
    return out;
}

const char *addr_format(const struct addr *addr, char *out, size_t cap)
{
    char ip[ADDR_TEXT_MAX];
    addr_format_ip(addr, ip, sizeof(ip));
    if (addr->family == ADDR_IPV6)
        snprintf(out, cap, "[%s]:%u", ip, (unsigned)addr->port);
    else if (addr->family == ADDR_IPV4)
        snprintf(out, cap, "%s:%u", ip, (unsigned)addr->port);
    else
        snprintf(out, cap, "%s", ip);
    return out;
}

bool addr_equal_ip(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && a->scope == b->scope && addr_equal_ip(a, b);
}

bool addr_is_unspecified(const struct addr *a)
{
    static const uint8_t zeros[16];
    return a->family == ADDR_NONE || memcmp(a->ip, zeros, sizeof(zeros)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    if (a->family == ADDR_IPV4)
        return a->ip[0] == 127;
    return a->family == ADDR_IPV6 && memcmp(a->ip, one, sizeof(one)) == 0;
}

size_t addr_ip_len(const struct addr *a)
{
    if (a->family == ADDR_IPV4)
        return 4;
    return a->family == ADDR_IPV6 ? 16 : 0;
}

struct addr addr_masked(const struct addr *a, unsigned bits)
{
    struct addr masked = *a;
    size_t len = addr_ip_len(a);
    masked.port = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned before = (unsigned)i * 8;
        if (bits <= before)
            masked.ip[i] = 0;
        else if (bits - before < 8)
            masked.ip[i] &= (uint8_t)(0xff00u >> (bits - before));
    }
    return masked;
}
