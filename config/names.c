/*
 * Lists of DNS names; that of hosts may hold addresses too. Names are compared as they stand, but
 * for their case, so there are no wildcards. Called through the schema.
 */
#include "config/names.h"

#include "config/schema.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 256
/* A domain name in text, RFC 1035 section 2.3.4. */
#define NAME_LEN_MAX 253
#define DNS_NAME_MAX 255
#define LABEL_MAX    63

/* Where a key's list lies. */
struct names {
    char ***items;
    size_t *count;
    bool addresses; /* are allowed too */
};

static struct names names_of(struct config *c, const struct schema_key *key)
{
    if (strcmp(key->path, "tls.client_names") == 0)
        return (struct names){&c->tls.client_names, &c->tls.client_name_count, false};
    if (strcmp(key->path, "admin.tls.client_names") == 0)
        return (struct names){&c->admin.tls.client_names, &c->admin.tls.client_name_count, false};
    return (struct names){&c->admin.hosts, &c->admin.host_count, true};
}

void names_clear(char ***items, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free((*items)[i]);
    free(*items);
    *items = NULL;
    *count = 0;
}

/* "<label> ::= <let-dig> [ [ <ldh-str> ] <let-dig> ]" (RFC 952, RFC 1123 section 2.1) */
bool names_is_dns_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t total = strlen(text);

    if (total == 0 || total > DNS_NAME_MAX)
        return false;
    for (const char *label = text;; label++) {
        size_t len = strcspn(label, ".");

        if (len == 0 || len > LABEL_MAX || !strchr(letters, label[0]) ||
            !strchr(letters, label[len - 1]))
            return false;
        for (size_t i = 0; i < len; i++)
            if (!strchr(letters, label[i]) && label[i] != '-')
                return false;
        label += len;
        if (*label == '\0')
            return true;
    }
}

static bool is_name(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    return *text != '\0' && strlen(text) <= NAME_LEN_MAX && text[strspn(text, allowed)] == '\0';
}

static int add_name(const struct names *to, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct addr addr;
    const bool is_address =
        value->kind == DOCUMENT_SCALAR && to->addresses && addr_parse_ip(&addr, value->text) == 0;

    if (value->kind != DOCUMENT_SCALAR)
        return fault_set(fault, value->line, "'%s' must hold texts only", key->path);
    if (!is_address && !is_name(value->text))
        return fault_set(fault, value->line, "'%s': '%s' is no domain name%s", key->path,
            fault_escape(value->text).text, to->addresses ? " and no address" : "");
    for (size_t i = 0; i < *to->count; i++)
        if (strcasecmp((*to->items)[i], value->text) == 0)
            return fault_set(fault, value->line, "'%s' says '%s' twice", key->path,
                fault_escape(value->text).text);
    (*to->items)[*to->count] = strdup(value->text);
    if (!(*to->items)[*to->count])
        return fault_out_of_memory(fault);
    ++*to->count;
    return 0;
}

static int set_names(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    const struct names out = names_of(base, key);
    char **items;
    size_t count = 0;
    const struct names built = {&items, &count, out.addresses};
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count > NAMES_MAX)
        return fault_set(
            fault, value->line, "'%s' must not hold more than %d names", key->path, NAMES_MAX);
    items = calloc(value->count + 1, sizeof(*items));
    if (!items)
        return fault_out_of_memory(fault);
    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = add_name(&built, key, &value->children[i], fault);
    if (rc < 0) {
        names_clear(&items, &count);
        return rc;
    }
    names_clear(out.items, out.count);
    *out.items = items;
    *out.count = count;
    return 0;
}

static void print_names(const void *base, const struct schema_key *key, FILE *out)
{
    /* Nothing is changed through it. */
    const struct names names = names_of((struct config *)(uintptr_t)base, key);

    fputc('[', out);
    for (size_t i = 0; i < *names.count; i++) {
        fputs(i > 0 ? ", " : "", out);
        value_print_text(out, (*names.items)[i]);
    }
    fputc(']', out);
}

const struct schema_type type_names = {
    .name = "list", .form = "a list of domain names", .set = set_names, .print = print_names};
const struct schema_type type_hosts = {.name = "list",
    .form = "a list of domain names and addresses",
    .set = set_names,
    .print = print_names};
