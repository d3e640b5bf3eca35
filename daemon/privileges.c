/*
 * From root to somebody who can do little.
 *
 * Always: a user who cannot be become is an error, never a reason to go on as root; what is given
 * up cannot be had again. Called by main, and by the sandbox before the first thread starts.
 */
#include "daemon/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE 0755
#define FILES_MASK  0027

static int privileges_fail(char *error, size_t cap, int code, const char *key, const char *name)
{
    snprintf(error, cap, "%s: cannot become '%s': %s", key, name,
        code == -ENOENT ? "there is none of that name" : strerror(-code));
    return code;
}

/* Leaves of what the process has the capabilities of `list`, to be applied. */
static void privileges_select(const unsigned *list, size_t count)
{
    uint64_t held = 0;
    capng_get_caps_process();
    for (size_t i = 0; i < count; i++) {
        held |= (uint64_t)(capng_have_capability(CAPNG_PERMITTED, list[i]) != 0) << i;
    }
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < count; i++) {
        if (held >> i & 1) {
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, list[i]);
        }
    }
}

/* The folder of the unix socket, which only root can make. What stands there is given away only if
 * it is root's own folder. */
static int privileges_give_folder(const char *folder, uid_t uid, gid_t gid)
{
    struct stat st;
    if (mkdir(folder, FOLDER_MODE) < 0 && errno != EEXIST) {
        return -errno;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = fstat(fd, &st) == 0 && (st.st_uid != 0 || fchown(fd, uid, gid) == 0) ? 0 : -errno;
    close(fd);
    return r;
}

/* 0 with the group, or -errno with a line in `error`. */
static int privileges_find_group(
    gid_t *out, const char *name, gid_t own, char *error, size_t error_cap)
{
    const struct group *group = name ? getgrnam(name) : NULL;
    if (name && !group) {
        return privileges_fail(error, error_cap, -ENOENT, "group", name);
    }
    *out = group ? group->gr_gid : own;
    return 0;
}

/* Who is not root is whom the service manager has made it. */
static int privileges_stay(const struct sandbox_settings *s, char *error, size_t error_cap)
{
    const struct passwd *user = s->user ? getpwnam(s->user) : NULL;
    if (s->user && (!user || user->pw_uid != geteuid())) {
        return privileges_fail(error, error_cap, user ? -EPERM : -ENOENT, "user", s->user);
    }
    return 0;
}

int privileges_become(
    const struct sandbox_settings *s, const char *folder, char *error, size_t error_cap)
{
    static const unsigned until_start[] = {CAP_NET_BIND_SERVICE, CAP_NET_ADMIN};
    if (geteuid() != 0) {
        return privileges_stay(s, error, error_cap);
    }
    const char *name = s->user ? s->user : SANDBOX_USER;
    const struct passwd *user = getpwnam(name);
    if (!user) {
        return s->user ? privileges_fail(error, error_cap, -ENOENT, "user", name) : 0;
    }
    const uid_t uid = user->pw_uid;
    gid_t gid;
    int r = uid != 0 ? privileges_find_group(&gid, s->group, user->pw_gid, error, error_cap) : 0;
    if (r < 0 || uid == 0) {
        return r;
    }
    if (folder) {
        /* Who then cannot make a socket there says so. */
        (void)privileges_give_folder(folder, uid, gid);
    }
    privileges_select(until_start, sizeof(until_start) / sizeof(until_start[0]));
    errno = EPERM;
    if (capng_change_id((int)uid, (int)gid, CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING) != 0 ||
        geteuid() != uid || getuid() != uid) {
        return privileges_fail(error, error_cap, -errno, "user", name);
    }
    /* The kernel takes it back with every change of the user. */
    return prctl(PR_SET_DUMPABLE, 0) == 0 ? 1 : -errno;
}

int privileges_drop(void)
{
    static const unsigned for_good[] = {CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH};
    (void)umask(FILES_MASK);
    /* Only root may clear the bounding set; without programs to run it binds nobody. */
    capng_clear(CAPNG_SELECT_BOUNDS);
    (void)capng_apply(CAPNG_SELECT_BOUNDS);
    privileges_select(for_good, geteuid() == 0 ? 2 : 1);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
        return errno != 0 ? -errno : -EPERM;
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0) {
        return -errno;
    }
    return 0;
}
