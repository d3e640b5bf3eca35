/* One event as one line of text or JSON. Only log.c and its tests include this. */
#ifndef BASE_LOG_FORMAT_H
#define BASE_LOG_FORMAT_H

#include "base/log.h"

#define LOG_LINE_MAX 2048 /* bytes, with the newline */

struct log_line {
    enum log_level level;
    enum log_format format;
    int64_t wall_ms;   /* since 1970, UTC */
    const char *event; /* event and keys come from the code: [a-z0-9_]+, they are not escaped */
    const struct log_field *fields;
    size_t count;
};

/*
 * Writes the line with its newline, and nothing past `cap` ≥ 256; returns its length. No NUL. What
 * does not fit is cut at a field or at a character and the line then ends in cut=true.
 */
size_t log_format_line(char *out, size_t cap, const struct log_line *line);

#endif
