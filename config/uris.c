/*
 * `admin.uris`: where clients are sent with the credentials that the admin server makes, where that
 * does not follow from the listeners. Called through the schema, and by config.c to free.
 */
#include "config/uris.h"

#include "config/schema.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

#define URIS_MAX    16
#define URI_LEN_MAX 255

void uris_clear(struct admin_settings *admin)
{
    for (size_t i = 0; i < admin->uri_count; i++)
        free(admin->uris[i]);
    free(admin->uris);
    admin->uris = NULL;
    admin->uri_count = 0;
}

/* "turnURI = scheme ":" host [ ":" port ] [ "?transport=" transport ]" (RFC 7065 section 3.1) and
 * "stunURI = scheme ":" host [ ":" port ]" (RFC 7064 section 3.1), without what quotes them. */
static bool is_uri(const char *text)
{
    static const char *const schemes[] = {"turn:", "turns:", "stun:", "stuns:"};
    static const char *const transports[] = {"?transport=udp", "?transport=tcp"};
    const char *host = NULL;
    const size_t allowed =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]?=_");

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            host = text + strlen(schemes[i]);
    if (!host || text[allowed] != '\0' || strlen(text) > URI_LEN_MAX)
        return false;

    const size_t len = strcspn(host, "?");

    if (len == 0 || host[len] == '\0')
        return len > 0;
    return text[0] == 't' &&
           (strcmp(host + len, transports[0]) == 0 || strcmp(host + len, transports[1]) == 0);
}

static int add_uri(struct admin_settings *built, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    if (value->kind != DOCUMENT_SCALAR || !is_uri(value->text))
        return fault_set(fault, value->line,
            "'%s' must hold URIs such as turns:turn.example.com:443?transport=tcp, not '%s'",
            key->path, value->kind == DOCUMENT_SCALAR ? fault_escape(value->text).text : "a list");
    built->uris[built->uri_count] = strdup(value->text);
    if (!built->uris[built->uri_count])
        return fault_out_of_memory(fault);
    built->uri_count++;
    return 0;
}

static int set_uris(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct admin_settings built = {0}, *admin = &((struct config *)base)->admin;
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count > URIS_MAX)
        return fault_set(
            fault, value->line, "'%s' must not hold more than %d URIs", key->path, URIS_MAX);
    built.uris = calloc(value->count + 1, sizeof(*built.uris));
    if (!built.uris)
        return fault_out_of_memory(fault);
    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = add_uri(&built, key, &value->children[i], fault);
    if (rc < 0) {
        uris_clear(&built);
        return rc;
    }
    uris_clear(admin);
    admin->uris = built.uris;
    admin->uri_count = built.uri_count;
    return 0;
}

static void print_uris(const void *base, const struct schema_key *key, FILE *out)
{
    const struct admin_settings *admin = &((const struct config *)base)->admin;

    fputc('[', out);
    for (size_t i = 0; i < admin->uri_count; i++) {
        fputs(i > 0 ? ", " : "", out);
        value_print_text(out, admin->uris[i]);
    }
    fputc(']', out);
}

const struct schema_type type_admin_uris = {
    .name = "list", .form = "a list of URIs", .set = set_uris, .print = print_uris};
