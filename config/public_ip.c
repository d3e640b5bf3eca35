/*
 * `public_ip`: what relayed addresses are made of, with the private address behind 1:1 NAT. Called
 * through the schema.
 */
#include "config/listeners.h"
#include "config/schema.h"

#include <string.h>

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
    why = listeners_unusable(&a.public) ? listeners_unusable(&a.public)
                                        : listeners_unusable(&a.local);
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
