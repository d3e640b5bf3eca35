/* The one line that says what is wrong with which file. Internal to tls/. */
#ifndef TLS_REPORT_H
#define TLS_REPORT_H

#include <stddef.h>
#include <stdio.h>

struct tls_report {
    char *text;
    size_t cap;
};

/* Formats into the report and returns `code`. What a file holds is never part of it. */
int tls_report_error(const struct tls_report *report, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Opens `path`, a regular file, for reading; never blocks. NULL: reported under `key`, and *code is
 * -errno. */
FILE *tls_report_open(
    const struct tls_report *report, const char *key, const char *path, int *code);

#endif
