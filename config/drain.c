/* `drain`: where clients are sent while an instance is emptied. Called through the schema. */
#include "config/listeners.h"
#include "config/names.h"
#include "config/schema.h"
#include "config/values.h"

#include <string.h>

/* An address, with a port or without. */
static int parse_server(struct addr *out, const struct document_node *value, struct fault *fault)
{
    const char *why = NULL;
    struct addr server;

    bool good = value->kind == DOCUMENT_SCALAR &&
                (addr_parse_ip(&server, value->text) == 0 ||
                    (addr_parse(&server, value->text) == 0 && server.port > 0));

    if (!good)
        return fault_set(fault, value->line,
            "'drain.alternate_servers' must hold addresses, each with a port if wanted, such as "
            "192.0.2.7:3478 or [2001:db8::7]:3478%s%s",
            value->kind == DOCUMENT_SCALAR ? ", not " : "",
            value->kind == DOCUMENT_SCALAR ? fault_escape(value->text).text : "");
    why = listeners_unusable(&server);
    if (!why && addr_is_unspecified(&server))
        why = "no address of a host";
    if (why)
        return fault_set(fault, value->line, "'drain.alternate_servers' %s is %s",
            fault_escape(value->text).text, why);
    *out = server;
    return 0;
}

static int add_server(
    struct drain_alternates *built, const struct document_node *value, struct fault *fault)
{
    struct addr server = {0};
    int rc = parse_server(&server, value, fault);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < built->count; i++)
        if (addr_equal(&built->servers[i], &server))
            return fault_set(fault, value->line, "'drain.alternate_servers' names %s twice",
                fault_escape(value->text).text);
    built->servers[built->count++] = server;
    return 0;
}

static int set_servers(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct drain_alternates built = {0}, *all = &((struct config *)base)->drain.alternates;
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count > DRAIN_ALTERNATES_MAX)
        return fault_set(fault, value->line, "'%s' must not hold more than %d addresses", key->path,
            DRAIN_ALTERNATES_MAX);
    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = add_server(&built, &value->children[i], fault);
    if (rc < 0)
        return rc;
    memcpy(all->servers, built.servers, sizeof(all->servers));
    all->count = built.count;
    return 0;
}

static void print_servers(const void *base, const struct schema_key *key, FILE *out)
{
    const struct drain_alternates *all = &((const struct config *)base)->drain.alternates;
    char text[ADDR_TEXT_MAX];

    fputc('[', out);
    for (size_t i = 0; i < all->count; i++) {
        const struct addr *server = &all->servers[i];

        fprintf(out, "%s\"%s\"", i > 0 ? ", " : "",
            server->port ? addr_format(server, text, sizeof(text))
                         : addr_format_ip(server, text, sizeof(text)));
    }
    fputc(']', out);
}

const struct schema_type type_alternate_servers = {.name = "list",
    .form = "a list of addresses, each with a port if wanted",
    .set = set_servers,
    .print = print_servers};

static int set_domain(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    char *domain = ((struct config *)base)->drain.alternates.domain;

    if (value->kind != DOCUMENT_SCALAR || !names_is_dns_name(value->text))
        return schema_bad_value(key, value, fault);
    memcpy(domain, value->text, strlen(value->text) + 1);
    return 0;
}

static void print_domain(const void *base, const struct schema_key *key, FILE *out)
{
    value_print_text(out, ((const struct config *)base)->drain.alternates.domain);
}

static bool has_domain(const void *base, const struct schema_key *key)
{
    return ((const struct config *)base)->drain.alternates.domain[0] != '\0';
}

const struct schema_type type_alternate_domain = {.name = "text",
    .form = "a DNS name of letters, digits, hyphens and dots, 255 bytes at most",
    .set = set_domain,
    .print = print_domain,
    .present = has_domain};
