/*
 * Paths of files that the configuration names. Called by the types of keys that are paths.
 */
#include "config/path.h"

#include <stdlib.h>
#include <string.h>

static const char directory_variable[] = "${CREDENTIALS_DIRECTORY}";

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
    return 0;
}
