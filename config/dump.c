/*
 * The effective configuration as YAML, and the difference of two. Both walk the key table and print
 * each key as its type prints it, so neither can forget one. Called by the daemon for --dump-config
 * and at reload.
 */
#include "config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A secret that nobody has configured is no line of a configuration. */
static bool printable(const struct config *c, const struct schema_key *key)
{
    if (schema_of_item(key) || !key->type->print)
        return false;
    return !key->type->present || key->type->present(c, key);
}

/* A section without a line would be one without a value. */
static bool has_lines(const struct config *c, const struct schema_key *section)
{
    size_t len = strlen(section->path);

    for (size_t i = 0; i < schema_key_count; i++)
        if (strncmp(schema_keys[i].path, section->path, len) == 0 &&
            schema_keys[i].path[len] == '.' && printable(c, &schema_keys[i]))
            return true;
    return false;
}

static void dump_key(const struct config *c, const struct schema_key *key, FILE *out)
{
    if (key->type == &type_section && has_lines(c, key)) {
        fprintf(out, "%*s%s:\n", (int)schema_depth(key) * 2, "", schema_leaf(key));
    } else if (printable(c, key)) {
        fprintf(out, "%*s%s: ", (int)schema_depth(key) * 2, "", schema_leaf(key));
        key->type->print(c, key, out);
        fputc('\n', out);
    }
}

int config_dump(const struct config *c, FILE *out)
{
    for (size_t i = 0; i < schema_key_count; i++)
        dump_key(c, &schema_keys[i], out);
    return ferror(out) ? -EIO : 0;
}

/* The value as text, owned by the caller; NULL if memory ran out. */
static char *text_of(const struct config *c, const struct schema_key *key)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    key->type->print(c, key, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static void tell(const struct config *running, const struct config *next,
    const struct schema_key *key, FILE *out)
{
    fprintf(out, "%s: ", key->path);
    key->type->tell(running, next, out);
}

/* Says how one key differs; true if it does. A key that cannot be compared for want of memory
 * counts as changed. */
static bool diff_key(const struct config *running, const struct config *next,
    const struct schema_key *key, FILE *out)
{
    char *before = text_of(running, key), *after = text_of(next, key);
    bool equal = before && after && strcmp(before, after) == 0;

    if (key->type->equal)
        equal = key->type->equal(running, next, key);
    if (!equal) {
        if (key->type->tell)
            tell(running, next, key, out);
        else if ((key->flags & SCHEMA_QUIET) || !before || !after)
            fprintf(out, "%s: changed", key->path);
        else
            fprintf(out, "%s: %s -> %s", key->path, before, after);
        fputs(key->flags & SCHEMA_RESTART ? ", needs a restart\n" : "\n", out);
    }
    free(before);
    free(after);
    return !equal;
}

bool config_diff(const struct config *running, const struct config *next, FILE *out)
{
    bool restart = false;

    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];

        if (!schema_of_item(key) && key->type->print && diff_key(running, next, key, out))
            restart |= (key->flags & SCHEMA_RESTART) != 0;
    }
    return restart;
}
