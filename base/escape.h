/* Names in texts whose parts are told apart by '/' and spaces: each byte but letters, digits and
 * -._~@:+ stands as %XX, with capital digits. One name has one spelling. */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include "base/slice.h"

#define ESCAPED_MAX(len) ((len)*3)

/* Writes at most ESCAPED_MAX(name.len) bytes, without a NUL; returns how many. */
size_t escape_write(uint8_t *out, struct slice name);
/* Writes at most text.len bytes. The length, or -EINVAL where escape_write would have written it in
 * another way; then what `out` holds means nothing. */
int escape_read(uint8_t *out, struct slice text);

#endif
