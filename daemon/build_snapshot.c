/*
 * Builds a snapshot whole before any worker sees it.
 *
 * Always: what fails here has changed nothing for the workers. Called by control at start and at
 * each reload.
 */
#include "daemon/build_snapshot.h"

#include <errno.h>
#include <stdlib.h>

static bool snapshot_overlap(const struct relay_address *a, const struct relay_address *b)
{
    bool same = addr_equal_ip(&a->local, &b->local) && addr_equal_ip(&a->public, &b->public);
    return !same &&
           (addr_equal_ip(&a->local, &b->local) || addr_equal_ip(&a->public, &b->public) ||
               addr_equal_ip(&a->local, &b->public) || addr_equal_ip(&a->public, &b->local));
}

/* Maps are for the life of the process: nothing is added before everything is known to fit. */
static bool snapshot_ports_fit(const struct relay_settings *relay, const struct port_maps *ports,
    char *error, size_t error_cap)
{
    size_t fresh = 0;
    for (size_t i = 0; i < relay->address_count; i++) {
        const struct relay_address *a = &relay->addresses[i];
        bool conflict = port_maps_conflict(ports, &a->local, &a->public);
        for (size_t k = 0; k < i; k++) {
            conflict = conflict || snapshot_overlap(a, &relay->addresses[k]);
        }
        fresh += !port_maps_find(ports, &a->local);
        if (conflict || fresh > port_maps_room(ports)) {
            char text[ADDR_TEXT_MAX];
            snprintf(error, error_cap,
                "public_ip %s: paired with another address before, or too "
                "many; restart",
                addr_format_ip(&a->public, text, sizeof(text)));
            return false;
        }
    }
    return true;
}

static bool snapshot_add_ports(
    struct net_snapshot *s, struct port_maps *ports, char *error, size_t error_cap)
{
    struct relay_snapshot *r = &s->relay;
    if (!snapshot_ports_fit(&r->relay, ports, error, error_cap)) {
        return false;
    }
    for (size_t i = 0; i < r->relay.address_count; i++) {
        const struct relay_address *a = &r->relay.addresses[i];
        struct port_map *map = port_maps_add(ports, &a->local, &a->public);
        if (!map) {
            snprintf(error, error_cap, "out of memory");
            return false;
        }
        r->relayed[i].address = *a;
        r->relayed[i].ports = map;
        r->relayed_count = i + 1;
    }
    return true;
}

static bool snapshot_add_listeners(struct net_snapshot *s, const struct endpoints *endpoints)
{
    s->listeners = calloc(endpoints->count + 1, sizeof(*s->listeners));
    if (!s->listeners) {
        return false;
    }
    s->listener_count = endpoints->count;
    for (size_t i = 0; i < endpoints->count; i++) {
        s->listeners[i].transport = TRANSPORT_UDP;
        s->listeners[i].udp = endpoints->list[i].udp;
        s->listeners[i].realm = endpoints->list[i].realm;
    }
    return true;
}

struct net_snapshot *snapshot_build(const struct config *config, struct port_maps *ports,
    const struct endpoints *endpoints, uint64_t version, char *error, size_t error_cap)
{
    struct net_snapshot *s = calloc(1, sizeof(*s));
    if (!s || !snapshot_add_listeners(s, endpoints)) {
        free(s);
        snprintf(error, error_cap, "out of memory");
        return NULL;
    }
    s->relay.version = version;
    s->relay.limits = config->limits;
    s->relay.relay = config->relay;
    /* These lists belong to the configuration, which workers never see. */
    memset(&s->relay.relay.policy, 0, sizeof(s->relay.relay.policy));
    s->relay.auth = auth_new(&config->auth, error, error_cap);
    if (!s->relay.auth) {
        snapshot_free(s);
        return NULL;
    }
    s->relay.policy = peer_policy_new(&config->relay.policy, ports);
    if (!s->relay.policy) {
        snprintf(error, error_cap, "out of memory");
        snapshot_free(s);
        return NULL;
    }
    if (!snapshot_add_ports(s, ports, error, error_cap)) {
        snapshot_free(s);
        return NULL;
    }
    return s;
}

void snapshot_free(struct net_snapshot *s)
{
    if (s) {
        /* Workers see these as const; they were made, and are freed, here. */
        auth_free((struct auth *)(uintptr_t)s->relay.auth);
        peer_policy_free((struct peer_policy *)(uintptr_t)s->relay.policy);
        free(s->listeners);
        free(s);
    }
}
