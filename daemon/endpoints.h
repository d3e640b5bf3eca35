/*
 * The endpoints of the process, in the order in which flows name them: sockets, which stay, and
 * what the running configuration makes of them. Control thread.
 */
#ifndef DAEMON_ENDPOINTS_H
#define DAEMON_ENDPOINTS_H

#include "daemon/activation.h"
#include "net/net_settings.h"
#include "net/stream_endpoint.h"
#include "net/udp_listener.h"

struct endpoint_role {
    struct listener_settings settings; /* a copy with lists of its own */
    bool configured; /* by the running configuration; an endpoint that no longer is keeps its last
                        role and goes on until a restart */
};

struct endpoint {
    struct addr addr;
    /* One of the two. Address, port and which of the two it is are what an endpoint is: a TCP port
     * that becomes a TLS port keeps its sockets. */
    struct udp_endpoint *udp;
    struct stream_endpoint *stream;
    bool given; /* by the service manager */
    struct endpoint_role role;
};

struct endpoints {
    struct activation *given; /* borrowed for life: what is bound already; NULL: nothing */
    struct endpoint *list;
    size_t count;
    unsigned workers; /* sockets each */
};

/*
 * Binds what `settings` names and is not bound yet, or takes what was given, behind the list; "::"
 * becomes one IPv4 and one IPv6 endpoint. An optional one that cannot be had is a warning in the
 * log. 0 with *added how many; or -errno with nothing changed and one line in `error`, "udp
 * 0.0.0.0:3478: Address already in use".
 */
int endpoints_open(struct endpoints *e, const struct net_settings *settings, size_t *added,
    char *error, size_t error_cap);
/* Takes the last `count` back: before any worker has seen them. */
void endpoints_take_back(struct endpoints *e, size_t count);

/* What each endpoint is to be, one for one with the list. */
struct endpoint_plan {
    const struct endpoints *endpoints;
    struct endpoint_role *roles;
    size_t count, others; /* how many are not configured */
};
/* 0 or -ENOMEM. Endpoints that `settings` does not name keep their role. */
int endpoints_plan(
    struct endpoint_plan *out, const struct endpoints *e, const struct net_settings *settings);
/* Makes the plan what is; the plan is empty afterwards. */
void endpoints_adopt(struct endpoints *e, struct endpoint_plan *plan);
void endpoints_plan_deinit(struct endpoint_plan *plan);
/* One line for each endpoint from `first` on: what listens. */
void endpoints_log(const struct endpoints *e, size_t first);

void endpoints_close(struct endpoints *e);

#endif
