/*
 * The addresses of the relay itself: `listen`, where clients come in, and `public_ip`, what relayed
 * addresses are made of. No two listeners of one configuration want the same port. Called through
 * the schema.
 */
#include "config/listeners.h"

#include "config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each listener is a socket or two in each worker. */
#define LISTENERS_MAX 64

/* An address that a socket of ours can be bound to, or that clients can send to. NULL, or what it
 * is instead. */
static const char *unusable(const struct addr *a)
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

static int set_proto(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    static const char *const later[] = {"tcp", "tls", "dtls"};
    struct listen_item *item = base;

    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (strcmp(value->text, later[i]) == 0)
            return fault_set(fault, value->line,
                "'%s: %s' is not available in this version, only udp is", key->path, later[i]);
    if (strcmp(value->text, "udp") != 0)
        return schema_bad_value(key, value, fault);
    item->proto = 0;
    return 0;
}

static int set_listen_addr(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct listen_item *item = base;
    struct addr addr;
    const char *why;

    if (value->kind != DOCUMENT_SCALAR || addr_parse_ip(&addr, value->text) < 0)
        return schema_bad_value(key, value, fault);
    why = unusable(&addr);
    if (why)
        return fault_set(
            fault, value->line, "'%s' %s is %s", key->path, fault_escape(value->text).text, why);
    item->addr = addr;
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

static const char *const protos[] = {"udp", NULL};
const struct schema_type type_proto = {
    .name = "choice", .form = "udp", .set = set_proto, .choices = protos};
const struct schema_type type_listen_addr = {
    .name = "address", .form = "an IP address such as \"::\" or 192.0.2.1", .set = set_listen_addr};
const struct schema_type type_listen_port = {.name = "ports",
    .form = "a port or a range of ports such as 3478-3481",
    .set = set_listen_port};

static bool is_wildcard(const struct addr *a, enum addr_family family)
{
    return a->family == family && addr_is_unspecified(a);
}

/* Would both want the same port of the same address? "::" binds both families. */
static bool clash(const struct addr *a, const struct addr *b)
{
    if (a->port != b->port)
        return false;
    if (is_wildcard(a, ADDR_IPV6) || is_wildcard(b, ADDR_IPV6))
        return true;
    if (a->family != b->family)
        return false;
    return addr_is_unspecified(a) || addr_is_unspecified(b) || addr_equal_ip(a, b);
}

static int add_listeners(
    struct net_settings *net, const struct listen_item *item, unsigned line, struct fault *fault)
{
    size_t more = (size_t)(item->ports.max - item->ports.min) + 1;
    struct listener_settings *grown;

    if (net->listener_count + more > LISTENERS_MAX)
        return fault_set(fault, line, "'listen' must not hold more than %d ports", LISTENERS_MAX);
    grown = reallocarray(net->listeners, net->listener_count + more, sizeof(*grown));
    if (!grown)
        return fault_out_of_memory(fault);
    net->listeners = grown;
    for (size_t i = 0; i < more; i++) {
        struct listener_settings l = {.addr = item->addr};

        l.addr.port = (uint16_t)(item->ports.min + i);
        for (size_t k = 0; k < net->listener_count; k++)
            if (clash(&net->listeners[k].addr, &l.addr))
                return fault_set(fault, line, "'listen' would bind port %u twice", l.addr.port);
        net->listeners[net->listener_count++] = l;
    }
    return 0;
}

static int add_listen_item(
    struct net_settings *net, const struct document_node *value, struct fault *fault)
{
    struct listen_item item = {0};
    int rc;

    if (schema_set_defaults("listen[]", &item) < 0)
        return fault_out_of_memory(fault);
    rc = schema_read("listen[]", value, &item, fault);
    return rc < 0 ? rc : add_listeners(net, &item, value->line, fault);
}

static int set_listen(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct config *c = base;
    struct net_settings built = {0};
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count == 0)
        return fault_set(fault, value->line, "'listen' must have at least one entry");
    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = add_listen_item(&built, &value->children[i], fault);
    if (rc < 0) {
        free(built.listeners);
        return rc;
    }
    free(c->net.listeners);
    c->net.listeners = built.listeners;
    c->net.listener_count = built.listener_count;
    return 0;
}

static void print_listen(const void *base, const struct schema_key *key, FILE *out)
{
    const struct net_settings *net = &((const struct config *)base)->net;
    const char *separator = "\n";
    size_t next;

    fputc('[', out);
    for (size_t i = 0; i < net->listener_count; i = next) {
        const struct addr *first = &net->listeners[i].addr;
        char ip[ADDR_TEXT_MAX];

        /* A run of ports of one address was one entry, or might have been. */
        for (next = i + 1; next < net->listener_count; next++)
            if (!addr_equal_ip(&net->listeners[next].addr, first) ||
                net->listeners[next].addr.port != first->port + (next - i))
                break;
        fprintf(out, "%s  { proto: udp, addr: \"%s\", port: ", separator,
            addr_format_ip(first, ip, sizeof(ip)));
        value_print_ports(out, (struct port_range){first->port, net->listeners[next - 1].addr.port});
        fputs(" }", out);
        separator = ",\n";
    }
    fputs("\n  ]", out);
}

const struct schema_type type_listen = {.name = "list",
    .form = "a list of { proto, addr, port }",
    .set = set_listen,
    .print = print_listen};

static int parse_public_ip(
    struct relay_address *out, const struct document_node *value, struct fault *fault)
{
    const char *slash = strchr(value->text, '/'), *why;
    char public[ADDR_TEXT_MAX];
    struct relay_address a;
    size_t len = slash ? (size_t)(slash - value->text) : strlen(value->text);
    bool good = len < sizeof(public);

    if (good) {
        memcpy(public, value->text, len);
        public[len] = '\0';
        good = addr_parse_ip(&a.public, public) == 0 &&
               addr_parse_ip(&a.local, slash ? slash + 1 : public) == 0;
    }
    if (!good)
        return fault_set(fault, value->line,
            "'public_ip' must hold auto, addresses or public/private pairs, not '%s'",
            fault_escape(value->text).text);
    if (a.public.family != a.local.family)
        return fault_set(fault, value->line, "'public_ip' %s mixes address families",
            fault_escape(value->text).text);
    why = unusable(&a.public) ? unusable(&a.public) : unusable(&a.local);
    if (!why && (addr_is_unspecified(&a.public) || addr_is_unspecified(&a.local)))
        why = "no address of a host";
    if (why)
        return fault_set(
            fault, value->line, "'public_ip' %s is %s", fault_escape(value->text).text, why);
    *out = a;
    return 0;
}

static int add_public_ip(
    struct relay_settings *built, const struct document_node *value, struct fault *fault)
{
    struct relay_address a;
    int rc;

    if (value->kind != DOCUMENT_SCALAR)
        return fault_set(fault, value->line, "'public_ip' must hold texts only");
    if (strcmp(value->text, "auto") == 0)
        return fault_set(fault, value->line, "'public_ip': auto must stand alone");
    rc = parse_public_ip(&a, value, fault);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < built->address_count; i++)
        if (addr_equal_ip(&built->addresses[i].public, &a.public) ||
            addr_equal_ip(&built->addresses[i].local, &a.local))
            return fault_set(fault, value->line, "'public_ip' %s names an address twice",
                fault_escape(value->text).text);
    if (built->address_count == RELAY_ADDRESSES_MAX)
        return fault_set(fault, value->line, "'public_ip' must not hold more than %d addresses",
            RELAY_ADDRESSES_MAX);
    built->addresses[built->address_count++] = a;
    return 0;
}

static int set_public_ip(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct relay_settings built = {0}, *relay = &((struct config *)base)->relay;
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count == 0)
        return fault_set(
            fault, value->line, "'public_ip' must not be empty; [auto] is the default");
    if (value->count > 1 || value->children[0].kind != DOCUMENT_SCALAR ||
        strcmp(value->children[0].text, "auto") != 0)
        for (size_t i = 0; i < value->count && rc == 0; i++)
            rc = add_public_ip(&built, &value->children[i], fault);
    if (rc < 0)
        return rc;
    memcpy(relay->addresses, built.addresses, sizeof(relay->addresses));
    relay->address_count = built.address_count;
    return 0;
}

static void print_public_ip(const void *base, const struct schema_key *key, FILE *out)
{
    const struct relay_settings *relay = &((const struct config *)base)->relay;
    char ip[ADDR_TEXT_MAX];

    fputs(relay->address_count == 0 ? "[auto" : "[", out);
    for (size_t i = 0; i < relay->address_count; i++) {
        const struct relay_address *a = &relay->addresses[i];

        fprintf(out, "%s\"%s", i > 0 ? ", " : "", addr_format_ip(&a->public, ip, sizeof(ip)));
        if (!addr_equal_ip(&a->public, &a->local))
            fprintf(out, "/%s", addr_format_ip(&a->local, ip, sizeof(ip)));
        fputc('"', out);
    }
    fputc(']', out);
}

const struct schema_type type_public_ip = {.name = "list",
    .form = "a list: [auto], or addresses and public/private pairs",
    .set = set_public_ip,
    .print = print_public_ip};
