/*
 * The list of realms. It is read whole and takes the place of the old one only when all of it is
 * good; the realm of the top level stays where it is. The keys of an item are those of `auth`, read
 * by the same types: only the structure that they write to is another. Called through the schema,
 * and by config.c.
 */
#include "config/realms.h"

#include "config/duplicates.h"
#include "config/oauth.h"
#include "config/served.h"
#include "config/users.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

/* The realm of the top level is one of AUTH_REALMS_MAX. */
#define REALMS_MAX (AUTH_REALMS_MAX - 1)
#define NOT_SET    UINT32_MAX
#define NO_RATE    ((struct rate){NOT_SET, 1, NOT_SET})
#define NO_WIDTH   UINT64_MAX

static bool in_list(const struct schema_key *key)
{
    return strncmp(key->path, "realms[]", 8) == 0;
}

const struct auth_realm_settings *const_realm_of(const void *base, const struct schema_key *key)
{
    return in_list(key) ? &((const struct realm_item *)base)->realm
                        : &((const struct config *)base)->auth.realms[0];
}

struct auth_realm_settings *realm_of(void *base, const struct schema_key *key)
{
    return in_list(key) ? &((struct realm_item *)base)->realm
                        : &((struct config *)base)->auth.realms[0];
}

void realm_clear(struct auth_realm_settings *realm)
{
    free(realm->name);
    free(realm->oauth_server_name);
    users_clear(realm);
    users_clear_secrets(realm);
    oauth_clear_keys(realm);
    memset(realm, 0, sizeof(*realm));
}

static int set_realm(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct schema_key field = *key;

    field.offset = offsetof(struct auth_realm_settings, name);
    if (value->kind == DOCUMENT_SCALAR && strpbrk(value->text, "\"\\"))
        return fault_set(fault, value->line,
            "'%s' must not hold quotes, backslashes or control characters", key->path);
    return type_text.set(realm_of(base, key), &field, value, fault);
}

static void print_realm(const void *base, const struct schema_key *key, FILE *out)
{
    value_print_text(out, const_realm_of(base, key)->name);
}

const struct schema_type type_realm = {
    .name = "text", .form = "text", .set = set_realm, .print = print_realm};

static int compare_names(const void *a, const void *b)
{
    return strcmp(
        ((const struct realm_item *)a)->realm.name, ((const struct realm_item *)b)->realm.name);
}

static int read_item(const char *section, struct realm_item *item,
    const struct document_node *value, struct fault *fault)
{
    item->quota = (struct quota_limits){.allocations_per_user = NOT_SET,
        .allocations_per_realm = NOT_SET,
        .permissions_per_user = NOT_SET,
        .channels_per_user = NOT_SET};
    item->rates = (struct realm_rates){NO_RATE, NO_RATE, NO_WIDTH, NO_WIDTH, NO_WIDTH};
    item->guard = SRTP_GUARD_INHERIT;
    if (schema_set_defaults(section, item) < 0)
        return fault_out_of_memory(fault);
    return schema_read(section, value, item, fault);
}

static int read_items(struct realm_item *items, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct schema_section section = schema_items(key);
    size_t later = 0;
    bool found;
    int rc = 0;

    for (size_t i = 0; i < value->count && rc == 0; i++)
        rc = read_item(section.path, &items[i], &value->children[i], fault);
    if (rc < 0)
        return rc;
    if (duplicates_find(items, value->count, sizeof(*items), compare_names, &found, &later) < 0)
        return fault_out_of_memory(fault);
    return !found ? 0
                  : fault_set(fault, value->children[later].line, "realm '%s' appears twice",
                        fault_escape(items[later].realm.name).text);
}

/* Puts the items behind the realm of the top level. */
static int install(
    struct config *c, const struct realm_item *items, size_t count, struct fault *fault)
{
    struct auth_realm_settings *realms = calloc(count + 1, sizeof(*realms));

    if (!realms)
        return fault_out_of_memory(fault);
    realms[0] = c->auth.realms[0];
    for (size_t i = 1; i < c->auth.realm_count; i++)
        realm_clear(&c->auth.realms[i]);
    for (size_t i = 0; i < count; i++) {
        realms[i + 1] = items[i].realm;
        c->realm_quotas[i + 1] = items[i].quota;
        c->realm_rates[i + 1] = items[i].rates;
        c->realm_guards[i + 1] = items[i].guard;
    }
    free(c->auth.realms);
    c->auth.realms = realms;
    c->auth.realm_count = count + 1;
    return 0;
}

static int set_realms(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    struct realm_item *items;
    int rc;

    if (value->kind != DOCUMENT_SEQUENCE)
        return fault_set(fault, value->line, "'%s' must be %s", key->path, key->type->form);
    if (value->count > REALMS_MAX)
        return fault_set(
            fault, value->line, "'%s' must not hold more than %d realms", key->path, REALMS_MAX);
    items = calloc(value->count + 1, sizeof(*items));
    if (!items)
        return fault_out_of_memory(fault);
    rc = read_items(items, key, value, fault);
    if (rc == 0)
        rc = install(base, items, value->count, fault);
    for (size_t i = 0; i < value->count && rc < 0; i++)
        realm_clear(&items[i].realm);
    free(items);
    return rc;
}

/* The keys of `section` that hold a value, as `name: value` between `open` and `close`. */
static void print_section(const char *section, const void *base, const char *between, FILE *out)
{
    bool first = true;

    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];
        bool nested = key->type == &type_section;

        if (!schema_in(key, section) || (!nested && !key->type->print) ||
            (key->type->present && !key->type->present(base, key)))
            continue;
        fprintf(out, "%s%s: ", first ? "{ " : between, schema_leaf(key));
        if (nested)
            print_section(key->path, base, ", ", out);
        else
            key->type->print(base, key, out);
        first = false;
    }
    fputs(" }", out);
}

static void print_realms(const void *base, const struct schema_key *key, FILE *out)
{
    const struct config *c = base;
    struct schema_section section = schema_items(key);
    bool first = true;

    fputc('[', out);
    for (size_t i = 1; i < c->auth.realm_count; i++) {
        struct realm_item item = {
            c->auth.realms[i], c->realm_quotas[i], c->realm_rates[i], c->realm_guards[i]};

        if (item.realm.removed)
            continue;
        fputs(first ? "\n  " : ",\n  ", out);
        print_section(section.path, &item, ",\n    ", out);
        first = false;
    }
    fputs(first ? "]" : "\n  ]", out);
}

static const struct auth_realm_settings *find(const struct config *c, const char *name, size_t *id)
{
    for (size_t i = 1; i < c->auth.realm_count; i++) {
        if (!c->auth.realms[i].removed && strcmp(c->auth.realms[i].name, name) == 0) {
            *id = i;
            return &c->auth.realms[i];
        }
    }
    return NULL;
}

static bool equal_names(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool equal_quotas(const struct quota_limits *a, const struct quota_limits *b)
{
    return a->allocations_per_user == b->allocations_per_user &&
           a->allocations_per_realm == b->allocations_per_realm &&
           a->permissions_per_user == b->permissions_per_user &&
           a->channels_per_user == b->channels_per_user;
}

static bool equal_rate(const struct rate *a, const struct rate *b)
{
    return a->count == b->count && a->period_s == b->period_s && a->burst == b->burst;
}

static bool equal_rates(const struct realm_rates *a, const struct realm_rates *b)
{
    return equal_rate(&a->allocations_per_user, &b->allocations_per_user) &&
           equal_rate(&a->allocations_per_realm, &b->allocations_per_realm) &&
           a->bandwidth_per_allocation == b->bandwidth_per_allocation &&
           a->bandwidth_per_user == b->bandwidth_per_user &&
           a->bandwidth_per_realm == b->bandwidth_per_realm;
}

static bool equal_sources(const struct auth_realm_settings *a, const struct auth_realm_settings *b)
{
    return users_equal(a, b) && users_equal_secrets(a, b) && oauth_equal_keys(a, b) &&
           equal_names(a->oauth_server_name, b->oauth_server_name) &&
           a->store_users == b->store_users && a->store_secrets == b->store_secrets &&
           a->store_oauth_keys == b->store_oauth_keys;
}

/* What has become of the realms of `next`, those of `other` being what they are compared with. */
static bool tell_side(const struct config *next, const struct config *other, bool gone, FILE *out)
{
    const char *what = NULL;
    bool any = false;

    for (size_t i = 1; i < next->auth.realm_count; i++) {
        const struct auth_realm_settings *realm = &next->auth.realms[i], *before;
        size_t id = 0;

        if (realm->removed)
            continue;
        before = find(other, realm->name, &id);
        if (!before)
            what = gone ? "removed" : "added";
        else if (!gone && !(equal_sources(before, realm) &&
                              equal_quotas(&other->realm_quotas[id], &next->realm_quotas[i]) &&
                              equal_rates(&other->realm_rates[id], &next->realm_rates[i]) &&
                              other->realm_guards[id] == next->realm_guards[i]))
            what = "changed";
        else
            continue;
        if (out)
            fprintf(out, "%s\"%s\" %s", any ? ", " : "", realm->name, what);
        any = true;
    }
    return any;
}

static void tell_realms(const void *running, const void *next, FILE *out)
{
    if (tell_side(next, running, false, out) && tell_side(running, next, true, NULL))
        fputs(", ", out);
    tell_side(running, next, true, out);
}

static bool equal_realms(const void *a, const void *b, const struct schema_key *key)
{
    return !tell_side(b, a, false, NULL) && !tell_side(a, b, true, NULL);
}

const struct schema_type type_realms = {.name = "list",
    .form = "a list of { name, users, secrets, oauth ... }",
    .set = set_realms,
    .print = print_realms,
    .equal = equal_realms,
    .tell = tell_realms};

static void inherit(uint32_t *limit, uint32_t common)
{
    if (*limit == NOT_SET)
        *limit = common;
}

static void complete_quota(struct quota_limits *quota, const struct quota_limits *common)
{
    inherit(&quota->allocations_per_user, common->allocations_per_user);
    inherit(&quota->allocations_per_realm, common->allocations_per_realm);
    inherit(&quota->permissions_per_user, common->permissions_per_user);
    inherit(&quota->channels_per_user, common->channels_per_user);
    quota->allocations_total = common->allocations_total;
    quota->permissions_per_prefix = common->permissions_per_prefix;
    quota->channels_per_prefix = common->channels_per_prefix;
}

static void inherit_rate(struct rate *rate, const struct rate *common)
{
    if (rate->count == NOT_SET)
        *rate = *common;
}

static void inherit_bandwidth(uint64_t *bandwidth, uint64_t common)
{
    if (*bandwidth == NO_WIDTH)
        *bandwidth = common;
}

static void complete_rates(struct realm_rates *rates, const struct realm_rates *common)
{
    inherit_rate(&rates->allocations_per_user, &common->allocations_per_user);
    inherit_rate(&rates->allocations_per_realm, &common->allocations_per_realm);
    inherit_bandwidth(&rates->bandwidth_per_allocation, common->bandwidth_per_allocation);
    inherit_bandwidth(&rates->bandwidth_per_user, common->bandwidth_per_user);
    inherit_bandwidth(&rates->bandwidth_per_realm, common->bandwidth_per_realm);
}

int realms_complete(struct config *c, const struct document_node *root, struct fault *fault)
{
    const struct document_node *list = root ? document_get(root, "realms") : NULL;

    c->realm_quotas[0] = c->limits.quota;
    c->realm_rates[0] = c->limits.rates;
    for (size_t i = 0; i < c->auth.realm_count; i++) {
        if (i > 0 && strcmp(c->auth.realms[i].name, c->auth.realms[0].name) == 0)
            return fault_set(fault, list ? list->children[i - 1].line : 0,
                "realm '%s' appears twice: 'realm' is called so too",
                fault_escape(c->auth.realms[i].name).text);
        if (oauth_complete(&c->auth.realms[i]) < 0)
            return fault_out_of_memory(fault);
        complete_quota(&c->realm_quotas[i], &c->limits.quota);
        complete_rates(&c->realm_rates[i], &c->limits.rates);
    }
    return 0;
}

/* Where a realm stands in the file. */
struct place {
    const char *section; /* for errors */
    const struct document_node *node;
    unsigned line;
};

static struct place place_of(const struct document_node *root, size_t id)
{
    const struct document_node *node =
        id == 0 ? document_get(root, "auth") : &document_get(root, "realms")->children[id - 1];

    return (struct place){id == 0 ? "auth" : "realms[]", node, node ? node->line : root->line};
}

/* Line of a key of the realm, else of the realm. */
static unsigned line_of(const struct place *p, const char *key)
{
    return p->node ? document_line(p->node, key) : p->line;
}

/* A realm in which nobody could authenticate is a mistake; a retired secret opens nothing. */
static bool has_source(const struct auth_realm_settings *realm)
{
    if (realm->user_count > 0 || realm->store_users || realm->store_secrets || oauth_wanted(realm))
        return true;
    for (size_t i = 0; i < realm->secret_count; i++)
        if (!realm->secrets[i].retired)
            return true;
    return false;
}

static int check_realm(const struct config *c, const struct auth_realm_settings *realm,
    const struct place *p, struct fault *fault)
{
    const char *store = realm->store_users        ? "redis_users"
                        : realm->store_secrets    ? "redis_secrets"
                        : realm->store_oauth_keys ? "redis_oauth_keys"
                                                  : NULL;

    if (!has_source(realm))
        return fault_set(fault, line_of(p, "users"),
            "nobody could authenticate in realm '%s': '%s' needs at least one of users, secrets "
            "that are not retired, oauth keys and sources in Redis",
            fault_escape(realm->name).text, p->section);
    if (store && !c->redis.url)
        return fault_set(fault, line_of(p, store), "'%s.%s' needs 'redis.url'", p->section, store);
    if (realm->oauth_server_name && !oauth_wanted(realm))
        return fault_set(fault, line_of(p, "oauth.server_name"),
            "'%s.oauth.server_name' means nothing without '%s.oauth.keys' or "
            "'%s.redis_oauth_keys'",
            p->section, p->section, p->section);
    return 0;
}

int realms_check(const struct config *c, const struct document_node *root, struct fault *fault)
{
    uint64_t served = served_realms(&c->net);

    for (size_t i = 0; i < c->auth.realm_count; i++) {
        const struct auth_realm_settings *realm = &c->auth.realms[i];
        struct place p = place_of(root, i);
        int rc;

        /* Every listener may have left the realm of the top level to others. */
        if (i == 0 && !(served & 1) && !has_source(realm))
            continue;
        rc = check_realm(c, realm, &p, fault);
        if (rc < 0)
            return rc;
        if (!(served >> i & 1))
            return fault_set(fault, p.line,
                "no listener serves realm '%s': name it in 'listen[].realms'",
                fault_escape(realm->name).text);
    }
    return 0;
}
