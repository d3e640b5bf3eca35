/* What the configuration says about sockets and threads. Plain data; owned by the configuration. */
#ifndef NET_NET_SETTINGS_H
#define NET_NET_SETTINGS_H

#include "base/addr.h"

struct listener_settings {
    struct addr addr; /* IP and port; "::" means both families: one IPv4 and one V6ONLY socket. One
                         entry a port */
    uint32_t realm;   /* realm id */
};

struct net_settings {
    struct listener_settings *udp; /* expanded: one for each port */
    size_t udp_count;
    uint32_t workers;        /* 0: one a core */
    uint32_t receive_buffer; /* bytes asked of SO_RCVBUF on listeners; 0: the system's default;
                                default 4 MiB */
};

#endif
