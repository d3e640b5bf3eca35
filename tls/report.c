/*
 * What stops a start is one line that names the key, the file and the cause. Called by the readers
 * of certificates and authorities, on the control thread.
 */
#include "tls/report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

int tls_report_error(const struct tls_report *report, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(report->text, report->cap, format, args);
    va_end(args);
    return code;
}

FILE *tls_report_open(const struct tls_report *report, const char *key, const char *path, int *code)
{
    errno = 0;
    FILE *file = fopen(path, "re");
    /* A folder opens and fails at the first byte. */
    const int first = file ? getc(file) : EOF;
    if (file && (first != EOF || !ferror(file))) {
        if (first != EOF)
            ungetc(first, file);
        return file;
    }
    const int cause = errno ? errno : EIO;
    if (file)
        fclose(file);
    *code = tls_report_error(report, -cause, "%s %s: %s", key, path, strerror(cause));
    return NULL;
}
