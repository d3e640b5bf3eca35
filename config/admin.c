/*
 * Where the admin server listens. Only loopback is accepted over TCP, because this version has no
 * TLS for it: a token must not cross a network in clear. Called through the schema.
 */
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
    if (!addr_is_loopback(&addr))
        return fault_set(fault, value->line,
            "'%s' %s is no loopback address, and this version has no TLS for any other", key->path,
            fault_escape(value->text).text);
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
    .form = "auto, none, or a loopback address with its port such as 127.0.0.1:9641",
    .set = set_listen,
    .print = print_listen};
const struct schema_type type_admin_socket = {.name = "path",
    .form = "auto, none, or an absolute path",
    .set = set_socket,
    .print = print_socket};
