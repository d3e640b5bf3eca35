/* Base64 with padding (RFC 4648 section 4), as configuration, Redis and the admin API carry bytes.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/slice.h"

/*
 * Writes what the text stands for and returns its length; or -EINVAL: anything else is among the
 * digits, the padding is not as it must be, bits are left over (one value has one spelling), or it
 * is more than `cap` bytes. On failure `out` may hold a beginning: who decodes secrets wipes it.
 */
int base64_decode(uint8_t *out, size_t cap, struct slice text);
/* The same for text without padding, as nonces have it (section 3.2). */
int base64_decode_bare(uint8_t *out, size_t cap, struct slice text);

#endif
