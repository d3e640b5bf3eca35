/* Who is on the other side of a connection to the admin server. */
#ifndef ADMIN_PEER_H
#define ADMIN_PEER_H

#include "base/addr.h"

struct admin_peer {
    bool local;       /* over the unix socket */
    bool trusted;     /* of a local one: its process runs as root or as we do */
    bool secure;      /* over TLS, or within this machine: nobody else reads along */
    bool certified;   /* over TLS, with a client certificate that passed every check */
    struct addr at;   /* of TCP: our end of it; ADDR_NONE: not known */
    struct addr from; /* of TCP: the other end; ADDR_NONE: not known */
};

#endif
