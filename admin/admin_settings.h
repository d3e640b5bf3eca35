/* What the configuration says about the admin server. Plain data; owned by the configuration. */
#ifndef ADMIN_ADMIN_SETTINGS_H
#define ADMIN_ADMIN_SETTINGS_H

#include "base/addr.h"
#include "base/secret.h"

/*
 * AUTO is the built-in place: where it is taken or cannot be made, the relay runs without it and
 * says so, because two relays of one host may both run on defaults. A place that is SET is had, or
 * the start fails.
 */
enum admin_place { ADMIN_PLACE_AUTO, ADMIN_PLACE_NONE, ADMIN_PLACE_SET };

#define ADMIN_DEFAULT_PORT   9641
#define ADMIN_DEFAULT_FOLDER "/run/turnpike"
#define ADMIN_SOCKET_NAME    "control.sock"

struct admin_settings {
    enum admin_place listen;
    struct addr addr; /* loopback; of ADMIN_PLACE_SET */
    enum admin_place control;
    char *socket;        /* owned; absolute path of ADMIN_PLACE_SET, else NULL */
    struct secret token; /* bearer token; empty: TCP serves what is free only */
};

/* Where TCP clients would come in, *out untouched if nowhere. */
static inline bool admin_settings_address(const struct admin_settings *s, struct addr *out)
{
    if (s->listen == ADMIN_PLACE_NONE) {
        return false;
    }
    *out = s->listen == ADMIN_PLACE_SET ? s->addr : addr_ipv4(127, 0, 0, 1, ADMIN_DEFAULT_PORT);
    return true;
}

#endif
