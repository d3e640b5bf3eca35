/*
 * What a person probably meant. First the nearest key of the section the unknown one stands in,
 * then a key of that very name elsewhere, else all keys that would be valid there. Called by
 * schema.c.
 */
#include "config/hints.h"

#include "config/schema.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define HINT_NAME_MAX 48

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours between two names of at most
 * HINT_NAME_MAX bytes. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t d[HINT_NAME_MAX + 1][HINT_NAME_MAX + 1];
    size_t la = strlen(a), lb = strlen(b);

    for (size_t i = 0; i <= la; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        for (size_t j = 1; j <= lb; j++) {
            size_t change = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[la][lb];
}

static const struct schema_key *nearest(const char *section, const char *name)
{
    const struct schema_key *best = NULL;
    size_t best_distance = strlen(name) / 3 + 2; /* farther off, a hint would only confuse */

    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];

        if (schema_in(key, section) && strlen(schema_leaf(key)) <= HINT_NAME_MAX) {
            size_t distance = edit_distance(name, schema_leaf(key));

            if (distance < best_distance) {
                best = key;
                best_distance = distance;
            }
        }
    }
    return best;
}

const char *hint_among(const char *name, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(name) / 3 + 2;

    for (size_t i = 0; i < count && strlen(name) <= HINT_NAME_MAX; i++) {
        size_t distance =
            strlen(names[i]) <= HINT_NAME_MAX ? edit_distance(name, names[i]) : best_distance;

        if (distance < best_distance) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}

static const struct schema_key *elsewhere(const char *name)
{
    for (size_t i = 0; i < schema_key_count; i++)
        if (strcmp(schema_leaf(&schema_keys[i]), name) == 0)
            return &schema_keys[i];
    return NULL;
}

static void list_keys(const char *section, char *out, size_t cap)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];
        int n = 0;

        if (schema_in(key, section))
            n = snprintf(out + used, cap - used, "%s%s", used ? ", " : "", schema_leaf(key));
        if (n < 0 || (size_t)n >= cap - used) {
            out[used] = '\0';
            return;
        }
        used += (size_t)n;
    }
}

/* The name as far as it is one: of `password:secret`, where a space is missing, only `password...`
 * is shown. */
static struct fault_text shown_name(const char *name)
{
    struct fault_text out = {""};
    size_t word = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");

    if (word > sizeof(out.text) - 4)
        word = sizeof(out.text) - 4;
    memcpy(out.text, name, word);
    if (name[word] != '\0')
        memcpy(out.text + word, "...", 4);
    return out;
}

int schema_unknown_key(const char *section, const struct document_node *name, struct fault *fault)
{
    const struct schema_key *near = NULL;
    struct fault_text shown = shown_name(name->text);
    char keys[300];

    if (strlen(name->text) <= HINT_NAME_MAX) {
        near = elsewhere(name->text);
        if (near && !strchr(near->path, '.'))
            return fault_set(fault, name->line,
                "unknown key '%s' here: it stands at the top level, not within another",
                shown.text);
        if (near)
            return fault_set(fault, name->line, "unknown key '%s' here, did you mean '%s'?",
                shown.text, near->path);
        near = nearest(section, name->text);
    }
    if (near)
        return fault_set(fault, name->line, "unknown key '%s', did you mean '%s'?", shown.text,
            schema_leaf(near));
    list_keys(section, keys, sizeof(keys));
    return fault_set(fault, name->line, "unknown key '%s', valid here: %s", shown.text, keys);
}
