/*
 * What the kernel knows of this host's own addresses.
 *
 * Always: nothing is sent; connecting a UDP socket only asks the routing table. Called by daemon/
 * when a snapshot is built.
 */
#include "net/interfaces.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int interfaces_addresses(struct addr **out, size_t *count)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0) {
        return -errno;
    }
    size_t n = 0;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        n++;
    }
    struct addr *addresses = calloc(n ? n : 1, sizeof(*addresses));
    if (!addresses) {
        freeifaddrs(list);
        return -ENOMEM;
    }
    n = 0;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (i->ifa_addr && addr_from_sockaddr(&addresses[n], i->ifa_addr) == 0) {
            addresses[n].scope = 0;
            addresses[n++].port = 0;
        }
    }
    freeifaddrs(list);
    *out = addresses;
    *count = n;
    return 0;
}

static bool interfaces_is_link_local(const struct addr *a)
{
    return a->family == ADDR_IPV6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

/*
 * By the route to an address that any default route covers; documentation addresses are nobody's.
 */
static int interfaces_by_route(struct addr *out, enum addr_family family)
{
    struct addr world;
    if (addr_parse(&world, family == ADDR_IPV4 ? "198.51.100.1:9" : "[2001:db8::1]:9") != 0) {
        return -EINVAL;
    }
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(&world, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    struct addr found;
    socklen_t found_len = sizeof(sa);
    int r = connect(fd, (struct sockaddr *)&sa, len) == 0 &&
                    getsockname(fd, (struct sockaddr *)&sa, &found_len) == 0 &&
                    addr_from_sockaddr(&found, (struct sockaddr *)&sa) == 0
                ? 0
                : -EADDRNOTAVAIL;
    close(fd);
    if (r < 0 || addr_is_unspecified(&found) || addr_is_loopback(&found) ||
        interfaces_is_link_local(&found)) {
        return -EADDRNOTAVAIL;
    }
    found.port = 0;
    *out = found;
    return 0;
}

int interfaces_public(struct addr *out, enum addr_family family, bool loopback)
{
    struct addr *all = NULL;
    size_t count = 0;
    if (interfaces_by_route(out, family) == 0) {
        return 0;
    }
    int r = interfaces_addresses(&all, &count);
    if (r < 0) {
        return r;
    }
    const struct addr *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (all[i].family != family || interfaces_is_link_local(&all[i])) {
            continue;
        }
        if (!addr_is_loopback(&all[i])) {
            found = &all[i];
            break;
        }
        if (loopback && !found) {
            found = &all[i];
        }
    }
    if (found) {
        *out = *found;
    }
    free(all);
    return found ? 0 : -EADDRNOTAVAIL;
}
