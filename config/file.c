/*
 * Files of the configuration: the YAML itself and the secrets it names. Never blocks: pipes and
 * devices are refused, so a reload cannot hang the control thread. What was read is wiped. Called
 * by config.c and credentials.c.
 */
#include "config/file.h"

#include "base/open_error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads until the end of the file or `cap`. Bytes read, or -errno. */
static ssize_t read_all(int fd, uint8_t *buffer, size_t cap)
{
    size_t used = 0;

    while (used < cap) {
        ssize_t n = read(fd, buffer + used, cap - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

static int read_open(struct secret *out, int fd, size_t max)
{
    struct stat st;
    uint8_t *buffer;
    ssize_t n;
    int rc;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    buffer = malloc(max + 1); /* one more than allowed: that it is filled says "too large" */
    if (!buffer)
        return -ENOMEM;
    n = read_all(fd, buffer, max + 1);
    if (n < 0)
        rc = (int)n;
    else if ((size_t)n > max)
        rc = -EFBIG;
    else
        rc = secret_set(out, slice_of(buffer, (size_t)n));
    if (n > 0)
        secret_cleanse(buffer, (size_t)n);
    free(buffer);
    return rc;
}

int file_read(struct secret *out, const char *path, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int rc;

    if (fd < 0)
        return -errno;
    rc = read_open(out, fd, max);
    close(fd);
    return rc;
}

const char *file_read_why(const char *path, int rc)
{
    if (rc == -EINVAL)
        return "not a regular file";
    if (rc == -EFBIG)
        return "too large";
    return open_error_text(path, -rc);
}
