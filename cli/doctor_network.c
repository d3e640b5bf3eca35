/*
 * Rules about addresses, ports, listeners and whom the relay may reach. They look at the facts
 * only. Called by doctor_judge.c.
 */
#include <stdio.h>
#include <string.h>

#include "cli/doctor.h"

#define FEW_PORTS 512

/* Addresses that nobody on the internet can send to. */
static bool is_private(const struct addr *a)
{
    static const char *const prefixes[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
        "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        struct prefix p;
        if (prefix_parse(&p, prefixes[i]) == 0 && p.ip.family == a->family) {
            const struct addr masked = addr_masked(a, p.bits);
            if (addr_equal_ip(&masked, &p.ip)) {
                return true;
            }
        }
    }
    return false;
}

static bool is_here(const struct doctor_host *host, const struct addr *a)
{
    for (size_t i = 0; i < host->address_count; i++) {
        if (addr_equal_ip(&host->addresses[i], a)) {
            return true;
        }
    }
    return host->address_count == 0;
}

/* The n-th relayed address as it is in force, or else as it is configured. */
static bool relayed(const struct doctor_facts *f, size_t n, struct cli_relayed *out)
{
    if (f->daemon.reached) {
        if (n < f->daemon.listeners.relayed_count) {
            *out = f->daemon.listeners.relayed[n];
            return true;
        }
        return false;
    }
    if (f->config && n < f->config->relay.address_count) {
        const struct relay_address *a = &f->config->relay.addresses[n];
        *out = (struct cli_relayed){a->public, a->local};
        return true;
    }
    return false;
}

static bool any_public_here(const struct doctor_host *host)
{
    for (size_t i = 0; i < host->address_count; i++) {
        if (!is_private(&host->addresses[i])) {
            return true;
        }
    }
    return false;
}

bool doctor_rule_public_address(const struct doctor_facts *f, struct doctor_findings *out)
{
    char public[ADDR_TEXT_MAX] = "", local[ADDR_TEXT_MAX];
    struct cli_relayed r;
    bool reachable = false;
    size_t n = 0;
    for (; relayed(f, n, &r); n++) {
        addr_format_ip(&r.public, public, sizeof(public));
        addr_format_ip(&r.local, local, sizeof(local));
        reachable = reachable || !is_private(&r.public);
        if (!is_here(&f->host, &r.local)) {
            doctor_add(out, DOCTOR_WRONG,
                "behind 1:1 NAT name both: public_ip: [\"PUBLIC/PRIVATE\"]; else name an address "
                "of "
                "this machine",
                "public_ip has %s, which no interface of this machine has", local);
        }
    }
    if (n > 0 && !reachable) {
        doctor_add(out, DOCTOR_WRONG,
            "behind NAT name the public address as well: public_ip: [\"PUBLIC/PRIVATE\"], and let "
            "the ports through",
            "clients are told to send to %s, which only this network reaches", public);
    } else if (n == 0 && f->host.address_count > 0 && !any_public_here(&f->host)) {
        doctor_add(out, DOCTOR_WRONG,
            "behind NAT name the public address: public_ip: [\"PUBLIC/PRIVATE\"]",
            "this machine has private addresses only, and public_ip names none");
    }
    return n > 0 || f->host.address_count > 0;
}

/* How many allocations somebody has asked for, by the smallest limit that is set; 0: none is. */
static uint64_t allocations_wanted(const struct config *c)
{
    const uint32_t by_default = 100000, most = c->relay.max_allocations,
                   total = c->limits.quota.allocations_total;
    const uint32_t wanted = most != by_default ? most : 0;
    return total > 0 && (wanted == 0 || total < wanted) ? total : wanted;
}

bool doctor_rule_ports(const struct doctor_facts *f, struct doctor_findings *out)
{
    const struct config *c = f->config;
    const struct doctor_host *h = &f->host;
    if (!c) {
        return false;
    }
    const uint64_t count = (uint64_t)c->relay.port_max - c->relay.port_min + 1u;
    const uint64_t wanted = allocations_wanted(c);
    if (wanted > count) {
        doctor_add(out, DOCTOR_WRONG, "widen relay.ports, or lower the limit",
            "relay.ports has %llu ports of an address, and limits admit %llu allocations: the rest "
            "is refused with 508",
            (unsigned long long)count, (unsigned long long)wanted);
    } else if (count < FEW_PORTS) {
        doctor_add(out, DOCTOR_ADVICE, "widen relay.ports; the default is 49152-65535",
            "relay.ports has %llu ports, and each allocation takes one", (unsigned long long)count);
    }
    if (h->local_port_max > 0 && h->local_port_min <= c->relay.port_max &&
        h->local_port_max >= c->relay.port_min && !h->ports_reserved) {
        char remedy[DOCTOR_TEXT_MAX];
        snprintf(remedy, sizeof(remedy), "sysctl -w net.ipv4.ip_local_reserved_ports=%u-%u",
            c->relay.port_min, c->relay.port_max);
        doctor_add(out, DOCTOR_ADVICE, remedy,
            "other programs on this machine are given ports of relay.ports: "
            "net.ipv4.ip_local_port_range is %u-%u",
            h->local_port_min, h->local_port_max);
    }
    return true;
}

static bool listens(const struct cli_listeners *all, const struct listener_settings *l)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct cli_listener *have = &all->list[i];
        if (have->transport == (enum transport)l->transport && have->addr.port == l->addr.port &&
            (addr_is_unspecified(&l->addr) || addr_equal_ip(&have->addr, &l->addr))) {
            return true;
        }
    }
    return false;
}

static bool has_tls(const struct config *c)
{
    for (size_t i = 0; i < c->net.listener_count; i++) {
        if (c->net.listeners[i].transport == TRANSPORT_TLS) {
            return true;
        }
    }
    return false;
}

bool doctor_rule_listeners(const struct doctor_facts *f, struct doctor_findings *out)
{
    const struct config *c = f->config;
    char addr[ADDR_TEXT_MAX];
    for (size_t i = 0; c && f->daemon.reached && i < c->net.listener_count; i++) {
        const struct listener_settings *l = &c->net.listeners[i];
        const bool secure = l->transport == TRANSPORT_TLS || l->transport == TRANSPORT_DTLS;
        if (!listens(&f->daemon.listeners, l) && (!secure || c->tls.certificate_count > 0)) {
            doctor_add(out, l->optional ? DOCTOR_ADVICE : DOCTOR_WRONG,
                "look for not_listening in the log: another program has the port, or a port below "
                "1024 takes CAP_NET_BIND_SERVICE; a new listener may need a reload",
                "nobody listens at %s %s", transport_name((enum transport)l->transport),
                addr_format(&l->addr, addr, sizeof(addr)));
        }
    }
    if (f->daemon.reached && f->daemon.listeners.count == 0) {
        doctor_add(out, DOCTOR_WRONG, NULL, "the daemon listens nowhere");
    }
    if (c && (c->tls.certificate_count == 0 || !has_tls(c))) {
        doctor_add(out, DOCTOR_ADVICE, "set tls.cert and tls.key; port 443 gets through most",
            "there is no TLS: clients behind firewalls that let the web through only cannot come");
    }
    return c && f->daemon.reached;
}

static bool covers(const struct prefix_rule *rule, const char *text)
{
    struct addr a;
    return addr_parse_ip(&a, text) == 0 && a.family == rule->first.family &&
           memcmp(rule->first.ip, a.ip, sizeof(a.ip)) <= 0 &&
           memcmp(rule->last.ip, a.ip, sizeof(a.ip)) >= 0;
}

bool doctor_rule_peers(const struct doctor_facts *f, struct doctor_findings *out)
{
    static const char *const sensitive[] = {"127.0.0.1", "::1", "169.254.169.254", "fd00:ec2::254",
        "10.0.0.1", "192.168.0.1", "172.16.0.1"};
    const struct peer_policy_settings *p = f->config ? &f->config->relay.policy : NULL;
    if (p && !p->deny_recommended) {
        doctor_add(out, DOCTOR_WRONG,
            "deny_peers: [recommended, ...], and exceptions in allow_peers",
            "relay.deny_peers is none: who has a credential reaches private networks and "
            "this machine");
        return true;
    }
    for (size_t i = 0; p && i < p->allow_count; i++) {
        for (size_t k = 0; k < sizeof(sensitive) / sizeof(sensitive[0]); k++) {
            const bool worst = k < 4;
            if (covers(&p->allow[i], sensitive[k])) {
                doctor_add(out, worst ? DOCTOR_WRONG : DOCTOR_ADVICE,
                    "allow only the addresses and ports that media needs",
                    "relay.allow_peers lets clients reach %s%s", sensitive[k],
                    worst ? "" : " and its network");
                break;
            }
        }
    }
    return p != NULL;
}

bool doctor_rule_proxies(const struct doctor_facts *f, struct doctor_findings *out)
{
    char addr[ADDR_TEXT_MAX], from[ADDR_TEXT_MAX];
    for (size_t i = 0; f->config && i < f->config->net.listener_count; i++) {
        const struct listener_settings *l = &f->config->net.listeners[i];
        for (size_t k = 0; k < l->proxy_from_count; k++) {
            if (l->proxy_from[k].bits >= (l->proxy_from[k].ip.family == ADDR_IPV4 ? 8 : 16)) {
                continue;
            }
            doctor_add(out, DOCTOR_WRONG, "name the balancers' own addresses only",
                "proxy_from of %s %s trusts %s/%u: anybody there can claim any address as his",
                transport_name((enum transport)l->transport),
                addr_format(&l->addr, addr, sizeof(addr)),
                addr_format_ip(&l->proxy_from[k].ip, from, sizeof(from)), l->proxy_from[k].bits);
        }
    }
    return f->config != NULL;
}

bool doctor_rule_relaying(const struct doctor_facts *f, struct doctor_findings *out)
{
    char to[ADDR_TEXT_MAX];
    if (!f->probe && f->nowhere_public) {
        doctor_add(out, DOCTOR_ADVICE,
            "let a listener of UDP take 0.0.0.0 and [::], or the addresses of public_ip",
            "no listener of UDP or TCP that clients reach without a proxy is at an address of "
            "public_ip");
        return true;
    }
    if (!f->probe) {
        return false;
    }
    if (f->probe->ok) {
        return true;
    }
    addr_format(&f->probe->to, to, sizeof(to));
    if (f->probe->no_credential) {
        doctor_add(out, DOCTOR_ADVICE, "--user and --password-file, or --secret-file",
            "no allocation was tried: %s", f->probe->why);
        return true;
    }
    if (f->probe->reached == PROBE_CONNECT || strstr(f->probe->why, "nothing answers")) {
        doctor_add(out, f->probe_mapped ? DOCTOR_ADVICE : DOCTOR_WRONG,
            f->probe_mapped
                ? "try from outside: many NATs do not lead back in what comes from inside"
                : "open this port for UDP, and relay.ports, in the packet filter",
            "the public address %s does not answer from here: %s", to, f->probe->why);
        return true;
    }
    doctor_add(out, DOCTOR_WRONG, "turnpikectl selftest shows each step",
        "no allocation at the public address %s: %s: %s", to, probe_step_name(f->probe->reached),
        f->probe->why);
    return true;
}
