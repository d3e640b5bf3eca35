/*
 * Builds a snapshot whole before any worker sees it.
 *
 * Always: what fails here has changed nothing for the workers. Called by control at start and at
 * each reload.
 */
#include "daemon/build_snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "srtp/verifier.h"

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

/* NULL: out of memory. */
static struct prefix_set *snapshot_prefixes(const struct prefix *items, size_t count)
{
    struct prefix_set *set = prefix_set_new();
    int r = set ? 0 : -ENOMEM;
    for (size_t i = 0; i < count && r == 0; i++) {
        r = prefix_set_add(set, &items[i]);
    }
    if (r < 0) {
        prefix_set_free(set);
        return NULL;
    }
    return set;
}

static bool snapshot_add_listener(
    struct net_snapshot *s, const struct endpoint *e, const struct listener_settings *settings)
{
    struct net_listener *l = &s->listeners[s->listener_count];
    l->transport = settings->transport;
    l->udp = e->udp;
    l->stream = e->stream;
    l->realm = settings->realm;
    l->realms = settings->realms;
    l->accept_plain = settings->accept_plain;
    l->client_certificate = settings->client_certificate;
    if (settings->proxy_from_count > 0) {
        l->proxy_from = snapshot_prefixes(settings->proxy_from, settings->proxy_from_count);
        if (!l->proxy_from) {
            return false;
        }
    }
    s->listener_count++;
    return true;
}

static bool snapshot_add_listeners(
    struct net_snapshot *s, const struct endpoint_plan *plan, char *error, size_t error_cap)
{
    s->listeners = calloc(plan->count + 1, sizeof(*s->listeners));
    bool ok = s->listeners != NULL;
    for (size_t i = 0; i < plan->count && ok; i++) {
        ok = snapshot_add_listener(s, &plan->endpoints->list[i], &plan->roles[i].settings);
    }
    if (!ok) {
        snprintf(error, error_cap, "out of memory");
    }
    return ok;
}

/* Workers keep nothing between two starts: what seals their tickets comes from the nonce secret,
 * which all instances share. */
static bool snapshot_add_tls(
    struct net_snapshot *s, const struct snapshot_source *from, char *error, size_t error_cap)
{
    const struct config *config = from->config;
    if (from->tls) {
        s->tls = tls_context_hold(from->tls);
        return true;
    }
    return config->tls.certificate_count == 0 ||
           tls_context_new(&s->tls, &config->tls, secret_slice(&config->auth.nonce_secret), error,
               error_cap) == 0;
}

static void snapshot_add_rates(struct relay_snapshot *r, const struct config *config)
{
    memcpy(r->rates, config->realm_rates, sizeof(r->rates));
    r->rates[0] = config->limits.rates;
    for (size_t i = 0; i < AUTH_REALMS_MAX; i++) {
        r->bandwidth[i] = bandwidth_rates_of(&config->limits, &r->rates[i]);
    }
}

/* The closest level of all. */
static uint8_t snapshot_closest_guard(const struct config *config)
{
    uint8_t level = config->srtp.guard;
    for (size_t i = 0; i < AUTH_REALMS_MAX; i++) {
        uint8_t own = config->realm_guards[i];
        level = own != SRTP_GUARD_INHERIT && own > level ? own : level;
    }
    for (size_t i = 0; i < config->net.listener_count; i++) {
        uint8_t own = config->net.listeners[i].guard;
        level = own != SRTP_GUARD_INHERIT && own > level ? own : level;
    }
    return level;
}

bool snapshot_check_srtp(const struct config *config, char *error, size_t error_cap)
{
    if (snapshot_closest_guard(config) < SRTP_GUARD_VERIFY || srtp_verifier_available()) {
        return true;
    }
    snprintf(error, error_cap,
        "srtp: verify and verify_required need a build with libsrtp2, and this is one without");
    return false;
}

static void snapshot_add_guards(struct relay_snapshot *r, const struct snapshot_source *from)
{
    const struct config *config = from->config;
    r->srtp = (struct srtp_policy){.replay = config->srtp.replay,
        .window = config->srtp.window,
        .streams_per_direction = config->srtp.streams_per_direction,
        .key_grace_s = config->srtp.key_grace_s};
    for (size_t i = 0; i < AUTH_REALMS_MAX; i++) {
        uint8_t own = config->realm_guards[i];
        r->guard_of_realm[i] = own == SRTP_GUARD_INHERIT ? config->srtp.guard : own;
    }
    memset(r->guard_of_listener, SRTP_GUARD_INHERIT, sizeof(r->guard_of_listener));
    for (size_t i = 0; i < from->plan->count && i < GUARD_LISTENERS_MAX; i++) {
        r->guard_of_listener[i] = from->plan->roles[i].settings.guard;
    }
}

static bool snapshot_add_relay(struct net_snapshot *s, const struct config *config,
    struct port_maps *ports, char *error, size_t error_cap)
{
    s->relay.limits = config->limits;
    s->relay.usage_every_s = usage_is_on(&config->usage) ? config->usage.every_s : 0;
    memcpy(s->relay.quotas, config->realm_quotas, sizeof(s->relay.quotas));
    s->relay.quotas[0] = config->limits.quota;
    snapshot_add_rates(&s->relay, config);
    s->relay.relay = config->relay;
    /* These lists belong to the configuration, which workers never see. */
    memset(&s->relay.relay.policy, 0, sizeof(s->relay.relay.policy));
    s->relay.auth = auth_new(&config->auth, error, error_cap);
    if (!s->relay.auth) {
        return false;
    }
    s->relay.policy = peer_policy_new(&config->relay.policy, ports);
    if (!s->relay.policy) {
        snprintf(error, error_cap, "out of memory");
        return false;
    }
    return snapshot_add_ports(s, ports, error, error_cap);
}

struct net_snapshot *snapshot_build(
    const struct snapshot_source *from, char *error, size_t error_cap)
{
    const struct config *config = from->config;
    struct net_snapshot *s = calloc(1, sizeof(*s));
    if (!s) {
        snprintf(error, error_cap, "out of memory");
        return NULL;
    }
    s->relay.version = from->version;
    snapshot_add_guards(&s->relay, from);
    s->streams = config->net.streams;
    s->dtls = config->net.dtls;
    drain_snapshot(from->drain, config, &s->relay.drain);
    /* Ports come last: a relayed address stays in their map for good. */
    if (!snapshot_check_srtp(config, error, error_cap) ||
        !snapshot_add_listeners(s, from->plan, error, error_cap) ||
        !snapshot_add_tls(s, from, error, error_cap) ||
        !snapshot_add_relay(s, config, from->ports, error, error_cap)) {
        snapshot_free(s);
        return NULL;
    }
    return s;
}

void snapshot_free(struct net_snapshot *s)
{
    if (!s) {
        return;
    }
    /* Workers see these as const; they were made, and are freed, here. */
    auth_free((struct auth *)(uintptr_t)s->relay.auth);
    peer_policy_free((struct peer_policy *)(uintptr_t)s->relay.policy);
    for (size_t i = 0; i < s->listener_count; i++) {
        prefix_set_free((struct prefix_set *)(uintptr_t)s->listeners[i].proxy_from);
    }
    free(s->listeners);
    tls_context_release(s->tls);
    free(s);
}
