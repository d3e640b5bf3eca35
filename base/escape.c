/*
 * Names become parts of a text and come back. Strict both ways: what two readers could read in two
 * ways is read by neither. Called by fleet/ and srtp/.
 */
#include "base/escape.h"

#include <errno.h>

static const char digits[] = "0123456789ABCDEF";

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~@:+", c) != NULL);
}

size_t escape_write(uint8_t *out, struct slice name)
{
    size_t len = 0;
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        if (is_plain(c)) {
            out[len++] = c;
            continue;
        }
        out[len++] = '%';
        out[len++] = (uint8_t)digits[c >> 4];
        out[len++] = (uint8_t)digits[c & 15];
    }
    return len;
}

static int digit_of(uint8_t c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

int escape_read(uint8_t *out, struct slice text)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (is_plain(c)) {
            out[len++] = c;
            continue;
        }
        if (c != '%' || text.len - i < 3)
            return -EINVAL;
        const int high = digit_of(text.data[i + 1]), low = digit_of(text.data[i + 2]);
        if (high < 0 || low < 0 || is_plain((uint8_t)(high * 16 + low)))
            return -EINVAL;
        out[len++] = (uint8_t)(high * 16 + low);
        i += 2;
    }
    return (int)len;
}
