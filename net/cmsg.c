/*
 * Ancillary data of UDP datagrams, read and written in one place for both families.
 *
 * Always: what the kernel hands over is read by its own lengths only. Called by udp_listener,
 * relay_socket and udp_out.
 */
#include "net/cmsg.h"

#include <string.h>
#include <time.h>

#include <linux/errqueue.h>

#include "base/clock.h"

_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +
                       CMSG_SPACE(sizeof(struct scm_timestamping)) <=
                   CMSG_ROOM,
    "no room for all that a receiving socket asks for");

static bool cmsg_is(const struct cmsghdr *c, int level, int type, size_t len)
{
    return c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len >= CMSG_LEN(len);
}

void cmsg_read(const struct msghdr *msg, struct addr *local, uint8_t *tos)
{
    /* CMSG_NXTHDR takes a pointer that is not const, but only reads. */
    struct msghdr *m = (struct msghdr *)(uintptr_t)msg;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (cmsg_is(c, IPPROTO_IP, IP_TOS, 1)) {
            *tos = *CMSG_DATA(c);
        } else if (cmsg_is(c, IPPROTO_IPV6, IPV6_TCLASS, sizeof(int))) {
            int value;
            memcpy(&value, CMSG_DATA(c), sizeof(value));
            *tos = (uint8_t)value;
        } else if (cmsg_is(c, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo))) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            memset(local->ip, 0, sizeof(local->ip));
            memcpy(local->ip, &info.ipi_addr, 4);
        } else if (cmsg_is(c, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo))) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            memcpy(local->ip, &info.ipi6_addr, 16);
            /*
             * Elsewhere the interface is no part of the address, and replies may leave by another.
             */
            local->scope = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
        }
    }
}

bool cmsg_received_us(const struct msghdr *msg, int64_t *us)
{
    struct msghdr *m = (struct msghdr *)(uintptr_t)msg;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        struct scm_timestamping at;
        if (cmsg_is(c, SOL_SOCKET, SCM_TIMESTAMPING, sizeof(at))) {
            memcpy(&at, CMSG_DATA(c), sizeof(at));
            *us = (int64_t)at.ts[0].tv_sec * (int64_t)US_PER_S + at.ts[0].tv_nsec / 1000;
            return true;
        }
    }
    return false;
}

static size_t cmsg_put(uint8_t *room, size_t at, int level, int type, const void *value, size_t len)
{
    struct cmsghdr header = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    memcpy(room + at, &header, sizeof(header));
    memcpy(room + at + CMSG_LEN(0), value, len);
    return at + CMSG_SPACE(len);
}

void cmsg_write(
    struct msghdr *msg, void *room, const struct addr *source, uint8_t family, uint8_t tos)
{
    size_t used = 0;
    if (source && family == ADDR_IPV4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, source->ip, 4);
        used = cmsg_put(room, used, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else if (source) {
        struct in6_pktinfo info = {.ipi6_ifindex = source->scope};
        memcpy(&info.ipi6_addr, source->ip, 16);
        used = cmsg_put(room, used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
    if (tos != 0) {
        int value = tos;
        bool v4 = family == ADDR_IPV4;
        used = cmsg_put(room, used, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS,
            &value, sizeof(value));
    }
    msg->msg_control = used ? room : NULL;
    msg->msg_controllen = used;
}
