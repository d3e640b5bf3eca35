/*
 * Where clients come in. No two listeners of one configuration want the same port: TCP and TLS
 * share one space of ports, UDP and DTLS another. Called through the schema, and by config.c.
 */
#include "config/listeners.h"

#include "config/schema.h"
#include "config/served.h"
#include "config/srtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each listener is a socket or two in each worker. */
#define LISTENERS_MAX 64
/* More balancers than this no one listener has. */
#define PROXIES_MAX 256

const char *listeners_unusable(const struct addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (a->family == ADDR_IPV4)
        return a->ip[0] >= 224 ? "a multicast or reserved address" : NULL;
    if (a->ip[0] == 0xff)
        return "a multicast address";
    return memcmp(a->ip, mapped, sizeof(mapped)) == 0
               ? "an IPv4 address in IPv6 form: write it as IPv4"
               : NULL;
}

void listeners_clear(struct net_settings *net)
{
    for (size_t i = 0; i < net->listener_count; i++)
        free(net->listeners[i].proxy_from);
    free(net->listeners);
    net->listeners = NULL;
    net->listener_count = 0;
}

static int set_proto(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct listen_item *item = base;

    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    for (uint8_t t = 0; t < TRANSPORTS; t++) {
        if (strcmp(value->text, transport_name(t)) == 0) {
            item->listener.transport = t;
            return 0;
        }
    }
    return schema_bad_value(key, value, fault);
}

static int set_listen_addr(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct listen_item *item = base;
    struct addr addr;
    const char *why;

    if (value->kind != DOCUMENT_SCALAR || addr_parse_ip(&addr, value->text) < 0)
        return schema_bad_value(key, value, fault);
    why = listeners_unusable(&addr);
    if (why)
        return fault_set(
            fault, value->line, "'%s' %s is %s", key->path, fault_escape(value->text).text, why);
    item->listener.addr = addr;
    return 0;
}

static int set_listen_port(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct listen_item *item = base;

    if (value->kind != DOCUMENT_SCALAR || !value_ports(value->text, &item->ports))
        return schema_bad_value(key, value, fault);
    return 0;
}

/* A prefix, or an address that stands for itself alone. */
static bool parse_proxy(struct prefix *out, const char *text)
{
    struct addr ip;

    if (addr_parse_ip(&ip, text) < 0)
        return prefix_parse(out, text) == 0;
    *out = (struct prefix){ip, (uint8_t)(addr_ip_len(&ip) * 8)};
    return true;
}

static int read_proxy(struct prefix *items, size_t count, const struct document_node *value,
    const struct schema_key *key, struct fault *fault)
{
    struct prefix p;

    if (value->kind != DOCUMENT_SCALAR)
        return fault_set(fault, value->line, "'%s' must hold texts only", key->path);
    if (!parse_proxy(&p, value->text))
        return fault_set(fault, value->line,
            "'%s': '%s': not an address or a prefix, or host bits are set", key->path,
            fault_escape(value->text).text);
    /* A PROXY header says whose address a client has. */
    if (p.bits == 0)
        return fault_set(fault, value->line, "'%s': '%s' would let every client choose its address",
            key->path, fault_escape(value->text).text);
    for (size_t i = 0; i < count; i++)
        if (addr_equal_ip(&items[i].ip, &p.ip) && items[i].bits == p.bits)
            return fault_set(fault, value->line, "'%s' says '%s' twice", key->path,
                fault_escape(value->text).text);
    items[count] = p;
    return 0;
}

static int set_proxy_from(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct listener_settings *listener = &((struct listen_item *)base)->listener;
    struct prefix *items;
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count > PROXIES_MAX)
        return fault_set(
            fault, value->line, "'%s' must not hold more than %d prefixes", key->path, PROXIES_MAX);
    items = calloc(value->count + 1, sizeof(*items));
    if (!items)
        return fault_out_of_memory(fault);
    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = read_proxy(items, i, &value->children[i], key, fault);
    if (rc < 0) {
        free(items);
        return rc;
    }
    free(listener->proxy_from);
    listener->proxy_from = items;
    listener->proxy_from_count = value->count;
    return 0;
}

static const char *const protos[] = {"udp", "tcp", "tls", "dtls", NULL};
const struct schema_type type_proto = {
    .name = "choice", .form = "udp, tcp, tls or dtls", .set = set_proto, .choices = protos};
const struct schema_type type_listen_addr = {
    .name = "address", .form = "an IP address such as \"::\" or 192.0.2.1", .set = set_listen_addr};
const struct schema_type type_listen_port = {.name = "ports",
    .form = "a port or a range of ports such as 3478-3481",
    .set = set_listen_port};
const struct schema_type type_proxy_from = {
    .name = "list", .form = "a list of addresses and prefixes", .set = set_proxy_from};

static bool is_wildcard(const struct addr *a, enum addr_family family)
{
    return a->family == family && addr_is_unspecified(a);
}

/* Would both want the same port of the same address? "::" binds both families. */
static bool clash(const struct listener_settings *x, const struct listener_settings *y)
{
    const struct addr *a = &x->addr, *b = &y->addr;

    if (a->port != b->port ||
        transport_is_stream(x->transport) != transport_is_stream(y->transport))
        return false;
    if (is_wildcard(a, ADDR_IPV6) || is_wildcard(b, ADDR_IPV6))
        return true;
    if (a->family != b->family)
        return false;
    return addr_is_unspecified(a) || addr_is_unspecified(b) || addr_equal_ip(a, b);
}

/* A copy with lists of its own. 0 or -ENOMEM. */
static int copy_listener(struct listener_settings *out, const struct listener_settings *l)
{
    struct prefix *proxies = NULL;

    if (l->proxy_from_count > 0) {
        proxies = calloc(l->proxy_from_count, sizeof(*proxies));
        if (!proxies)
            return -ENOMEM;
        memcpy(proxies, l->proxy_from, l->proxy_from_count * sizeof(*proxies));
    }
    *out = *l;
    out->proxy_from = proxies;
    return 0;
}

static int add_listener(struct net_settings *net, const struct listener_settings *l)
{
    struct listener_settings *grown =
        reallocarray(net->listeners, net->listener_count + 1, sizeof(*grown));
    int rc;

    if (!grown)
        return -ENOMEM;
    net->listeners = grown;
    rc = copy_listener(&grown[net->listener_count], l);
    net->listener_count += rc == 0;
    return rc;
}

static int add_listeners(
    struct net_settings *net, const struct listen_item *item, unsigned line, struct fault *fault)
{
    struct listener_settings l = item->listener;

    for (unsigned port = item->ports.min; port <= item->ports.max; port++) {
        if (net->listener_count == LISTENERS_MAX)
            return fault_set(
                fault, line, "'listen' must not hold more than %d ports", LISTENERS_MAX);
        l.addr.port = (uint16_t)port;
        for (size_t k = 0; k < net->listener_count; k++)
            if (clash(&net->listeners[k], &l))
                return fault_set(fault, line, "'listen' would bind %s port %u twice",
                    transport_is_stream(l.transport) ? "TCP" : "UDP", port);
        if (add_listener(net, &l) < 0)
            return fault_out_of_memory(fault);
    }
    return 0;
}

/* Keys that mean nothing for the transport, or beside another, are refused: they would be taken for
 * protection. */
static int check_item(const struct listen_item *item, unsigned line, struct fault *fault)
{
    const struct listener_settings *l = &item->listener;
    const char *proto = transport_name(l->transport);

    if (l->proxy_from_count > 0 && !transport_is_stream(l->transport))
        return fault_set(fault, line,
            "'listen[].proxy_from' is for tcp and tls: PROXY over UDP is not accepted");
    if (l->accept_plain && l->transport != TRANSPORT_TLS)
        return fault_set(fault, line, "'listen[].accept_plain' is for tls, not for %s", proto);
    if (l->client_certificate && l->transport != TRANSPORT_TLS)
        return fault_set(
            fault, line, "'listen[].client_certificate' is for tls, not for %s", proto);
    if (l->accept_plain && l->client_certificate)
        return fault_set(fault, line,
            "'listen[].accept_plain' would let everybody past 'listen[].client_certificate'");
    return 0;
}

static int add_listen_item(
    struct net_settings *net, const struct document_node *value, struct fault *fault)
{
    struct listen_item item = {.listener.guard = SRTP_GUARD_INHERIT};
    int rc;

    rc = schema_set_defaults("listen[]", &item) < 0 ? fault_out_of_memory(fault)
                                                    : schema_read("listen[]", value, &item, fault);
    if (rc == 0)
        rc = check_item(&item, value->line, fault);
    if (rc == 0)
        rc = add_listeners(net, &item, value->line, fault);
    free(item.listener.proxy_from);
    return rc;
}

static int set_listen(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct config *c = base;
    struct net_settings built = {0};
    int rc = 0;

    c->listen_auto = value->kind == DOCUMENT_SCALAR && strcmp(value->text, "auto") == 0;
    if (c->listen_auto)
        return 0;
    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count == 0)
        return fault_set(fault, value->line, "'listen' must have at least one entry");
    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = add_listen_item(&built, &value->children[i], fault);
    if (rc < 0) {
        listeners_clear(&built);
        return rc;
    }
    listeners_clear(&c->net);
    c->net.listeners = built.listeners;
    c->net.listener_count = built.listener_count;
    return 0;
}

/* What `listen: auto` stands for, in the order of preference of clients. */
static const struct automatic {
    uint8_t transport;
    struct port_range ports;
    bool certificate; /* only where one is configured; then the port is welcome, not needed */
} automatic[] = {
    {TRANSPORT_UDP, {3478, 3481}, false},
    {TRANSPORT_TCP, {3478, 3478}, false},
    {TRANSPORT_TLS, {443, 443}, true},
    {TRANSPORT_TLS, {5349, 5349}, true},
    {TRANSPORT_DTLS, {5349, 5349}, true},
};

static int add_automatic(struct net_settings *net, const struct automatic *a)
{
    struct listener_settings l = {.addr = {.family = ADDR_IPV6}, .guard = SRTP_GUARD_INHERIT};
    int rc = 0;

    l.transport = a->transport;
    l.optional = a->certificate;
    for (unsigned port = a->ports.min; port <= a->ports.max && rc == 0; port++) {
        l.addr.port = (uint16_t)port;
        rc = add_listener(net, &l);
    }
    return rc;
}

int listeners_complete(struct config *c)
{
    int rc = 0;

    if (!c->listen_auto)
        return 0;
    listeners_clear(&c->net);
    for (size_t i = 0; i < sizeof(automatic) / sizeof(automatic[0]) && rc == 0; i++)
        if (!automatic[i].certificate || c->tls.certificate_count > 0)
            rc = add_automatic(&c->net, &automatic[i]);
    return rc;
}

int listeners_check(const struct config *c, const struct document_node *root, struct fault *fault)
{
    const struct document_node *list = document_get(root, "listen");

    for (size_t i = 0; !c->listen_auto && i < list->count; i++) {
        const struct document_node *item = &list->children[i];
        const struct document_node *client = document_get(item, "client_certificate");
        const char *proto = document_get(item, "proto")->text;
        bool secure = strcmp(proto, "tls") == 0 || strcmp(proto, "dtls") == 0;

        if (secure && c->tls.certificate_count == 0)
            return fault_set(fault, item->line,
                "a %s listener needs a certificate: 'tls.cert' and 'tls.key'", proto);
        if (client && strcmp(client->text, "true") == 0 && !c->tls.client_ca)
            return fault_set(
                fault, client->line, "'listen[].client_certificate' needs 'tls.client_ca'");
    }
    return 0;
}

static bool same_entry(
    const struct listener_settings *first, const struct listener_settings *l, size_t distance)
{
    if (!addr_equal_ip(&l->addr, &first->addr) || l->addr.port != first->addr.port + distance ||
        l->transport != first->transport || l->accept_plain != first->accept_plain ||
        l->client_certificate != first->client_certificate || l->realm != first->realm ||
        l->realms != first->realms || l->guard != first->guard ||
        l->proxy_from_count != first->proxy_from_count)
        return false;
    for (size_t i = 0; i < l->proxy_from_count; i++)
        if (!addr_equal_ip(&l->proxy_from[i].ip, &first->proxy_from[i].ip) ||
            l->proxy_from[i].bits != first->proxy_from[i].bits)
            return false;
    return true;
}

static void print_proxies(const struct listener_settings *l, FILE *out)
{
    char ip[ADDR_TEXT_MAX];

    for (size_t i = 0; i < l->proxy_from_count; i++)
        fprintf(out, "%s\"%s/%u\"", i > 0 ? ", " : ", proxy_from: [",
            addr_format_ip(&l->proxy_from[i].ip, ip, sizeof(ip)), l->proxy_from[i].bits);
    fputs(l->proxy_from_count > 0 ? "]" : "", out);
}

/* A run of ports that differ in nothing else was one entry, or might have been. */
static void print_entry(
    const struct config *c, const struct listener_settings *first, unsigned last_port, FILE *out)
{
    char ip[ADDR_TEXT_MAX];

    fprintf(out, "{ proto: %s, addr: \"%s\", port: ", transport_name(first->transport),
        addr_format_ip(&first->addr, ip, sizeof(ip)));
    value_print_ports(out, (struct port_range){first->addr.port, (uint16_t)last_port});
    print_proxies(first, out);
    fputs(first->accept_plain ? ", accept_plain: true" : "", out);
    fputs(first->client_certificate ? ", client_certificate: true" : "", out);
    served_print(c, first, out);
    srtp_print_guard(first->guard, out);
    fputs(" }", out);
}

static void print_listen(const void *base, const struct schema_key *key, FILE *out)
{
    const struct config *c = base;
    const struct net_settings *net = &c->net;
    size_t next;

    fputs(c->listen_auto ? "auto\n  # " : "[\n  ", out);
    for (size_t i = 0; i < net->listener_count; i = next) {
        for (next = i + 1; next < net->listener_count; next++)
            if (!same_entry(&net->listeners[i], &net->listeners[next], next - i))
                break;
        if (i > 0)
            fputs(c->listen_auto ? "\n  # " : ",\n  ", out);
        print_entry(c, &net->listeners[i], net->listeners[next - 1].addr.port, out);
    }
    fputs(c->listen_auto ? "" : "\n  ]", out);
}

const struct schema_type type_listen = {.name = "list",
    .form = "auto, or a list of { proto, addr, port }",
    .set = set_listen,
    .print = print_listen};
