/*
 * Prefix sets as binary tries: one step a bit, nodes in one growing array, node 0 the IPv4 root and
 * node 1 the IPv6 root. A range becomes the few prefixes that cover it exactly. Every node on an
 * address's path that carries a rule covers the address, so a lookup looks at all of them, not at
 * the longest one only.
 *
 * Built by control, then read-only: lookups from any thread. The text forms are prefix_parse.c.
 */
#include "base/prefix.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ROOT_IPV4 0u
#define ROOT_IPV6 1u
#define PORTS_END UINT32_MAX

struct node {
    uint32_t child[2]; /* 0: none; the roots are nobody's children */
    uint32_t ports;    /* first of this node's port ranges, or PORTS_END */
    bool all_ports;
};

struct port_range {
    uint16_t min, max;
    uint32_t next; /* or PORTS_END */
};

struct prefix_set {
    struct node *nodes;
    struct port_range *ranges;
    uint32_t node_count, node_cap, range_count, range_cap;
};

/* An IP address as a number, lower 32 or all 128 bits. */
typedef unsigned __int128 ip_number;

/* Room for one more element. Returns the array, moved or not, or NULL; then the old one is still
 * valid. */
static void *array_reserve(void *array, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    if (*cap > UINT32_MAX / 4)
        return NULL;
    uint32_t more = *cap ? *cap * 2 : 64;
    void *moved = reallocarray(array, more, size);
    if (moved)
        *cap = more;
    return moved;
}

/* The index of an empty node, or 0 when memory is out: 0 is a root and never new. */
static uint32_t node_new(struct prefix_set *set)
{
    struct node *nodes = array_reserve(set->nodes, set->node_count, &set->node_cap, sizeof(*nodes));
    if (!nodes)
        return 0;
    set->nodes = nodes;
    nodes[set->node_count] = (struct node){.ports = PORTS_END};
    return set->node_count++;
}

struct prefix_set *prefix_set_new(void)
{
    struct prefix_set *set = calloc(1, sizeof(*set));
    if (!set)
        return NULL;
    node_new(set);
    if (node_new(set) != ROOT_IPV6) {
        prefix_set_free(set);
        return NULL;
    }
    return set;
}

void prefix_set_free(struct prefix_set *set)
{
    if (!set)
        return;
    free(set->nodes);
    free(set->ranges);
    free(set);
}

struct addr prefix_last(const struct prefix *prefix)
{
    struct addr last = prefix->ip;
    for (unsigned bit = prefix->bits; bit < addr_ip_len(&last) * 8; bit++)
        last.ip[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    return last;
}

static ip_number ip_to_number(const struct addr *addr)
{
    ip_number n = 0;
    for (size_t i = 0; i < addr_ip_len(addr); i++)
        n = n << 8 | addr->ip[i];
    return n;
}

static unsigned ip_bit(const struct addr *addr, unsigned bit)
{
    return addr->ip[bit / 8] >> (7 - bit % 8) & 1;
}

/*
 * The node `bits` steps below the root on the way to `ip`, made where it is missing. UINT32_MAX:
 * out of memory.
 */
static uint32_t trie_reach(struct prefix_set *set, uint32_t root, ip_number ip, unsigned bits)
{
    uint32_t at = root;
    for (unsigned depth = 0; depth < bits; depth++) {
        unsigned bit = (unsigned)(ip >> (127 - depth)) & 1;
        if (set->nodes[at].child[bit] == 0) {
            uint32_t child = node_new(set);
            if (child == 0)
                return UINT32_MAX;
            set->nodes[at].child[bit] = child;
        }
        at = set->nodes[at].child[bit];
    }
    return at;
}

static int node_add_ports(struct prefix_set *set, uint32_t node, const struct prefix_rule *rule)
{
    if (rule->port_min == 0 && rule->port_max == UINT16_MAX) {
        set->nodes[node].all_ports = true;
        return 0;
    }
    struct port_range *ranges =
        array_reserve(set->ranges, set->range_count, &set->range_cap, sizeof(*ranges));
    if (!ranges)
        return -ENOMEM;
    set->ranges = ranges;
    ranges[set->range_count] =
        (struct port_range){rule->port_min, rule->port_max, set->nodes[node].ports};
    set->nodes[node].ports = set->range_count++;
    return 0;
}

/* `count` lowest bits set; a shift by the whole width would be undefined. */
static ip_number low_bits(unsigned count)
{
    return count >= 128 ? ~(ip_number)0 : ((ip_number)1 << count) - 1;
}

int prefix_set_add_rule(struct prefix_set *set, const struct prefix_rule *rule)
{
    unsigned width = (unsigned)addr_ip_len(&rule->first) * 8;
    assert(width > 0); /* a rule is of IPv4 or IPv6 */
    uint32_t root = rule->first.family == ADDR_IPV4 ? ROOT_IPV4 : ROOT_IPV6;
    ip_number at = ip_to_number(&rule->first), last = ip_to_number(&rule->last);

    for (;;) {
        /* The largest block that starts here, is aligned to its size and ends in the range. */
        unsigned host = 0;
        while (host < width && (at & low_bits(host + 1)) == 0 && (at | low_bits(host + 1)) <= last)
            host++;
        uint32_t node = trie_reach(set, root, at << (128 - width), width - host);
        if (node == UINT32_MAX || node_add_ports(set, node, rule) != 0)
            return -ENOMEM;
        at |= low_bits(host);
        if (at >= last)
            return 0;
        at++;
    }
}

int prefix_set_add(struct prefix_set *set, const struct prefix *prefix)
{
    struct prefix_rule rule = {
        .first = prefix->ip, .last = prefix_last(prefix), .port_max = UINT16_MAX};
    return prefix_set_add_rule(set, &rule);
}

static bool node_covers_port(const struct prefix_set *set, const struct node *node, uint16_t port)
{
    if (node->all_ports)
        return true;
    for (uint32_t i = node->ports; i != PORTS_END; i = set->ranges[i].next) {
        if (port >= set->ranges[i].min && port <= set->ranges[i].max)
            return true;
    }
    return false;
}

/* The node below `at` on the way to `addr`, or NULL at the end of the path. */
static const struct node *trie_step(
    const struct prefix_set *set, const struct node *at, const struct addr *addr, unsigned depth)
{
    if (depth >= addr_ip_len(addr) * 8)
        return NULL;
    uint32_t child = at->child[ip_bit(addr, depth)];
    return child ? &set->nodes[child] : NULL;
}

static const struct node *trie_root(const struct prefix_set *set, const struct addr *addr)
{
    if (addr->family == ADDR_NONE)
        return NULL;
    return &set->nodes[addr->family == ADDR_IPV4 ? ROOT_IPV4 : ROOT_IPV6];
}

enum prefix_match prefix_set_match_ip(const struct prefix_set *set, const struct addr *addr)
{
    enum prefix_match match = PREFIX_NONE;
    const struct node *node = trie_root(set, addr);
    for (unsigned depth = 0; node; depth++) {
        if (node->all_ports)
            return PREFIX_ALL_PORTS;
        if (node->ports != PORTS_END)
            match = PREFIX_SOME_PORTS;
        node = trie_step(set, node, addr, depth);
    }
    return match;
}

bool prefix_set_match(const struct prefix_set *set, const struct addr *addr)
{
    const struct node *node = trie_root(set, addr);
    for (unsigned depth = 0; node; depth++) {
        if (node_covers_port(set, node, addr->port))
            return true;
        node = trie_step(set, node, addr, depth);
    }
    return false;
}
