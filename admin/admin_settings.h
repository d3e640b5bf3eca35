/* What the configuration says about the admin server. Plain data; owned by the configuration. */
#ifndef ADMIN_ADMIN_SETTINGS_H
#define ADMIN_ADMIN_SETTINGS_H

#include "base/addr.h"
#include "base/secret.h"
#include "tls/tls_settings.h"

/*
 * AUTO is the built-in place: where it is taken or cannot be made, the relay runs without it and
 * says so, because two relays of one host may both run on defaults. A place that is SET is had, or
 * the start fails.
 */
enum admin_place { ADMIN_PLACE_AUTO, ADMIN_PLACE_NONE, ADMIN_PLACE_SET };

#define ADMIN_DEFAULT_PORT   9641
#define ADMIN_DEFAULT_FOLDER "/run/turnpike"
#define ADMIN_SOCKET_NAME    "control.sock"

/* Of the TCP listener. Paths of PEM files. */
struct admin_tls_settings {
    struct tls_certificate_settings pair; /* both, or neither: then there is no TLS */
    char *client_ca;     /* who may issue client certificates, which stand for the token; or NULL */
    char *client_crl;    /* one fresh list for each authority; with client_ca, and only then */
    char **client_names; /* a client certificate must carry one of these DNS names; none: any */
    size_t client_name_count;
    bool client_required; /* who has no certificate does not even get in */
};

struct admin_settings {
    enum admin_place listen;
    struct addr addr; /* of ADMIN_PLACE_SET; beyond loopback only with TLS, and with a token or
                         client_ca */
    enum admin_place control;
    char *socket;        /* owned; absolute path of ADMIN_PLACE_SET, else NULL */
    struct secret token; /* bearer token; empty: it lets nobody in over TCP */
    char **hosts;        /* owned: what clients may call us: DNS names, or addresses */
    size_t host_count;
    struct admin_tls_settings tls; /* owned */
    char **uris; /* owned: where credentials send clients; none: to the listeners */
    size_t uri_count;
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
