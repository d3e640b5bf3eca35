/* The OpaqueString profile of RFC 8265 section 4.2 (libunistring): for names and passwords of the
 * configuration only. */
#ifndef AUTH_OPAQUE_STRING_H
#define AUTH_OPAQUE_STRING_H

#include "base/secret.h"

/*
 * Prepares UTF-8 text: zero-width or control characters refused, non-ASCII spaces to U+0020, NFC,
 * not empty. 0 and *out owned by the caller; -EINVAL with *why in words (static text); -ENOMEM.
 */
int opaque_string(struct secret *out, struct slice text, const char **why);

#endif
