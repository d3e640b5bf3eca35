/*
 * From a configuration to folders.
 *
 * Always: folders rather than files, because who renews a certificate or edits a configuration puts
 * a new file in the place of the old one. Called by the sandbox.
 */
#include "daemon/places.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What libc, OpenSSL and libsrtp2 open when a name is looked up, a certificate is read or a session
 * of SRTP begins; of /etc these files, and not the passwords of the host. */
static const char *const of_libraries[] = {"/usr/lib", "/usr/share/zoneinfo", "/etc/ssl",
    "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/ld.so.cache",
    "/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf",
    "/etc/services", "/etc/passwd", "/etc/group", "/run/systemd/resolve", "/dev/urandom",
    "/dev/null", "/proc/sys", "/sys/devices/system/cpu"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static int places_add(struct places *p, const char *path, enum landlock_use use)
{
    struct landlock_place *list = realloc(p->list, (p->count + 2) * sizeof(*list));
    if (!list) {
        return -ENOMEM;
    }
    p->list = list;
    list[p->count++] = (struct landlock_place){path, use};
    list[p->count] = (struct landlock_place){0};
    return 0;
}

/* Takes `path`, which may be NULL for want of memory. */
static int places_add_owned(struct places *p, char *path, enum landlock_use use)
{
    char **owned = path ? realloc(p->owned, (p->owned_count + 1) * sizeof(*owned)) : NULL;
    if (!owned) {
        free(path);
        return -ENOMEM;
    }
    p->owned = owned;
    owned[p->owned_count++] = path;
    return places_add(p, path, use);
}

/* The folder that `path` names a file of. */
static int places_add_folder(struct places *p, const char *path, enum landlock_use use)
{
    const char *slash = strrchr(path, '/');
    char *folder = !slash          ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    return places_add_owned(p, folder, use);
}

static int places_add_file(struct places *p, const char *path, enum landlock_use use)
{
    char real[PATH_MAX];
    int r = places_add_folder(p, path, use);
    if (r == 0 && realpath(path, real)) {
        r = places_add_folder(p, real, use);
    }
    return r;
}

/* What an absolute path in the environment names, with `rest` behind it. */
static int places_add_variable(
    struct places *p, const char *name, const char *rest, enum landlock_use use)
{
    char text[PATH_MAX];
    const char *value = getenv(name);
    if (!value || value[0] != '/' ||
        snprintf(text, sizeof(text), "%s%s", value, rest) >= (int)sizeof(text)) {
        return 0;
    }
    return places_add_owned(p, strdup(text), use);
}

static int places_add_socket(struct places *p, const struct admin_settings *admin)
{
    if (admin->control == ADMIN_PLACE_SET) {
        return places_add_folder(p, admin->socket, LANDLOCK_SOCKET);
    }
    int r = admin->control == ADMIN_PLACE_AUTO
                ? places_add(p, ADMIN_DEFAULT_FOLDER, LANDLOCK_SOCKET)
                : 0;
    return r < 0 ? r : places_add_variable(p, "XDG_RUNTIME_DIR", "/turnpike", LANDLOCK_SOCKET);
}

/* Where credentials that were made up go, as in credentials.c: a start without a file is a try. */
static int places_add_credentials(struct places *p)
{
    int r = places_add_variable(p, "XDG_RUNTIME_DIR", "", LANDLOCK_WRITE);
    r = r < 0 ? r : places_add_variable(p, "TMPDIR", "", LANDLOCK_WRITE);
    r = r < 0 ? r : places_add(p, ADMIN_DEFAULT_FOLDER, LANDLOCK_WRITE);
    return r < 0 ? r : places_add(p, "/tmp", LANDLOCK_WRITE);
}

static int places_fill(struct places *p, const struct config *config, const char *path)
{
    int r = path ? places_add_file(p, path, LANDLOCK_READ) : places_add_credentials(p);
    for (size_t i = 0; i < config->files.count && r == 0; i++) {
        r = places_add_file(p, config->files.paths[i], LANDLOCK_READ);
    }
    r = r < 0 ? r : places_add_variable(p, "CREDENTIALS_DIRECTORY", "", LANDLOCK_READ);
    r = r < 0 ? r : places_add(p, "/etc/turnpike", LANDLOCK_READ);
    r = r < 0 ? r : places_add_socket(p, &config->admin);
    if (r == 0 && config->usage.file) {
        r = places_add_file(p, config->usage.file, LANDLOCK_WRITE);
    }
    for (size_t i = 0; i < COUNT(of_libraries) && r == 0; i++) {
        r = places_add(p, of_libraries[i], LANDLOCK_READ);
    }
    /* DHCP clients put a new resolv.conf in the place of the old one, which only the folder covers;
     * a Redis that is named must be found again for months. */
    if (r == 0 && config->redis.url) {
        r = places_add(p, "/etc", LANDLOCK_READ);
    }
    for (const struct landlock_place *more = places_more; more->path && r == 0; more++) {
        r = places_add(p, more->path, more->use);
    }
    return r;
}

int places_init(struct places *out, const struct config *config, const char *path)
{
    struct places p = {0};
    int r = places_fill(&p, config, path);
    if (r < 0) {
        places_deinit(&p);
        return r;
    }
    *out = p;
    return 0;
}

void places_deinit(struct places *p)
{
    for (size_t i = 0; i < p->owned_count; i++) {
        free(p->owned[i]);
    }
    free(p->owned);
    free(p->list);
    *p = (struct places){0};
}
