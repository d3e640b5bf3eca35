/*
 * Address prefixes and sets of them. A set is a binary trie per family, built once by control, then
 * read-only: lookups take no lock and allocate nothing.
 */
#ifndef BASE_PREFIX_H
#define BASE_PREFIX_H

#include "base/addr.h"

struct prefix {
    struct addr ip; /* masked to `bits`, port 0 */
    uint8_t bits;   /* 0–32 or 0–128 */
};

/* A peer rule as the configuration writes it: one address, a prefix or a range a-b, with optional
 * ports. */
struct prefix_rule {
    struct addr first, last;     /* inclusive, same family */
    uint16_t port_min, port_max; /* inclusive; 0–65535 when the rule names none */
};

/* "10.0.0.0/8"; host bits must be zero. 0, or -EINVAL. */
int prefix_parse(struct prefix *out, const char *text);

/* The last address that the prefix covers. */
struct addr prefix_last(const struct prefix *prefix);

/*
 * "10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9", "2001:db8::/32", each with optional ports:
 * "10.0.0.1:80", "10.0.0.0/8:1024-65535", "[2001:db8::/32]:53". 0, or -EINVAL; then *why names the
 * fault in words (static text). Refused: host bits set, a > b, mixed families, port 0 or over
 * 65535, anything left over.
 */
int prefix_rule_parse(struct prefix_rule *out, const char *text, const char **why);

struct prefix_set;

struct prefix_set *prefix_set_new(void); /* NULL: out of memory */
void prefix_set_free(struct prefix_set *set);
/* 0 or -ENOMEM (the set is then unchanged in meaning but may hold part of the rule: free it). */
int prefix_set_add_rule(struct prefix_set *set, const struct prefix_rule *rule);
int prefix_set_add(struct prefix_set *set, const struct prefix *prefix); /* all ports */

enum prefix_match {
    PREFIX_NONE,       /* no rule covers the address */
    PREFIX_SOME_PORTS, /* only rules that name ports cover it */
    PREFIX_ALL_PORTS   /* a rule without ports covers it */
};
/* Looks at the IP address only. */
enum prefix_match prefix_set_match_ip(const struct prefix_set *set, const struct addr *addr);
/* Looks at IP address and port: true if a rule covers both. */
bool prefix_set_match(const struct prefix_set *set, const struct addr *addr);

#endif
