/* A path as the configuration writes it. */
#ifndef CONFIG_PATH_H
#define CONFIG_PATH_H

#include "config/schema.h"

#include <limits.h>

/*
 * Replaces ${CREDENTIALS_DIRECTORY} at the beginning of a path; no other variable is known. 0;
 * -EINVAL with the fault set: no text, nothing to expand it with, not absolute, too long.
 */
int path_expand(char out[PATH_MAX], const struct schema_key *key, const struct document_node *value,
    struct fault *fault);

/* `set` of a key whose field is a `char *`: the expanded path, which is not opened. */
int path_set(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault);
#define PEM_FORM "the absolute path of a PEM file"

#endif
