/*
 * Walks the key table: reads mappings by it and fills in its defaults, which are YAML and go
 * through the same code as what an operator writes. Called by config.c, and by the types of lists
 * for the keys of their items.
 */
#include "config/schema.h"

#include "config/listeners.h"
#include "config/realms.h"
#include "config/values.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define KEY(path, type, offset, initial, min, max, flags, help)                                    \
    {path, &type, offset, initial, min, max, flags, help},

const struct schema_key schema_keys[] = {
#include "config/schema.def"
};

#define SCHEMA_KEY_COUNT (sizeof(schema_keys) / sizeof(schema_keys[0]))

const size_t schema_key_count = SCHEMA_KEY_COUNT;

const char *schema_leaf(const struct schema_key *key)
{
    const char *dot = strrchr(key->path, '.');

    return dot ? dot + 1 : key->path;
}

bool schema_in(const struct schema_key *key, const char *section)
{
    size_t len = strlen(section), parent = (size_t)(schema_leaf(key) - key->path);

    return len == 0 ? parent == 0 : parent == len + 1 && memcmp(key->path, section, len) == 0;
}

unsigned schema_depth(const struct schema_key *key)
{
    unsigned depth = 0;

    for (const char *p = key->path; *p != '\0'; p++)
        depth += *p == '.';
    return depth;
}

bool schema_of_item(const struct schema_key *key)
{
    return strchr(key->path, '[') != NULL;
}

struct schema_section schema_items(const struct schema_key *list)
{
    struct schema_section out;
    int n = snprintf(out.path, sizeof(out.path), "%s[]", list->path);

    assert(n > 0 && (size_t)n < sizeof(out.path));
    return out;
}

static const struct schema_key *find(const char *section, const char *name)
{
    for (size_t i = 0; i < SCHEMA_KEY_COUNT; i++)
        if (strcmp(schema_leaf(&schema_keys[i]), name) == 0 && schema_in(&schema_keys[i], section))
            return &schema_keys[i];
    return NULL;
}

int schema_bad_value(
    const struct schema_key *key, const struct document_node *value, struct fault *fault)
{
    if (value->kind == DOCUMENT_SCALAR)
        return fault_set(fault, value->line, "'%s' must be %s, not '%s'", key->path,
            key->type->form, fault_escape(value->text).text);
    return fault_set(fault, value->line, "'%s' must be %s, not a %s", key->path, key->type->form,
        value->kind == DOCUMENT_MAPPING ? "mapping" : "list");
}

/* One `key: value` of a mapping. `seen` holds the line where a key of the table stood before, 0 if
 * nowhere. */
static int read_pair(const char *section, const struct document_node *pair, void *base,
    unsigned *seen, struct fault *fault)
{
    const struct document_node *name = &pair[0], *value = &pair[1];
    const struct schema_key *key;

    if (name->kind != DOCUMENT_SCALAR)
        return fault_set(fault, name->line, "a key must be a word");
    key = find(section, name->text);
    if (!key)
        return schema_unknown_key(section, name, fault);
    if (seen[key - schema_keys] > 0)
        return fault_set(fault, name->line, "'%s' appears twice, first in line %u", key->path,
            seen[key - schema_keys]);
    seen[key - schema_keys] = name->line;
    if (document_is_null(value))
        return fault_set(fault, name->line, "'%s' has no value", key->path);
    return key->type->set(base, key, value, fault);
}

int schema_read(
    const char *section, const struct document_node *mapping, void *base, struct fault *fault)
{
    unsigned seen[SCHEMA_KEY_COUNT] = {0};

    if (mapping->kind != DOCUMENT_MAPPING)
        return fault_set(fault, mapping->line, "%s%s%s must be a mapping of keys to values",
            *section ? "'" : "", *section ? section : "the file", *section ? "'" : "");
    for (size_t i = 0; i + 1 < mapping->count; i += 2) {
        int rc = read_pair(section, &mapping->children[i], base, seen, fault);

        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < SCHEMA_KEY_COUNT; i++) {
        const struct schema_key *key = &schema_keys[i];

        if ((key->flags & SCHEMA_REQUIRED) && seen[i] == 0 && schema_in(key, section))
            return fault_set(fault, mapping->line, "'%s' is missing", key->path);
    }
    return 0;
}

static int set_default(const struct schema_key *key, void *base)
{
    struct config_error error;
    struct fault fault = {.path = "default", .error = &error};
    struct document_node *value;
    int rc = document_parse(&value, slice_of_string(key->initial), &fault);

    if (rc == 0) {
        rc = key->type->set(base, key, value, &fault);
        document_free(value);
    }
    assert(
        rc == 0 || rc == -ENOMEM); /* a default that its own key refuses is a fault of the table */
    return rc;
}

int schema_set_defaults(const char *section, void *base)
{
    for (size_t i = 0; i < SCHEMA_KEY_COUNT; i++) {
        const struct schema_key *key = &schema_keys[i];
        bool wanted = *section ? schema_in(key, section) : !schema_of_item(key);

        if (wanted && key->initial) {
            int rc = set_default(key, base);

            if (rc < 0)
                return rc;
        }
    }
    return 0;
}
