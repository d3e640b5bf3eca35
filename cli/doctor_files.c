/*
 * Which files hold secrets, by the configuration's own text: those that it names, and itself where
 * one stands in it. Called by doctor.c.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/doctor.h"
#include "config/document.h"
#include "config/file.h"

#define CONFIG_MAX (1u << 20) /* bytes of the configuration */
#define VARIABLE   "${CREDENTIALS_DIRECTORY}"

static bool ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text), part = strlen(end);
    return len >= part && strcmp(text + len - part, end) == 0;
}

static bool is_path(const char *text)
{
    return text[0] == '/' || strncmp(text, VARIABLE, strlen(VARIABLE)) == 0;
}

/* Keys whose values are secrets themselves. */
static bool is_secret(const char *key, const char *value)
{
    static const char *const keys[] = {"password", "secret", "token", "nonce_secret",
        "nonce_secret_old", "wrap_key", "wrap_key_old", "sentinel_password", "key"};
    if (value[0] == '\0' || is_path(value)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return strcmp(key, "url") == 0 && strchr(value, '@');
}

static void add_file(struct doctor_facts *f, const char *path)
{
    const size_t len = strlen(path);
    struct stat st;
    if (f->file_count == DOCTOR_FILES_MAX || len >= DOCTOR_PATH_MAX || stat(path, &st) < 0) {
        return;
    }
    struct doctor_file *file = &f->files[f->file_count++];
    memcpy(file->path, path, len + 1);
    file->everybody = (st.st_mode & S_IROTH) != 0;
}

static void add_named(struct doctor_facts *f, const char *text)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    if (text[0] == '/') {
        add_file(f, text);
    } else if (is_path(text) && folder) {
        snprintf(path, sizeof(path), "%s%s", folder, text + strlen(VARIABLE));
        add_file(f, path);
    }
}

/* Looks at the node and all below it; true if a secret stands there. `key`: under which. */
static bool walk(struct doctor_facts *f, const struct document_node *node, const char *key)
{
    bool found = false;
    if (node->kind == DOCUMENT_SCALAR) {
        const bool names = ends_with(key, "_file") || strcmp(key, "secrets") == 0 ||
                           (strcmp(key, "key") == 0 && is_path(node->text));
        if (names) {
            add_named(f, node->text);
        }
        return is_secret(key, node->text);
    }
    for (size_t i = 0; i < node->count; i++) {
        const bool mapping = node->kind == DOCUMENT_MAPPING;
        const char *name = mapping ? node->children[i++].text : key;
        /* secrets: [{ id: a, file: PATH }] */
        const bool file = mapping && strcmp(name, "file") == 0 && strcmp(key, "secrets") == 0;
        found = walk(f, &node->children[i], file ? "secrets" : name) || found;
    }
    return found;
}

void doctor_read_files(struct doctor_facts *f, const char *path)
{
    struct secret text = {0};
    struct document_node *root = NULL;
    struct config_error error;
    struct fault fault = {.path = path, .error = &error};
    if (file_read(&text, path, CONFIG_MAX) == 0 &&
        document_parse(&root, secret_slice(&text), &fault) == 0 && walk(f, root, "")) {
        add_file(f, path);
    }
    document_free(root);
    secret_wipe(&text);
}
