/* Base64 with padding (RFC 4648 section 4), as configuration, Redis and the admin API carry bytes.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/slice.h"

/* Bytes that so much text may stand for. */
#define BASE64_DECODED_MAX(text_len) ((text_len) / 4 * 3)

/*
 * Writes what the text stands for and returns its length; or -EINVAL: anything else is among the
 * digits, the padding is not as it must be, bits are left over (one value has one spelling), or it
 * is more than `cap` bytes. On failure `out` may hold a beginning: who decodes secrets wipes it.
 */
int base64_decode(uint8_t *out, size_t cap, struct slice text);

#endif
