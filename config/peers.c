/*
 * Peer rules and NAT64 prefixes. A rule that says nothing, says something twice, or takes the
 * recommended protection away without saying so stops the start: a deny rule that is not in force
 * is a hole. Called through the schema.
 */
#include "config/duplicates.h"
#include "config/schema.h"

#include <stdlib.h>
#include <string.h>

struct rules {
    struct prefix_rule *items;
    size_t count;
    bool recommended, none;
};

static int compare_rules(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct prefix_rule));
}

/* What a rule of `deny_peers` may say besides addresses. */
static bool take_word(struct rules *rules, const struct schema_key *key, const char *text)
{
    if (key->type != &type_deny_peers)
        return false;
    rules->recommended |= strcmp(text, "recommended") == 0;
    rules->none |= strcmp(text, "none") == 0;
    return strcmp(text, "recommended") == 0 || strcmp(text, "none") == 0;
}

static int read_rule(struct rules *rules, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct prefix_rule rule;
    const char *why;

    if (value->kind != DOCUMENT_SCALAR)
        return fault_set(fault, value->line, "'%s' must hold texts only", key->path);
    if (take_word(rules, key, value->text))
        return 0;
    memset(&rule, 0, sizeof(rule)); /* compared byte for byte */
    if (prefix_rule_parse(&rule, value->text, &why) < 0)
        return fault_set(
            fault, value->line, "'%s': '%s': %s", key->path, fault_escape(value->text).text, why);
    rules->items[rules->count++] = rule;
    return 0;
}

/* The n-th rule that is no word. */
static const struct document_node *rule_node(
    const struct document_node *list, const struct schema_key *key, size_t n)
{
    struct rules ignored = {0};

    for (size_t i = 0; i < list->count; i++)
        if (!take_word(&ignored, key, list->children[i].text) && n-- == 0)
            return &list->children[i];
    return list;
}

static int check_rules(const struct rules *rules, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    const struct document_node *node;
    size_t later = 0;
    bool found;

    if (duplicates_find(
            rules->items, rules->count, sizeof(*rules->items), compare_rules, &found, &later) < 0)
        return fault_out_of_memory(fault);
    if (found) {
        node = rule_node(value, key, later);
        return fault_set(
            fault, node->line, "'%s' says '%s' twice", key->path, fault_escape(node->text).text);
    }
    if (key->type != &type_deny_peers)
        return 0;
    if (rules->recommended && rules->none)
        return fault_set(fault, value->line, "'%s' says both recommended and none", key->path);
    if (rules->count + rules->recommended + rules->none < value->count)
        return fault_set(fault, value->line, "'%s' says recommended or none twice", key->path);
    if (!rules->recommended && !rules->none)
        return fault_set(fault, value->line,
            "'%s' must say recommended, or none to leave out the special-purpose blocks",
            key->path);
    return 0;
}

static int read_rules(struct rules *out, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct rules rules = {0};
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    rules.items = calloc(value->count + 1, sizeof(*rules.items));
    if (!rules.items)
        return fault_out_of_memory(fault);
    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = read_rule(&rules, key, &value->children[i], fault);
    if (rc == 0)
        rc = check_rules(&rules, key, value, fault);
    if (rc < 0) {
        free(rules.items);
        return rc;
    }
    *out = rules;
    return 0;
}

static int set_deny_peers(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct peer_policy_settings *policy = &((struct config *)base)->relay.policy;
    struct rules rules;
    int rc = read_rules(&rules, key, value, fault);

    if (rc < 0)
        return rc;
    free(policy->deny);
    policy->deny = rules.items;
    policy->deny_count = rules.count;
    policy->deny_recommended = rules.recommended;
    return 0;
}

static int set_allow_peers(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct peer_policy_settings *policy = &((struct config *)base)->relay.policy;
    struct rules rules = {0};
    int rc = read_rules(&rules, key, value, fault);

    if (rc < 0)
        return rc;
    free(policy->allow);
    policy->allow = rules.items;
    policy->allow_count = rules.count;
    return 0;
}

/* The length of the prefix that covers just first–last, or -1 if only a range does. */
static int bits_of(const struct prefix_rule *rule)
{
    int width = (int)addr_ip_len(&rule->first) * 8, bits = 0;

    while (bits < width &&
           ((rule->first.ip[bits / 8] ^ rule->last.ip[bits / 8]) >> (7 - bits % 8) & 1) == 0)
        bits++;
    for (int i = bits; i < width; i++)
        if ((rule->first.ip[i / 8] >> (7 - i % 8) & 1) != 0 ||
            (rule->last.ip[i / 8] >> (7 - i % 8) & 1) == 0)
            return -1;
    return bits;
}

static void print_rule(const struct prefix_rule *rule, FILE *out)
{
    bool ports = rule->port_min > 0, brackets = ports && rule->first.family == ADDR_IPV6;
    char ip[ADDR_TEXT_MAX];
    int bits = bits_of(rule);

    fprintf(out, "\"%s%s", brackets ? "[" : "", addr_format_ip(&rule->first, ip, sizeof(ip)));
    if (bits < 0)
        fprintf(out, "-%s", addr_format_ip(&rule->last, ip, sizeof(ip)));
    else if ((size_t)bits < addr_ip_len(&rule->first) * 8)
        fprintf(out, "/%d", bits);
    if (ports)
        fprintf(out, "%s:%u", brackets ? "]" : "", rule->port_min);
    if (ports && rule->port_max != rule->port_min)
        fprintf(out, "-%u", rule->port_max);
    fputc('"', out);
}

static void print_deny_peers(const void *base, const struct schema_key *key, FILE *out)
{
    const struct peer_policy_settings *policy = &((const struct config *)base)->relay.policy;

    fputs(policy->deny_recommended ? "[recommended" : "[none", out);
    for (size_t i = 0; i < policy->deny_count; i++) {
        fputs(", ", out);
        print_rule(&policy->deny[i], out);
    }
    fputc(']', out);
}

static void print_allow_peers(const void *base, const struct schema_key *key, FILE *out)
{
    const struct peer_policy_settings *policy = &((const struct config *)base)->relay.policy;

    fputc('[', out);
    for (size_t i = 0; i < policy->allow_count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_rule(&policy->allow[i], out);
    }
    fputc(']', out);
}

const struct schema_type type_deny_peers = {.name = "list",
    .form = "a list of peer rules with recommended or none among them",
    .set = set_deny_peers,
    .print = print_deny_peers};
const struct schema_type type_allow_peers = {.name = "list",
    .form = "a list of peer rules",
    .set = set_allow_peers,
    .print = print_allow_peers};

static const char *refuse_nat64(const struct prefix *p)
{
    if (p->ip.family != ADDR_IPV6)
        return "not an IPv6 prefix";
    /* RFC 6052 section 2.2: "The prefixes can only have one of the following lengths: 32, 40, 48,
     * 56, 64, or 96." */
    if (p->bits != 32 && p->bits != 40 && p->bits != 48 && p->bits != 56 && p->bits != 64 &&
        p->bits != 96)
        return "the length must be 32, 40, 48, 56, 64 or 96";
    /* RFC 6052 section 2.2: "Bits 64 to 71 of the address are reserved […] These bits MUST be set
     * to zero." */
    return p->ip.ip[8] != 0 ? "bits 64 to 71 must be zero" : NULL;
}

static int read_nat64(
    struct prefix *items, size_t count, const struct document_node *value, struct fault *fault)
{
    struct prefix p;
    const char *why;

    if (value->kind != DOCUMENT_SCALAR)
        return fault_set(fault, value->line, "'relay.nat64_prefixes' must hold texts only");
    why =
        prefix_parse(&p, value->text) < 0 ? "not a prefix, or host bits are set" : refuse_nat64(&p);
    if (why)
        return fault_set(fault, value->line, "'relay.nat64_prefixes': '%s': %s",
            fault_escape(value->text).text, why);
    for (size_t i = 0; i < count; i++)
        if (addr_equal_ip(&items[i].ip, &p.ip) && items[i].bits == p.bits)
            return fault_set(fault, value->line, "'relay.nat64_prefixes' says '%s' twice",
                fault_escape(value->text).text);
    items[count] = p;
    return 0;
}

/* More NAT64 prefixes than this no network has; each is tried for every IPv6 peer. */
#define NAT64_PREFIXES_MAX 64

static int set_nat64(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct peer_policy_settings *policy = &((struct config *)base)->relay.policy;
    struct prefix *items;
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count > NAT64_PREFIXES_MAX)
        return fault_set(fault, value->line, "'%s' must not hold more than %d prefixes", key->path,
            NAT64_PREFIXES_MAX);
    items = calloc(value->count + 1, sizeof(*items));
    if (!items)
        return fault_out_of_memory(fault);
    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = read_nat64(items, i, &value->children[i], fault);
    if (rc < 0) {
        free(items);
        return rc;
    }
    free(policy->nat64);
    policy->nat64 = items;
    policy->nat64_count = value->count;
    return 0;
}

static void print_nat64(const void *base, const struct schema_key *key, FILE *out)
{
    const struct peer_policy_settings *policy = &((const struct config *)base)->relay.policy;
    char ip[ADDR_TEXT_MAX];

    fputc('[', out);
    for (size_t i = 0; i < policy->nat64_count; i++)
        fprintf(out, "%s\"%s/%u\"", i > 0 ? ", " : "",
            addr_format_ip(&policy->nat64[i].ip, ip, sizeof(ip)), policy->nat64[i].bits);
    fputc(']', out);
}

const struct schema_type type_nat64_prefixes = {.name = "list",
    .form = "a list of IPv6 prefixes of 32, 40, 48, 56, 64 or 96 bits",
    .set = set_nat64,
    .print = print_nat64};
