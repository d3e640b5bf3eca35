/*
 * Users and secrets for the first five minutes.
 *
 * Always: what is made up comes from the system's generator, goes to a terminal or into a file of
 * mode 0600, never into a log. Called by main.
 */
#include "daemon/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"

/* 32 characters that are not taken for one another: 5 bits each. */
static const char CREDENTIALS_ALPHABET[] = "abcdefghijkmnpqrstuvwxyz23456789";

static int credentials_text(char *out, size_t len)
{
    uint8_t bytes[48];
    if (len > sizeof(bytes) || random_fill(random_system(), bytes, len) < 0) {
        return -EIO;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = CREDENTIALS_ALPHABET[bytes[i] & 31];
    }
    out[len] = '\0';
    secret_cleanse(bytes, sizeof(bytes));
    return 0;
}

static int credentials_put(const struct credentials *c, struct auth_realm_settings *realm)
{
    struct auth_user_settings *user = calloc(1, sizeof(*user));
    struct auth_secret_settings *secret = calloc(1, sizeof(*secret));
    bool ok = user && secret && (user->name = strdup(c->user)) &&
              (secret->id = strdup("generated")) &&
              secret_set(&user->password, slice_of_string(c->password)) == 0 &&
              secret_set(&secret->secret, slice_of_string(c->rest_secret)) == 0;
    if (ok) {
        /* Defaults name nobody: these lists are empty. */
        free(realm->users);
        free(realm->secrets);
        realm->users = user;
        realm->user_count = 1;
        realm->secrets = secret;
        realm->secret_count = 1;
        return 0;
    }
    if (user) {
        secret_wipe(&user->password);
        free(user->name);
    }
    if (secret) {
        secret_wipe(&secret->secret);
        free(secret->id);
    }
    free(user);
    free(secret);
    return -ENOMEM;
}

int credentials_generate(struct credentials *out, struct config *config)
{
    struct credentials c;
    memcpy(c.user, "user-", 5);
    if (credentials_text(c.user + 5, 6) < 0 || credentials_text(c.password, 24) < 0 ||
        credentials_text(c.rest_secret, 40) < 0) {
        return -EIO;
    }
    int r = credentials_put(&c, &config->auth.realms[0]);
    if (r == 0) {
        *out = c;
    }
    secret_cleanse(&c, sizeof(c));
    return r;
}

void credentials_wipe(struct credentials *c)
{
    secret_cleanse(c, sizeof(*c));
}

/*
 * A directory to write secrets into: ours, or the system's with the sticky bit, where nobody else
 * can move our file away.
 */
static int credentials_open_directory(const char *path)
{
    struct stat st;
    if (!path || path[0] != '/') {
        return -ENOENT;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    bool others_write =
        fstat(fd, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX);
    if (others_write || (st.st_uid != geteuid() && st.st_uid != 0)) {
        close(fd);
        return -EPERM;
    }
    return fd;
}

static int credentials_create_in(const char *directory, char path[PATH_MAX])
{
    char random[9], name[64];
    int dir = credentials_open_directory(directory);
    if (dir < 0) {
        return dir;
    }
    int fd = -EIO;
    if (credentials_text(random, 8) == 0) {
        snprintf(name, sizeof(name), "turnpike-credentials-%s", random);
        fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        fd = fd < 0 ? -errno : fd;
    }
    close(dir);
    if (fd >= 0 && snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX) {
        close(fd);
        return -ENAMETOOLONG;
    }
    return fd;
}

int credentials_create_file(char path[PATH_MAX])
{
    const char *directories[] = {
        getenv("XDG_RUNTIME_DIR"), "/run/turnpike", getenv("TMPDIR"), "/tmp"};
    int fd = -ENOENT;
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]) && fd < 0; i++) {
        fd = credentials_create_in(directories[i], path);
    }
    return fd;
}
