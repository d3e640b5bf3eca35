/* A borrowed run of bytes. Who keeps the bytes copies them. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>

struct slice {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;          /* bytes */
};

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){data, len};
}

static inline struct slice slice_of_string(const char *s)
{
    return (struct slice){(const uint8_t *)s, strlen(s)};
}

/* Not in constant time: for public values only. Secrets are compared by crypto_equal. */
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Whether the bytes that both have are equal: one of them is, or may become, the beginning of the
 * other. For public values only. */
static inline bool slice_agree(struct slice a, struct slice b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    return len == 0 || memcmp(a.data, b.data, len) == 0;
}

#endif
