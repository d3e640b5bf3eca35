/*
 * Paths of files that the configuration names. Called by the types of keys that are paths.
 */
#include "config/path.h"

#include "config/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char directory_variable[] = "${CREDENTIALS_DIRECTORY}";

static int note_file(struct config_files *files, const char *path)
{
    char *copy = strdup(path);
    char **paths = copy ? realloc(files->paths, (files->count + 1) * sizeof(*paths)) : NULL;

    if (!paths) {
        free(copy);
        return -ENOMEM;
    }
    files->paths = paths;
    files->paths[files->count++] = copy;
    return 0;
}

int path_expand(char out[PATH_MAX], const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    const char *rest = value->text, *directory = "";
    int n;

    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    if (strncmp(rest, directory_variable, sizeof(directory_variable) - 1) == 0) {
        directory = getenv("CREDENTIALS_DIRECTORY");
        if (!directory || *directory == '\0')
            return fault_set(fault, value->line,
                "'%s': the environment has no CREDENTIALS_DIRECTORY", key->path);
        rest += sizeof(directory_variable) - 1;
    }
    if (strstr(rest, "${"))
        return fault_set(fault, value->line, "'%s': only a leading %s is expanded", key->path,
            directory_variable);
    n = snprintf(out, PATH_MAX, "%s%s", directory, rest);
    if (n < 0 || n >= PATH_MAX)
        return fault_set(fault, value->line, "'%s': the path is too long", key->path);
    if (out[0] != '/')
        return fault_set(fault, value->line, "'%s' must be an absolute path, or begin with %s",
            key->path, directory_variable);
    return fault->files && note_file(fault->files, out) < 0 ? fault_out_of_memory(fault) : 0;
}

int path_set(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    char **out = (char **)(void *)((char *)base + key->offset), *copy;
    char path[PATH_MAX];
    int rc = path_expand(path, key, value, fault);

    if (rc < 0)
        return rc;
    copy = strdup(path);
    if (!copy)
        return fault_out_of_memory(fault);
    free(*out);
    *out = copy;
    return 0;
}

static const char *path_of(const void *base, const struct schema_key *key)
{
    return *(char *const *)(const void *)((const char *)base + key->offset);
}

static bool has_path(const void *base, const struct schema_key *key)
{
    return path_of(base, key) != NULL;
}

static void print_path(const void *base, const struct schema_key *key, FILE *out)
{
    if (has_path(base, key))
        value_print_text(out, path_of(base, key));
    else
        fputs("none", out);
}

const struct schema_type type_pem_file = {
    .name = "path", .form = PEM_FORM, .set = path_set, .print = print_path, .present = has_path};
const struct schema_type type_path = {.name = "path",
    .form = "the absolute path of a file",
    .set = path_set,
    .print = print_path,
    .present = has_path};
const struct schema_type type_pem_item = {.name = "path", .form = PEM_FORM, .set = path_set};
