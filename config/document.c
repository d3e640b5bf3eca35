/*
 * From libyaml's events to a tree. Events and not yaml_parser_load, because that one resolves
 * aliases before anybody can refuse them and keeps no record of tags. The tree is as deep as
 * DOCUMENT_DEPTH_MAX at most, so recursion is bounded. Called by config_load, and by schema.c for
 * the defaults.
 */
#include "config/document.h"

#include "base/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

struct builder {
    yaml_parser_t parser;
    struct slice text;
    struct fault *fault;
};

static unsigned line_of(const yaml_mark_t *mark)
{
    return (unsigned)mark->line + 1;
}

static unsigned line_at_offset(struct slice text, size_t offset)
{
    unsigned line = 1;

    for (size_t i = 0; i < offset && i < text.len; i++)
        line += text.data[i] == '\n';
    return line;
}

static int fault_of_parser(struct builder *b)
{
    const char *problem = b->parser.problem ? b->parser.problem : "cannot be read";

    if (b->parser.error == YAML_MEMORY_ERROR)
        return fault_out_of_memory(b->fault);
    if (b->parser.error == YAML_READER_ERROR)
        return fault_set(
            b->fault, line_at_offset(b->text, b->parser.problem_offset), "not YAML: %s", problem);
    return fault_set(b->fault, line_of(&b->parser.problem_mark), "not YAML: %s%s%s", problem,
        b->parser.context ? " " : "", b->parser.context ? b->parser.context : "");
}

static int next_event(struct builder *b, yaml_event_t *event)
{
    if (!yaml_parser_parse(&b->parser, event))
        return fault_of_parser(b);
    return 0;
}

static void event_wipe(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT && event->data.scalar.value)
        secret_cleanse(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static struct document_node *append_child(struct document_node *parent)
{
    if (parent->count == parent->room) {
        size_t room = parent->room ? parent->room * 2 : 4;
        struct document_node *grown = reallocarray(parent->children, room, sizeof(*grown));

        if (!grown)
            return NULL;
        parent->children = grown;
        parent->room = room;
    }
    parent->children[parent->count] = (struct document_node){0};
    return &parent->children[parent->count++];
}

static int refuse_reference(
    struct builder *b, unsigned line, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    /* Neither is shown: a password that begins with & or ! and is not quoted comes here. */
    if (anchor)
        return fault_set(b->fault, line, "anchors (&...) are not accepted; quote the text");
    if (tag)
        return fault_set(b->fault, line, "tags (!...) are not accepted; quote the text");
    return 0;
}

static int build_scalar(struct builder *b, struct document_node *node, yaml_event_t *event)
{
    int rc = refuse_reference(b, node->line, event->data.scalar.anchor, event->data.scalar.tag);

    if (rc < 0)
        return rc;
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
        return fault_set(b->fault, node->line, "a NUL character is not accepted");
    node->kind = DOCUMENT_SCALAR;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = (char *)event->data.scalar.value;
    event->data.scalar.value = NULL; /* the node owns it now: no second copy of a password */
    return 0;
}

static int build_node(
    struct builder *b, struct document_node *node, yaml_event_t *event, unsigned depth);

static int build_children(struct builder *b, struct document_node *node, unsigned depth)
{
    for (;;) {
        struct document_node *child;
        yaml_event_t event;
        int rc = next_event(b, &event);

        if (rc < 0)
            return rc;
        if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return 0;
        }
        child = append_child(node);
        rc = child ? build_node(b, child, &event, depth + 1) : fault_out_of_memory(b->fault);
        event_wipe(&event);
        if (rc < 0)
            return rc;
    }
}

static int build_node(
    struct builder *b, struct document_node *node, yaml_event_t *event, unsigned depth)
{
    int rc;

    node->line = line_of(&event->start_mark);
    if (depth > DOCUMENT_DEPTH_MAX)
        return fault_set(
            b->fault, node->line, "nested more than %d levels deep", DOCUMENT_DEPTH_MAX);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return build_scalar(b, node, event);
    case YAML_SEQUENCE_START_EVENT:
        node->kind = DOCUMENT_SEQUENCE;
        rc = refuse_reference(
            b, node->line, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        break;
    case YAML_MAPPING_START_EVENT:
        node->kind = DOCUMENT_MAPPING;
        rc = refuse_reference(
            b, node->line, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        break;
    default:
        return fault_set(b->fault, node->line, "aliases (*name) are not accepted");
    }
    return rc < 0 ? rc : build_children(b, node, depth);
}

/* Takes one event and says whether it is of the type wanted: 1 or 0, or the fault. */
static int expect_event(struct builder *b, yaml_event_type_t type, unsigned *line)
{
    yaml_event_t event;
    int rc = next_event(b, &event);

    if (rc < 0)
        return rc;
    *line = line_of(&event.start_mark);
    rc = event.type == type;
    event_wipe(&event);
    return rc;
}

static int build_document(struct builder *b, struct document_node *root)
{
    yaml_event_t event;
    unsigned line;
    int rc = expect_event(b, YAML_STREAM_START_EVENT, &line);

    if (rc < 0)
        return rc;
    rc = expect_event(b, YAML_DOCUMENT_START_EVENT, &line);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return fault_set(b->fault, 1, "the file is empty");
    rc = next_event(b, &event);
    if (rc < 0)
        return rc;
    rc = build_node(b, root, &event, 0);
    event_wipe(&event);
    if (rc < 0)
        return rc;
    rc = expect_event(b, YAML_DOCUMENT_END_EVENT, &line);
    if (rc < 0)
        return rc;
    rc = expect_event(b, YAML_STREAM_END_EVENT, &line);
    if (rc == 0)
        return fault_set(b->fault, line, "a second YAML document is not accepted");
    return rc < 0 ? rc : 0;
}

/* libyaml frees its buffers as they are; both have held the file. */
static void parser_wipe(yaml_parser_t *parser)
{
    if (parser->raw_buffer.start)
        secret_cleanse(
            parser->raw_buffer.start, (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    if (parser->buffer.start)
        secret_cleanse(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    yaml_parser_delete(parser);
}

int document_parse(struct document_node **out, struct slice text, struct fault *fault)
{
    struct builder b = {.text = text, .fault = fault};
    struct document_node *root;
    int rc;

    if (!yaml_parser_initialize(&b.parser))
        return fault_out_of_memory(fault);
    root = calloc(1, sizeof(*root));
    if (root) {
        yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
        /* libyaml asserts that the input is not NULL */
        yaml_parser_set_input_string(
            &b.parser, text.len > 0 ? text.data : (const uint8_t *)"", text.len);
        rc = build_document(&b, root);
    } else {
        rc = fault_out_of_memory(fault);
    }
    parser_wipe(&b.parser);
    if (rc < 0)
        document_free(root);
    else
        *out = root;
    return rc;
}

static void node_clear(struct document_node *node)
{
    if (node->text)
        secret_cleanse(node->text, strlen(node->text));
    free(node->text);
    for (size_t i = 0; i < node->count; i++)
        node_clear(&node->children[i]);
    free(node->children);
}

void document_free(struct document_node *root)
{
    if (!root)
        return;
    node_clear(root);
    free(root);
}

const struct document_node *document_get(const struct document_node *mapping, const char *key)
{
    if (mapping->kind != DOCUMENT_MAPPING)
        return NULL;
    for (size_t i = 0; i + 1 < mapping->count; i += 2) {
        const struct document_node *name = &mapping->children[i];

        if (name->kind == DOCUMENT_SCALAR && strcmp(name->text, key) == 0)
            return &mapping->children[i + 1];
    }
    return NULL;
}

unsigned document_line(const struct document_node *root, const char *path)
{
    const struct document_node *node = root, *outer;
    unsigned line = root->line;
    char key[64];

    while (node && node->kind == DOCUMENT_MAPPING && *path != '\0') {
        int len = (int)strcspn(path, ".");

        outer = node;
        snprintf(key, sizeof(key), "%.*s", len, path);
        node = document_get(outer, key);
        if (!node) {
            snprintf(key, sizeof(key), "%.*s_file", len, path);
            node = document_get(outer, key);
        }
        line = node ? node->line : line;
        path += path[len] == '.' ? len + 1 : len;
    }
    return line;
}

bool document_is_null(const struct document_node *node)
{
    static const char *const names[] = {"", "~", "null", "Null", "NULL"};

    if (node->kind != DOCUMENT_SCALAR || !node->plain)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(node->text, names[i]) == 0)
            return true;
    return false;
}
