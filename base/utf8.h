/* Text that came from outside, a character at a time. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Length of the well-formed UTF-8 character that `s` (not empty) begins with (Unicode table 3-7),
 * and what it is; or 0, with *out untouched. */
size_t utf8_decode(struct slice s, uint32_t *out);
/* Controls of ASCII and Latin-1, line and paragraph separators, what changes the direction of text,
 * and what takes no room: it could move a terminal's cursor, and two names that look alike must not
 * read alike. */
bool utf8_is_hidden(uint32_t c);

#endif
