/*
 * The one place that decides whether a peer may be reached (THREATS row 1). An address is first
 * spread into all that it may stand for (canonical.h); each of these is judged alone, and the first
 * refusal counts. What always holds: 6to4, Teredo, unspecified addresses, zones and, at a send,
 * port 0 are refused before any rule is asked; no rule allows what `never` names. Built by control;
 * asked by the workers for every permission and every datagram, without a lock or an allocation.
 */
#include "relay/peer_policy.h"

#include "relay/canonical.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct peer_policy {
    const struct port_maps *ports;
    struct prefix_set *allow;   /* allow_peers; NULL where there are none */
    struct prefix_set *deny;    /* deny_peers, our own interface addresses, loopback */
    struct prefix_set *special; /* special_purpose.def; NULL when switched off */
    struct prefix_set *never;
    struct prefix *nat64;
    size_t nat64_count;
    struct addr *wildcards; /* those of `never` that mean every own address */
    size_t wildcard_count;
    uint64_t never_ports[65536 / 64]; /* ports that `never` names */
    /* First 16 bits of the addresses that a rule of allow, deny or special touches. Most peers lie
     * elsewhere and cost one load instead of three walks. */
    uint64_t ruled_ipv4[65536 / 64], ruled_ipv6[65536 / 64];
};

static const char *const special_blocks[] = {
#define SPECIAL_PURPOSE(prefix, name, reference) prefix,
#define SPECIAL_TRANSLATION(prefix, name, reference)
#include "relay/special_purpose.def"
#undef SPECIAL_PURPOSE
#undef SPECIAL_TRANSLATION
};

static bool bit_is_set(const uint64_t *bits, unsigned at)
{
    return (bits[at / 64] >> (at % 64)) & 1;
}

static unsigned first_16_bits(const struct addr *addr)
{
    return (unsigned)addr->ip[0] << 8 | addr->ip[1];
}

/* For allow, deny and special; `set` is made with its first rule. */
static int policy_add_rule(
    struct peer_policy *p, struct prefix_set **set, const struct prefix_rule *rule)
{
    uint64_t *ruled = rule->first.family == ADDR_IPV4 ? p->ruled_ipv4 : p->ruled_ipv6;

    if (!*set)
        *set = prefix_set_new();
    if (!*set)
        return -ENOMEM;
    for (unsigned at = first_16_bits(&rule->first); at <= first_16_bits(&rule->last); at++)
        ruled[at / 64] |= UINT64_C(1) << (at % 64);
    return prefix_set_add_rule(*set, rule);
}

static int policy_add_rules(
    struct peer_policy *p, struct prefix_set **set, const struct prefix_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (policy_add_rule(p, set, &rules[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int policy_add_text(struct peer_policy *p, struct prefix_set **set, const char *text)
{
    struct prefix_rule rule;
    const char *why;
    int err = prefix_rule_parse(&rule, text, &why);

    assert(err == 0); /* only our own constants come here */
    return err ? err : policy_add_rule(p, set, &rule);
}

static int policy_add_special(struct peer_policy *p, const struct peer_policy_settings *settings)
{
    size_t count =
        settings->deny_recommended ? sizeof special_blocks / sizeof special_blocks[0] : 0;

    for (size_t i = 0; i < count; i++) {
        if (policy_add_text(p, &p->special, special_blocks[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* All of loopback is ours whether or not the list of interfaces spells it out: 127.0.0.2 reaches
 * this host like 127.0.0.1. */
static int policy_add_own(struct peer_policy *p, const struct peer_policy_settings *settings)
{
    if (policy_add_text(p, &p->deny, "127.0.0.0/8") < 0 ||
        policy_add_text(p, &p->deny, "::1/128") < 0)
        return -ENOMEM;
    for (size_t i = 0; i < settings->own_address_count; i++) {
        const struct addr *own = &settings->own_addresses[i];
        struct prefix_rule rule = {.first = *own, .last = *own, .port_max = UINT16_MAX};
        if (own->family != ADDR_NONE && policy_add_rule(p, &p->deny, &rule) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* An address without a port (0) is never reached on any port. */
static int policy_never_at(
    struct peer_policy *p, const struct addr *first, const struct addr *last, uint16_t port)
{
    struct prefix_rule rule = {
        .first = *first, .last = *last, .port_min = port, .port_max = port ? port : UINT16_MAX};

    return prefix_set_add_rule(p->never, &rule);
}

/* "an unspecified address means every own address of that family"; relayed addresses may come later
 * and are asked for at the send. */
static int policy_never_wildcard(
    struct peer_policy *p, const struct peer_policy_settings *settings, const struct addr *never)
{
    struct addr first = addr_ipv4(127, 0, 0, 0, 0), last = addr_ipv4(127, 255, 255, 255, 0);

    if (never->family == ADDR_IPV6) {
        memset(first.ip, 0, sizeof first.ip);
        first.family = ADDR_IPV6;
        first.ip[15] = 1;
        last = first;
    }
    p->wildcards[p->wildcard_count++] = *never;
    if (policy_never_at(p, &first, &last, never->port) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < settings->own_address_count; i++) {
        const struct addr *own = &settings->own_addresses[i];
        if (own->family == never->family && policy_never_at(p, own, own, never->port) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int policy_add_never(struct peer_policy *p, const struct peer_policy_settings *settings)
{
    p->never = prefix_set_new();
    p->wildcards = calloc(settings->never_count + 1, sizeof *p->wildcards);
    if (!p->never || !p->wildcards)
        return -ENOMEM;
    for (size_t i = 0; i < settings->never_count; i++) {
        const struct addr *never = &settings->never[i];
        if (never->family == ADDR_NONE)
            continue;
        if (never->port == 0)
            memset(p->never_ports, 0xff, sizeof p->never_ports);
        p->never_ports[never->port / 64] |= UINT64_C(1) << (never->port % 64);
        int err = addr_is_unspecified(never) ? policy_never_wildcard(p, settings, never)
                                             : policy_never_at(p, never, never, never->port);
        if (err < 0)
            return -ENOMEM;
    }
    return 0;
}

static int policy_add_nat64(struct peer_policy *p, const struct peer_policy_settings *settings)
{
    p->nat64 = calloc(settings->nat64_count + 1, sizeof *p->nat64);
    if (!p->nat64)
        return -ENOMEM;
    for (size_t i = 0; i < settings->nat64_count; i++) {
        uint8_t bits = settings->nat64[i].bits;
        /* The configuration refuses others; one that slipped through must not pass for a checked
         * one. */
        assert((bits % 8 == 0 && bits >= 32 && bits <= 64) || bits == 96);
        p->nat64[p->nat64_count++] = settings->nat64[i];
    }
    return 0;
}

struct peer_policy *peer_policy_new(
    const struct peer_policy_settings *settings, const struct port_maps *ports)
{
    struct peer_policy *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->ports = ports;
    if (policy_add_special(p, settings) < 0 || policy_add_own(p, settings) < 0 ||
        policy_add_never(p, settings) < 0 || policy_add_nat64(p, settings) < 0 ||
        policy_add_rules(p, &p->deny, settings->deny, settings->deny_count) < 0 ||
        policy_add_rules(p, &p->allow, settings->allow, settings->allow_count) < 0) {
        peer_policy_free(p);
        return NULL;
    }
    return p;
}

void peer_policy_free(struct peer_policy *p)
{
    if (!p)
        return;
    prefix_set_free(p->allow);
    prefix_set_free(p->deny);
    prefix_set_free(p->special);
    prefix_set_free(p->never);
    free(p->wildcards);
    free(p->nat64);
    free(p);
}

/* What no rule can allow. */
static bool policy_refuses_outright(const struct addr *peer)
{
    return peer->family == ADDR_NONE || peer->scope != 0 || canonical_is_tunnel(peer);
}

/* `map`: that of the address if it is a relayed one of ours, whose other face (1:1 NAT) leads to
 * the same listener. */
static bool policy_is_never(
    const struct peer_policy *p, const struct addr *at, const struct port_map *map)
{
    if (!bit_is_set(p->never_ports, at->port))
        return false;
    if (prefix_set_match(p->never, at))
        return true;
    if (!map)
        return false;
    for (size_t i = 0; i < p->wildcard_count; i++) {
        const struct addr *wildcard = &p->wildcards[i];
        if (wildcard->family == at->family && (wildcard->port == 0 || wildcard->port == at->port))
            return true;
    }
    struct addr local = *port_map_local(map), public = *port_map_public(map);
    local.port = public.port = at->port;
    return prefix_set_match(p->never, &local) || prefix_set_match(p->never, &public);
}

/*
 * The special-purpose blocks do not refuse a prefix that is configured for translation (a unique
 * local one, or a part of 64:ff9b:1::/48): who is behind it is the IPv4 address inside, which is
 * judged as well.
 */
static bool policy_is_special(const struct peer_policy *p, const struct addr *at)
{
    if (!p->special || prefix_set_match_ip(p->special, at) == PREFIX_NONE)
        return false;
    for (size_t i = 0; i < p->nat64_count; i++) {
        struct addr masked = addr_masked(at, p->nat64[i].bits);
        if (at->family == ADDR_IPV6 && addr_equal_ip(&masked, &p->nat64[i].ip))
            return false;
    }
    return true;
}

static bool policy_has_rules_near(const struct peer_policy *p, const struct addr *at)
{
    return bit_is_set(at->family == ADDR_IPV4 ? p->ruled_ipv4 : p->ruled_ipv6, first_16_bits(at));
}

static enum reason policy_judge_permission(const struct peer_policy *p, const struct addr *at)
{
    if (addr_is_unspecified(at) || prefix_set_match_ip(p->never, at) == PREFIX_ALL_PORTS)
        return REASON_PEER_FORBIDDEN;
    if (port_maps_find(p->ports, at) || !policy_has_rules_near(p, at))
        return REASON_NONE;
    if (p->allow && prefix_set_match_ip(p->allow, at) != PREFIX_NONE)
        return REASON_NONE;
    if (prefix_set_match_ip(p->deny, at) == PREFIX_ALL_PORTS || policy_is_special(p, at))
        return REASON_PEER_FORBIDDEN;
    return REASON_NONE;
}

/* A relayed address of ours at a port that is not live is this host, whichever of its two names
 * behind 1:1 NAT is used: allow_peers opens it only by the name that sockets send to, not by a
 * range that happens to hold our public address. */
static bool policy_allows_own(
    const struct peer_policy *p, const struct port_map *map, uint16_t port)
{
    struct addr local = *port_map_local(map);

    local.port = port;
    return p->allow && prefix_set_match(p->allow, &local);
}

static enum reason policy_judge_send(const struct peer_policy *p, const struct addr *at)
{
    const struct port_map *map = port_maps_find(p->ports, at);

    if (addr_is_unspecified(at) || policy_is_never(p, at, map))
        return REASON_PEER_DENIED;
    if (map && port_map_is_live(map, at->port))
        return REASON_NONE;
    if (map)
        return policy_allows_own(p, map, at->port) ? REASON_NONE : REASON_PEER_PORT_NOT_LIVE;
    bool ruled = policy_has_rules_near(p, at);
    if (ruled && p->allow && prefix_set_match(p->allow, at))
        return REASON_NONE;
    if (ruled && (prefix_set_match(p->deny, at) || policy_is_special(p, at)))
        return REASON_PEER_DENIED;
    return REASON_NONE;
}

static enum reason policy_judge_own(const struct peer_policy *p, const struct addr *at)
{
    const struct port_map *map = port_maps_find(p->ports, at);

    if ((map && port_map_is_live(map, at->port)) || policy_is_never(p, at, map))
        return REASON_SOURCE_IS_OURS;
    return REASON_NONE;
}

/* The first refusal among the address and all that it may stand for. */
static enum reason policy_judge_forms(const struct peer_policy *p, const struct addr *addr,
    enum reason (*judge)(const struct peer_policy *p, const struct addr *at))
{
    enum reason reason = judge(p, addr);

    if (reason != REASON_NONE || addr->family != ADDR_IPV6)
        return reason;

    struct addr forms[CANONICAL_MAX];
    unsigned count = canonical_addresses(addr, p->nat64, p->nat64_count, forms);
    for (unsigned i = 1; i < count && reason == REASON_NONE; i++)
        reason = judge(p, &forms[i]);
    return reason;
}

enum reason peer_policy_permission(const struct peer_policy *p, const struct addr *peer)
{
    if (policy_refuses_outright(peer))
        return REASON_PEER_FORBIDDEN;
    return policy_judge_forms(p, peer, policy_judge_permission);
}

enum reason peer_policy_send(const struct peer_policy *p, const struct addr *peer)
{
    if (policy_refuses_outright(peer) || peer->port == 0)
        return REASON_PEER_DENIED;
    return policy_judge_forms(p, peer, policy_judge_send);
}

bool peer_policy_is_ours(const struct peer_policy *p, const struct addr *source)
{
    return policy_judge_forms(p, source, policy_judge_own) != REASON_NONE;
}
