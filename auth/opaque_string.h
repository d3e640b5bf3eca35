/* The OpaqueString profile of RFC 8265 section 4.2 (libunistring): prepares names and passwords of
 * the configuration only; of what the network sends it says whether it could be. */
#ifndef AUTH_OPAQUE_STRING_H
#define AUTH_OPAQUE_STRING_H

#include "base/secret.h"

/*
 * Prepares UTF-8 text: zero-width or control characters refused, non-ASCII spaces to U+0020, NFC,
 * not empty. 0 and *out owned by the caller; -EINVAL with *why in words (static text); -ENOMEM.
 */
int opaque_string(struct secret *out, struct slice text, const char **why);

#define OPAQUE_STRING_ADMITS_MAX 763 /* bytes */

/* Would text of at most so many bytes be prepared, and not refused? For names that come from the
 * network: allocates nothing, and takes a time that goes by the text only. Longer text: false. */
bool opaque_string_admits(struct slice text);

#endif
