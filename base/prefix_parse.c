/*
 * Prefixes and peer rules as the configuration writes them. Strict: a rule that could be read in
 * two ways is refused with the reason in words, because a deny rule that matches something else
 * than meant is a hole. Called by config/.
 */
#include "base/prefix.h"

#include <errno.h>
#include <string.h>

/* "[v6-v6]:65535-65535" with the longest spellings of IPv6. */
#define RULE_TEXT_MAX 128

static const char not_an_ip[] = "not an IP address";
static const char range_of_prefixes[] = "a range runs between addresses, not between prefixes";
static const char bad_bits[] = "the prefix length is no number within the address's width";
static const char host_bits[] = "bits behind the prefix length are set";

/* Decimal digits up to the end, no leading zero, at most `max`. 0 or -EINVAL. */
static int parse_number(const char *text, unsigned max, unsigned *out)
{
    unsigned n = 0;
    if (text[0] == '0' && text[1] != '\0')
        return -EINVAL;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && n <= max; p++)
        n = n * 10 + (unsigned)(*p - '0');
    if (p == text || *p != '\0' || n > max)
        return -EINVAL;
    *out = n;
    return 0;
}

/* `text` up to `split` (exclusive) into `out`; false if it does not fit. */
static bool copy_until(char *out, size_t cap, const char *text, const char *split)
{
    size_t len = (size_t)(split - text);
    if (len >= cap)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

/* NULL on success, else the fault. */
static const char *parse_prefix(struct prefix *out, const char *text)
{
    char ip[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    struct addr addr;
    unsigned bits;
    if (!slash || !copy_until(ip, sizeof(ip), text, slash) || addr_parse_ip(&addr, ip) != 0)
        return not_an_ip;
    if (parse_number(slash + 1, (unsigned)addr_ip_len(&addr) * 8, &bits) != 0)
        return bad_bits;
    struct addr masked = addr_masked(&addr, bits);
    if (!addr_equal_ip(&masked, &addr))
        return host_bits;
    *out = (struct prefix){.ip = addr, .bits = (uint8_t)bits};
    return NULL;
}

int prefix_parse(struct prefix *out, const char *text)
{
    return parse_prefix(out, text) ? -EINVAL : 0;
}

static const char *parse_range(struct prefix_rule *rule, const char *text, const char *dash)
{
    char ip[INET6_ADDRSTRLEN];
    if (!copy_until(ip, sizeof(ip), text, dash) || addr_parse_ip(&rule->first, ip) != 0)
        return strchr(text, '/') ? range_of_prefixes : not_an_ip;
    if (addr_parse_ip(&rule->last, dash + 1) != 0)
        return strchr(text, '/') ? range_of_prefixes : not_an_ip;
    if (rule->first.family != rule->last.family)
        return "a range of two address families";
    if (memcmp(rule->first.ip, rule->last.ip, sizeof(rule->first.ip)) > 0)
        return "the range ends before it begins";
    return NULL;
}

static const char *parse_addresses(struct prefix_rule *rule, const char *text)
{
    const char *dash = strchr(text, '-');
    if (dash)
        return parse_range(rule, text, dash);
    if (!strchr(text, '/')) {
        if (addr_parse_ip(&rule->first, text) != 0)
            return not_an_ip;
        rule->last = rule->first;
        return NULL;
    }
    struct prefix prefix;
    const char *fault = parse_prefix(&prefix, text);
    if (fault)
        return fault;
    rule->first = prefix.ip;
    rule->last = prefix_last(&prefix);
    return NULL;
}

static const char *parse_ports(struct prefix_rule *rule, const char *text)
{
    static const char bad_port[] = "a port is a number from 1 to 65535";
    char first[8];
    unsigned min, max;
    const char *dash = strchr(text, '-');
    if (!copy_until(first, sizeof(first), text, dash ? dash : text + strlen(text)))
        return bad_port;
    if (parse_number(first, UINT16_MAX, &min) != 0 || min == 0)
        return bad_port;
    max = min;
    if (dash && (parse_number(dash + 1, UINT16_MAX, &max) != 0 || max == 0))
        return bad_port;
    if (min > max)
        return "the port range ends before it begins";
    rule->port_min = (uint16_t)min;
    rule->port_max = (uint16_t)max;
    return NULL;
}

/*
 * Parts the text into addresses and ports (NULL: none). IPv6 with ports stands in brackets; without
 * brackets one colon leads to IPv4 ports and several belong to an IPv6 address.
 */
static const char *split_rule(char *text, const char **addresses, const char **ports)
{
    char *colon = strchr(text, ':');
    *addresses = text;
    *ports = NULL;
    if (text[0] == '[') {
        char *bracket = strchr(text, ']');
        if (!bracket || bracket[1] != ':')
            return "brackets are for IPv6 addresses that are followed by a port";
        *bracket = '\0';
        *addresses = text + 1;
        *ports = bracket + 2;
    } else if (colon && !strchr(colon + 1, ':')) {
        *colon = '\0';
        *ports = colon + 1;
    }
    return NULL;
}

static const char *parse_rule(struct prefix_rule *rule, const char *text)
{
    char copy[RULE_TEXT_MAX];
    const char *addresses, *ports;
    if (!copy_until(copy, sizeof(copy), text, text + strlen(text)))
        return not_an_ip;
    const char *fault = split_rule(copy, &addresses, &ports);
    if (!fault)
        fault = parse_addresses(rule, addresses);
    if (!fault && text[0] == '[' && rule->first.family != ADDR_IPV6)
        fault = "brackets are for IPv6 addresses that are followed by a port";
    if (!fault && ports)
        fault = parse_ports(rule, ports);
    return fault;
}

int prefix_rule_parse(struct prefix_rule *out, const char *text, const char **why)
{
    struct prefix_rule rule = {.port_max = UINT16_MAX};
    const char *fault = parse_rule(&rule, text);
    if (fault) {
        *why = fault;
        return -EINVAL;
    }
    *out = rule;
    return 0;
}
