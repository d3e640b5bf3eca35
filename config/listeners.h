/* An entry of `listen` as it is written, before it is expanded to one listener a port. */
#ifndef CONFIG_LISTENERS_H
#define CONFIG_LISTENERS_H

#include "base/addr.h"
#include "config/values.h"

struct listen_item {
    struct addr addr; /* port 0 */
    struct port_range ports;
    int proto; /* 0: udp */
};

#endif
