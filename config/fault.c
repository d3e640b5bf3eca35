/*
 * The one line that a bad configuration draws. It always fits, is always one line, and never holds
 * a secret: callers pass nothing that is one. Called by everything that reads the configuration.
 */
#include "config/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Long enough for any path that a person types; what is cut is the beginning. */
#define PATH_SHOWN_MAX 200

static size_t escape_byte(char *out, size_t left, unsigned char c)
{
    if (c >= 0x20 && c < 0x7f) {
        if (left < 2)
            return 0;
        out[0] = (char)c;
        out[1] = '\0';
        return 1;
    }
    if (left < 5)
        return 0;
    snprintf(out, left, "\\x%02x", c);
    return 4;
}

/* Returns the number of bytes written and moves *text to the first byte that did not fit whole. */
static size_t escape(char *out, size_t cap, const char **text)
{
    size_t used = 0;

    out[0] = '\0';
    for (; **text != '\0'; (*text)++) {
        size_t n = escape_byte(out + used, cap - used, (unsigned char)**text);

        if (n == 0)
            break;
        used += n;
    }
    return used;
}

struct fault_text fault_escape(const char *text)
{
    struct fault_text out;
    size_t used = escape(out.text, sizeof(out.text) - 3, &text);

    if (*text != '\0')
        memcpy(out.text + used, "...", 4);
    return out;
}

int fault_set(struct fault *f, unsigned line, const char *format, ...)
{
    char *text = f->error->text;
    size_t cap = sizeof(f->error->text), used, len = strlen(f->path);
    const char *path = len < PATH_SHOWN_MAX ? f->path : f->path + len - PATH_SHOWN_MAX / 2;
    va_list args;

    used = escape(text, PATH_SHOWN_MAX, &path);
    if (line > 0)
        used += (size_t)snprintf(text + used, cap - used, ":%u", line);
    used += (size_t)snprintf(text + used, cap - used, ": ");
    va_start(args, format);
    vsnprintf(text + used, cap - used, format, args);
    va_end(args);
    return -EINVAL;
}

int fault_out_of_memory(struct fault *f)
{
    fault_set(f, 0, "out of memory");
    return -ENOMEM;
}
