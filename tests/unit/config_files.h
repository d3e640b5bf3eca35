/* Configuration files that tests write: one scratch folder a program, one file at a time. */
#ifndef TESTS_UNIT_CONFIG_FILES_H
#define TESTS_UNIT_CONFIG_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

struct scratch {
    char folder[64];
    char path[96]; /* of the configuration */
};

static inline int scratch_open(struct scratch *s)
{
    snprintf(s->folder, sizeof(s->folder), "/tmp/turnpike-config-XXXXXX");
    if (!mkdtemp(s->folder))
        return -1;
    snprintf(s->path, sizeof(s->path), "%s/turnpike.yaml", s->folder);
    return 0;
}

/* A file of the folder; the name has no slash. */
static inline int scratch_write(
    const struct scratch *s, const char *name, const void *data, size_t len)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", s->folder, name);
    FILE *file = fopen(path, "wb");
    if (!file)
        return -1;
    const bool whole = fwrite(data, 1, len, file) == len;
    return fclose(file) == 0 && whole ? 0 : -1;
}

static inline void scratch_remove(const struct scratch *s, const char *name)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", s->folder, name);
    unlink(path);
}

static inline void scratch_close(const struct scratch *s)
{
    unlink(s->path);
    rmdir(s->folder);
}

/* Writes the text as the configuration and loads it. */
static inline int scratch_load(const struct scratch *s, struct config *c, const char *text,
    size_t len, struct config_error *error)
{
    memset(error, 0, sizeof(*error));
    if (scratch_write(s, "turnpike.yaml", text, len) != 0)
        return -1000;
    return config_load(c, s->path, error);
}

/* The text of a dump; the caller frees it. NULL: out of memory. */
static inline char *config_text(const struct config *c)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    const int rc = config_dump(c, out);
    if (fclose(out) == 0 && rc == 0)
        return text;
    free(text);
    return NULL;
}

/* A dump with a secret in each place that it masks; the caller frees it. NULL: out of memory. */
static inline char *config_unmask(const char *dump)
{
    static const char *const places[][2] = {
        {"password: \"***\"", "password: \"pass word\""},
        {"secret_old: \"***\"", "secret_old: \"sixteen bytes at least\""},
        {"A256GCM, key: \"***\"", "A256GCM, key: \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\""},
        {"A128GCM, key: \"***\"", "A128GCM, key: \"AAECAwQFBgcICQoLDA0ODw==\""},
        {"://***@", "://user:pass%20word@"},
        {"wrap_key: \"***\"", "wrap_key: \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\""},
        {"wrap_key_old: \"***\"", "wrap_key_old: \"HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\""},
        {"secret: \"***\"", "secret: \"sixteen bytes at least\""},
        {"key: \"***\"", "key: \"00112233445566778899aabbccddeeff\""},
        {"token: \"***\"", "token: \"sixteen-bytes-at-least\""},
    };
    const size_t count = sizeof(places) / sizeof(places[0]);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    while (*dump != '\0') {
        size_t i = 0;
        while (i < count && strncmp(dump, places[i][0], strlen(places[i][0])) != 0)
            i++;
        if (i < count)
            fputs(places[i][1], out);
        else
            fputc(*dump, out);
        dump += i < count ? strlen(places[i][0]) : 1;
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

#endif
