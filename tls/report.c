/*
 * What stops a start is one line that names the key, the file and the cause. Called by the readers
 * of certificates and authorities, on the control thread.
 */
#include "tls/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/open_error.h"

int tls_report_error(const struct tls_report *report, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(report->text, report->cap, format, args);
    va_end(args);
    return code;
}

/* A descriptor, or -errno. Pipes and devices could block the control thread: they are no files. */
static int tls_report_open_regular(const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &st) < 0 ? errno : 0;
    if (error == 0 && !S_ISREG(st.st_mode))
        error = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    if (error == 0)
        return fd;
    close(fd);
    return -error;
}

FILE *tls_report_open(const struct tls_report *report, const char *key, const char *path, int *code)
{
    const int fd = tls_report_open_regular(path);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (file)
        return file;
    const int cause = fd >= 0 ? ENOMEM : -fd;
    if (fd >= 0)
        close(fd);
    *code = tls_report_error(report, -cause, "%s %s: %s", key, path,
        cause == EINVAL ? "not a regular file" : open_error_text(path, cause));
    return NULL;
}
