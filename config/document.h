/*
 * A YAML document as a tree of nodes that know their lines. Stricter than YAML: one document, no
 * anchors, aliases or tags, at most DOCUMENT_DEPTH_MAX levels, no NUL characters. Scalars stay
 * text; what they mean is the schema's business.
 */
#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H

#include "base/slice.h"
#include "config/fault.h"

#define DOCUMENT_DEPTH_MAX 8

enum document_kind { DOCUMENT_SCALAR, DOCUMENT_SEQUENCE, DOCUMENT_MAPPING };

struct document_node {
    enum document_kind kind;
    bool plain;                     /* scalar without quotes */
    unsigned line;                  /* from 1 */
    char *text;                     /* scalar: UTF-8 with a NUL behind it and none inside */
    struct document_node *children; /* sequence: items; mapping: key, value, key, value … */
    size_t count, room;
};

/* 0 and *out owned by the caller; -EINVAL or -ENOMEM with the fault set. */
int document_parse(struct document_node **out, struct slice text, struct fault *fault);
/* Wipes every scalar: a password may be among them. NULL is fine. */
void document_free(struct document_node *root);

/* The value of a key in a mapping, or NULL. */
const struct document_node *document_get(const struct document_node *mapping, const char *key);
/* Line of a key such as "redis.tls.ca", or of the one with "_file" behind; of the innermost section
 * of it that is in the file; of `root` if none is. */
unsigned document_line(const struct document_node *root, const char *path);
/* A plain scalar that YAML reads as nothing: empty, ~, null. */
bool document_is_null(const struct document_node *node);

#endif
