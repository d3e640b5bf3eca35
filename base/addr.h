/*
 * A transport address as a plain value: family, IP address, port. No DNS, no sockets.
 *
 * `ip` is in network byte order (as printed, left to right); IPv4 uses ip[0..3] and the other
 * twelve bytes are zero, so that two values for the same address are equal byte for byte and may be
 * hashed as they lie. `port` is in host order.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum addr_family { ADDR_NONE = 0, ADDR_IPV4 = 4, ADDR_IPV6 = 6 };

struct addr {
    uint8_t family;   /* enum addr_family */
    uint8_t reserved; /* always 0 */
    uint16_t port;    /* host byte order */
    uint32_t scope;   /* IPv6 zone index, 0 elsewhere */
    uint8_t ip[16];
};

/* Longest text of addr_format, with its NUL: "[v6%scope]:port". */
#define ADDR_TEXT_MAX 80

struct addr addr_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);

/* 0, or -EAFNOSUPPORT. An IPv4-mapped IPv6 socket address (::ffff:a.b.c.d) becomes the IPv4
 * address. */
int addr_from_sockaddr(struct addr *out, const struct sockaddr *sa);

/* Returns the length of the socket address. `family` ADDR_NONE gives AF_UNSPEC and
 * sizeof(sa_family_t). */
socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *out);

/* "192.0.2.1", "2001:db8::1": strict, whole string, no port, no zone, no brackets. 0 or -EINVAL.
 * Port is set to 0. */
int addr_parse_ip(struct addr *out, const char *text);

/* "192.0.2.1:80" or "[2001:db8::1]:80". 0 or -EINVAL. */
int addr_parse(struct addr *out, const char *text);

/* Writes "192.0.2.1:80", "[2001:db8::1]:80"; returns `out`. `cap` ≥ ADDR_TEXT_MAX never truncates.
 */
const char *addr_format(const struct addr *addr, char *out, size_t cap);
/* The same without the port and without brackets. */
const char *addr_format_ip(const struct addr *addr, char *out, size_t cap);

/* Family, scope, IP and port. */
bool addr_equal(const struct addr *a, const struct addr *b);
/* Family and IP; port and scope are not looked at. */
bool addr_equal_ip(const struct addr *a, const struct addr *b);
bool addr_is_unspecified(const struct addr *a); /* 0.0.0.0, ::, or family ADDR_NONE */
bool addr_is_loopback(const struct addr *a);    /* 127.0.0.0/8, ::1 */

/* Bytes of IP address: 4, 16, or 0 for ADDR_NONE. */
size_t addr_ip_len(const struct addr *a);

/* The address with all bits behind the first `bits` cleared and port 0. `bits` over the family's
 * width means the width. */
struct addr addr_masked(const struct addr *a, unsigned bits);

#endif
