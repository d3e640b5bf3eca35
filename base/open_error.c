/*
 * "Permission denied" has two causes in a daemon that has given up its privileges, and they are
 * mended in different places. Called wherever a file of the configuration is opened.
 */
#include "base/open_error.h"

#include <errno.h>
#include <fcntl.h>
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
