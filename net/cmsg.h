/*
 * Ancillary data of UDP datagrams: which address was hit or is to be sent from, and the byte with
 * DSCP and ECN.
 */
#ifndef NET_CMSG_H
#define NET_CMSG_H

#include <netinet/in.h>

#include "base/addr.h"

/* Room for what cmsg_write writes, and for all that our receiving sockets ask for. */
#define CMSG_ROOM 128

/*
 * Reads what came with a datagram. `local`: IP and scope are replaced by the address that was hit,
 * where the kernel says it; the port is left as it is. `tos` is left as it is where the kernel says
 * nothing.
 */
void cmsg_read(const struct msghdr *msg, struct addr *local, uint8_t *tos);

/*
 * When the kernel received the datagram, by the wall clock in microseconds since 1970. False, and
 * nothing written: it did not note it, or was not asked (SO_TIMESTAMPING).
 */
bool cmsg_received_us(const struct msghdr *msg, int64_t *us);

/*
 * Sets msg_control of a datagram to send, in `room` of CMSG_ROOM bytes aligned for struct cmsghdr.
 * `source`: address to send from, or NULL for the socket's own. `family`: that of the socket. tos 0
 * is the sockets' default and needs nothing.
 */
void cmsg_write(
    struct msghdr *msg, void *room, const struct addr *source, uint8_t family, uint8_t tos);

#endif
