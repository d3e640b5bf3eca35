/*
 * "Permission denied" has two causes in a daemon that has given up its privileges, and they are
 * mended in different places; ports fail for reasons that other programs have. Called wherever what
 * the configuration names is opened.
 */
#include "base/open_error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *open_error_text(const char *path, int error)
{
    if (error != EACCES)
        return strerror(error);
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0)
        return "outside the sandbox: it takes a restart to read files of another folder";
    return "Permission denied: the user that turnpike runs as, or its group, must be able to read "
           "it";
}

/* By their modes, `path` or else its folder may be written. */
static bool open_error_may_write(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0)
        return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
    if (!slash)
        return false;
    snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - path), path);
    return faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0;
}

const char *open_error_of_output(const char *path, int error)
{
    switch (error) {
    case ENOENT:
        return "No such file or directory: its folder must be there";
    case EROFS:
        return "Read-only file system: in a service, ReadWritePaths= must name its folder";
    case EACCES:
        return open_error_may_write(path)
                   ? "outside the sandbox: it takes a restart to write in another folder"
                   : "Permission denied: the user that turnpike runs as must be able to write it, "
                     "or to make it in its folder";
    default:
        return strerror(error);
    }
}

const char *open_error_of_port(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "Address already in use: another program has it, and `ss -lntup` says which";
    case EACCES:
        return "Permission denied: a port below 1024 takes root or CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "Cannot assign requested address: no interface of this machine has it";
    default:
        return strerror(error);
    }
}
