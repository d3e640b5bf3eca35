/*
 * Where the admin server listens, and with what. Beyond loopback only with TLS, because a token
 * must not cross a network in clear, and with something to show, because else nobody could get in.
 * Called through the schema, and by check.c.
 */
#include "config/admin.h"

#include "config/names.h"
#include "config/schema.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* *place and true, or false: the text names a place of its own. */
static bool is_word(const struct document_node *value, enum admin_place *place)
{
    if (strcmp(value->text, "auto") == 0)
        *place = ADMIN_PLACE_AUTO;
    else if (strcmp(value->text, "none") == 0)
        *place = ADMIN_PLACE_NONE;
    else
        return false;
    return true;
}

static void print_word(enum admin_place place, FILE *out)
{
    fputs(place == ADMIN_PLACE_AUTO ? "auto" : "none", out);
}

static int set_listen(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct admin_settings *admin = &((struct config *)base)->admin;
    struct addr addr;

    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    if (is_word(value, &admin->listen))
        return 0;
    if (addr_parse(&addr, value->text) < 0 || addr.port == 0)
        return schema_bad_value(key, value, fault);
    admin->listen = ADMIN_PLACE_SET;
    admin->addr = addr;
    return 0;
}

static void print_listen(const void *base, const struct schema_key *key, FILE *out)
{
    const struct admin_settings *admin = &((const struct config *)base)->admin;
    char text[ADDR_TEXT_MAX];

    if (admin->listen == ADMIN_PLACE_SET)
        fprintf(out, "\"%s\"", addr_format(&admin->addr, text, sizeof(text)));
    else
        print_word(admin->listen, out);
}

static int set_socket(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct admin_settings *admin = &((struct config *)base)->admin;
    struct sockaddr_un un;
    char *copy;

    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    if (is_word(value, &admin->control))
        return 0;
    if (value->text[0] != '/')
        return schema_bad_value(key, value, fault);
    if (strlen(value->text) >= sizeof(un.sun_path))
        return fault_set(fault, value->line, "'%s' must have at most %u bytes", key->path,
            (unsigned)sizeof(un.sun_path) - 1);
    copy = strdup(value->text);
    if (!copy)
        return fault_out_of_memory(fault);
    free(admin->socket);
    admin->socket = copy;
    admin->control = ADMIN_PLACE_SET;
    return 0;
}

static void print_socket(const void *base, const struct schema_key *key, FILE *out)
{
    const struct admin_settings *admin = &((const struct config *)base)->admin;

    if (admin->control == ADMIN_PLACE_SET)
        value_print_text(out, admin->socket);
    else
        print_word(admin->control, out);
}

const struct schema_type type_admin_listen = {.name = "address",
    .form = "auto, none, or an address with its port such as 127.0.0.1:9641",
    .set = set_listen,
    .print = print_listen};
const struct schema_type type_admin_socket = {.name = "path",
    .form = "auto, none, or an absolute path",
    .set = set_socket,
    .print = print_socket};

void admin_clear(struct admin_settings *admin)
{
    free(admin->socket);
    secret_wipe(&admin->token);
    names_clear(&admin->hosts, &admin->host_count);
    free(admin->tls.pair.cert);
    free(admin->tls.pair.key);
    free(admin->tls.client_ca);
    free(admin->tls.client_crl);
    names_clear(&admin->tls.client_names, &admin->tls.client_name_count);
}

static int check_tls(
    const struct admin_tls_settings *tls, const struct document_node *root, struct fault *fault)
{
    if (!tls->pair.cert != !tls->pair.key)
        return fault_set(fault,
            document_line(root, tls->pair.cert ? "admin.tls.cert" : "admin.tls.key"),
            "'admin.tls.cert' and 'admin.tls.key' belong together: '%s' is missing",
            tls->pair.cert ? "admin.tls.key" : "admin.tls.cert");
    if (tls->client_ca && !tls->pair.cert)
        return fault_set(fault, document_line(root, "admin.tls.client_ca"),
            "'admin.tls.client_ca' means nothing without 'admin.tls.cert'");
    if (!tls->client_ca != !tls->client_crl)
        return fault_set(fault,
            document_line(root, tls->client_ca ? "admin.tls.client_ca" : "admin.tls.client_crl"),
            "'admin.tls.client_ca' and 'admin.tls.client_crl' belong together: '%s' is missing",
            tls->client_ca ? "admin.tls.client_crl" : "admin.tls.client_ca");
    if (!tls->client_ca && tls->client_name_count > 0)
        return fault_set(fault, document_line(root, "admin.tls.client_names"),
            "'admin.tls.client_names' means nothing without 'admin.tls.client_ca'");
    if (!tls->client_ca && tls->client_required)
        return fault_set(fault, document_line(root, "admin.tls.client_required"),
            "'admin.tls.client_required' means nothing without 'admin.tls.client_ca'");
    return 0;
}

int admin_check(const struct config *c, const struct document_node *root, struct fault *fault)
{
    const struct admin_settings *admin = &c->admin;
    char text[ADDR_TEXT_MAX];
    int rc = check_tls(&admin->tls, root, fault);

    if (rc < 0 || admin->listen != ADMIN_PLACE_SET || addr_is_loopback(&admin->addr))
        return rc;
    if (!admin->tls.pair.cert)
        return fault_set(fault, document_line(root, "admin.listen"),
            "'admin.listen' %s is no loopback address: it needs 'admin.tls.cert'",
            addr_format(&admin->addr, text, sizeof(text)));
    if (admin->token.len == 0 && !admin->tls.client_ca)
        return fault_set(fault, document_line(root, "admin.listen"),
            "'admin.listen' %s is no loopback address: it needs 'admin.token_file' or "
            "'admin.tls.client_ca'",
            addr_format(&admin->addr, text, sizeof(text)));
    return 0;
}
