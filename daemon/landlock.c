/*
 * Landlock by its system calls, because libc has none for it.
 *
 * Always: everything that this kernel can refuse is refused, but for what the places allow; what a
 * later kernel could refuse besides is left as it is. Called by the sandbox.
 */
#include "daemon/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What headers of Linux 6.1 do not know yet: versions 3 and 5. */
#define ACCESS_TRUNCATE  (1ull << 14)
#define ACCESS_IOCTL_DEV (1ull << 15)

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Those that a file, which is no folder, can have. */
#define FILE_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
        ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

/* Everything that version `version` can refuse. */
static uint64_t landlock_known(int version)
{
    uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    if (version >= 2) {
        rights |= LANDLOCK_ACCESS_FS_REFER;
    }
    if (version >= 3) {
        rights |= ACCESS_TRUNCATE;
    }
    return version >= 5 ? rights | ACCESS_IOCTL_DEV : rights;
}

static uint64_t landlock_rights(enum landlock_use use)
{
    switch (use) {
    case LANDLOCK_SOCKET:
        return LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
    case LANDLOCK_WRITE:
        return READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
               LANDLOCK_ACCESS_FS_REMOVE_FILE | ACCESS_TRUNCATE;
    default:
        return READ_RIGHTS;
    }
}

static int landlock_allow(int rules, const struct landlock_place *place, uint64_t known)
{
    struct stat st;
    int fd = open(place->path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
    }
    struct landlock_path_beneath_attr beneath = {
        .allowed_access = landlock_rights(place->use) & known, .parent_fd = fd};
    int r = fstat(fd, &st) == 0 ? 0 : -errno;
    if (r == 0 && !S_ISDIR(st.st_mode)) {
        beneath.allowed_access &= FILE_RIGHTS;
    }
    if (r == 0 && beneath.allowed_access != 0 &&
        syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0) {
        r = -errno;
    }
    close(fd);
    return r;
}

int landlock_enter(const struct landlock_place *places)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        return version < 0 ? -errno : -EOPNOTSUPP;
    }
    const struct landlock_ruleset_attr attr = {.handled_access_fs = landlock_known((int)version)};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (rules < 0) {
        return -errno;
    }
    int r = 0;
    for (; places->path && r == 0; places++) {
        r = landlock_allow(rules, places, attr.handled_access_fs);
    }
    if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) != 0) {
        r = -errno;
    }
    close(rules);
    return r < 0 ? r : (int)version;
}
