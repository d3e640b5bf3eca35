/* What the types of secrets share. */
#ifndef CONFIG_CREDENTIALS_H
#define CONFIG_CREDENTIALS_H

#include "base/secret.h"
#include "config/schema.h"

/* What a dump shows in place of a secret, and what therefore cannot be one. */
#define CREDENTIALS_MASK      "***"
#define CREDENTIALS_FILE_FORM "the absolute path of a file"
/* Bytes at most of what is given in base64. */
#define CREDENTIALS_BASE64_MAX 32

/* The fault of a value that may be a secret: it is not shown. Returns -EINVAL. */
int credentials_fault(
    const struct schema_key *key, const struct document_node *value, struct fault *fault);
/*
 * A secret of key->min to key->max bytes from the file that the value names, without the newline at
 * its end. 0; -EINVAL or -ENOMEM with the fault set. *out must be empty.
 */
int credentials_read(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct fault *fault);
/*
 * Bytes that the value holds in base64, and likewise those of a file that it names; key->type is
 * that of the text and says what there may be. 0; -EINVAL or -ENOMEM with the fault set, which
 * shows nothing of it. *out must be empty, else it was given in both ways.
 */
int credentials_set_base64(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct fault *fault);
int credentials_read_base64(struct secret *out, const struct schema_key *key,
    const struct document_node *value, struct fault *fault);

#endif
