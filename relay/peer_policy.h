/*
 * The one place that decides whether a peer may be reached. Built by control, then read-only.
 * Precedence: our listeners, Redis and admin as address and port (never) > a live relayed port of
 * ours > allow_peers > deny_peers (own interface addresses and, unless switched off, every
 * special-purpose block). 6to4 and Teredo are refused whatever they embed. Addresses that embed an
 * IPv4 address are judged by it too: all forms must be allowed. Unspecified addresses, zones and
 * port 0 are always refused. A port that is not live on a relayed address of ours may still be
 * opened by allow_peers. `never` with port 0 names every port. A prefix of nat64_prefixes is not
 * refused as a special-purpose block: the IPv4 address inside decides (special_purpose.def).
 */
#ifndef RELAY_PEER_POLICY_H
#define RELAY_PEER_POLICY_H

#include "base/counters.h"
#include "relay/ports.h"
#include "relay/relay_settings.h"

struct peer_policy;

/* Copies the settings. NULL: out of memory. `ports` is borrowed for life. */
struct peer_policy *peer_policy_new(
    const struct peer_policy_settings *settings, const struct port_maps *ports);
void peer_policy_free(struct peer_policy *p);

/*
 * When a permission is made: looks at the IP only. A permission for one of our relayed addresses
 * (public or local) is granted: the port is judged at each send. A rule that names ports forbids
 * nothing here, and a rule that allows some ports allows here. REASON_NONE or
 * REASON_PEER_FORBIDDEN.
 */
enum reason peer_policy_permission(const struct peer_policy *p, const struct addr *peer);
/*
 * At every send and every receipt: IP and port. REASON_NONE, REASON_PEER_DENIED, or
 * REASON_PEER_PORT_NOT_LIVE for a relayed address of ours whose port is no live relayed port.
 */
enum reason peer_policy_send(const struct peer_policy *p, const struct addr *peer);
/* True if the address and port are one of our listeners or a live relayed port: never answered
 * (THREATS row 5). */
bool peer_policy_is_ours(const struct peer_policy *p, const struct addr *source);

#endif
