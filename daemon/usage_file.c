/*
 * Lines on their way to a file.
 *
 * Always: `buffer` begins with a whole line, of whose bytes the file has the first `torn`. A write
 * that is cut short (the disk is full) goes on with the rest of the line, in another file with the
 * whole of it. A file that ends within a line, because a process was killed or its disk was full,
 * gets a newline first: what was torn harms no line behind it. Called by usage_writer.c.
 */
#include "daemon/usage_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/open_error.h"

struct usage_file {
    int fd; /* -1: none */
    dev_t device;
    ino_t inode;
    bool ends_within_line; /* and not in one of ours */
    size_t len, torn;
    uint64_t written, waiting;
    char buffer[USAGE_FILE_ROOM];
};

struct usage_file *usage_file_new(void)
{
    struct usage_file *f = malloc(sizeof(*f));
    if (f) {
        memset(f, 0, offsetof(struct usage_file, buffer));
        f->fd = -1;
    }
    return f;
}

static void close_file(struct usage_file *f)
{
    if (f->fd >= 0) {
        close(f->fd);
    }
    f->fd = -1;
}

void usage_file_free(struct usage_file *f)
{
    if (f) {
        close_file(f);
        free(f);
    }
}

const char *usage_file_error(const char *path, int r)
{
    /* A folder and a socket do not even open. */
    return r == -EINVAL || r == -EISDIR || r == -ENXIO
               ? "it must be a regular file: of a pipe records are lost that nobody reads"
               : open_error_of_output(path, -r);
}

/* Of a file that somebody has written to before. What is no regular file has no end to look at. */
static bool is_torn(int fd, const struct stat *s)
{
    char last = '\n';
    if (!S_ISREG(s->st_mode) || s->st_size == 0) {
        return false;
    }
    return pread(fd, &last, 1, s->st_size - 1) == 1 && last != '\n';
}

int usage_file_open(struct usage_file *f, const char *path)
{
    struct stat s;
    if (!path) {
        close_file(f);
        f->len = f->torn = 0;
        f->waiting = 0;
        return 0;
    }
    /* Without O_NONBLOCK a pipe that nobody reads would hold this thread for ever. */
    const int fd =
        open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &s) < 0) {
        const int r = -errno;
        close(fd);
        return r;
    }
    if (!S_ISREG(s.st_mode) && !S_ISCHR(s.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    const bool same = f->fd >= 0 && s.st_dev == f->device && s.st_ino == f->inode;
    close_file(f);
    f->fd = fd;
    f->device = s.st_dev;
    f->inode = s.st_ino;
    if (!same) {
        f->torn = 0;
    }
    f->ends_within_line = f->torn == 0 && is_torn(fd, &s);
    return 0;
}

bool usage_file_is_open(const struct usage_file *f)
{
    return f->fd >= 0;
}

bool usage_file_add(struct usage_file *f, const char *line, size_t len)
{
    if (f->len + len > sizeof(f->buffer)) {
        return false;
    }
    memcpy(f->buffer + f->len, line, len);
    f->len += len;
    f->waiting++;
    return true;
}

/* `n` bytes more are in the file: drops the lines that are there whole. */
static void take(struct usage_file *f, size_t n)
{
    size_t done = f->torn + n, whole = 0;
    for (const char *p = f->buffer, *end; (end = memchr(p, '\n', done - whole)); p = end + 1) {
        whole = (size_t)(end + 1 - f->buffer);
        f->written++;
        f->waiting--;
    }
    f->torn = done - whole;
    f->len -= whole;
    memmove(f->buffer, f->buffer + whole, f->len);
}

static int end_torn_line(struct usage_file *f)
{
    if (f->ends_within_line) {
        if (write(f->fd, "\n", 1) != 1) {
            return -errno;
        }
        f->ends_within_line = false;
    }
    return 0;
}

int usage_file_flush(struct usage_file *f)
{
    if (f->len == 0) {
        return 0;
    }
    if (f->fd < 0) {
        return -EBADF;
    }
    int r = end_torn_line(f);
    while (r == 0 && f->len > 0) {
        const ssize_t n = write(f->fd, f->buffer + f->torn, f->len - f->torn);
        if (n > 0) {
            take(f, (size_t)n);
        } else if (n < 0 && errno != EINTR) {
            r = -errno;
        }
    }
    return r;
}

uint64_t usage_file_written(const struct usage_file *f)
{
    return f->written;
}

uint64_t usage_file_waiting(const struct usage_file *f)
{
    return f->waiting;
}
