/*
 * Which realms a listener serves. Names are looked up once everything is read, so that `listen` may
 * stand before `realms`; until then a listener serves the realm of the top level. Called through
 * the schema, and by config.c.
 */
#include "config/served.h"

#include "config/hints.h"
#include "config/schema.h"
#include "config/values.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int set_realms(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count == 0)
        return fault_set(fault, value->line, "'%s' must name at least one realm", key->path);
    for (size_t i = 0; i < value->count; i++) {
        const struct document_node *name = &value->children[i];

        if (name->kind != DOCUMENT_SCALAR)
            return fault_set(fault, name->line, "'%s' must hold texts only", key->path);
        for (size_t k = 0; k < i; k++)
            if (strcmp(value->children[k].text, name->text) == 0)
                return fault_set(fault, name->line, "'%s' says '%s' twice", key->path,
                    fault_escape(name->text).text);
    }
    return 0;
}

const struct schema_type type_listen_realms = {
    .name = "list", .form = "a list of names of realms", .set = set_realms};

static int find_realm(const struct auth_settings *auth, const struct document_node *name,
    uint32_t *id, struct fault *fault)
{
    const char *names[AUTH_REALMS_MAX], *near;

    for (uint32_t i = 0; i < auth->realm_count; i++) {
        names[i] = auth->realms[i].name;
        if (strcmp(names[i], name->text) == 0) {
            *id = i;
            return 0;
        }
    }
    near = hint_among(name->text, names, auth->realm_count);
    return fault_set(fault, name->line, "'listen[].realms': no realm is called '%s'%s%s%s",
        fault_escape(name->text).text, near ? ", did you mean '" : "",
        near ? fault_escape(near).text : "", near ? "'?" : "");
}

/* Fills in what the entry names. */
static int resolve(struct listener_settings *out, const struct auth_settings *auth,
    const struct document_node *names, struct fault *fault)
{
    uint32_t id = 0;

    out->realms = 0;
    for (size_t i = 0; i < names->count; i++) {
        int rc = find_realm(auth, &names->children[i], &id, fault);

        if (rc < 0)
            return rc;
        out->realms |= UINT64_C(1) << id;
        out->realm = i == 0 ? id : out->realm;
    }
    return 0;
}

static void serve_all(struct config *c)
{
    uint64_t all =
        c->auth.realm_count == 64 ? UINT64_MAX : (UINT64_C(1) << c->auth.realm_count) - 1;

    for (size_t i = 0; i < c->net.listener_count; i++) {
        c->net.listeners[i].realm = 0;
        c->net.listeners[i].realms = all;
    }
}

int served_complete(struct config *c, const struct document_node *root, struct fault *fault)
{
    const struct document_node *list = root ? document_get(root, "listen") : NULL;
    size_t next = 0;

    if (c->listen_auto)
        serve_all(c);
    for (size_t i = 0; list && !c->listen_auto && i < list->count; i++) {
        const struct document_node *item = &list->children[i];
        const struct document_node *names = document_get(item, "realms");
        struct listener_settings served = {.realm = 0, .realms = 1};
        struct port_range ports = {0, 0};
        int rc = names ? resolve(&served, &c->auth, names, fault) : 0;

        if (rc < 0)
            return rc;
        value_ports(document_get(item, "port")->text, &ports);
        for (unsigned port = ports.min; port <= ports.max; port++, next++) {
            assert(next < c->net.listener_count); /* add_listeners made one of each port */
            c->net.listeners[next].realm = served.realm;
            c->net.listeners[next].realms = served.realms;
        }
    }
    return 0;
}

/* The realm of the mask whose name comes next behind `after`; NULL: none. Ids differ between
 * configurations that mean the same. */
static const char *next_name(const struct auth_settings *auth, uint64_t mask, const char *after)
{
    const char *best = NULL;

    for (size_t i = 0; i < auth->realm_count; i++) {
        const char *name = auth->realms[i].name;

        if ((mask >> i & 1) && (!after || strcmp(name, after) > 0) &&
            (!best || strcmp(name, best) < 0))
            best = name;
    }
    return best;
}

void served_print(const struct config *c, const struct listener_settings *listener, FILE *out)
{
    uint64_t others = listener->realms & ~(UINT64_C(1) << listener->realm);

    if (c->listen_auto || (listener->realm == 0 && others == 0))
        return;
    fputs(", realms: [", out);
    value_print_text(out, c->auth.realms[listener->realm].name);
    for (const char *name = NULL; (name = next_name(&c->auth, others, name));) {
        fputs(", ", out);
        value_print_text(out, name);
    }
    fputs("]", out);
}

uint64_t served_realms(const struct net_settings *net)
{
    uint64_t all = 0;

    for (size_t i = 0; i < net->listener_count; i++)
        all |= net->listeners[i].realms;
    return all;
}

void served_renumber(struct net_settings *net, const uint32_t *ids)
{
    for (size_t i = 0; i < net->listener_count; i++) {
        struct listener_settings *l = &net->listeners[i];
        uint64_t realms = 0;

        for (unsigned id = 0; id < AUTH_REALMS_MAX; id++)
            if (l->realms >> id & 1)
                realms |= UINT64_C(1) << ids[id];
        l->realms = realms;
        l->realm = ids[l->realm];
    }
}
